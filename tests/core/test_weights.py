"""Weight matrices against exact facts, networkx, known laws and the decimals of pi."""

import subprocess
import sys
from functools import partial

import mpmath
import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from penstock.laws import Normal, Signs, Uniform
from penstock.reservoirs import ESN
from penstock.scaling import spectral_radius
from penstock.weights import (
    antisymmetric,
    aperiodic_signs,
    barabasi_albert,
    bernoulli,
    block_diagonal,
    cycle_with_jumps,
    delay_line,
    erdos_renyi,
    from_graph,
    low_rank_masked,
    low_rank_sparse,
    normal,
    orthogonal,
    permutation,
    ring,
    sparse,
    ternary,
    uniform,
    watts_strogatz,
)

DENSE = {f.__name__: f for f in (uniform, normal, bernoulli, antisymmetric, orthogonal)}
SPARSE = {f.__name__: f for f in (sparse, ternary, low_rank_masked, permutation, erdos_renyi)}
SPARSE |= {"per_row": partial(sparse, per_row=3), "watts_strogatz": watts_strogatz, "barabasi_albert": barabasi_albert}
SPARSE |= {"low_rank_sparse": partial(low_rank_sparse, rank=2, sparsity=0.5)}
RANDOM = DENSE | SPARSE
FIXED = {
    "ring": ring(5, 0.5),
    "ring of two": ring(2),
    "delay_line": delay_line(5),
    "feedback": delay_line(5, 0.5, 0.1),
    "jumps": cycle_with_jumps(7, 0.5, 0.1, 3),
    "blocks": block_diagonal([np.eye(2), ring(3)]),
    "graph": from_graph(nx.path_graph(4)),
}


def dense(W):
    return W.toarray() if sp.issparse(W) else W


def assert_clean(W):
    assert isinstance(W, sp.csr_array) and W.dtype == np.float64
    assert W.shape[0] == W.shape[1] and (W.data != 0).all()
    rows = np.repeat(np.arange(W.shape[0]), np.diff(W.indptr))
    assert (np.diff(rows * W.shape[0] + W.indices) > 0).all()  # in order, none twice


def assert_frequencies(counts, draws, probability):
    """Each of the counts is binomial; five standard errors."""
    assert np.abs(counts - draws * probability).max() < 5 * np.sqrt(draws * probability * (1 - probability))


# What holds for all


@pytest.mark.parametrize("draw", RANDOM.values(), ids=RANDOM)
def test_the_seed_decides_every_bit(draw):
    first = dense(draw(30, seed=7))
    assert_array_equal(first, dense(draw(30, seed=7)))
    assert_array_equal(first, dense(draw(30, seed=np.random.SeedSequence(7))))
    assert not np.array_equal(first, dense(draw(30, seed=8)))


@pytest.mark.parametrize("draw", RANDOM.values(), ids=RANDOM)
def test_a_seed_sequence_is_not_used_up(draw):
    child = np.random.SeedSequence(3).spawn(2)[1]
    assert_array_equal(dense(draw(12, seed=child)), dense(draw(12, seed=child)))


@pytest.mark.parametrize("draw", RANDOM.values(), ids=RANDOM)
def test_size_and_seed_are_checked(draw):
    for n_units, error, message in ((0, ValueError, "at least 1, got 0"), (2.5, TypeError, "an integer, got 2.5")):
        with pytest.raises(error, match=f"n_units must be {message}"):
            draw(n_units, seed=0)
    with pytest.raises(TypeError, match="seed must be a non-negative integer, got None"):
        draw(10, seed=None)
    with pytest.raises(TypeError, match="seed"):
        draw(10)


@pytest.mark.parametrize("draw", DENSE.values(), ids=DENSE)
def test_dense_ones_are_float_arrays(draw):
    W = draw(6, seed=0)
    assert type(W) is np.ndarray and W.dtype == np.float64 and W.shape == (6, 6)


@pytest.mark.parametrize("W", [f(40, seed=1) for f in SPARSE.values()] + list(FIXED.values()), ids=[*SPARSE, *FIXED])
def test_sparse_ones_are_clean(W):
    assert_clean(W)


