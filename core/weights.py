"""Weight matrices: functions that draw or build a square W, where W[i, j] is the weight from unit j to unit i.

Dense matrices come as float64 arrays, sparse and structured ones as `scipy.sparse.csr_array` with sorted indices and
neither duplicates nor stored zeros. Every random function can be called as ``f(n_units, seed=...)``, so that it, or a
`functools.partial` of it, can be handed to a model; the same seed gives the same matrix. `seed` is a non-negative
integer or a `numpy.random.SeedSequence`. Positions and values are drawn from separate streams: another law of values
leaves the graph as it was. Scaling to a spectral radius or norm is a separate step, see `penstock.scaling`.

All functions raise TypeError for arguments of the wrong type (a missing seed, a law that cannot be called) and
ValueError for arguments out of range; the message names the argument.
"""

from collections.abc import Callable, Iterable

import numpy as np
import scipy.sparse as sp

from penstock.checks import (
    as_finite_array,
    as_finite_float,
    as_fraction,
    as_int,
    as_matrix,
    as_positive_float,
    generators,
    seed_sequence,
)
from penstock.laws import Law, Normal, Signs, Uniform
from penstock.threads import one_blas_thread

__all__ = [
    "antisymmetric",
    "aperiodic_signs",
    "barabasi_albert",
    "bernoulli",
    "block_diagonal",
    "cycle_with_jumps",
    "delay_line",
    "erdos_renyi",
    "eye",
    "from_graph",
    "low_rank_masked",
    "low_rank_sparse",
    "normal",
    "orthogonal",
    "permutation",
    "ring",
    "sparse",
    "ternary",
    "uniform",
    "watts_strogatz",
]

_UNIFORM = Uniform(-1.0, 1.0)


# Random and dense


def uniform(n_units: int, *, low: float = -1.0, high: float = 1.0, seed) -> np.ndarray:
    """Draw a dense (n_units, n_units) matrix with independent entries uniform on [low, high).

    Examples
    --------
    >>> W = uniform(100, seed=0)
    >>> W.shape, bool(abs(W).max() < 1)
    ((100, 100), True)
    """
    return _dense(n_units, Uniform(low, high), seed)


def normal(n_units: int, *, std: float = 1.0, seed) -> np.ndarray:
    """Draw a dense (n_units, n_units) matrix with independent normal entries of mean 0 and deviation `std`.

    Examples
    --------
    >>> normal(100, std=0.5, seed=0).shape
    (100, 100)
    """
    return _dense(n_units, Normal(as_positive_float("std", std)), seed)


def bernoulli(n_units: int, *, seed) -> np.ndarray:
    """Draw a dense (n_units, n_units) matrix of independent signs, +1 and -1 with equal probability.

    Examples
    --------
    >>> sorted(set(bernoulli(10, seed=0).ravel().tolist()))
    [-1.0, 1.0]
    """
    return _dense(n_units, Signs(), seed)


def antisymmetric(n_units: int, *, values: Law = _UNIFORM, seed) -> np.ndarray:
    """Draw a dense (n_units, n_units) matrix W = A - A^T, where the entries of A follow the law `values`.

    All eigenvalues are imaginary, which makes W the generator of a rotation: the matrix of Euler state networks
    (Gallicchio, arXiv 2203.09382). Off-diagonal entries have twice the variance of `values`.

    Examples
    --------
    >>> W = antisymmetric(5, seed=0)
    >>> bool((W == -W.T).all())
    True
    """
    A = _dense(n_units, values, seed)
    return A - A.T


@one_blas_thread
def orthogonal(n_units: int, *, seed) -> np.ndarray:
    """Draw a dense orthogonal (n_units, n_units) matrix: the factor Q of A = QR, A uniform on [-1, 1).

    The linear branch of edge-of-stability and residual reservoirs (Ceni and Gallicchio, arXiv 2308.02902). As in their
    code the signs are those LAPACK chooses, so Q does not follow the uniform (Haar) law on the orthogonal group.

    Examples
    --------
    >>> import numpy as np
    >>> Q = orthogonal(20, seed=0)
    >>> np.allclose(Q.T @ Q, np.eye(20), atol=1e-13)
    True
    """
    return np.linalg.qr(_dense(n_units, _UNIFORM, seed))[0]


