"""Connectors: which neuron of one group has a synapse onto which neuron of another.

Each function returns a connector, a small callable ``(n_pre, n_post, rng, diagonal) -> Edges`` that a network calls
once, when its groups are known; with ``expected(n_pre, n_post, diagonal)``, the mean number of synapses. `diagonal` is
None between different groups. Within one group it is the shift between the two slices: source i and target
j == i + diagonal are the same neuron, and their synapse would be a self-connection. Random connectors leave
self-connections out unless told otherwise, and connect no pair twice unless they say so.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import scipy

from penstock.checks import as_finite_array, as_finite_float, as_int
from penstock.spiking.bernoulli import successes
from penstock.spiking.edge_drawing import by_columns, by_rows, by_sources, rewired_ring
from penstock.spiking.edges import Edges, from_edges, from_graph, from_matrix
from penstock.spiking.values import as_numbers

__all__ = [
    "Edges",
    "all_to_all",
    "distance_dependent",
    "fixed_in_degree",
    "fixed_out_degree",
    "fixed_total",
    "from_edges",
    "from_graph",
    "from_matrix",
    "one_to_one",
    "probability",
    "small_world",
]


def probability(p: float, *, self_connections: bool = False):
    """Connect every pair of neurons independently with probability `p` (Erdős–Rényi, Bernoulli).

    Degrees are binomial: in-degrees Binomial(n_pre, p), out-degrees Binomial(n_post, p), within a group without
    self-connections one trial less.

    Examples
    --------
    >>> import numpy as np
    >>> edges = probability(0.02)(4000, 4000, np.random.default_rng(0), 0)
    >>> edges.targets.size, probability(0.02).expected(4000, 4000, 0)
    (319822, 319920.0)
    """
    return Probability(_as_probability("p", p), _as_bool("self_connections", self_connections))


def all_to_all(*, self_connections: bool = False):
    """Connect every neuron to every neuron.

    Examples
    --------
    >>> all_to_all()(2, 3, None, None).targets
    array([0, 1, 2, 0, 1, 2], dtype=uint32)
    """
    return AllToAll(_as_bool("self_connections", self_connections))


def one_to_one():
    """Connect neuron i to neuron i of a group, or slice of a group, of the same size.

    Onto the same group these are self-connections, asked for by name and therefore made.

    Examples
    --------
    >>> one_to_one()(3, 3, None, None).targets
    array([0, 1, 2], dtype=uint32)
    """
    return OneToOne()


def fixed_in_degree(k: int, *, self_connections: bool = False):
    """Give every target neuron `k` distinct sources, all sets equally likely.

    Examples
    --------
    >>> import numpy as np
    >>> edges = fixed_in_degree(100)(1000, 500, np.random.default_rng(0), None)
    >>> set(np.bincount(edges.targets).tolist())
    {100}
    """
    return FixedInDegree(as_int("k", k, minimum=0), _as_bool("self_connections", self_connections))


def fixed_out_degree(k: int, *, self_connections: bool = False):
    """Give every source neuron `k` distinct targets, all sets equally likely.

    Examples
    --------
    >>> import numpy as np
    >>> edges = fixed_out_degree(100)(1000, 500, np.random.default_rng(0), None)
    >>> set(np.diff(edges.indptr).tolist())
    {100}
    """
    return FixedOutDegree(as_int("k", k, minimum=0), _as_bool("self_connections", self_connections))


def fixed_total(number: int, *, self_connections: bool = False):
    """Make `number` synapses, each between a source and a target drawn independently and uniformly.

    A pair may be connected more than once (multapses), as in the microcircuit of Potjans and Diesmann. There the
    number for connection probability p is ``log(1 - p) / log(1 - 1 / (n_pre * n_post))``: p is the probability that
    a pair has at least one synapse.

    References
    ----------
    T. C. Potjans, M. Diesmann, The cell-type specific cortical microcircuit, Cereb. Cortex 24, 785 (2014).

    Examples
    --------
    >>> import numpy as np
    >>> fixed_total(1234)(100, 50, np.random.default_rng(0), None).targets.size
    1234
    """
    return FixedTotal(as_int("number", number, minimum=0), _as_bool("self_connections", self_connections))


def distance_dependent(positions_pre, positions_post, probability: Callable, *, self_connections: bool = False):
    """Connect every pair of neurons independently with a probability that depends on their distance.

    Parameters
    ----------
    positions_pre, positions_post : array, shape (n,) or (n, n_dimensions)
        Positions of the neurons, in any one unit.
    probability : callable
        Takes an array of Euclidean distances and returns the connection probabilities, of the same shape.
    self_connections : bool
        Whether a neuron may be connected to itself.

    References
    ----------
    W. Maass, T. Natschläger, H. Markram, Real-time computing without stable states, Neural Comput. 14, 2531 (2002):
    C exp(-(d / lambda)^2) on a grid of unit spacing, C = 0.3 between excitatory neurons, lambda = 2.

    Examples
    --------
    >>> import numpy as np
    >>> grid = np.stack(np.meshgrid(range(3), range(3), range(15)), axis=-1).reshape(-1, 3)
    >>> column = distance_dependent(grid, grid, lambda d: 0.3 * np.exp(-((d / 2) ** 2)))
    >>> round(column.expected(135, 135, 0))
    654
    """
    pre, post = (_as_positions(name, p) for name, p in (("pre", positions_pre), ("post", positions_post)))
    if pre.shape[1] != post.shape[1]:
        raise ValueError(f"positions_post must have {pre.shape[1]} dimensions as positions_pre, got {post.shape[1]}")
    if not callable(probability):
        raise TypeError(f"probability must be a function of the distance, got {probability!r}")
    return DistanceDependent(pre, post, probability, _as_bool("self_connections", self_connections))


def small_world(k: int, rewiring: float):
    """Connect a ring of neurons to their `k` nearest, and move each synapse to a random target with prob. `rewiring`.

    A directed Watts–Strogatz graph. Every neuron has `k` distinct targets: at first k / 2 on either side of the ring;
    each is given up with probability `rewiring`, and as many new ones are drawn uniformly from all neurons but itself
    and those kept. 0 is the ring, 1 in law `fixed_out_degree(k)`. Of a triangle of the ring (1 - rewiring)^3 remain.

    Parameters
    ----------
    k : int
        Targets per neuron, even, below the number of neurons.
    rewiring : float
        Probability in [0, 1].

    References
    ----------
    D. J. Watts, S. H. Strogatz, Collective dynamics of 'small-world' networks, Nature 393, 440 (1998).

    Examples
    --------
    >>> small_world(2, 0.0)(5, 5, np.random.default_rng(0), 0).targets
    array([1, 4, 0, 2, 1, 3, 2, 4, 0, 3], dtype=uint32)
    """
    k = as_int("k", k, minimum=2)
    if k % 2:
        raise ValueError(f"k must be even, half of the targets on either side, got {k}")
    return SmallWorld(k, _as_probability("rewiring", rewiring))


# The connectors behind the functions


class Connector:
    """What all connectors share: a readable text and no memory."""

    self_connections: bool

    def __repr__(self):
        name = "".join("_" + c.lower() if c.isupper() else c for c in type(self).__name__).lstrip("_")
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        shown = {key: value for key, value in values.items() if not isinstance(value, np.ndarray)}
        return f"{name}({', '.join(f'{key}={_text(value)}' for key, value in shown.items())})"

    def excluded(self, diagonal: int | None) -> int | None:
        """Return the diagonal of pairs to leave out."""
        return None if self.self_connections else diagonal

    def n_loops(self, n_pre: int, n_post: int, diagonal: int | None) -> int:
        """Return how many self-connections are left out."""
        diagonal = self.excluded(diagonal)
        return 0 if diagonal is None else max(0, min(n_pre, n_post - diagonal) - max(0, -diagonal))

    def n_pairs(self, n_pre: int, n_post: int, diagonal: int | None) -> int:
        """Return how many pairs of neurons may be connected."""
        return n_pre * n_post - self.n_loops(n_pre, n_post, diagonal)


@dataclass(frozen=True, eq=False, repr=False)
class Probability(Connector):
    """See `probability`."""

    p: float
    self_connections: bool

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the mean number of synapses."""
        return self.p * self.n_pairs(n_pre, n_post, diagonal)

    def __call__(self, n_pre, n_post, rng, diagonal=None) -> Edges:
        """Return the edges."""
        per_chunk = min(n_pre, max(1, int(_CHUNK / max(self.p * n_post, 1e-9))))
        mean = self.p * n_pre * n_post
        room = mean + 6 * np.sqrt(mean * (1 - self.p)) + 16
        return by_rows(
            lambda start, stop: successes(rng, (stop - start) * n_post, self.p),
            (n_pre, n_post, self.excluded(diagonal)),
            per_chunk,
            int(room),
        )


