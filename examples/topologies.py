"""What does the graph of a reservoir do to its memory? Families of graphs at 100 units, one table, one figure.

Every network is x_t = tanh(W x_{t-1} + W_in u_t), W scaled to spectral radius 0.9 after its weights are drawn (uniform
in ±1; the two cycles have equal ones), inputs uniform in ±0.8. A seed draws one W_in for all families, and one graph
and its weights for each. Families have four connections into each unit where they can; Erdos-Renyi is the control for
those, the dense matrix the usual reservoir. All choices are ours.

Undirected families (reciprocity 1) connect both ways, with independent weights. Watts-Strogatz is a lattice at p = 0, a
small world (many triangles, short paths) at p = 0.1, and fully rewired at p = 1: no small world any more, though some
of the literature calls it one. "Barabasi-Albert, one way" is the same kind of hubs with twice the edges, each keeping
one direction at random: the control that tells hubs from reciprocity.

What to see: neither the small world nor the hubs nor reciprocity buys memory. Where the eigenvalues crowd near 0, as
with hubs, memory is short; the ring, with all of them on the circle, remembers most. At equal radius the mean modulus
of the eigenvalues nearly orders the families, which describes these eleven and proves no cause.

Memory capacity is the sum over delays 0..199 of adjusted R^2 (`penstock.analysis.ADJUSTED`). Departure from normality
is Henrici's, (‖W‖_F^2 - sum |eigenvalue|^2)^(1/2) / ‖W‖_F, 0 for a normal matrix.

Sources: Jaeger (2001), GMD 152; Rodan and Tino (2011), IEEE Trans. Neural Netw. 22, and (2012), Neural Computation 24,
for the cycles; Watts and Strogatz (1998), Nature 393; Barabasi and Albert (1999), Science 286; Henrici (1962).
"""

from functools import partial
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np

from penstock import Uniform
from penstock.analysis import memory_capacity
from penstock.reservoirs import ESN
from penstock.scaling import scale_spectral_radius, spectral_norm, spectral_radius
from penstock.weights import (
    barabasi_albert,
    cycle_with_jumps,
    erdos_renyi,
    from_graph,
    ring,
    sparse,
    uniform,
    watts_strogatz,
)

N_UNITS, RADIUS, INPUT_SCALING, SEEDS = 100, 0.9, 0.1, range(5)


def torus(seed):
    """Return weights on a 10 x 10 grid without border, both ways."""
    return from_graph(nx.grid_2d_graph(10, 10, periodic=True), values=Uniform(), seed=seed)


def one_way_hubs(seed):
    """Return weights on a Barabasi-Albert graph in which every edge keeps one direction, drawn at random."""
    flips = np.random.default_rng(seed)
    edges = nx.barabasi_albert_graph(N_UNITS, 4, seed=seed).edges
    directed = nx.DiGraph([(u, v) if flips.random() < 0.5 else (v, u) for u, v in edges])
    return from_graph(directed, values=Uniform(), seed=seed)


CYCLES, BOTH_WAYS, ONE_WAY = "cycle, equal weights", "random, undirected", "random, directed or dense"
FAMILIES = {
    "ring": (CYCLES, lambda seed: ring(N_UNITS)),
    "ring with jumps": (CYCLES, lambda seed: cycle_with_jumps(N_UNITS, 1.0, 0.3, 5)),
    "torus 10 x 10": (BOTH_WAYS, torus),
    "Watts-Strogatz p = 0": (BOTH_WAYS, partial(watts_strogatz, N_UNITS, neighbours=4, p=0.0)),
    "Watts-Strogatz p = 0.1": (BOTH_WAYS, partial(watts_strogatz, N_UNITS, neighbours=4, p=0.1)),
    "Watts-Strogatz p = 1": (BOTH_WAYS, partial(watts_strogatz, N_UNITS, neighbours=4, p=1.0)),
    "Barabasi-Albert": (BOTH_WAYS, partial(barabasi_albert, N_UNITS, edges=2)),
    "Barabasi-Albert, one way": (ONE_WAY, one_way_hubs),
    "Erdos-Renyi": (ONE_WAY, partial(erdos_renyi, N_UNITS, p=4 / (N_UNITS - 1))),
    "regular, 4 in": (ONE_WAY, partial(sparse, N_UNITS, per_row=4)),
    "dense": (ONE_WAY, partial(uniform, N_UNITS)),
}
COLOURS = {CYCLES: "C0", BOTH_WAYS: "C1", ONE_WAY: "C2"}
SHOWN = {"dense": ".", "Barabasi-Albert": "^", "ring with jumps": "s", "ring": "x"}  # whose eigenvalues are drawn


class Facts(NamedTuple):
    """What is said of one network; the last four after scaling."""

    degree: float  # mean number of connections into a unit, from other units
    reciprocity: float  # fraction of connections that have their reverse
    clustering: float  # of the graph without directions
    path: float  # mean shortest directed path in the largest strongly connected part
    radius: float  # before scaling
    norm: float  # spectral norm
    departure: float  # from normality
    modulus: float  # mean modulus of the eigenvalues
    memory: float


