"""How ordered is a reservoir, and where does it remember most? Whole spectra of three models, radius after radius.

Models of 100 units in all, driven by white noise uniform in ±0.8: an echo-state network, a residual one (random skip,
alpha 0.9, beta 0.3) and two residual layers of 50 units. The exponents are conditional: those of the network given its
inputs. A negative leading exponent is necessary for the echo-state property; it turns positive at the edge of chaos.
The spectrum of two layers is the union of the layers' spectra, so depth adds exponents but moves none of the first
layer's.

Settings are ours. The edge: N. Bertschinger, T. Natschläger (2004), Neural Computation 16; J. Boedecker, O. Obst,
J. Lizier, N. Mayer, M. Asada (2012), Theory in Biosciences 131. Residual models: A. Ceni, C. Gallicchio (2024),
Neurocomputing 597; M. Pinna, A. Ceni, C. Gallicchio (2025), arXiv 2508.21172.

What to see: the input pushes the edge beyond radius 1, to about 1.3 here. The echo-state network remembers most on the
ordered side near its edge. The residual networks have all exponents within 0.3 of zero whatever the radius (mind
the scales), remember several times more, and most at the smallest radius, far from any chaos.
"""

import warnings

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock import Uniform
from penstock.analysis import lyapunov_spectrum, memory_capacity
from penstock.reservoirs import ESN, DeepResESN, EchoStateWarning, ResESN

N_UNITS, SEEDS = 100, range(3)
RADII = np.linspace(0.2, 1.8, 9)
LAW = Uniform(-0.8, 0.8)
SCALING = 0.25


def esn(radius, seed):
    """Return an echo-state network."""
    return ESN.random(N_UNITS, spectral_radius=radius, input_scaling=SCALING, seed=seed)


def res_esn(radius, seed):
    """Return a residual network."""
    return ResESN.random(N_UNITS, alpha=0.9, beta=0.3, spectral_radius=radius, input_scaling=SCALING, seed=seed)


def deep_res_esn(radius, seed):
    """Return two residual layers of 50 units each."""
    return DeepResESN.random(
        N_UNITS, n_layers=2, alpha=0.9, beta=0.3, spectral_radius=radius, input_scaling=SCALING, seed=seed
    )


MODELS = {"ESN": esn, "ResESN": res_esn, "DeepResESN": deep_res_esn}


def measure(make):
    """Return the spectra (radii, seeds, N) and the memory capacities (radii, seeds) of one model."""
    spectra, memories = [], []
    for radius in RADII:
        for seed in SEEDS:
            system = make(radius, seed)
            u = LAW(np.random.default_rng(seed), 1000)
            spectra.append(np.sort(lyapunov_spectrum(system, u, washout=200, progress=False).exponents)[::-1])
            memories.append(memory_capacity(system, 200, n_steps=4000, input_law=LAW, seed=seed, progress=False).total)
    shape = (len(RADII), len(SEEDS))
    return np.reshape(spectra, (*shape, -1)), np.reshape(memories, shape)


def draw_spectra(ax, spectra, name):
    """Draw every third whole spectrum, averaged over seeds."""
    chosen = range(0, len(RADII), 2)
    for shade, i in zip(np.linspace(0.15, 0.9, len(chosen)), chosen, strict=True):
        ax.plot(np.arange(1, N_UNITS + 1), spectra[i].mean(axis=0), color=plt.cm.plasma(shade), label=f"{RADII[i]:.1f}")
    ax.axhline(0, color="0.3", linewidth=1, linestyle="--")
    ax.set(xlabel="index of the exponent", ylabel="exponent (nats per step)")
    ax.set_title(name, fontsize="medium")
    ax.legend(title="radius", frameon=False, fontsize="small", ncols=2, loc="lower left")


def draw_with_errors(ax, x, values, **style):
    """Draw means over seeds with standard errors."""
    ax.errorbar(x, values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1]), capsize=2, **style)


def edge(leading):
    """Return the radius where the mean leading exponent crosses zero, or nan."""
    mean = leading.mean(axis=1)
    above = np.flatnonzero((mean[:-1] < 0) & (mean[1:] >= 0))
    if not above.size:
        return np.nan
    i = above[0]
    return float(np.interp(0, mean[i : i + 2], RADII[i : i + 2]))


def main():
    """Measure all models, print their edges and best memories, draw the figure."""
    warnings.simplefilter("ignore", EchoStateWarning)  # radii above 1 are the point
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.5), layout="constrained")
    for number, (name, make) in enumerate(MODELS.items()):
        spectra, memories = measure(make)
        leading = spectra[:, :, 0]
        draw_spectra(axes[0, number], spectra, name)
        style = {"marker": "osD"[number], "color": f"C{number}", "label": name}
        draw_with_errors(axes[1, 0], RADII, leading, **style)
        draw_with_errors(axes[1, 1], RADII, memories, **style)
        axes[1, 2].scatter(
            leading.ravel(), memories.ravel(), s=18, marker=style["marker"], color=style["color"], label=name
        )
        best = memories.mean(axis=1).argmax()
        print(
            f"{name:<11s} edge of chaos at radius {edge(leading):.2f}; most memory {memories.mean(axis=1)[best]:.1f} "
            f"at radius {RADII[best]:.1f}, where the leading exponent is {leading[best].mean():+.3f} per step"
        )
    for ax in (axes[1, 0], axes[1, 2]):
        (ax.axhline if ax is axes[1, 0] else ax.axvline)(0, color="0.3", linewidth=1, linestyle="--")
    ticks = (-1, -0.1, 0, 0.1)
    axes[1, 0].set_yscale("symlog", linthresh=0.05)  # the residual networks live within 0.1 of zero
    axes[1, 0].set_yticks(ticks, ticks)
    axes[1, 2].set_xscale("symlog", linthresh=0.05)
    axes[1, 2].set_xticks(ticks, ticks)
    axes[1, 0].set(xlabel="spectral radius of W", ylabel="leading exponent (nats per step)")
    axes[1, 1].set(xlabel="spectral radius of W", ylabel="memory capacity")
    axes[1, 2].set(xlabel="leading exponent (nats per step)", ylabel="memory capacity")
    axes[1, 0].legend(frameon=False)
    figure.savefig("lyapunov_reservoirs.png", dpi=150)
    print("wrote lyapunov_reservoirs.png")


if __name__ == "__main__":
    main()