@pytest.mark.parametrize("draw", [sparse, partial(sparse, per_row=4), erdos_renyi, watts_strogatz, barabasi_albert])
def test_values_and_positions_are_drawn_apart(draw):
    one, other = draw(50, seed=5), draw(50, values=Signs(), seed=5)
    assert_array_equal(one.indices, other.indices)
    assert_array_equal(one.indptr, other.indptr)
    assert set(other.data) == {-1.0, 1.0}


@pytest.mark.parametrize("draw", [antisymmetric, sparse, erdos_renyi, watts_strogatz, barabasi_albert])
def test_a_law_that_is_none_is_refused(draw):
    with pytest.raises(TypeError, match="values must be a law"):
        draw(10, values=0.5, seed=0)
    with pytest.raises(ValueError, match="values must draw arrays of the size asked for"):
        draw(10, values=lambda rng, size: rng.uniform(size=3), seed=0)
    with pytest.raises(ValueError, match="values must be finite"):
        draw(10, values=lambda rng, size: np.full(size, np.nan), seed=0)


def test_a_law_that_draws_zeros_leaves_no_stored_zero():
    W = sparse(40, density=0.5, values=lambda rng, size: rng.integers(0, 2, size), seed=0)
    assert_clean(W)
    assert_frequencies(np.array([W.nnz]), 800, 0.5)


def test_importing_the_module_does_not_import_networkx():
    code = "import sys, penstock.weights, penstock.scaling; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Dense


@pytest.mark.parametrize(
    ("W", "law"),
    [
        (uniform(150, seed=0), stats.uniform(-1, 2)),
        (uniform(150, low=0.5, high=2.0, seed=0), stats.uniform(0.5, 1.5)),
        (normal(150, seed=0), stats.norm()),
        (normal(150, std=0.3, seed=0), stats.norm(scale=0.3)),
    ],
)
def test_dense_entries_follow_their_law(W, law):
    assert stats.kstest(W.ravel(), law.cdf).pvalue > 1e-4  # one wrong alarm in 10^4 seeds; the seed is fixed
    rows, cols = np.corrcoef(W), np.corrcoef(W.T)
    for correlations in (rows, cols):  # independent lines: correlations of deviation 1 / sqrt(150)
        off = correlations[np.triu_indices(150, 1)]
        assert np.abs(off).max() < 5.5 / np.sqrt(150)


def test_bernoulli_signs_are_balanced():
    W = bernoulli(100, seed=0)
    assert set(W.ravel()) == {-1.0, 1.0}
    assert_frequencies(np.array([(W == 1).sum()]), 10_000, 0.5)


