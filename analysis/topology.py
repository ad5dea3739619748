"""Does the shape of a random network tell how well it will do? Statistics of graphs, set against scores."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from penstock.analysis.networks import network_measures
from penstock.checks import as_finite_array, as_finite_float, as_int, as_matrix, generators, seed_sequence
from penstock.laws import Uniform
from penstock.progress import track
from penstock.system import as_system

__all__ = [
    "Topology",
    "TopologyStudy",
    "layered_weights",
    "random_graph_study",
    "topology_correlations",
    "topology_measures",
]

_UNIFORM = Uniform(-1.0, 1.0)


class Topology(NamedTuple):
    """Hold the statistics of a network's graph that the random-graph study used, and the usual ones beside them.

    Counts and reciprocity are those of the directed graph; degrees, paths, centralities and clustering those of the
    graph without directions, weights and self-loops, as `network_measures` has them. Variances are over nodes or links.
    """

    nodes: int
    edges: int
    """Weights that are not 0, the diagonal left out."""
    sources: int
    """Nodes that receive from no other."""
    sinks: int
    """Nodes that send to no other."""
    degree_variance: float
    closeness_variance: float
    betweenness_variance: float
    edge_betweenness_variance: float
    diameter: float
    """Of the largest component, as is the mean path length."""
    mean_path_length: float
    reciprocity: float
    """Fraction of the edges whose reverse is an edge too."""
    clustering: float
    """Mean over the nodes."""


def topology_measures(network) -> Topology:
    """Return the statistics of a network's graph.

    Parameters
    ----------
    network : System, array or sparse array of shape (n, n), or networkx graph
        A system with a recurrent matrix, or that matrix, W[i, j] from unit j to unit i. An undirected edge of a
        networkx graph counts in both directions.

    Returns
    -------
    Topology

    Raises
    ------
    ValueError, TypeError
        If the network has no recurrent matrix, or no edge between two nodes.

    Examples
    --------
    >>> import networkx as nx
    >>> path = topology_measures(nx.DiGraph([(0, 1), (1, 2), (2, 3)]))
    >>> path.sources, path.sinks, path.diameter, path.reciprocity
    (1, 1, 3.0, 0.0)
    """
    import networkx as nx

    links = _links(network)
    undirected = nx.from_scipy_sparse_array(((links + links.T) > 0).astype(float))
    measures = network_measures(undirected, progress=False)
    between = np.array(list(nx.edge_betweenness_centrality(undirected).values()))
    return Topology(
        nodes=links.shape[0],
        edges=int(links.nnz),
        sources=int((np.diff(links.indptr) == 0).sum()),
        sinks=int((np.bincount(links.indices, minlength=links.shape[0]) == 0).sum()),
        degree_variance=measures.degree_variance,
        closeness_variance=float(measures.closeness.var()),
        betweenness_variance=float(measures.betweenness.var()),
        edge_betweenness_variance=float(between.var()),
        diameter=measures.diameter,
        mean_path_length=measures.mean_path_length,
        reciprocity=float(links.multiply(links.T).sum() / links.nnz),
        clustering=measures.mean_clustering,
    )


def _links(network) -> sp.csr_array:
    """Return the directed edges as a matrix of ones, [i, j] from j to i, with an empty diagonal."""
    import networkx as nx

    if hasattr(network, "step"):
        network = as_system(network).recurrent_matrix()
    if isinstance(network, nx.Graph):
        network = nx.to_scipy_sparse_array(nx.DiGraph(network), weight=None, format="csr", dtype=float).T
    matrix = sp.coo_array(as_matrix("network", network, (None, None), np.float64))
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"network must be a square matrix, got one of shape {matrix.shape}")
    rows, columns = matrix.coords
    off = (matrix.data != 0) & (rows != columns)
    if not off.any():
        raise ValueError(f"network must have an edge between two nodes, got {matrix.shape[0]} nodes and none")
    return sp.csr_array((np.ones(int(off.sum())), (rows[off], columns[off])), shape=matrix.shape)


# --- networks of the study ------------------------------------------------------------------------------------------


def orient_by_order(graph) -> Any:
    """Return the networkx.DiGraph in which every link of an undirected graph runs from its earlier to its later node.

    The result has no cycles. A source is a node that comes before all its neighbours.
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph) or graph.is_directed():
        raise TypeError(f"graph must be an undirected networkx graph, got {type(graph).__name__}")
    order = {node: i for i, node in enumerate(graph)}
    oriented = nx.DiGraph()
    oriented.add_nodes_from(graph)
    oriented.add_edges_from((u, v) if order[u] < order[v] else (v, u) for u, v in graph.edges if u != v)
    return oriented


