"""Synapses of a projection as arrays, and the connectors that take them as given: edge list, matrix, graph."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from penstock.checks import as_finite_array, as_matrix, as_vector
from penstock.spiking.values import as_numbers

__all__ = ["Edges", "from_edges", "from_graph", "from_matrix"]


class Edges(NamedTuple):
    """Synapses of a projection by source; those of source i are ``targets[indptr[i]:indptr[i + 1]]``, ascending.

    Parameters
    ----------
    indptr : array of uint64, shape (n_pre + 1,)
        Where each source's synapses begin.
    targets : array of uint32, shape (n_synapses,)
        Target neurons.
    weights, delays : array, shape (n_synapses,), optional
        Weights (unit of the synapse) and delays (ms), if the connector brings them.
    """

    indptr: np.ndarray
    targets: np.ndarray
    weights: np.ndarray | None = None
    delays: np.ndarray | None = None


def from_edges(pre, post, *, weights=None, delays=None):
    """Connect the given pairs: synapse k goes from neuron pre[k] to neuron post[k].

    Parameters
    ----------
    pre, post : array of int, shape (n_synapses,)
        Source and target neurons, counted from 0 in their groups. Self-connections and repeated pairs are kept.
    weights : float or array, shape (n_synapses,), optional
        Weights (unit of the synapse); without them the projection's `weight` counts.
    delays : float or array, shape (n_synapses,), optional
        Delays (ms); without them the projection's `delay` counts.

    Returns
    -------
    connector
        Its synapses are ordered by source, then target, then as given.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or numbers are not finite; when connected, if a neuron is not in its group.

    Examples
    --------
    >>> from_edges([1, 0, 1], [2, 0, 0], weights=[5.0, 6.0, 7.0])(2, 3, None, None)
    Edges(indptr=array([0, 1, 3], dtype=uint64), targets=array([0, 0, 2], dtype=uint32), weights=array([6., 7., 5.]), \
delays=None)
    """
    pre, post = _as_neurons("pre", pre), _as_neurons("post", post)
    if pre.size != post.size:
        raise ValueError(f"pre and post must have equal length, got {pre.size} and {post.size}")
    weights = None if weights is None else as_vector("weights", as_numbers("weights", weights), pre.size)
    delays = None if delays is None else as_vector("delays", as_numbers("delays", delays), pre.size)
    if delays is not None and (delays < 0).any():
        raise ValueError(f"delays must be at least 0 ms, got {delays.min():g}")
    return _sorted("from_edges", pre, post, weights, delays)


def from_matrix(W):
    """Connect as a matrix says: the entry ``W[pre, post]`` is the weight of the synapse from `pre` to `post`.

    Parameters
    ----------
    W : array or sparse array, shape (n_pre, n_post)
        Weights (unit of the synapse), **sources along rows**. Of a dense matrix the entries other than 0 are synapses,
        of a sparse one all that are stored, zeros too; duplicates add up. A matrix of bools gives no weights: then
        the projection's `weight` counts. Matrices of `penstock.weights` have W[post, pre]: give their transpose.

    Examples
    --------
    >>> from_matrix([[0.0, 5.0, 6.0], [7.0, 0.0, 0.0]])(2, 3, None, None).weights
    array([5., 6., 7.])
    """
    if hasattr(W, "adj"):
        raise TypeError("W must be a matrix, got a graph; use from_graph")
    only_places = getattr(W if sp.issparse(W) else np.asarray(W), "dtype", None) == np.bool_
    W = sp.csr_array(as_matrix("W", W, (None, None), np.float64))
    pre = np.repeat(np.arange(W.shape[0], dtype=np.uint32), np.diff(W.indptr))
    return Given("from_matrix", pre, W.indices.astype(np.uint32), None if only_places else W.data, None, W.shape)


def from_graph(graph):
    """Connect as a networkx graph says: an edge u -> v is a synapse from the index of u to that of v.

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        Neuron i is the i-th node of ``graph.nodes``, in both groups. An undirected edge is a synapse each way, a
        self-loop one self-connection; parallel edges are several synapses. The edge attribute ``weight``
        (unit of the synapse) must be given for all edges or for none; for none, the projection's `weight` counts.

    Examples
    --------
    >>> import networkx as nx
    >>> from_graph(nx.DiGraph([("a", "b"), ("a", "c")]))(3, 3, None, None).targets
    array([1, 2], dtype=uint32)
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        raise TypeError(f"graph must be a networkx graph, got {type(graph).__name__}")
    index = {node: i for i, node in enumerate(graph)}
    edges = [(u, v, weight) for u, v, weight in graph.edges(data="weight")]
    if not graph.is_directed():
        edges += [(v, u, weight) for u, v, weight in edges if u != v]
    pre, post = (np.array([index[edge[side]] for edge in edges], np.int64) for side in (0, 1))
    return _sorted("from_graph", pre, post, _edge_weights(edges), None, (len(index), len(index)))


@dataclass(frozen=True, eq=False, repr=False)
class Given:
    """A connector of given synapses (n_synapses,), sorted by source and target; `shape` if the sizes are given too."""

    name: str
    pre: np.ndarray
    post: np.ndarray
    weights: np.ndarray | None
    delays: np.ndarray | None
    shape: tuple[int, int] | None = None

    def __repr__(self):
        return f"{self.name}({self.pre.size} synapses)"

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        return float(self.pre.size)

    def __call__(self, n_pre, n_post, rng=None, diagonal=None) -> Edges:
        """Return the edges."""
        if self.shape not in (None, (n_pre, n_post)):
            what = "nodes" if self.name == "from_graph" else "rows and columns"
            raise ValueError(f"{self.name} has {what} for {self.shape} neurons, got groups of {(n_pre, n_post)}")
        for name, neurons, n in (("pre", self.pre, n_pre), ("post", self.post, n_post)):
            if neurons.size and neurons.max() >= n:
                raise ValueError(f"{name} must lie in 0..{n - 1}, the neurons of its group, got {neurons.max()}")
        indptr = np.zeros(n_pre + 1, np.uint64)
        indptr[1:] = np.cumsum(np.bincount(self.pre, minlength=n_pre))
        own = (None if values is None else values.copy() for values in (self.weights, self.delays))
        return Edges(indptr, self.post.copy(), *own)


def _sorted(name, pre, post, weights, delays, shape=None):
    """Return the connector with synapses ordered by source, then target, then as given."""
    order = np.lexsort((post, pre))
    weights, delays = (None if values is None else values[order] for values in (weights, delays))
    return Given(name, pre[order].astype(np.uint32), post[order].astype(np.uint32), weights, delays, shape)


def _edge_weights(edges):
    missing = [edge for edge in edges if edge[2] is None]
    if len(missing) == len(edges):
        return None
    if missing:
        u, v, _ = missing[0]
        raise ValueError(f"weight must be given for all edges or for none, the edge {u!r} -> {v!r} has none")
    return as_finite_array("the edge attribute weight", [weight for _, _, weight in edges], ndim=1)


def _as_neurons(name, value):
    neurons = np.asarray(value)
    if neurons.ndim != 1:
        raise ValueError(f"{name} must have shape (n_synapses,), got {neurons.shape}")
    if neurons.size and neurons.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {neurons.dtype}")
    if neurons.size and (neurons.min() < 0 or neurons.max() >= 2**32):
        raise ValueError(
            f"{name} must lie in 0..2**32 - 1, got {neurons.min() if neurons.min() < 0 else neurons.max()}"
        )
    return neurons.astype(np.int64)