@given(st.integers(1, 30), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_antisymmetric_is_the_difference_with_the_transpose(n, seed):
    W, A = antisymmetric(n, seed=seed), uniform(n, seed=seed)
    assert_array_equal(W + W.T, np.zeros((n, n)))
    assert_array_equal(W, A - A.T)


def test_euler_jacobian_at_the_origin_reproduces_the_known_modulus():
    # I + eps (W - gamma I), eps .01, gamma .001, 50 units: real parts 1 - eps gamma, modulus 1.0059 for one draw.
    # The modulus is 1 + (eps mu)^2 / 2; over draws its deviation is 4.2e-4, hence the band of 3 around one draw.
    eigenvalues = [
        np.linalg.eigvals(np.eye(50) + 0.01 * (antisymmetric(50, seed=s) - 1e-3 * np.eye(50))) for s in range(30)
    ]
    assert_allclose(np.real(eigenvalues), 1 - 1e-5, atol=1e-13)
    assert abs(np.abs(eigenvalues).max(axis=1).mean() - 1.0059) < 3 * 4.2e-4


@pytest.mark.parametrize("n", [1, 2, 17, 120])
def test_orthogonal_is_the_q_factor_of_a_uniform_matrix(n):
    Q, A = orthogonal(n, seed=4), uniform(n, seed=4)
    assert_allclose(Q.T @ Q, np.eye(n), atol=1e-13)
    assert_allclose(np.tril(Q.T @ A, -1), 0, atol=1e-13)  # R is upper triangular


# Sparse


@given(st.integers(1, 40), st.floats(0.01, 1), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_density_is_exact(n, density, seed):
    W = sparse(n, density=density, seed=seed)
    assert W.nnz == round(density * n * n)
    assert_clean(W)
    assert ternary(n, density=density, seed=seed).nnz == W.nnz == low_rank_masked(n, density=density, seed=seed).nnz


@given(st.integers(1, 30), st.data())
@settings(max_examples=30, deadline=None)
def test_rows_are_exact(n, data):
    per_row = data.draw(st.integers(1, n))
    W = sparse(n, per_row=per_row, seed=1)
    assert_clean(W)
    assert_array_equal(np.diff(W.indptr), per_row)


@pytest.mark.parametrize(
    ("draw", "probability"),
    [
        (partial(sparse, density=4 / 16), 4 / 16),
        (partial(sparse, density=13 / 16), 13 / 16),
        (partial(sparse, per_row=3), 3 / 4),
    ],
)
def test_every_position_is_as_likely(draw, probability):
    counts = sum((dense(draw(4, seed=seed)) != 0).astype(int) for seed in range(1500))
    assert_frequencies(counts, 1500, probability)


def test_a_tenth_is_the_default_density():
    assert sparse(100, seed=0).nnz == 1000


def test_large_sparse_matrices_need_no_dense_memory():
    W = sparse(200_000, density=1e-7, seed=0)  # 4e10 positions
    assert W.nnz == 4000
    assert_clean(W)


def test_ternary_signs_are_balanced():
    W = ternary(100, density=0.3, seed=0)
    assert set(W.data) == {-1.0, 1.0}
    assert_frequencies(np.array([(W.data == 1).sum()]), 3000, 0.5)


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_low_rank_is_the_rank_before_the_mask(rank):
    full = low_rank_masked(60, rank=rank, density=1.0, seed=2).toarray()
    values = np.linalg.svd(full, compute_uv=False)
    assert values[rank - 1] > 1 and values[rank:].max() < 1e-12
    masked = low_rank_masked(60, rank=rank, density=0.2, seed=2).toarray()
    assert_array_equal(masked[masked != 0], full[masked != 0])
    assert np.linalg.matrix_rank(masked) > rank


def test_low_rank_entries_have_variance_one():
    # over draws the mean square of an entry is 1 with variance 2 + 6 / rank; entries of one draw are not independent
    squares = [low_rank_masked(20, rank=3, density=0.005, seed=s).data ** 2 for s in range(1000)]
    assert abs(np.mean(squares) - 1) < 5 * np.sqrt((2 + 6 / 3) / np.size(squares))


def test_permutations_are_equally_likely():
    P = permutation(30, seed=0).toarray()
    assert_array_equal(P @ P.T, np.eye(30))
    orders = [tuple(permutation(3, seed=s).indices) for s in range(1200)]
    assert_frequencies(np.array([orders.count(order) for order in sorted(set(orders))]), 1200, 1 / 6)
    assert len(set(orders)) == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sparse(10, density=0.0, seed=0), r"density must lie in \(0, 1\], got 0.0"),
        (lambda: sparse(10, density=1.1, seed=0), r"density must lie in \(0, 1\], got 1.1"),
        (lambda: sparse(10, density=0.1, per_row=2, seed=0), "give density or per_row, not both"),
        (lambda: sparse(10, per_row=11, seed=0), "per_row must be at most 10, got 11"),
        (lambda: sparse(10, per_row=0, seed=0), "per_row must be at least 1, got 0"),
        (lambda: ternary(10, density=-0.5, seed=0), r"density must lie in \(0, 1\], got -0.5"),
        (lambda: low_rank_masked(10, rank=11, seed=0), "rank must be at most 10, got 11"),
        (lambda: low_rank_masked(10, density=2, seed=0), r"density must lie in \(0, 1\], got 2.0"),
        (lambda: uniform(10, low=1, high=-1, seed=0), "low must be below high"),
        (lambda: normal(10, std=0, seed=0), "std must be above 0, got 0"),
        (lambda: erdos_renyi(10, p=1.5, seed=0), r"p must lie in \[0, 1\], got 1.5"),
        (lambda: watts_strogatz(10, p=-0.1, seed=0), r"p must lie in \[0, 1\], got -0.1"),
        (lambda: watts_strogatz(10, neighbours=3, seed=0), "neighbours must be even, .* got 3"),
        (lambda: watts_strogatz(4, neighbours=4, seed=0), "neighbours must be at most 3, got 4"),
        (lambda: barabasi_albert(5, edges=5, seed=0), "edges must be at most 4, got 5"),
        (lambda: ring(5, np.nan), "weight must be finite, got nan"),
        (lambda: delay_line(5, feedback=np.inf), "feedback must be finite, got inf"),
        (lambda: cycle_with_jumps(8, 0.5, 0.1, 1), r"jump must be at least 2 and below n_units / 2 = 4, got 1"),
        (lambda: cycle_with_jumps(8, 0.5, 0.1, 4), r"jump must be at least 2 and below n_units / 2 = 4, got 4"),
        (lambda: block_diagonal([]), "blocks must hold at least one matrix"),
        (
            lambda: block_diagonal([np.eye(2), np.ones((2, 3))]),
            r"blocks\[1\] must be a square matrix, got shape \(2, 3\)",
        ),
        (lambda: block_diagonal([np.eye(2) * np.nan]), r"blocks\[0\] must be finite"),
        (lambda: from_graph(nx.Graph()), "graph must have at least one node"),
        (lambda: from_graph(nx.path_graph(3), seed=1), "seed is used to draw weights"),
        (lambda: aperiodic_signs(0), "n must be at least 1, got 0"),
    ],
)
def test_bad_values_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Graphs