# Random and sparse


def sparse(
    n_units: int, *, density: float | None = None, per_row: int | None = None, values: Law = _UNIFORM, seed
) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix with an exact number of entries at distinct random positions.

    Parameters
    ----------
    n_units : int
        Number of units N.
    density : float, optional
        round(density N^2) positions out of all N^2, each set equally likely; in (0, 1], 0.1 if nothing is given.
    per_row : int, optional
        Instead of `density`: this many positions in every row, 1 to N, so that every unit has equally many inputs.
    values : Law
        Draws the weights. A position where it draws exactly 0 is left out.
    seed : int or SeedSequence
        Seed of positions and values.

    Examples
    --------
    >>> sparse(100, density=0.05, seed=0).nnz
    500
    >>> import numpy as np
    >>> set(np.diff(sparse(100, per_row=7, seed=0).indptr).tolist())
    {7}
    """
    n = as_int("n_units", n_units)
    if density is not None and per_row is not None:
        raise ValueError(f"give density or per_row, not both, got density={density} and per_row={per_row}")
    rng, value_rng = generators(seed, 2)
    if per_row is None:
        rows, cols = _positions(rng, n, as_fraction("density", 0.1 if density is None else density))
    else:
        rows, cols = _row_positions(rng, n, _as_int_between("per_row", per_row, 1, n))
    return _csr(rows, cols, _draw(values, value_rng, rows.size), n)


def ternary(n_units: int, *, density: float = 0.1, seed) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix of -1, 0 and +1 with round(density N^2) random signs, the rest 0.

    Examples
    --------
    >>> W = ternary(100, density=0.05, seed=0)
    >>> W.nnz, sorted(set(W.data.tolist()))
    (500, [-1.0, 1.0])
    """
    return sparse(n_units, density=density, values=Signs(), seed=seed)


@one_blas_thread
def low_rank_masked(n_units: int, *, rank: int = 1, density: float = 0.1, seed) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix: M * (U V^T) / sqrt(rank), with a random 0/1 mask M.

    U and V have shape (n_units, rank) and standard normal entries, so that an entry kept by the mask has mean 0 and
    variance 1 whatever the rank. M keeps round(density N^2) positions exactly. Nothing else is added: at density 1
    the matrix has exactly the given rank, below that the mask raises it.

    Examples
    --------
    >>> import numpy as np
    >>> W = low_rank_masked(30, rank=3, density=1.0, seed=0)
    >>> int(np.linalg.matrix_rank(W.toarray()))
    3
    """
    n = as_int("n_units", n_units)
    rank = _as_int_between("rank", rank, 1, n)
    density = as_fraction("density", density)
    rng, value_rng = generators(seed, 2)
    rows, cols = _positions(rng, n, density)
    U, V = value_rng.standard_normal((2, n, rank))
    return _csr(rows, cols, np.einsum("ij,ij->i", U[rows], V[cols]) / np.sqrt(rank), n)


@one_blas_thread
def low_rank_sparse(
    n_units: int, *, rank: int, sparsity: float, initial: Callable[..., np.ndarray] = orthogonal, seed
) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix: the best approximation of rank r to a dense one, then a random mask.

    W = (W1 W2) * M with W1 = U_r S_r^(1/2) and W2 = S_r^(1/2) V_r^T, of the truncated singular value decomposition of
    the initial matrix, and independent entries of M, 0 with probability `sparsity`, else 1. W1 and W2 are the 2 N r
    numbers that training changes (Tumma et al., ICLR 2024, arXiv 2310.03915).

    The mask spares (1 - sparsity) of the squared norm on average, and as it raises the rank, W has in general full rank
    again. If U and V are rotations independent of each other, the spectral radius of a large W is therefore
    sqrt((1 - sparsity) (s_1^2 + … + s_r^2) / N), the s_k being the largest singular values of the initial matrix:
    sqrt((1 - sparsity) r / N) for an orthogonal one, sqrt(1 - sparsity) times its own for a normal one at full rank.

    An orthogonal matrix has equal singular values, any r of them the largest: the space of V_r is then a random one.

    Parameters
    ----------
    n_units : int
        Number of units N.
    rank : int
        Rank r before the mask, 1 to N.
    sparsity : float
        Expected fraction of zeros, from 0 to below 1.
    initial : callable
        Draws the initial matrix: a random function of this module, or anything called as ``initial(N, seed=...)``.
    seed : int or SeedSequence
        Seed of initial matrix, mask and, where singular values are equal, of the choice among them.

    Examples
    --------
    >>> from functools import partial
    >>> import numpy as np
    >>> W = low_rank_sparse(30, rank=3, sparsity=0.0, seed=0)
    >>> int(np.linalg.matrix_rank(W.toarray()))
    3
    >>> from penstock.reservoirs import ESN
    >>> ESN.random(30, weights=partial(low_rank_sparse, rank=3, sparsity=0.8), seed=0).n_units
    30
    """
    n = as_int("n_units", n_units)
    rank = _as_int_between("rank", rank, 1, n)
    sparsity = as_finite_float("sparsity", sparsity)
    if not 0 <= sparsity < 1:
        raise ValueError(f"sparsity must lie in [0, 1), got {sparsity}")
    if not callable(initial):
        raise TypeError(f"initial must be a function, called as initial(n_units, seed=...), got {initial!r}")
    mask_seed, initial_seed, turn_seed = seed_sequence(seed).spawn(3)
    A = as_matrix("initial", initial(n, seed=initial_seed), (n, n), np.float64)
    # Turned first, or LAPACK would choose coordinate axes for equal singular values: silent units.
    turn = orthogonal(n, seed=turn_seed)
    U, s, Vt = np.linalg.svd(A @ turn)
    W = (U[:, :rank] * s[:rank]) @ (Vt[:rank] @ turn.T)
    rows, cols = np.nonzero(np.random.default_rng(mask_seed).random((n, n)) >= sparsity)
    return _csr(rows, cols, W[rows, cols], n)


