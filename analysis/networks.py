"""Networks of cycles, of channels and of recurrences, and the measures of any undirected network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import njit

from penstock.analysis.visibility import DegreeDistribution, as_series, degree_distribution_of
from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_int,
    as_non_negative_float,
    as_positive_float,
    seed_sequence,
)
from penstock.progress import track
from penstock.threads import one_blas_thread

__all__ = [
    "NetworkMeasures",
    "ThresholdNetwork",
    "correlation_network",
    "cycle_boundaries",
    "cycle_correlation_network",
    "cycle_correlations",
    "cycle_distance_network",
    "cycle_distances",
    "network_measures",
    "recurrence_network",
]


@dataclass(frozen=True, eq=False, repr=False)
class ThresholdNetwork:
    """Hold a network whose nodes are linked if they are alike.

    Attributes
    ----------
    edges : array of int, shape (E, 2)
        The links (i, j) with i < j.
    weights : array, shape (E,)
        Correlation or distance of the two nodes of every link.
    n_nodes : int
        Number of nodes.
    threshold : float
        Correlation above which, or distance up to which nodes are linked.
    kind : str
        What the weights are.
    chance : float
        Probability of a link between two independent white channels; nan where no such law is known.
    boundaries : array of int, shape (n_nodes + 1,) or (0,)
        Where the cycles of a cycle network begin and end: node k is ``[boundaries[k], boundaries[k + 1])``.
    """

    edges: np.ndarray
    weights: np.ndarray
    n_nodes: int
    threshold: float
    kind: str
    chance: float
    boundaries: np.ndarray

    @property
    def n_edges(self) -> int:
        """Number of links E."""
        return len(self.edges)

    @property
    def degrees(self) -> np.ndarray:
        """Number of links of every node; shape (n_nodes,)."""
        return np.bincount(self.edges.ravel(), minlength=self.n_nodes)

    def degree_distribution(self) -> DegreeDistribution:
        """Return the degrees that occur and their frequencies."""
        return degree_distribution_of(self.degrees)

    def adjacency(self) -> sp.csr_array:
        """Return the symmetric adjacency matrix of zeros and ones; shape (n_nodes, n_nodes)."""
        i, j = self.edges.T
        half = sp.coo_array((np.ones(self.n_edges, np.int8), (i, j)), shape=(self.n_nodes,) * 2)
        return (half + half.T).tocsr()

    def to_networkx(self):
        """Return a `networkx.Graph` with nodes 0..n-1, its edges carrying `weight`."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(self.n_nodes))
        pairs = zip(self.edges.tolist(), self.weights.tolist(), strict=True)
        graph.add_weighted_edges_from((i, j, weight) for (i, j), weight in pairs)
        return graph

    def plot(self, ax=None):
        """Draw the adjacency matrix, coloured by the weights."""
        from penstock.analysis.plots import plot_threshold_network

        return plot_threshold_network(self, ax)

    def __repr__(self):
        pairs = self.n_nodes * (self.n_nodes - 1) // 2
        chance = "" if np.isnan(self.chance) else f"; {self.chance:.2g} expected of independent white channels"
        return (
            f"ThresholdNetwork: {self.n_nodes} nodes, {self.n_edges} links\n"
            f"  links    {self.kind}, threshold {self.threshold:.4g}\n"
            f"  density  {self.n_edges / pairs:.3g}{chance}"
        )


def cycle_boundaries(series, *, min_length: int = 3, prominence: float = 0.0) -> np.ndarray:
    """Find the local minima at which a nearly periodic series is cut into cycles.

    Parameters
    ----------
    series : array, shape (T,)
        The series; what comes before its first minimum and after its last belongs to no cycle.
    min_length : int
        Steps that a cycle has at least; the deeper of two nearer minima is kept.
    prominence : float
        How far the series must rise on both sides of a minimum, so that noise does not make cycles.

    Returns
    -------
    array of int, shape (n_cycles + 1,)

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import cycle_boundaries
    >>> cycle_boundaries(np.cos(2 * np.pi * np.arange(40) / 10))
    array([ 5, 15, 25, 35])
    """
    from scipy.signal import find_peaks  # here, because it is slow to import

    series = as_series(series)
    min_length = as_int("min_length", min_length, 2)
    prominence = as_non_negative_float("prominence", prominence)
    return find_peaks(-series, distance=min_length, prominence=prominence)[0]