@pytest.mark.parametrize("p", [0.03, 0.5, 0.9])
def test_erdos_renyi_edges_are_independent_and_directed(p):
    n = 120
    A = erdos_renyi(n, p=p, seed=3).toarray() != 0
    assert not A.diagonal().any()
    pairs = n * (n - 1)
    assert_frequencies(np.array([A.sum()]), pairs, p)
    assert_frequencies(np.array([(A & A.T).sum() / 2]), pairs // 2, p * p)  # both ways: p^2


def test_erdos_renyi_positions_are_equally_likely():
    counts = sum((erdos_renyi(5, p=0.3, seed=seed).toarray() != 0).astype(int) for seed in range(1500))
    assert_frequencies(counts[~np.eye(5, dtype=bool)], 1500, 0.3)


def test_erdos_renyi_limits():
    assert erdos_renyi(20, p=0.0, seed=0).nnz == 0
    assert_array_equal(erdos_renyi(20, p=1.0, seed=0).toarray() != 0, ~np.eye(20, dtype=bool))
    assert erdos_renyi(1, p=1.0, seed=0).shape == (1, 1)


def test_watts_strogatz_without_rewiring_is_the_circle():
    i, j = np.indices((20, 20))
    distance = np.minimum((i - j) % 20, (j - i) % 20)
    W = watts_strogatz(20, neighbours=6, p=0.0, seed=0).toarray()
    assert_array_equal(W != 0, (distance >= 1) & (distance <= 3))


@pytest.mark.parametrize("p", [0.1, 1.0])
def test_watts_strogatz_rewires_a_share_p_of_the_edges(p):
    n, k = 400, 6
    A = watts_strogatz(n, neighbours=k, p=p, seed=1).toarray() != 0
    assert A.sum() == n * k  # rewiring keeps the number of edges
    assert_array_equal(A, A.T)
    lattice = watts_strogatz(n, neighbours=k, p=0.0, seed=1).toarray() != 0
    moved, edges = (lattice & ~A).sum() / 2, n * k / 2
    # a rewired edge lands on the lattice again with probability of about k / n, at most 2 k / n here
    spread = 5 * np.sqrt(edges * p * (1 - p)) + 1
    assert edges * p * (1 - 2 * k / n) - spread < moved < edges * p + spread


@pytest.mark.parametrize(("n", "edges"), [(60, 1), (60, 4), (10, 9)])
def test_barabasi_albert_grows_by_so_many_edges(n, edges):
    A = barabasi_albert(n, edges=edges, seed=2).toarray() != 0
    assert A.sum() == 2 * edges * (n - edges)
    assert_array_equal(A, A.T)
    assert (np.tril(A)[edges + 1 :].sum(axis=1) == edges).all()  # each newcomer joins `edges` older units
    assert nx.is_connected(nx.Graph(A))


def test_barabasi_albert_prefers_hubs():
    degrees = (barabasi_albert(2000, edges=2, seed=0).toarray() != 0).sum(axis=1)
    assert degrees.max() > 40  # sqrt(n) edges = 89 expected; a random graph of mean degree 4 stays below 20


@pytest.mark.parametrize("draw", [watts_strogatz, barabasi_albert])
def test_both_directions_have_independent_weights(draw):
    W = draw(400, values=Normal(), seed=0).toarray()
    upper, lower = W[np.triu(W) != 0], W.T[np.triu(W) != 0]
    assert abs(np.corrcoef(upper, lower)[0, 1]) < 5 / np.sqrt(upper.size)
    assert stats.kstest(np.r_[upper, lower], stats.norm.cdf).pvalue > 1e-4


def test_an_edge_goes_from_column_to_row():
    W = from_graph(nx.path_graph(4, create_using=nx.DiGraph))
    state = np.array([1.0, 0, 0, 0])
    for unit in range(1, 4):  # an impulse travels along the arrows
        state = W @ state
        assert_array_equal(state, np.eye(4)[unit])
    assert_array_equal(W @ state, np.zeros(4))


@given(st.integers(1, 12), st.integers(0, 2**32), st.booleans())
@settings(max_examples=40, deadline=None)
def test_from_graph_is_the_transposed_adjacency_of_networkx(n, seed, directed):
    graph = nx.gnp_random_graph(n, 0.4, seed=seed, directed=directed)
    graph = nx.relabel_nodes(graph, {i: f"unit {7 * i % 13}" for i in graph})
    rng = np.random.default_rng(seed)
    for edge in graph.edges:
        if rng.random() < 0.8:
            graph.edges[edge]["weight"] = rng.normal()
    assert_array_equal(from_graph(graph).toarray(), nx.to_numpy_array(graph).T)


def test_a_directed_graph_is_not_its_transpose():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("b", "a", 2.0), ("a", "c", -1.5), ("c", "c", 0.25)])
    assert_array_equal(from_graph(graph).toarray(), [[0, 0, 0], [2, 0, 0], [0, -1.5, 0.25]])  # order b, a, c


