"""Visibility graphs: a series as the network of the points that see each other."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import njit

from penstock.checks import as_finite_array, as_int

__all__ = [
    "DegreeDistribution",
    "VisibilityGraph",
    "horizontal_visibility_graph",
    "visibility_graph",
]


class DegreeDistribution(NamedTuple):
    """Hold the degrees k that occur in a graph and the fraction P(k) of the nodes that have them.

    Attributes
    ----------
    degrees : array of int, shape (K,)
        Increasing.
    probabilities : array, shape (K,)
        They sum to 1.
    """

    degrees: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class VisibilityGraph:
    """Hold a visibility graph as the list, for every time, of the earlier times that it sees.

    Attributes
    ----------
    series : array, shape (T,)
        The values x_j.
    times : array, shape (T,)
        Their times t_j.
    indptr : array of int, shape (T + 1,)
        Node j sees the earlier nodes ``indices[indptr[j]:indptr[j + 1]]``.
    indices : array of int, shape (E,)
        The earlier node of every link, per node from the nearest to the farthest.
    kind : str
        "natural" or "horizontal".
    """

    series: np.ndarray
    times: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    kind: str

    @property
    def n_nodes(self) -> int:
        """Number of nodes T."""
        return self.series.size

    @property
    def n_edges(self) -> int:
        """Number of links E."""
        return self.indices.size

    @property
    def edges(self) -> np.ndarray:
        """The links (i, j) with i < j, ordered by j; shape (E, 2)."""
        later = np.repeat(np.arange(self.n_nodes, dtype=self.indices.dtype), self.in_degrees)
        return np.column_stack([self.indices, later])

    @property
    def in_degrees(self) -> np.ndarray:
        """Number of earlier nodes that every node sees; shape (T,)."""
        return np.diff(self.indptr)

    @property
    def out_degrees(self) -> np.ndarray:
        """Number of later nodes that every node sees; shape (T,)."""
        return np.bincount(self.indices, minlength=self.n_nodes)

    @property
    def degrees(self) -> np.ndarray:
        """Number of nodes that every node sees; shape (T,)."""
        return self.in_degrees + self.out_degrees

    def degree_distribution(self) -> DegreeDistribution:
        """Return the degrees that occur and their frequencies."""
        return degree_distribution_of(self.degrees)

    def adjacency(self) -> sp.csr_array:
        """Return the symmetric adjacency matrix of zeros and ones; shape (T, T)."""
        past = sp.csr_array((np.ones(self.n_edges, np.int8), self.indices, self.indptr), shape=(self.n_nodes,) * 2)
        return (past + past.T).tocsr()

    def to_networkx(self):
        """Return a `networkx.Graph` whose nodes 0..T-1 carry `value` and `time`."""
        import networkx as nx

        return self._fill(nx.Graph())

    def to_directed_networkx(self):
        """Return a `networkx.DiGraph` with every link pointing from the earlier to the later node."""
        import networkx as nx

        return self._fill(nx.DiGraph())

    def _fill(self, graph):
        values = zip(self.series.tolist(), self.times.tolist(), strict=True)
        graph.add_nodes_from((j, {"value": x, "time": t}) for j, (x, t) in enumerate(values))
        graph.add_edges_from(self.edges.tolist())
        return graph

    def plot(self, ax=None):
        """Draw the degree distribution, with the law of independent values if the graph is horizontal."""
        from penstock.analysis.plots import plot_degree_distribution

        return plot_degree_distribution(self, ax)

    def plot_links(self, ax=None):
        """Draw the series and its lines of sight; for short series."""
        from penstock.analysis.plots import plot_visibility_links

        return plot_visibility_links(self, ax)

    @property
    def _null(self) -> str:
        if self.kind != "horizontal":
            return ""
        harmonic = (1 / np.arange(1, self.n_nodes + 1)).sum()
        return f", {4 - 4 * harmonic / self.n_nodes:.4g} expected of independent values"

    def __repr__(self):
        return (
            f"VisibilityGraph: {self.kind}, {self.n_nodes} nodes, {self.n_edges} links\n"
            f"  mean degree {2 * self.n_edges / self.n_nodes:.4g}{self._null}"
        )


def horizontal_visibility_graph(series) -> VisibilityGraph:
    """Link the times i and j of a series if every value between them is lower than both.

    x_k < min(x_i, x_j) for all i < k < j. One pass with a stack, in time proportional to T whatever the series.
    The graph does not change under increasing maps of x. Independent values of any continuous law have
    P(k) = (1/3) (2/3)^(k-2) and on average the mean degree 4 - (4/T) (1 + 1/2 + … + 1/T); an endless series of period p
    without ties within has mean degree 4 (1 - 1/(2p)).

    Parameters
    ----------
    series : array, shape (T,)
        At least two values.

    Returns
    -------
    VisibilityGraph

    Raises
    ------
    ValueError, TypeError
        If the series is not one-dimensional, too short or not finite.

    References
    ----------
    B. Luque, L. Lacasa, F. Ballesteros, J. Luque, Horizontal visibility graphs: exact results for random time series,
    Phys. Rev. E 80, 046103 (2009).

    Examples
    --------
    >>> from penstock.analysis import horizontal_visibility_graph
    >>> horizontal_visibility_graph([1, 1, 2]).edges.tolist()
    [[0, 1], [1, 2]]
    """
    series = as_series(series)
    T = series.size
    indptr, indices = np.empty(T + 1, np.int64), np.empty(2 * T, np.int32)
    n_edges = _horizontal(series, indptr, indices, np.empty(T + 1, np.int32), np.empty(T + 1))
    return VisibilityGraph(series, np.arange(T, dtype=float), indptr, indices[:n_edges], "horizontal")


def visibility_graph(series, times=None, *, max_links: int = 10**8) -> VisibilityGraph:
    """Link the times i and j of a series if the straight line between their points passes above all others.

    x_k < x_j + (x_i - x_j) (t_j - t_k) / (t_j - t_i) for all i < k < j. If j sees i, the next earlier point that it
    sees is the nearest one seen by i above the line through both: links are found from links, in time proportional to
    their number (at most times the logarithm of a degree) for every series, convex and monotone ones included.

    Parameters
    ----------
    series : array, shape (T,)
        At least two values.
    times : array, shape (T,), optional
        Strictly increasing times; 0, 1, 2, … by default.
    max_links : int
        Links at which to give up, at 12 bytes each while the graph is made: smooth series may have T^2 / 2.

    Returns
    -------
    VisibilityGraph

    Raises
    ------
    ValueError, TypeError
        If an array has the wrong shape, is not finite, or the times do not increase.
    MemoryError
        If there are more links than `max_links`.

    References
    ----------
    L. Lacasa, B. Luque, F. Ballesteros, J. Luque, J. C. Nuño, From time series to complex networks: the visibility
    graph, PNAS 105, 4972 (2008).

    Examples
    --------
    >>> from penstock.analysis import visibility_graph
    >>> visibility_graph([3.0, 1.0, 2.0, 4.0]).edges.tolist()
    [[0, 1], [1, 2], [0, 2], [2, 3], [1, 3], [0, 3]]
    """
    series = as_series(series)
    T = series.size
    times = np.arange(T, dtype=float) if times is None else as_finite_array("times", times, ndim=1)
    if times.shape != series.shape or (np.diff(times) <= 0).any():
        raise ValueError(f"times must be {T} strictly increasing numbers, one per value, got shape {times.shape}")
    max_links = as_int("max_links", max_links)
    room = min(8 * T, max_links)
    indptr, indices, slopes = np.zeros(T + 1, np.int64), np.empty(room, np.int32), np.empty(room)
    done = _natural(series, times, 0, indptr, indices, slopes)
    while done < T:  # out of room: go on with twice as much
        if room == max_links:
            raise MemoryError(
                f"the graph has more than max_links = {max_links} links at {done} of {T} values; a smooth series sees "
                "itself almost everywhere: sample it more coarsely, or raise max_links"
            )
        room = min(2 * room, max_links)
        indices, slopes = _grow(indices, room), _grow(slopes, room)
        done = _natural(series, times, done, indptr, indices, slopes)
    return VisibilityGraph(series, times, indptr, indices[: indptr[-1]].copy(), "natural")


def as_series(series) -> np.ndarray:
    series = as_finite_array("series", series, ndim=1)
    if series.size < 2:
        raise ValueError(f"series must have at least 2 values, got {series.size}")
    return series


def _grow(array, size) -> np.ndarray:
    larger = np.empty(size, array.dtype)
    larger[: array.size] = array
    return larger


def degree_distribution_of(degrees) -> DegreeDistribution:
    values, counts = np.unique(degrees, return_counts=True)
    return DegreeDistribution(values, counts / counts.sum())


# Kernels


@njit(cache=True, nogil=True, error_model="numpy")
def _horizontal(x, indptr, indices, stack, height):
    """Fill the links of every j to earlier nodes, from a stack of falling heights; return their number."""
    top, k = 0, 0
    stack[0], height[0], indptr[0] = -1, np.inf, 0
    for j in range(x.size):
        h = x[j]
        while height[top] < h:
            indices[k] = stack[top]
            k += 1
            top -= 1
        # the first that is not lower ends the view; the bottom of the stack is no node
        if top > 0:
            indices[k] = stack[top]
            k += 1
            if height[top] == h:  # hidden by its equal from all that follow
                top -= 1
        top += 1
        stack[top], height[top] = j, h
        indptr[j + 1] = k
    return k


@njit(cache=True, nogil=True, error_model="numpy")
def _natural(x, t, first, indptr, indices, slopes):
    """Fill the links of every j >= first to earlier nodes, nearest first; return the first j without room, or T.

    The slopes of a row fall strictly, so the next node that j sees after i is found in row i by its slope.
    """
    k = indptr[first]
    for j in range(first, x.size):
        i = j - 1
        while i >= 0:
            if k == indices.size:
                return j
            s = (x[j] - x[i]) / (t[j] - t[i])
            indices[k], slopes[k] = i, s
            k += 1
            p, end = indptr[i], indptr[i + 1]
            if p == end or slopes[end - 1] >= s:
                break
            near = p + 8
            while p < near and slopes[p] >= s:  # stays in the row, whose last slope is below s
                p += 1
            if p == near:
                while p < end:
                    middle = (p + end) // 2
                    if slopes[middle] >= s:
                        p = middle + 1
                    else:
                        end = middle
            i = indices[p]
        indptr[j + 1] = k
    return x.size