def cycle_correlations(series, boundaries=None) -> np.ndarray:
    """Return the greatest correlation between every two cycles of a series over all shifts of the shorter.

    Parameters
    ----------
    series : array, shape (T,)
        A nearly periodic series.
    boundaries : array of int, shape (n_cycles + 1,), optional
        Where the cycles begin; by default its local minima, see `cycle_boundaries`.

    Returns
    -------
    array, shape (n_cycles, n_cycles)
        Symmetric, ones on the diagonal. A window that does not vary counts as uncorrelated.

    Raises
    ------
    ValueError, TypeError
        If there are fewer than two cycles, or one is shorter than three steps (two points always correlate).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import cycle_correlations
    >>> cycle_correlations(np.cos(2 * np.pi * np.arange(40) / 10)).round(12)
    array([[1., 1., 1.],
           [1., 1., 1.],
           [1., 1., 1.]])
    """
    series = as_series(series)
    boundaries = _as_boundaries(boundaries, series, 3)
    matrix = np.eye(len(boundaries) - 1)
    _correlate_cycles(series, boundaries, matrix)
    return matrix


def cycle_distances(trajectory, boundaries=None) -> np.ndarray:
    """Return the least mean distance between every two cycles of a trajectory over all shifts of the shorter.

    D_ij = min over shifts s of (1/L) sum over k < L of ‖X_k - Y_{k+s}‖ with L the length of the shorter cycle.

    Parameters
    ----------
    trajectory : array, shape (T,) or (T, n)
        A nearly periodic trajectory.
    boundaries : array of int, shape (n_cycles + 1,), optional
        Where the cycles begin; by default the local minima of the first channel.

    Returns
    -------
    array, shape (n_cycles, n_cycles)
        Symmetric, zeros on the diagonal; in the units of the trajectory.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import cycle_distances
    >>> cycle_distances([0.0, 1.0, 0.0, 3.0, 0.0], boundaries=[0, 2, 4])
    array([[0., 1.],
           [1., 0.]])
    """
    points = as_finite_array("trajectory", trajectory, ndim=(1, 2))
    points = points[:, None] if points.ndim == 1 else points
    if points.shape[0] < 2 or points.shape[1] == 0:
        raise ValueError(f"trajectory must have at least 2 rows and 1 column, got shape {points.shape}")
    boundaries = _as_boundaries(boundaries, points[:, 0], 1)
    matrix = np.zeros((len(boundaries) - 1,) * 2)
    _measure_cycles(points, boundaries, matrix)
    return matrix


def cycle_correlation_network(series, threshold: float, *, boundaries=None) -> ThresholdNetwork:
    """Link the cycles of a nearly periodic series whose correlation at the best shift exceeds a threshold.

    Parameters
    ----------
    series : array, shape (T,)
        The series; every cycle becomes a node.
    threshold : float
        Correlation, between -1 and 1.
    boundaries : array of int, shape (n_cycles + 1,), optional
        Where the cycles begin; by default the local minima, see `cycle_boundaries` for noisy series.

    Returns
    -------
    ThresholdNetwork

    Raises
    ------
    ValueError, TypeError
        If there are fewer than two cycles, or an argument is of no use.

    References
    ----------
    J. Zhang, M. Small, Complex network from pseudoperiodic time series: topology versus dynamics, Phys. Rev. Lett. 96,
    238701 (2006).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import cycle_correlation_network
    >>> cycle_correlation_network(np.cos(2 * np.pi * np.arange(60) / 10), 0.99).n_edges
    10
    """
    threshold = as_finite_float("threshold", threshold)
    if not -1 <= threshold < 1:
        raise ValueError(f"threshold must lie in [-1, 1), got {threshold}")
    series = as_series(series)
    boundaries = _as_boundaries(boundaries, series, 3)
    matrix = cycle_correlations(series, boundaries)
    kind = "greatest correlation of two cycles above the threshold"
    return _threshold_network(matrix, matrix > threshold, threshold, kind, boundaries=boundaries)