def test_values_replace_the_weights_of_a_graph():
    graph = nx.Graph([(0, 1), (1, 2), (2, 2)], weight=7.0)
    for edge in graph.edges:
        graph.edges[edge]["weight"] = 7.0
    assert_array_equal(from_graph(graph).toarray(), [[0, 7, 0], [7, 0, 7], [0, 7, 7]])
    drawn = from_graph(graph, values=Uniform(1, 2), seed=0).toarray()
    assert_array_equal(drawn != 0, from_graph(graph).toarray() != 0)
    assert len(set(drawn[drawn != 0])) == 5 and (drawn <= 2).all()
    with pytest.raises(TypeError, match="seed must be a non-negative integer, got None"):
        from_graph(graph, values=Uniform())


@pytest.mark.parametrize("kind", [nx.MultiGraph, nx.MultiDiGraph])
def test_parallel_edges_add_up(kind):
    graph = kind()
    graph.add_weighted_edges_from([(0, 1, 1.0), (0, 1, 2.5), (1, 0, 4.0), (1, 2, 3.0), (1, 2, -3.0)])
    W = from_graph(graph)
    assert_array_equal(W.toarray(), nx.to_numpy_array(graph).T)
    assert_clean(W)


def test_graphs_of_another_kind_or_with_odd_weights_are_refused():
    with pytest.raises(TypeError, match="graph must be a networkx graph, got list"):
        from_graph([(0, 1)])
    graph = nx.path_graph(3)
    graph.edges[0, 1]["weight"] = "strong"
    with pytest.raises(TypeError, match="the edge attribute weight must hold real numbers"):
        from_graph(graph)
    graph.edges[0, 1]["weight"] = np.inf
    with pytest.raises(ValueError, match="the edge attribute weight must be finite"):
        from_graph(graph)


