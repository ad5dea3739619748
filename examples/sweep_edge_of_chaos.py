"""Does computation peak at the edge of chaos? Memory, processing capacity and stability over two knobs, as a sweep.

A network of 100 units for every spectral radius and input scaling, three times each with weights of its own. Memory
capacity (MC): linear memory of the input. Information processing capacity (IPC): every polynomial of the inputs up to
degree 3 that a linear readout can recover, with white noise of 0.1 % of the states on what the readout sees. λ: the
largest Lyapunov exponent given the inputs; where it is above 0 the network does not forget where it started. Inputs are
uniform, in ±0.8 for MC and λ, in ±1 for IPC.

Every finished network is a line in the folder `results/edge_of_chaos`, or the one named on the command line: stop this
script and it goes on from there, call it again and it draws at once. On a cluster it runs unchanged within
``with joblib.parallel_config(backend="dask")``.

What to see: both peak before the edge, on the stable side. MC is highest for faint inputs at spectral radius 1.0 (λ
just below 0), IPC at 0.9 for inputs loud enough to drive the units out of their linear range (λ about -0.13); beyond
the line λ = 0 little is left of either, unless the inputs are very loud. Loud inputs move the line to larger radii.

Asked first by N. Bertschinger, T. Natschläger (2004), Neural Computation 16, 1413, and R. Legenstein, W. Maass (2007),
Neural Networks 20, 323. The capacities: H. Jaeger (2001), GMD Report 152; J. Dambre, D. Verstraeten, B. Schrauwen,
S. Massar (2012), Scientific Reports 2, 514. Settings are ours.
"""

import sys
import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import penstock
from penstock.analysis import information_processing_capacity, lyapunov_spectrum, memory_capacity
from penstock.reservoirs import ESN, EchoStateWarning

GRID = {
    "spectral_radius": [0.3, 0.7, 0.9, 1.0, 1.1, 1.2, 1.3, 1.5, 2.0],
    "input_scaling": [0.03, 0.1, 0.3, 1.0, 3.0],
}
TITLES = {
    "MC": "memory capacity MC",
    "IPC": "IPC, degrees 1 to 3",
    "exponent": "exponent λ (per step)",
}


def measure(spectral_radius, input_scaling, seed, n_units=100):
    """Return the three measures of one random network."""
    warnings.simplefilter("ignore", EchoStateWarning)  # half of the map lies beyond that condition
    esn = ESN.random(n_units, spectral_radius=spectral_radius, input_scaling=input_scaling, seed=seed)
    u = np.random.default_rng(seed).uniform(-0.8, 0.8, 2000)
    quiet = {"seed": seed, "progress": False}
    return {
        "MC": memory_capacity(esn, n_steps=3000, **quiet).total,
        "IPC": information_processing_capacity(esn, max_degree=3, n_steps=4000, noise_floor=1e-3, **quiet).total,
        "exponent": lyapunov_spectrum(esn, u, n_exponents=1, **quiet).exponents[0],
    }


def draw(maps):
    """Draw the three maps, each with the line λ = 0."""
    radii, scalings = GRID.values()
    height = np.log10(scalings)
    plt.rcParams["font.size"] = 14
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.8), layout="constrained", sharey=True)
    for ax, (name, title) in zip(axes, TITLES.items(), strict=True):
        exponent = name == "exponent"
        colours = {"cmap": "RdBu_r", "vmin": -0.3, "vmax": 0.3} if exponent else {"vmin": 0}
        image = ax.pcolormesh(radii, height, maps[name].T, shading="nearest", **colours)
        for colour, width, style in (("k", 3, "solid"), ("w", 1.2, "dashed")):
            ax.contour(radii, height, maps["exponent"].T, [0], colors=colour, linewidths=width, linestyles=style)
        figure.colorbar(image, ax=ax, extend="min" if exponent else "neither")
        ax.set(xlabel="spectral radius", title=title)
    axes[0].set_ylabel("input scaling")
    axes[0].set_yticks(height, [f"{scaling:g}" for scaling in scalings])
    axes[0].plot([], [], "k", linewidth=3, label="λ = 0")
    axes[0].legend(loc="lower right")
    figure.savefig("sweep_edge_of_chaos.png", dpi=110)


def main():
    store = sys.argv[1] if len(sys.argv) > 1 else "results/edge_of_chaos"
    result = penstock.sweep(measure, GRID, repeats=3, store=store)
    print(f"{result}\n")
    maps = {name: result.mean(name) for name in TITLES}
    errors = {name: result.standard_error(name) for name in TITLES}
    radii, scalings = map(np.array, GRID.values())
    print("Best over the spectral radius (mean ± standard error of three networks), with that radius and λ there;")
    print("last the radius at which λ = 0")
    best = "".join(f"{f'best {name}':>17}{'radius':>8}{'λ':>8}" for name in ("MC", "IPC"))
    print(f"{'input scaling':>13}{best}{'λ = 0 at':>10}")
    for j, scaling in enumerate(scalings):
        cells = []
        for name in ("MC", "IPC"):
            i = int(maps[name][:, j].argmax())
            cells.append(
                f"{maps[name][i, j]:11.1f} ± {errors[name][i, j]:3.1f}{radii[i]:8.1f}{maps['exponent'][i, j]:8.3f}"
            )
        print(f"{scaling:13g}{''.join(cells)}{edge(radii, maps['exponent'][:, j]):>10}")
    draw(maps)
    print("wrote sweep_edge_of_chaos.png")


def edge(radii, exponents):
    """Return where the exponents first become positive, as text."""
    above = np.flatnonzero(exponents > 0)
    if not len(above):
        return "> 2"
    i = above[0]
    return f"{np.interp(0, exponents[i - 1 : i + 1], radii[i - 1 : i + 1]):.2f}"


if __name__ == "__main__":
    main()