def permutation(n_units: int, *, seed) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) permutation matrix: one 1 in every row and column, all orders equally likely.

    Examples
    --------
    >>> P = permutation(5, seed=0)
    >>> P.sum(axis=0).tolist(), P.sum(axis=1).tolist()
    ([1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    n = as_int("n_units", n_units)
    (rng,) = generators(seed, 1)
    return _csr(np.arange(n), rng.permutation(n), np.ones(n), n)


# Random graphs


def erdos_renyi(n_units: int, *, p: float = 0.1, values: Law = _UNIFORM, seed) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix on a directed Erdos-Renyi graph.

    Each ordered pair of different units is joined with probability `p` in [0, 1], independently; no self-loops.
    Weights follow the law `values`.

    Examples
    --------
    >>> erdos_renyi(50, p=1.0, seed=0).nnz
    2450
    """
    n = as_int("n_units", n_units)
    p = _as_probability("p", p)
    rng, value_rng = generators(seed, 2)
    chosen = _distinct(rng, n * (n - 1), int(rng.binomial(n * (n - 1), p)))
    rows, cols = np.divmod(chosen, max(n - 1, 1))
    cols += cols >= rows  # the n - 1 columns of a row, counted past the diagonal
    return _csr(rows, cols, _draw(values, value_rng, chosen.size), n)


def watts_strogatz(n_units: int, *, neighbours: int = 4, p: float = 0.1, values: Law = _UNIFORM, seed) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix on a Watts-Strogatz small-world graph.

    A circle where each unit is joined with its `neighbours` nearest ones, an even number below n_units; then each of
    the n_units * neighbours / 2 edges is rewired with probability `p` in [0, 1] (Watts and Strogatz, Nature 393, 1998).
    At p = 1 nothing of the small world is left. The graph is undirected: each edge gives W[i, j] and W[j, i], with
    independent weights drawn from `values`.

    Examples
    --------
    >>> watts_strogatz(50, neighbours=6, p=0.2, seed=0).nnz
    300
    """
    import networkx as nx

    n = as_int("n_units", n_units)
    neighbours = _as_int_between("neighbours", neighbours, 2, n - 1)
    if neighbours % 2:
        raise ValueError(f"neighbours must be even, half of them on each side, got {neighbours}")
    p = _as_probability("p", p)
    graph_seed, value_seed = seed_sequence(seed).spawn(2)
    return from_graph(
        nx.watts_strogatz_graph(n, neighbours, p, _python_seed(graph_seed)), values=values, seed=value_seed
    )


def barabasi_albert(n_units: int, *, edges: int = 2, values: Law = _UNIFORM, seed) -> sp.csr_array:
    """Draw a sparse (n_units, n_units) matrix on a Barabasi-Albert scale-free graph.

    The graph grows from a star of `edges` + 1 units; each new unit joins `edges` others (1 to n_units - 1), chosen with
    probability proportional to their degree (Barabasi and Albert, Science 286, 1999). It is undirected with
    edges * (n_units - edges) edges: each gives W[i, j] and W[j, i], with independent weights drawn from `values`.

    Examples
    --------
    >>> barabasi_albert(50, edges=3, seed=0).nnz
    282
    """
    import networkx as nx

    n = as_int("n_units", n_units)
    edges = _as_int_between("edges", edges, 1, n - 1)
    graph_seed, value_seed = seed_sequence(seed).spawn(2)
    graph = nx.barabasi_albert_graph(n, edges, _python_seed(graph_seed))
    return from_graph(graph, values=values, seed=value_seed)


def from_graph(graph, *, values: Law | None = None, seed=None) -> sp.csr_array:
    """Return the sparse (n, n) matrix of a networkx graph with n nodes: an edge u -> v gives W[v, u].

    Parameters
    ----------
    graph : networkx.Graph, DiGraph, MultiGraph or MultiDiGraph
        Unit i is the i-th node of ``graph.nodes``. An undirected edge stands for both directions, a self-loop for one
        weight. Parallel edges add up.
    values : Law, optional
        Draws an independent weight for every direction of every edge. Without it the weight is the edge attribute
        ``weight``, or 1 where an edge has none, the same in both directions of an undirected edge.
    seed : int or SeedSequence, optional
        Needed with `values`, and only then.

    Examples
    --------
    >>> import networkx as nx
    >>> from_graph(nx.DiGraph([("a", "b"), ("b", "c")])).toarray()
    array([[0., 0., 0.],
           [1., 0., 0.],
           [0., 1., 0.]])
    """
    import networkx as nx

    if not isinstance(graph, nx.Graph):
        raise TypeError(f"graph must be a networkx graph, got {type(graph).__name__}")
    if graph.number_of_nodes() == 0:
        raise ValueError("graph must have at least one node, got none")
    if values is None and seed is not None:
        raise ValueError("seed is used to draw weights: give values as well, or leave out seed")
    index = {node: i for i, node in enumerate(graph)}
    edges = [(index[u], index[v], weight) for u, v, weight in graph.edges(data="weight", default=1.0)]
    if not graph.is_directed():
        edges += [(v, u, weight) for u, v, weight in edges if u != v]
    sources, targets, weights = zip(*edges, strict=True) if edges else ((), (), ())
    if values is None:
        data = as_finite_array("the edge attribute weight", weights, ndim=1)
    else:
        data = _draw(values, generators(seed, 1)[0], len(edges))
    return _csr(np.array(targets, np.intp), np.array(sources, np.intp), data, len(index))


# Deterministic


def ring(n_units: int, weight: float = 1.0) -> sp.csr_array:
    """Return the (n_units, n_units) matrix of a simple cycle: W[i, i-1] = weight and W[0, n_units-1] = weight.

    The simple cycle reservoir (SCR) of Rodan and Tino, IEEE Trans. Neural Netw. 22, 2011. With weight 1 it is the
    cyclic orthogonal matrix. Its eigenvalues are `weight` times the roots of unity.

    Examples
    --------
    >>> ring(3, 0.5).toarray()
    array([[0. , 0. , 0.5],
           [0.5, 0. , 0. ],
           [0. , 0.5, 0. ]])
    """
    n = as_int("n_units", n_units)
    units = np.arange(n)
    return _csr((units + 1) % n, units, np.full(n, as_finite_float("weight", weight)), n)


def eye(n_units: int) -> sp.csr_array:
    """Return the (n_units, n_units) identity matrix, which costs a model O(n_units) per step.

    Examples
    --------
    >>> eye(2).toarray()
    array([[1., 0.],
           [0., 1.]])
    """
    n = as_int("n_units", n_units)
    return _csr(np.arange(n), np.arange(n), np.ones(n), n)


def delay_line(n_units: int, weight: float = 1.0, feedback: float = 0.0) -> sp.csr_array:
    """Return the (n_units, n_units) matrix of a chain: W[i+1, i] = weight and W[i, i+1] = feedback.

    The delay-line reservoirs DLR (no feedback, nilpotent) and DLRB of Rodan and Tino, IEEE Trans. Neural Netw. 22,
    2011. The spectral radius is 2 sqrt(|weight feedback|) cos(pi / (n_units + 1)).

    Examples
    --------
    >>> delay_line(3, 0.5, feedback=0.1).toarray()
    array([[0. , 0.1, 0. ],
           [0.5, 0. , 0.1],
           [0. , 0.5, 0. ]])
    """
    n = as_int("n_units", n_units)
    weights = [as_finite_float("weight", weight), as_finite_float("feedback", feedback)]
    units = np.arange(n - 1)
    rows, cols = np.concatenate([units + 1, units]), np.concatenate([units, units + 1])
    return _csr(rows, cols, np.repeat(weights, n - 1), n)


def cycle_with_jumps(n_units: int, weight: float, jump_weight: float, jump: int) -> sp.csr_array:
    """Return the (n_units, n_units) matrix of a cycle with regular jumps in both directions (CRJ).

    The cycle of `ring` with `weight`, and `jump_weight` both ways between units 0 and jump, jump and 2 jump, and so
    on: n_units // jump jumps. The last one closes the circle at unit 0 if `jump` divides n_units; otherwise it ends
    before, at unit n_units - n_units % jump. `jump` is at least 2 and below n_units / 2 (Rodan and Tino, Neural
    Computation 24, 2012).

    Examples
    --------
    >>> cycle_with_jumps(6, 0.5, 0.1, 2).toarray()
    array([[0. , 0. , 0.1, 0. , 0.1, 0.5],
           [0.5, 0. , 0. , 0. , 0. , 0. ],
           [0.1, 0.5, 0. , 0. , 0.1, 0. ],
           [0. , 0. , 0.5, 0. , 0. , 0. ],
           [0.1, 0. , 0.1, 0.5, 0. , 0. ],
           [0. , 0. , 0. , 0. , 0.5, 0. ]])
    """
    n = as_int("n_units", n_units)
    jump = as_int("jump", jump)
    if not 2 <= jump < n / 2:
        raise ValueError(f"jump must be at least 2 and below n_units / 2 = {n / 2:g}, got {jump}")
    jump_weight = as_finite_float("jump_weight", jump_weight)
    start = jump * np.arange(n // jump)
    stop = (start + jump) % n
    rows, cols = np.concatenate([start, stop]), np.concatenate([stop, start])
    return ring(n, weight) + _csr(rows, cols, np.full(rows.size, jump_weight), n)


def block_diagonal(blocks: Iterable) -> sp.csr_array:
    """Return the sparse matrix with the given square blocks, dense or sparse, along its diagonal and 0 elsewhere.

    Its spectrum is the union of theirs.

    Examples
    --------
    >>> block_diagonal([[[1, 2], [3, 4]], ring(2)]).toarray()
    array([[1., 2., 0., 0.],
           [3., 4., 0., 0.],
           [0., 0., 0., 1.],
           [0., 0., 1., 0.]])
    """
    matrices = [as_matrix(f"blocks[{k}]", block, (None, None), np.float64) for k, block in enumerate(blocks)]
    if not matrices:
        raise ValueError("blocks must hold at least one matrix, got none")
    for k, matrix in enumerate(matrices):
        if matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
            raise ValueError(f"blocks[{k}] must be a square matrix, got shape {matrix.shape}")
    return _clean(sp.csr_array(sp.block_diag(matrices, format="csr")))


def aperiodic_signs(n: int) -> np.ndarray:
    """Return (n,) signs from the first n decimals of pi, 1415926535...: -1 for the digits 0 to 4, +1 for 5 to 9.

    The signs of the input weights of minimum-complexity reservoirs (Rodan and Tino, IEEE Trans. Neural Netw. 22,
    2011): the same on every machine, and without a period, which on a ring of units would cost memory. Some sizes
    still miss a mode of the ring, a zero of ``numpy.fft.fft(signs)``: 10 does, its signs sum to 0; 20, 50, 100 and 200
    do not.

    Examples
    --------
    >>> aperiodic_signs(10)
    array([-1., -1., -1.,  1.,  1., -1.,  1.,  1., -1.,  1.])
    """
    digits = np.frombuffer(_pi_decimals(as_int("n", n)).encode("ascii"), np.uint8) - ord("0")
    return np.where(digits >= 5, 1.0, -1.0)


# Positions, values and digits


def _dense(n_units, values, seed):
    n = as_int("n_units", n_units)
    return _draw(values, np.random.default_rng(seed_sequence(seed)), (n, n))


def _draw(values, rng, size):
    """Draw finite float64 weights of shape `size`."""
    if not callable(values):
        raise TypeError(f"values must be a law, called as values(rng, size), got {values!r}")
    drawn = as_finite_array("values", values(rng, size))
    shape = size if isinstance(size, tuple) else (size,)
    if drawn.shape != shape:
        raise ValueError(f"values must draw arrays of the size asked for, {shape}, got shape {drawn.shape}")
    return drawn


def _csr(rows, cols, data, n):
    """Build the (n, n) matrix with data[k] added at (rows[k], cols[k])."""
    return _clean(sp.csr_array(sp.coo_array((data, (rows, cols)), shape=(n, n))))


def _clean(W):
    W.sum_duplicates()
    W.eliminate_zeros()
    W.sort_indices()
    return W


def _positions(rng, n, density):
    """Draw rows and columns of round(density n^2) distinct positions."""
    return np.divmod(_distinct(rng, n * n, round(density * n * n)), n)


def _row_positions(rng, n, per_row):
    """Draw rows and columns of `per_row` distinct positions in each of n rows."""
    cols = [rng.choice(n, per_row, replace=False, shuffle=False) for _ in range(n)]
    return np.repeat(np.arange(n), per_row), np.concatenate(cols)


def _distinct(rng, population, count):
    """Draw `count` distinct integers below `population`, sorted; every set is equally likely.

    Repeats are drawn anew, which needs memory for `count` numbers only, where a shuffle would hold all n^2 positions.
    """
    if 2 * count > population:
        kept = np.ones(population, bool)
        kept[_distinct(rng, population, population - count)] = False
        return np.flatnonzero(kept)
    chosen = np.empty(0, np.int64)
    while chosen.size < count:
        drawn = np.sort(np.concatenate([chosen, rng.integers(population, size=count - chosen.size)]))
        chosen = drawn[np.diff(drawn, prepend=-1) > 0]
    return chosen


def _python_seed(seed):
    """Return a seed for networkx's generators."""
    return int(np.random.default_rng(seed).integers(2**63))


def _as_int_between(name, value, low, high):
    if high < low:
        raise ValueError(f"n_units must be above {low} for {name} of at least {low}, got {high + 1}")
    value = as_int(name, value, minimum=low)
    if value > high:
        raise ValueError(f"{name} must be at most {high}, got {value}")
    return value


def _as_probability(name, value):
    value = as_finite_float(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value}")
    return value


def _pi_decimals(count):
    """Return the first `count` decimals of pi, by Machin's 16 arccot 5 - 4 arccot 239 in integers."""
    guard = 10**20  # each of the fewer than 3 count terms is cut off by less than 1 unit
    unit = guard * 10**count
    pi = 16 * _arccot(5, unit) - 4 * _arccot(239, unit)
    return _digits(pi // guard - 3 * 10**count, count)


def _arccot(x, unit):
    """Return unit * arccot(x), by its alternating power series."""
    power = unit // x
    total, k = power, 1
    while power:
        power //= -x * x
        k += 2
        total += power // k
    return total


def _digits(value, count):
    """Return `value` as `count` decimal digits, in pieces short enough for Python's limit on integer strings."""
    if count <= 1000:
        return f"{value:0{count}d}"
    high, low = divmod(value, 10 ** (count // 2))
    return _digits(high, count - count // 2) + _digits(low, count // 2)