def test_a_graph_without_edges_is_a_matrix_of_zeros():
    assert_array_equal(from_graph(nx.empty_graph(3)).toarray(), np.zeros((3, 3)))


# Deterministic


def test_ring_sends_each_unit_to_the_next():
    W = ring(4, 0.5)
    assert_array_equal(W.toarray(), [[0, 0, 0, 0.5], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0.5, 0]])
    assert_array_equal(ring(1, 0.3).toarray(), [[0.3]])


@pytest.mark.parametrize(("n", "weight"), [(1, 0.5), (2, -0.5), (7, 0.9), (12, 1.0)])
def test_n_steps_round_a_ring_multiply_by_the_nth_power(n, weight):
    assert_allclose(np.linalg.matrix_power(ring(n, weight).toarray(), n), weight**n * np.eye(n), rtol=1e-14)
    roots = weight * np.exp(2j * np.pi * np.arange(n) / n)
    found = np.linalg.eigvals(ring(n, weight).toarray())
    assert np.abs(found[:, None] - roots).min(axis=0).max() < 1e-14


def test_a_delay_line_forgets_after_n_steps():
    W = delay_line(6, 0.5).toarray()
    assert_array_equal(W @ np.eye(6)[0], 0.5 * np.eye(6)[1])
    assert np.linalg.matrix_power(W, 5)[5, 0] == 0.5**5
    assert_array_equal(np.linalg.matrix_power(W, 6), np.zeros((6, 6)))
    assert delay_line(1).nnz == 0


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_delay_line_with_feedback_has_the_known_spectrum(n):
    W = delay_line(n, 0.8, feedback=0.2).toarray()
    assert W[1, 0] == 0.8 and W[0, 1] == 0.2
    expected = 2 * np.sqrt(0.8 * 0.2) * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))
    assert_allclose(np.sort(np.linalg.eigvals(W).real), np.sort(expected), atol=1e-13)


@pytest.mark.parametrize(
    ("n", "jump", "pairs"),
    [
        (9, 3, [(0, 3), (3, 6), (6, 0)]),  # closes the circle
        (10, 3, [(0, 3), (3, 6), (6, 9)]),  # ends at unit N + 1 - (N mod 3), counted from 1
        (5, 2, [(0, 2), (2, 4)]),
        (11, 5, [(0, 5), (5, 10)]),
    ],
)
def test_jumps_by_hand(n, jump, pairs):
    expected = np.zeros((n, n))
    for i in range(n):
        expected[(i + 1) % n, i] = 0.7
    for a, b in pairs:
        expected[a, b] = expected[b, a] = 0.4
    assert_array_equal(cycle_with_jumps(n, 0.7, 0.4, jump).toarray(), expected)


def test_block_diagonal_has_the_spectra_of_its_blocks():
    blocks = [uniform(4, seed=0), sparse(5, density=0.6, seed=1), np.array([[3.0]])]
    W = block_diagonal(iter(blocks))
    assert W.shape == (10, 10)
    assert_array_equal(W.toarray()[4:9, 4:9], blocks[1].toarray())
    union = np.concatenate([np.linalg.eigvals(dense(block)) for block in blocks])
    found = np.linalg.eigvals(W.toarray())
    assert np.abs(found[:, None] - union).min(axis=0).max() < 1e-12


@pytest.mark.parametrize("n", [1, 10, 1000, 1001, 6000])
def test_signs_follow_the_decimals_of_pi(n):
    with mpmath.workdps(n + 20):
        decimals = mpmath.nstr(+mpmath.pi, n + 15, strip_zeros=False)[2 : n + 2]
    assert_array_equal(aperiodic_signs(n), [1.0 if digit in "56789" else -1.0 for digit in decimals])