def cycle_distance_network(trajectory, threshold: float, *, boundaries=None) -> ThresholdNetwork:
    """Link the cycles of a nearly periodic trajectory whose mean distance at the best shift is within a threshold.

    Parameters
    ----------
    trajectory : array, shape (T,) or (T, n)
        The trajectory; every cycle becomes a node.
    threshold : float
        Distance, in the units of the trajectory.
    boundaries : array of int, shape (n_cycles + 1,), optional
        Where the cycles begin; by default the local minima of the first channel.

    Returns
    -------
    ThresholdNetwork

    References
    ----------
    J. Zhang, M. Small, Phys. Rev. Lett. 96, 238701 (2006).

    Examples
    --------
    >>> from penstock.analysis import cycle_distance_network
    >>> cycle_distance_network([0.0, 1.0, 0.0, 3.0, 0.0], 0.5, boundaries=[0, 2, 4]).n_edges
    0
    """
    threshold = as_non_negative_float("threshold", threshold)
    points = as_finite_array("trajectory", trajectory, ndim=(1, 2))
    boundaries = _as_boundaries(boundaries, points if points.ndim == 1 else points[:, 0], 1)
    matrix = cycle_distances(points, boundaries)
    kind = "least mean distance of two cycles up to the threshold"
    return _threshold_network(matrix, matrix <= threshold, threshold, kind, boundaries=boundaries)


@one_blas_thread
def correlation_network(channels, threshold: float) -> ThresholdNetwork:
    """Link channels whose Pearson correlation exceeds a threshold in absolute value.

    Parameters
    ----------
    channels : array, shape (T, n)
        One series per column, e.g. the states of a network.
    threshold : float
        In [0, 1). The result states how often independent white channels exceed it; correlated noise does more often.

    Returns
    -------
    ThresholdNetwork
        Its weights are the signed correlations.

    Raises
    ------
    ValueError, TypeError
        If a channel does not vary, or there are fewer than 3 steps or 2 channels.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import correlation_network
    >>> x = np.random.default_rng(0).standard_normal((500, 3))
    >>> correlation_network(np.column_stack([x, -x[:, 0]]), 0.5).edges.tolist()
    [[0, 3]]
    """
    channels = as_finite_array("channels", channels, ndim=2)
    T, n = channels.shape
    if T < 3 or n < 2:
        raise ValueError(f"channels must have shape (T, n) with T at least 3 and n at least 2, got {channels.shape}")
    threshold = as_non_negative_float("threshold", threshold)
    if threshold >= 1:
        raise ValueError(f"threshold must lie in [0, 1), got {threshold}")
    still = np.flatnonzero(np.ptp(channels, axis=0) <= 1e-13 * np.abs(channels).max(axis=0))  # rounding at most
    if still.size:
        raise ValueError(f"channels must vary, got a constant channel {still[0]}; leave it out")
    matrix = np.corrcoef(channels.T)
    from scipy.special import betaincc  # here, because it is slow to import

    chance = float(betaincc(0.5, T / 2 - 1, threshold**2))
    kind = "Pearson correlation above the threshold in absolute value"
    return _threshold_network(matrix, np.abs(matrix) > threshold, threshold, kind, chance)


def recurrence_network(points, radius: float) -> ThresholdNetwork:
    """Link the points of a trajectory that lie within a radius of each other.

    Parameters
    ----------
    points : array, shape (T, n) or (T,)
        States, or a delay embedding.
    radius : float
        Euclidean distance up to which two points are linked, in the units of the points.

    Returns
    -------
    ThresholdNetwork

    References
    ----------
    R. V. Donner, Y. Zou, J. F. Donges, N. Marwan, J. Kurths, Recurrence networks: a novel paradigm for nonlinear time
    series analysis, New J. Phys. 12, 033025 (2010).

    Examples
    --------
    >>> from penstock.analysis import recurrence_network
    >>> recurrence_network([0.0, 1.0, 5.0, 5.5], 1.0).edges.tolist()
    [[0, 1], [2, 3]]
    """
    from scipy.spatial import cKDTree  # here, because it is slow to import

    points = as_finite_array("points", points, ndim=(1, 2))
    points = points[:, None] if points.ndim == 1 else points
    if points.shape[0] < 2 or points.shape[1] == 0:
        raise ValueError(f"points must have at least 2 rows and 1 column, got shape {points.shape}")
    radius = as_positive_float("radius", radius)
    edges = cKDTree(points).query_pairs(radius, output_type="ndarray")
    edges = edges[np.lexsort(edges.T[::-1])]
    weights = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    kind = "distance of two points up to the threshold"
    return ThresholdNetwork(edges, weights, len(points), radius, kind, float("nan"), np.empty(0, int))


