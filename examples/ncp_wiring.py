"""What sparse wirings look like, and what rank and sparsity do to a recurrent network: one figure, one table.

1. A neural circuit policy of 28 neurons, drawn by the published rules.
2. Liquid time-constant units on that wiring, driven by four sines a quarter of a period apart, layer by layer.
3. Low-rank, masked recurrent matrices: their spectral radius against the law of large matrices,
   sqrt((1 - sparsity) rank / N) for an orthogonal initial matrix. Both low rank and the mask shrink it.
4. What such a network remembers, with the matrix as it is drawn (times 0.95), and
5. with the matrix scaled to a spectral radius of 0.95. Without mask the state of a linear network keeps to rank + 1
   dimensions, which bound its memory; these networks are driven so weakly that they come close to linear ones. The
   mask restores full rank, and memory goes beyond the bound.

Sources: Lechner et al. (2020, neural circuit policies); Hasani et al. (2021, liquid time-constant networks); Tumma et
al. (ICLR 2024, arXiv 2310.03915, low-rank and sparse recurrent connectivity); Jaeger (2001, memory capacity and its
bound by the dimension).
"""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from penstock.analysis import memory_capacity
from penstock.reservoirs import ESN, LTC, AutoNCP
from penstock.scaling import scale_spectral_radius, spectral_radius
from penstock.weights import low_rank_sparse

N_UNITS, RADIUS, SEEDS = 60, 0.95, range(4)
PERIOD = 20.0
RANKS, SPARSITIES = (1, 5, 15, 30, 60), (0.0, 0.25, 0.5, 0.75, 0.9)


def measured(rank, sparsity, seed):
    """Return the spectral radius of one drawn matrix, and the memory of a network as drawn and after scaling."""
    W = low_rank_sparse(N_UNITS, rank=rank, sparsity=sparsity, seed=seed)
    W_in = 0.1 * np.random.default_rng([seed, 1]).uniform(-1, 1, (N_UNITS, 1))
    matrices = RADIUS * W, scale_spectral_radius(W, RADIUS)
    systems = [ESN(matrix.toarray(), W_in) for matrix in matrices]
    memory = [memory_capacity(esn, n_steps=4000, seed=100 + seed, progress=False).total for esn in systems]
    return spectral_radius(W), *memory


def draw_states(ax, wiring):
    """Draw the states of liquid units over time, a row for every neuron, ordered by layer."""
    ltc = LTC.random(wiring, dt=0.25, seed=0)
    times = ltc.dt * np.arange(321)
    phases = np.arange(wiring.n_inputs) / wiring.n_inputs
    states = ltc.run(0.5 + 0.5 * np.sin(2 * np.pi * (times[:, None] / PERIOD - phases)))
    rows = np.concatenate(wiring.layers)
    look = {"aspect": "auto", "interpolation": "nearest", "cmap": "RdBu_r", "vmin": -1, "vmax": 1}
    image = ax.imshow(states[:, rows].T, extent=(0, times[-1], len(rows), 0), **look)
    ends = np.cumsum([len(layer) for layer in wiring.layers])
    for end in ends[:-1]:
        ax.axhline(end, color="k", lw=1)
    ax.set_yticks(ends - [len(layer) / 2 for layer in wiring.layers], ["inter", "command", "motor"])
    ax.set(xlabel=f"time (input period {PERIOD:g})", title="Its liquid time-constant units, driven by sines")
    ax.figure.colorbar(image, ax=ax, label="state v")


def draw_radii(ax, radii):
    """Draw the spectral radius over the sparsity for every rank, mean and spread over seeds, and the law."""
    dense = np.linspace(0, 1, 200)
    for k, rank in enumerate(RANKS):
        ax.plot(dense, np.sqrt((1 - dense) * rank / N_UNITS), color=f"C{k}", lw=1, ls="--")
        mean, spread = radii[k].mean(axis=1), radii[k].std(axis=1, ddof=1)
        ax.errorbar(SPARSITIES, mean, spread, color=f"C{k}", marker="o", ls="", capsize=3, label=f"rank {rank}")
    ax.plot([], [], color="0.3", lw=1, ls="--", label=r"$\sqrt{(1-s)\,r/N}$")
    ax.set(xlabel="sparsity s of the mask", ylabel="spectral radius", xlim=(-0.04, 1), ylim=(0, 1.35))
    ax.set_title(f"Spectral radius, N = {N_UNITS}\n(mean ± sd over {len(SEEDS)} seeds)")
    ax.legend(ncols=2, frameon=False)


def draw_memory(ax, memory, title):
    """Draw the mean memory capacity as a map over rank and sparsity; return the image."""
    mean = memory.mean(axis=2)
    image = ax.imshow(mean, origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=N_UNITS)
    for (row, column), value in np.ndenumerate(mean):
        ax.text(column, row, f"{value:.1f}", ha="center", va="center", color="w" if value < N_UNITS / 2 else "k")
    ax.set_xticks(range(len(SPARSITIES)), [f"{s:g}" for s in SPARSITIES])
    ax.set_yticks(range(len(RANKS)), RANKS)
    ax.set(xlabel="sparsity s of the mask", ylabel="rank r before the mask", title=title)
    return image


def main():
    wiring = AutoNCP(28, 4, n_inputs=4)
    cells = [[[measured(r, s, seed) for seed in SEEDS] for s in SPARSITIES] for r in RANKS]
    radii, drawn, scaled = np.moveaxis(np.array(cells), -1, 0)

    print(wiring)
    print(f"N = {N_UNITS}, means over {len(SEEDS)} seeds; radius of the law sqrt((1 - s) r / N); memory capacity MC of")
    print(f"{RADIUS} W and of W scaled to spectral radius {RADIUS}")
    print(f"{'rank':>5}{'sparsity':>10}{'radius':>9}{'law':>7}{'MC drawn':>11}{'MC scaled':>11}")
    for (i, rank), (j, sparsity) in ((a, b) for a in enumerate(RANKS) for b in enumerate(SPARSITIES)):
        law = np.sqrt((1 - sparsity) * rank / N_UNITS)
        print(
            f"{rank:>5}{sparsity:>10.2f}{radii[i, j].mean():>9.3f}{law:>7.3f}"
            f"{drawn[i, j].mean():>11.1f}{scaled[i, j].mean():>11.1f}"
        )

    panels = [["wiring"] * 3 + ["states"] * 3, ["radii"] * 2 + ["drawn"] * 2 + ["scaled"] * 2]
    figure, axes = plt.subplot_mosaic(panels, figsize=(13, 9.5), layout="constrained")
    wiring.draw(axes["wiring"]).set_title(f"Neural circuit policy, {wiring.n_units} neurons", pad=12)
    draw_states(axes["states"], wiring)
    draw_radii(axes["radii"], radii)
    draw_memory(axes["drawn"], drawn, f"Memory of {RADIUS} W, as drawn")
    image = draw_memory(axes["scaled"], scaled, f"Memory, W scaled to radius {RADIUS}")
    figure.colorbar(image, ax=axes["scaled"], label="memory capacity (steps)")
    figure.savefig("ncp_wiring.png", dpi=110, bbox_inches="tight")
    print("wrote ncp_wiring.png")


if __name__ == "__main__":
    main()