def test_signs_of_the_decimals_everyone_knows():
    assert "".join("+" if s > 0 else "-" for s in aperiodic_signs(20)) == "".join(
        "+" if d >= "5" else "-" for d in "14159265358979323846"
    )


@pytest.mark.parametrize("n", [20, 50, 100, 200])
def test_signs_drive_every_mode_of_a_ring(n):
    # sums of n signs times roots of unity are algebraic integers: 0 or far above rounding at these sizes
    assert np.abs(np.fft.fft(aperiodic_signs(n))).min() > 1e-3
    assert aperiodic_signs(10).sum() == 0


# Low-rank and sparse: the best approximation of a matrix, then a mask


def gaussian(n, *, seed):
    """Independent normal entries of variance 1/n: a spectral radius of 1 for large n."""
    return normal(n, std=n**-0.5, seed=seed)


def fixed(n, *, seed):
    return uniform(n, seed=5)


@pytest.mark.parametrize("rank", [1, 4, 23, 40])
def test_before_the_mask_no_matrix_of_the_rank_comes_nearer(rank):
    A, W = uniform(40, seed=5), low_rank_sparse(40, rank=rank, sparsity=0.0, initial=fixed, seed=1).toarray()
    values = np.linalg.svd(A, compute_uv=False)
    assert_allclose(np.linalg.svd(W, compute_uv=False)[:rank], values[:rank], rtol=1e-12)
    assert np.linalg.matrix_rank(W) == rank
    assert_allclose(np.linalg.norm(A - W), np.sqrt((values[rank:] ** 2).sum()), atol=1e-12)  # Eckart and Young


def test_the_singular_vectors_are_those_of_the_initial_matrix():
    U, s, Vt = np.linalg.svd(uniform(30, seed=5))
    expected = (U[:, :6] * s[:6]) @ Vt[:6]
    W = low_rank_sparse(30, rank=6, sparsity=0.4, initial=fixed, seed=2).toarray()
    assert_allclose(W[W != 0], expected[W != 0], atol=1e-12)
    sparse_one = partial(sparse, density=0.5)
    assert np.linalg.matrix_rank(low_rank_sparse(30, rank=3, sparsity=0, initial=sparse_one, seed=2).toarray()) == 3


@pytest.mark.parametrize("rank", [1, 50, 200])
def test_of_an_orthogonal_matrix_a_random_space_is_kept(rank):
    # equal singular values leave the choice open; a unit's share in r of N random directions is r/N, a Beta variable
    W = low_rank_sparse(200, rank=rank, sparsity=0.0, seed=3).toarray()
    values = np.linalg.svd(W, compute_uv=False)
    assert_allclose(values[:rank], 1, rtol=1e-12)
    assert values[rank:].max(initial=0) < 1e-12
    for axis in (0, 1):
        share = (W**2).sum(axis=axis)
        if 1 < rank < 200:  # deviation sqrt(2 r (N - r) / N^2 (N + 2)) = 0.043, of 200 units within 5 of them
            assert np.abs(share - rank / 200).max() < 5 * 0.043
        law = stats.beta(rank / 2, (200 - rank) / 2) if rank < 200 else None
        assert law is None or stats.kstest(share, law.cdf).pvalue > 1e-4


def test_the_mask_is_a_draw_for_every_entry():
    masks = [low_rank_sparse(12, rank=3, sparsity=0.7, seed=seed).toarray() != 0 for seed in range(400)]
    assert_frequencies(sum(mask.astype(int) for mask in masks), 400, 0.3)
    counts = np.array([mask.sum() for mask in masks])  # their number is binomial, not fixed: chi-square, 5 deviations
    assert abs(counts.var(ddof=1) / (144 * 0.3 * 0.7) - 1) < 5 * np.sqrt(2 / 399)
    one, other = (low_rank_sparse(12, rank=3, sparsity=0.7, initial=f, seed=4) for f in (orthogonal, gaussian))
    assert_array_equal(one.indices, other.indices)
    assert_array_equal(one.indptr, other.indptr)