def _as_boundaries(boundaries, series, min_length) -> np.ndarray:
    if boundaries is None:
        boundaries = cycle_boundaries(series)
        source = "; the series has too few local minima"
    else:
        source = ""
        boundaries = np.asarray(boundaries)
        if boundaries.ndim != 1 or boundaries.dtype.kind not in "iu":
            raise TypeError(f"boundaries must be a list of integers, got {boundaries!r}")
        boundaries = boundaries.astype(np.int64)
    if len(boundaries) < 3:
        raise ValueError(f"boundaries must bound at least 2 cycles, got {max(len(boundaries) - 1, 0)}{source}")
    if boundaries[0] < 0 or boundaries[-1] > len(series) or np.diff(boundaries).min() < min_length:
        raise ValueError(
            f"boundaries must increase by at least {min_length} within 0..{len(series)}, got {boundaries.tolist()}"
        )
    return boundaries


def _threshold_network(matrix, linked, threshold, kind, chance=float("nan"), boundaries=None) -> ThresholdNetwork:
    i, j = np.nonzero(np.triu(linked, 1))
    boundaries = np.empty(0, int) if boundaries is None else boundaries
    return ThresholdNetwork(np.column_stack([i, j]), matrix[i, j], len(matrix), threshold, kind, chance, boundaries)


# Measures


@dataclass(frozen=True, eq=False, repr=False)
class NetworkMeasures:
    """Hold what is usually said of an undirected network of n nodes.

    Attributes
    ----------
    degrees : array of int, shape (n,)
        Links of every node.
    assortativity : float
        Correlation of the degrees at the two ends of a link; nan if all are equal.
    clustering : array, shape (n,)
        Fraction of the pairs of neighbours of every node that are linked.
    transitivity : float
        Fraction of all connected triples that are triangles.
    mean_path_length, diameter, radius : float
        Mean of the shortest paths, their longest, and the least eccentricity, in the largest component.
    eccentricity : array, shape (n,)
        Longest of the shortest paths from every node within its component.
    closeness, betweenness, eigenvector : array, shape (n,)
        Centralities as networkx defines them; the last is 0 outside the largest component.
    component : array of bool, shape (n,)
        The nodes of the largest component.
    n_components, n_edges : int
        Numbers of components and of links.
    betweenness_sources : int
        Nodes from which the betweenness was counted; n is exact.
    seed : int or SeedSequence
        Seed of the choice of these nodes.
    """

    degrees: np.ndarray
    assortativity: float
    clustering: np.ndarray
    transitivity: float
    mean_path_length: float
    diameter: float
    radius: float
    eccentricity: np.ndarray
    closeness: np.ndarray
    betweenness: np.ndarray
    eigenvector: np.ndarray
    component: np.ndarray
    n_components: int
    n_edges: int
    betweenness_sources: int
    seed: int | np.random.SeedSequence

    @property
    def n_nodes(self) -> int:
        """Number of nodes n."""
        return self.degrees.size

    @property
    def degree_mean(self) -> float:
        """Mean degree."""
        return float(self.degrees.mean())

    @property
    def degree_variance(self) -> float:
        """Variance of the degrees over the nodes."""
        return float(self.degrees.var())

    @property
    def mean_clustering(self) -> float:
        """Mean of the clustering over all nodes."""
        return float(self.clustering.mean())

    def degree_distribution(self) -> DegreeDistribution:
        """Return the degrees that occur and their frequencies."""
        return degree_distribution_of(self.degrees)

    def plot(self, ax=None):
        """Draw the degree distribution."""
        from penstock.analysis.plots import plot_degree_distribution

        return plot_degree_distribution(self, ax)

    def __repr__(self):
        n, within = self.n_nodes, int(self.component.sum())
        sources = "exact" if self.betweenness_sources == n else f"from {self.betweenness_sources} nodes"
        lines = [
            f"NetworkMeasures: {n} nodes, {self.n_edges} links",
            f"  components     {self.n_components}, the largest of {within} nodes",
            f"  degree         mean {self.degree_mean:.4g}, variance {self.degree_variance:.4g}",
            f"  assortativity  {self.assortativity:.4g}",
            f"  clustering     mean {self.mean_clustering:.4g}, transitivity {self.transitivity:.4g}",
            f"  paths          mean {self.mean_path_length:.4g}, diameter {self.diameter:g}, radius {self.radius:g}"
            + " (of the largest component)" * (within < n),
            f"  betweenness    {sources}, greatest {self.betweenness.max():.4g}",
        ]
        return "\n".join(lines)