def layered_weights(graph, *, values: Callable = _UNIFORM, seed) -> sp.csr_array:
    """Return the recurrent matrix of the study's networks: a random graph made into layers.

    The graph is oriented from earlier to later nodes; the layer of a node is the longest path that leads to it from a
    source. Nodes of one layer are joined all to all, themselves included, the others by the edges of the graph.
    Weights are drawn independently from `values`. The spectral radius is to be set after that: without the layers'
    own connections it would be 0.

    Parameters
    ----------
    graph : networkx.Graph
        Undirected; the study takes ``barabasi_albert_graph(n, n // 10)`` and ``connected_watts_strogatz_graph(n,
        n // 5, 1.0)`` of 10 to 50 nodes. (With p = 1 the latter is fully rewired, not a small world.)
    values : callable
        Law ``(rng, size) -> array`` of the weights.
    seed : int or SeedSequence
        Seed of the weights.

    Returns
    -------
    sparse array, shape (n, n)
        W[i, j] from node j to node i in the order of the graph's nodes.

    Raises
    ------
    TypeError, ValueError
        If the graph is directed or empty, or `values` no such law.

    Examples
    --------
    >>> import networkx as nx
    >>> (layered_weights(nx.path_graph(3), seed=0).toarray() != 0).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [0, 1, 1]])
    """
    import networkx as nx

    (rng,) = generators(seed, 1)
    oriented = orient_by_order(graph)
    if not callable(values):
        raise TypeError(f"values must be a law (rng, size) -> array, got {values!r}")
    if not oriented:
        raise ValueError("graph must have at least one node, got none")
    index = {node: i for i, node in enumerate(oriented)}
    pairs = [(index[u], index[v]) for u, v in oriented.edges]
    for layer in nx.topological_generations(oriented):
        pairs += [(index[u], index[v]) for u in layer for v in layer]
    sources, targets = np.array(sorted(pairs)).T
    weights = as_finite_array("values(rng, size)", values(rng, len(pairs)), ndim=1)
    if weights.shape != sources.shape:
        raise ValueError(f"values(rng, size) must return shape {sources.shape}, got {weights.shape}")
    return sp.csr_array((weights, (targets, sources)), shape=(len(index), len(index)))


# --- statistics against scores --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class TopologyStudy:
    """Hold how the statistics of G networks go with their scores.

    Attributes
    ----------
    names : tuple of str
        The k statistics, fields of `Topology`.
    statistics : array, shape (G, k)
        Their values.
    scores : array, shape (G,)
        Scores of the networks.
    pearson, spearman : array, shape (k,)
        Correlations of values and of ranks; nan for a statistic that all networks share.
    pearson_errors, spearman_errors : array, shape (k,)
        Standard errors by Fisher's z, ``(1 - r^2) / sqrt(G - 3)``, with Bonett and Wright's factor
        ``sqrt(1 + r^2 / 2)`` for ranks. They are those of independent networks of one kind.
    r_squared : float
        Share of the scores' variance that the least-squares sum of all statistics has in the sample.
    r_squared_held_out : float
        The same for scores predicted from all other networks, one left out at a time; it can be negative. nan for
        fewer than k + 3 networks.
    """

    names: tuple[str, ...]
    statistics: np.ndarray
    scores: np.ndarray
    pearson: np.ndarray
    pearson_errors: np.ndarray
    spearman: np.ndarray
    spearman_errors: np.ndarray
    r_squared: float
    r_squared_held_out: float

    def plot(self, ax=None):
        """Draw both correlations of every statistic with their errors; return the matplotlib axes."""
        from penstock.analysis.plots import plot_topology_study

        return plot_topology_study(self, ax)

    def __repr__(self):
        width = max(map(len, self.names))
        rows = zip(self.names, self.pearson, self.pearson_errors, self.spearman, self.spearman_errors, strict=True)
        lines = [
            f"TopologyStudy: {len(self.scores)} networks, scores {self.scores.mean():.4g} ± {self.scores.std():.2g} sd",
            f"  all statistics: R² = {self.r_squared:.2f} in the sample, {self.r_squared_held_out:.2f} held out",
            f"  {'correlation with the score':<{width}}  Pearson        Spearman",
        ]
        lines += [f"  {n:<{max(width, 26)}}  {r:5.2f} ± {e:.2f}   {s:5.2f} ± {f:.2f}" for n, r, e, s, f in rows]
        return "\n".join(lines)