@pytest.mark.parametrize("sparsity", [0.3, 0.9])
def test_the_mask_spares_its_share_of_the_squared_norm(sparsity):
    full = low_rank_sparse(25, rank=4, sparsity=0.0, initial=fixed, seed=0).toarray() ** 2
    draws = [
        (low_rank_sparse(25, rank=4, sparsity=sparsity, initial=fixed, seed=seed).data ** 2).sum()
        for seed in range(300)
    ]
    error = np.sqrt(sparsity * (1 - sparsity) * (full**2).sum() / 300)
    assert abs(np.mean(draws) - (1 - sparsity) * full.sum()) < 5 * error


def test_the_mask_restores_full_rank():
    assert all(
        np.linalg.matrix_rank(low_rank_sparse(60, rank=rank, sparsity=0.5, seed=0).toarray()) == 60
        for rank in (1, 3, 10, 30)
    )


def test_the_radius_of_a_full_gaussian_matrix_falls_as_the_root_of_the_density():
    # 300 units: the edge of the spectrum lies within 4 % of its limit, over draws within 2 %
    draw = partial(low_rank_sparse, 300, rank=300, initial=gaussian, seed=0)
    full = spectral_radius(draw(sparsity=0.0))
    ratios = [spectral_radius(draw(sparsity=s)) / full / np.sqrt(1 - s) for s in (0.5, 0.9)]
    assert_allclose(ratios, 1, atol=0.07)


@pytest.mark.parametrize("initial", [orthogonal, gaussian], ids=["orthogonal", "gaussian"])
@pytest.mark.parametrize(("rank", "sparsity"), [(60, 0.0), (60, 0.8), (150, 0.5), (200, 0.9)])
def test_the_radius_is_the_root_mean_square_singular_value_after_mask_and_truncation(initial, rank, sparsity):
    # the ring law of products with independent rotations; finite matrices lie a few per cent above it
    n, seeds = 200, range(4)
    found = np.mean(
        [spectral_radius(low_rank_sparse(n, rank=rank, sparsity=sparsity, initial=initial, seed=s)) for s in seeds]
    )
    values = np.linalg.svd(initial(n, seed=9), compute_uv=False)[:rank]
    expected = np.sqrt((1 - sparsity) * (values**2).sum() / n)
    assert 0.97 < found / expected < 1.14


def test_a_reservoir_takes_low_rank_sparse_weights():
    esn = ESN.random(40, weights=partial(low_rank_sparse, rank=4, sparsity=0.8), spectral_radius=0.7, seed=0)
    assert sp.issparse(esn.W) and abs(esn.W.nnz - 0.2 * 1600) < 5 * np.sqrt(1600 * 0.16)
    assert_allclose(np.abs(np.linalg.eigvals(esn.W.toarray())).max(), 0.7, rtol=1e-9)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"rank": 11}, "rank must be at most 10, got 11"),
        ({"rank": 2.0}, "rank must be an integer, got 2.0"),
        ({"rank": None}, "rank must be an integer, got None"),
        ({"sparsity": 1}, r"sparsity must lie in \[0, 1\), got 1.0"),
        ({"sparsity": -0.1}, r"sparsity must lie in \[0, 1\), got -0.1"),
        ({"sparsity": np.nan}, "sparsity must be finite, got nan"),
        ({"sparsity": "0.5"}, "sparsity must be a number, got '0.5'"),
        ({"sparsity": True}, "sparsity must be a number, got True"),
        ({"initial": np.eye(10)}, "initial must be a function"),
        ({"initial": lambda n, seed: np.eye(n + 1)}, r"initial must have shape \(10, 10\), got \(11, 11\)"),
        ({"initial": lambda n, seed: np.full((n, n), np.inf)}, "initial must be finite"),
    ],
)
def test_bad_low_rank_sparse_arguments_are_named(bad, message):
    with pytest.raises((TypeError, ValueError), match=message):
        low_rank_sparse(10, **{"rank": 2, "sparsity": 0.5, "seed": 0} | bad)