@one_blas_thread
def network_measures(
    graph,
    *,
    betweenness_sources: int | None = None,
    seed: int | np.random.SeedSequence = 0,
    progress: bool = True,
) -> NetworkMeasures:
    """Measure degrees, assortativity, clustering, paths and centralities of an undirected network.

    Parameters
    ----------
    graph : VisibilityGraph, ThresholdNetwork, networkx.Graph or array, shape (n, n)
        The network; an array or sparse matrix is a symmetric adjacency matrix. Weights are ignored.
    betweenness_sources : int, optional
        Nodes from which shortest paths are counted for the betweenness, which costs most; all by default.
    seed : int or SeedSequence
        Chooses those nodes, if there are fewer than n.
    progress : bool
        Whether a bar appears when the paths take longer than two seconds.

    Returns
    -------
    NetworkMeasures

    Raises
    ------
    ValueError, TypeError
        If the graph is directed, has self-loops or no link.

    Examples
    --------
    >>> import networkx as nx
    >>> from penstock.analysis import network_measures
    >>> ring = network_measures(nx.cycle_graph(6))
    >>> ring.diameter, ring.mean_path_length, ring.mean_clustering
    (3.0, 1.8, 0.0)
    """
    import networkx as nx

    graph = _as_graph(graph)
    n = graph.number_of_nodes()
    sources = n if betweenness_sources is None else min(as_int("betweenness_sources", betweenness_sources), n)
    rng = np.random.default_rng(seed_sequence(seed))
    adjacency = nx.to_scipy_sparse_array(graph, weight=None, format="csr", dtype=float)
    degrees = np.diff(adjacency.indptr)
    n_components, component = _components(adjacency)
    eccentricity, closeness, mean_path = _paths(adjacency, component, progress)
    ends = degrees[adjacency.nonzero()[0]]
    return NetworkMeasures(
        degrees=degrees,
        assortativity=float(nx.degree_assortativity_coefficient(graph)) if np.ptp(ends) else float("nan"),
        clustering=np.array(list(nx.clustering(graph).values()), float),
        transitivity=float(nx.transitivity(graph)),
        mean_path_length=mean_path,
        diameter=float(eccentricity[component].max()),
        radius=float(eccentricity[component].min()),
        eccentricity=eccentricity,
        closeness=closeness,
        betweenness=_betweenness(graph, sources, rng),
        eigenvector=_perron_vector(adjacency, component),
        component=component,
        n_components=n_components,
        n_edges=graph.number_of_edges(),
        betweenness_sources=sources,
        seed=seed,
    )


def _as_graph(graph) -> Any:
    import networkx as nx

    if hasattr(graph, "to_networkx"):
        graph = graph.to_networkx()
    elif not isinstance(graph, nx.Graph):
        graph = nx.from_scipy_sparse_array(_as_adjacency(graph))
    if graph.is_directed():
        raise ValueError("graph must be undirected, got a directed one; pass graph.to_undirected()")
    if graph.is_multigraph():
        graph = nx.Graph(graph)
    if nx.number_of_selfloops(graph):
        raise ValueError("graph must have no self-loops; remove them, or set the diagonal to 0")
    if graph.number_of_edges() == 0:
        raise ValueError(f"graph must have at least one link, got {graph.number_of_nodes()} nodes and none")
    return graph


def _as_adjacency(matrix):
    matrix = sp.csr_array(matrix) if sp.issparse(matrix) else sp.csr_array(as_finite_array("graph", matrix, ndim=2))
    if matrix.shape[0] != matrix.shape[1] or (matrix != matrix.T).nnz:
        raise ValueError(f"graph must be a symmetric matrix, got one of shape {matrix.shape} that is not")
    matrix.eliminate_zeros()
    return matrix