@dataclass(frozen=True, eq=False, repr=False)
class AllToAll(Connector):
    """See `all_to_all`."""

    self_connections: bool

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        return float(self.n_pairs(n_pre, n_post, diagonal))

    def __call__(self, n_pre, n_post, rng=None, diagonal=None) -> Edges:
        """Return the edges."""
        return Probability(1.0, self.self_connections)(n_pre, n_post, rng, diagonal)


@dataclass(frozen=True, eq=False, repr=False)
class OneToOne(Connector):
    """See `one_to_one`."""

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        _same_size("one_to_one", n_pre, n_post)
        return float(n_pre)

    def __call__(self, n_pre, n_post, rng=None, diagonal=None) -> Edges:
        """Return the edges."""
        _same_size("one_to_one", n_pre, n_post)
        return Edges(np.arange(n_pre + 1, dtype=np.uint64), np.arange(n_pre, dtype=np.uint32))


@dataclass(frozen=True, eq=False, repr=False)
class FixedInDegree(Connector):
    """See `fixed_in_degree`."""

    k: int
    self_connections: bool

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        loops = self.n_loops(n_pre, n_post, diagonal) > 0
        _enough("sources", self.k, n_pre - loops, n_post)
        return float(self.k * n_post)

    def __call__(self, n_pre, n_post, rng, diagonal=None) -> Edges:
        """Return the edges."""
        self.expected(n_pre, n_post, diagonal)
        return by_columns(rng, np.full(n_post, self.k), n_pre, self.excluded(diagonal), False)