def topology_correlations(topologies: Iterable[Topology], scores) -> TopologyStudy:
    """Correlate the statistics of networks with their scores, one by one and all together.

    Parameters
    ----------
    topologies : iterable of Topology
        Statistics of G networks, at least 4.
    scores : array, shape (G,)
        A score of each.

    Returns
    -------
    TopologyStudy

    Raises
    ------
    ValueError, TypeError
        If there are too few networks, or all scores are equal.

    References
    ----------
    D. G. Bonett, T. A. Wright, Sample size requirements for estimating Pearson, Kendall and Spearman correlations,
    Psychometrika 65, 23 (2000).

    Examples
    --------
    >>> import networkx as nx
    >>> rings = [topology_measures(nx.cycle_graph(n)) for n in range(5, 12)]
    >>> topology_correlations(rings, [2.0 * ring.nodes for ring in rings]).pearson[0].round(12)
    np.float64(1.0)
    """
    import scipy

    topologies = list(topologies)
    if not all(isinstance(topology, Topology) for topology in topologies):
        raise TypeError("topologies must be results of topology_measures")
    scores = as_finite_array("scores", scores, ndim=1)
    if len(topologies) < 4 or scores.shape != (len(topologies),):
        raise ValueError(
            f"scores must be one for each of at least 4 topologies, got {scores.size} for {len(topologies)}"
        )
    if np.ptp(scores) == 0:
        raise ValueError(f"scores must differ between the networks, got {scores[0]} for all")
    statistics = np.array(topologies, dtype=np.float64)
    pearson = _columns_with(statistics, scores)
    ranks = scipy.stats.rankdata
    spearman = _columns_with(ranks(statistics, axis=0), ranks(scores))
    fisher = 1 / np.sqrt(len(scores) - 3)
    inside, outside = _determination(statistics, scores)
    return TopologyStudy(
        Topology._fields,
        statistics,
        scores,
        pearson,
        (1 - pearson**2) * fisher,
        spearman,
        (1 - spearman**2) * np.sqrt(1 + spearman**2 / 2) * fisher,
        inside,
        outside,
    )


def _columns_with(columns, y) -> np.ndarray:
    """Return the correlation of every column with y, nan for constant columns."""
    centred, y = columns - columns.mean(axis=0), y - y.mean()
    sizes = np.linalg.norm(centred, axis=0)
    constant = sizes <= 1e-12 * np.abs(columns).max(axis=0) * np.sqrt(len(y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(constant, np.nan, np.clip(y @ centred / (sizes * np.linalg.norm(y)), -1, 1))


def _determination(statistics, y) -> tuple[float, float]:
    """Return R^2 of the regression on all statistics, in the sample and by leaving one out (by the hat matrix)."""
    n = len(y)
    spread = statistics.std(axis=0)
    varying = spread > 1e-12 * np.abs(statistics).max(axis=0)
    z = (statistics - statistics.mean(axis=0))[:, varying] / spread[varying]
    left, sizes, _ = np.linalg.svd(np.column_stack([np.ones(n), z]), full_matrices=False)
    left = left[:, sizes > 1e-10 * sizes[0]]
    residual, leverage = y - left @ (left.T @ y), (left**2).sum(axis=1)
    total = y - y.mean()
    inside = 1 - float(residual @ residual) / float(total @ total)
    if n < left.shape[1] + 2 or leverage.max() > 1 - 1e-9:
        return inside, float("nan")
    out = residual / (1 - leverage)
    return inside, 1 - float(out @ out) / float(total @ total) * (1 - 1 / n) ** 2


def random_graph_study(
    draw: Callable, score: Callable, *, n_graphs: int = 100, seed: int | np.random.SeedSequence, progress: bool = True
) -> TopologyStudy:
    """Draw random networks, score them, and correlate the scores with the statistics of their graphs.

    Parameters
    ----------
    draw : callable
        ``draw(seed) -> System``, given a fresh SeedSequence for every network; the system has a recurrent matrix.
        Scale it after weighting, as ``ESN.random(n, weights=…, spectral_radius=…, seed=seed)`` does.
    score : callable
        ``score(system) -> float``.
    n_graphs : int
        Number of networks, at least 4.
    seed : int or SeedSequence
        Seed of the networks.
    progress : bool
        Whether a bar appears when it takes longer than two seconds.

    Returns
    -------
    TopologyStudy

    Raises
    ------
    TypeError, ValueError
        If an argument is of no use, a network has no recurrent matrix or no edge, or a score is not finite.

    References
    ----------
    H. Darji, Investigating sparsity in recurrent neural networks, thesis, Univ. of Passau (data and code:
    harshildarji/thesis). There: trained networks of 10 to 50 units on Reber strings. Reservoirs are another question.

    Examples
    --------
    >>> from penstock.analysis import memory_capacity
    >>> from penstock.reservoirs import ESN
    >>> from penstock.weights import barabasi_albert
    >>> def draw(seed):
    ...     return ESN.random(int(seed.generate_state(1)[0]) % 20 + 10, weights=barabasi_albert, seed=seed)
    >>> def score(esn):
    ...     return memory_capacity(esn, n_steps=500, seed=0).total
    >>> study = random_graph_study(draw, score, n_graphs=12, seed=0)
    >>> study.names[0], bool(study.pearson[0] > 0)
    ('nodes', True)
    """
    n_graphs = as_int("n_graphs", n_graphs, minimum=4)
    for name, function in (("draw", draw), ("score", score)):
        if not callable(function):
            raise TypeError(f"{name} must be a function, got {function!r}")
    topologies, scores = [], []
    for child in track(seed_sequence(seed).spawn(n_graphs), n_graphs, "random graphs", progress):
        system = draw(child)
        topologies.append(topology_measures(system))
        scores.append(as_finite_float("score(system)", score(system)))
    return topology_correlations(topologies, scores)