def _components(adjacency):
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(adjacency, directed=False)
    largest = labels == np.bincount(labels).argmax()
    return int(count), largest


def _paths(adjacency, component, progress):
    """Return eccentricity (n,), closeness (n,) and the mean path length of the largest component."""
    from scipy.sparse.csgraph import dijkstra

    n = adjacency.shape[0]
    eccentricity, closeness, total = np.empty(n), np.zeros(n), 0.0
    size = max(1, 2**20 // n)  # rows of distances held at once
    for start in track(range(0, n, size), -(-n // size), "shortest paths", progress):
        rows = np.arange(start, min(start + size, n))
        distance = dijkstra(adjacency, directed=True, unweighted=True, indices=rows)
        distance[np.isinf(distance)] = 0.0
        reached, sums = (distance > 0).sum(axis=1), distance.sum(axis=1)
        eccentricity[rows] = distance.max(axis=1)
        # Wasserman and Faust: scaled by the part of the network within reach
        np.divide(reached**2, sums * (n - 1), out=closeness[rows[0] : rows[-1] + 1], where=sums > 0)
        total += sums[component[rows]].sum()
    within = int(component.sum())
    return eccentricity, closeness, float(total / (within * (within - 1)))


def _betweenness(graph, sources, rng) -> np.ndarray:
    import networkx as nx

    nodes = graph.number_of_nodes()
    k = None if sources == nodes else sources
    values = nx.betweenness_centrality(graph, k=k, seed=int(rng.integers(2**31)))
    return np.array(list(values.values()), float)


def _perron_vector(adjacency, component) -> np.ndarray:
    """Leading eigenvector of the largest component, non-negative and of norm 1; 0 elsewhere."""
    from scipy.sparse.linalg import eigsh

    inside = adjacency[component][:, component]
    n = inside.shape[0]
    vector = np.linalg.eigh(inside.toarray())[1] if n < 50 else eigsh(inside, k=1, which="LA", v0=np.ones(n))[1]
    full = np.zeros(component.size)
    full[component] = np.abs(vector[:, -1])
    return full


# Kernels


@njit(cache=True, nogil=True, error_model="numpy")
def _correlate_cycles(x, boundaries, out):
    """Fill the greatest correlation of every two cycles over the shifts of the shorter along the longer."""
    for i in range(out.shape[0]):
        for j in range(i):
            a, b = boundaries[i], boundaries[j]
            n, m = boundaries[i + 1] - a, boundaries[j + 1] - b
            if n > m:
                a, b, n, m = b, a, m, n
            best = -1.0
            for shift in range(m - n + 1):
                best = max(best, _pearson(x, a, b + shift, n))
            out[i, j] = out[j, i] = best


@njit(cache=True, nogil=True, error_model="numpy")
def _pearson(x, a, b, n):
    """Correlation of two windows of n values, 0 if one is constant."""
    mean_a, mean_b = 0.0, 0.0
    for k in range(n):  # counted from the first value, so that a constant window has variance 0 exactly
        mean_a += x[a + k] - x[a]
        mean_b += x[b + k] - x[b]
    mean_a, mean_b = x[a] + mean_a / n, x[b] + mean_b / n
    aa, bb, ab = 0.0, 0.0, 0.0
    for k in range(n):
        p, q = x[a + k] - mean_a, x[b + k] - mean_b
        aa += p * p
        bb += q * q
        ab += p * q
    return min(1.0, max(-1.0, ab / np.sqrt(aa * bb))) if aa * bb > 0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _measure_cycles(x, boundaries, out):
    """Fill the least mean distance of every two cycles over the shifts of the shorter along the longer."""
    for i in range(out.shape[0]):
        for j in range(i):
            a, b = boundaries[i], boundaries[j]
            n, m = boundaries[i + 1] - a, boundaries[j + 1] - b
            if n > m:
                a, b, n, m = b, a, m, n
            best = np.inf
            for shift in range(m - n + 1):
                total = 0.0
                for k in range(n):
                    square = 0.0
                    for c in range(x.shape[1]):
                        square += (x[a + k, c] - x[b + shift + k, c]) ** 2
                    total += np.sqrt(square)
                best = min(best, total / n)
            out[i, j] = out[j, i] = best