@dataclass(frozen=True, eq=False, repr=False)
class FixedOutDegree(Connector):
    """See `fixed_out_degree`."""

    k: int
    self_connections: bool

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        loops = self.n_loops(n_pre, n_post, diagonal) > 0
        _enough("targets", self.k, n_post - loops, n_pre)
        return float(self.k * n_pre)

    def __call__(self, n_pre, n_post, rng, diagonal=None) -> Edges:
        """Return the edges."""
        self.expected(n_pre, n_post, diagonal)
        diagonal = self.excluded(diagonal)
        own = np.full(n_pre, n_post) if diagonal is None else np.arange(n_pre) + diagonal
        return by_sources(rng, own, n_post, self.k)


@dataclass(frozen=True, eq=False, repr=False)
class FixedTotal(Connector):
    """See `fixed_total`."""

    number: int
    self_connections: bool

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        if self.number and self.n_pairs(n_pre, n_post, diagonal) == 0:
            raise ValueError(f"number must be 0 where no pair may be connected, got {self.number}")
        return float(self.number)

    def __call__(self, n_pre, n_post, rng, diagonal=None) -> Edges:
        """Return the edges."""
        self.expected(n_pre, n_post, diagonal)
        diagonal = self.excluded(diagonal)
        sources = np.full(n_post, n_pre)
        if diagonal is not None:
            sources[max(0, diagonal) : max(0, n_pre + diagonal)] -= 1
        degrees = rng.multinomial(self.number, sources / max(sources.sum(), 1))
        return by_columns(rng, degrees, n_pre, diagonal, True)