def facts(W, W_in, seed):
    """Return the facts of one network and its eigenvalues."""
    graph = nx.from_numpy_array(W.T != 0, create_using=nx.DiGraph)
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    part = graph.subgraph(max(nx.strongly_connected_components(graph), key=len))
    scaled = scale_spectral_radius(W, RADIUS)
    eigenvalues = np.linalg.eigvals(scaled)
    modulus = np.abs(eigenvalues)
    return eigenvalues, Facts(
        degree=graph.number_of_edges() / N_UNITS,
        reciprocity=nx.overall_reciprocity(graph),
        clustering=nx.average_clustering(graph.to_undirected()),
        path=nx.average_shortest_path_length(part),
        radius=spectral_radius(W),
        norm=spectral_norm(scaled),
        departure=np.sqrt(max(0.0, 1 - (modulus**2).sum() / (scaled**2).sum())),
        modulus=modulus.mean(),
        memory=memory_capacity(ESN(scaled, W_in), seed=seed, progress=False).total,
    )


def measure():
    """Return {family: facts of every seed, an array (seeds, facts)} and {family: eigenvalues at the first seed}."""
    table, spectra = {}, {}
    for name, (_, make) in FAMILIES.items():
        rows = []
        for seed in SEEDS:
            W = make(seed=seed)
            W_in = np.random.default_rng([1, seed]).uniform(-INPUT_SCALING, INPUT_SCALING, (N_UNITS, 1))
            eigenvalues, row = facts(W if isinstance(W, np.ndarray) else W.toarray(), W_in, seed)
            spectra.setdefault(name, eigenvalues)
            rows.append(row)
        table[name] = np.array(rows)
    return table, spectra


def draw(table, spectra):
    """Draw memory per family, memory against the eigenvalues, and the eigenvalues of four networks."""
    plt.rcParams["font.size"] = 15
    figure, axes = plt.subplots(1, 3, figsize=(17, 6.4), layout="constrained")
    for place, (name, rows) in enumerate(table.items()):
        memory, modulus, colour = rows[:, -1], rows[:, -2], COLOURS[FAMILIES[name][0]]
        axes[0].errorbar(memory.mean(), place, xerr=memory.std(ddof=1), fmt="o", markersize=9, capsize=4, color=colour)
        axes[1].plot(modulus, memory, "o", markersize=9, alpha=0.6, color=colour)
    axes[0].set(yticks=range(len(table)), yticklabels=list(table), xlabel=f"memory capacity, at most {N_UNITS}")
    axes[0].set(xlim=(0, None), title=f"Memory (mean ± sd, {len(SEEDS)} seeds)")
    axes[0].invert_yaxis()
    axes[0].grid(axis="x", color="0.9")
    axes[1].set(xlabel="mean modulus of the eigenvalues of W", ylabel="memory capacity", xlim=(0, 0.95), ylim=(0, 60))
    axes[1].set_title("Memory against the eigenvalues")
    for group, colour in COLOURS.items():
        axes[1].plot([], [], "o", markersize=9, color=colour, label=group)
    axes[1].legend(loc="upper left", fontsize=13)
    for name, marker in SHOWN.items():
        eigenvalues, colour = spectra[name], COLOURS[FAMILIES[name][0]]
        axes[2].plot(eigenvalues.real, eigenvalues.imag, marker, markersize=6, alpha=0.7, color=colour, label=name)
    axes[2].set(xlabel="real part", ylabel="imaginary part", aspect="equal", xlim=(-1, 1), ylim=(-1, 1.6))
    axes[2].set_yticks([-1, -0.5, 0, 0.5, 1])
    axes[2].set_title(f"Eigenvalues at radius {RADIUS}")
    axes[2].legend(loc="upper center", ncols=2, fontsize=12, columnspacing=0.8, handletextpad=0.2)
    figure.savefig("topologies.png", dpi=100)


def main():
    table, spectra = measure()
    print(
        f"{N_UNITS} units, radius {RADIUS}, inputs ±0.8 times weights ±{INPUT_SCALING}; means over {len(SEEDS)} seeds"
    )
    print("degree, reciprocity, clustering, path, radius as drawn; norm, departure and mean |eigenvalue| after scaling")
    names = ("degree", "recip", "clust", "path", "radius", "norm", "depart", "|eig|", "MC", "± sd")
    print(f"{'family':<26}" + "".join(f"{name:>8}" for name in names))
    for name, rows in table.items():
        numbers = [*rows.mean(axis=0), rows[:, -1].std(ddof=1)]
        print(f"{name:<26}" + "".join(f"{x:>8.{1 if k in (3, 8, 9) else 2}f}" for k, x in enumerate(numbers)))
    draw(table, spectra)
    print("wrote topologies.png")


if __name__ == "__main__":
    main()