@dataclass(frozen=True, eq=False, repr=False)
class DistanceDependent(Connector):
    """See `distance_dependent`."""

    positions_pre: np.ndarray
    positions_post: np.ndarray
    probability: Callable
    self_connections: bool

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the mean number of synapses."""
        self._check(n_pre, n_post)
        step = max(1, _CHUNK // max(n_post, 1))
        chunks = ((start, min(start + step, n_pre)) for start in range(0, n_pre, step))
        return float(sum(self._probabilities(start, stop, diagonal).sum() for start, stop in chunks))

    def __call__(self, n_pre, n_post, rng, diagonal=None) -> Edges:
        """Return the edges."""
        self._check(n_pre, n_post)

        def draw(start, stop):
            p = self._probabilities(start, stop, diagonal)
            return np.flatnonzero(rng.random(p.shape) < p)

        return by_rows(draw, (n_pre, n_post, None), max(1, _CHUNK // max(n_post, 1)), 1024)

    def _check(self, n_pre, n_post):
        sizes = ("pre", self.positions_pre, n_pre), ("post", self.positions_post, n_post)
        for name, positions, n in sizes:
            if len(positions) != n:
                raise ValueError(f"positions_{name} must have one row for each of {n} neurons, got {len(positions)}")

    def _probabilities(self, start, stop, diagonal):
        """Return the probabilities (stop - start, n_post) of those sources, 0 for pairs to leave out."""
        d = scipy.spatial.distance.cdist(self.positions_pre[start:stop], self.positions_post)
        p = np.array(as_finite_array("probability", self.probability(d)))
        if p.shape != d.shape:
            raise ValueError(f"probability must keep the shape of the distances, {d.shape}, got {p.shape}")
        if p.size and not (p.min() >= 0 and p.max() <= 1):
            wrong = d[(p < 0) | (p > 1)][0]
            raise ValueError(f"probability must lie in [0, 1], got {p[d == wrong][0]:g} at distance {wrong:g}")
        if self.excluded(diagonal) is not None:
            rows = np.arange(max(start, -diagonal), min(stop, p.shape[1] - diagonal))
            p[rows - start, rows + diagonal] = 0.0
        return p


@dataclass(frozen=True, eq=False, repr=False)
class SmallWorld(Connector):
    """See `small_world`."""

    k: int
    rewiring: float

    def expected(self, n_pre: int, n_post: int, diagonal: int | None = None) -> float:
        """Return the number of synapses."""
        _same_size("small_world", n_pre, n_post)
        if diagonal not in (None, 0):
            raise ValueError("small_world must connect a group, or slice of a group, with itself, got shifted slices")
        if self.k >= n_pre:
            raise ValueError(f"k must be below the number of neurons, {n_pre}, got {self.k}")
        return float(self.k * n_pre)

    def __call__(self, n_pre, n_post, rng, diagonal=None) -> Edges:
        """Return the edges."""
        self.expected(n_pre, n_post, diagonal)
        return rewired_ring(rng, n_pre, self.k, self.rewiring)


_CHUNK = 2**17  # synapses, or pairs of neurons, drawn at once


# Checks


def _as_probability(name, value):
    value = as_finite_float(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")
    return value


def _as_bool(name, value):
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def _as_positions(side, value):
    positions = as_numbers(f"positions_{side}", value, ndim=(1, 2))
    return positions if positions.ndim == 2 else positions[:, None]


def _same_size(name, n_pre, n_post):
    if n_pre != n_post:
        raise ValueError(f"{name} needs groups of equal size, got {n_pre} and {n_post} neurons")


def _enough(what, k, available, n_neurons):
    if n_neurons and k > available:
        raise ValueError(f"k must be at most {available}, the number of possible {what} of a neuron, got {k}")


def _text(value):
    return getattr(value, "__name__", "function") if callable(value) else repr(value)
