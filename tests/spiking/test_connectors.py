"""Connectors: exact laws of random graphs, no pair that was not promised, given synapses kept as they are."""

import itertools
import time
import tracemalloc

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.spiking import LIF, Delta, Network
from penstock.spiking import connectors as module
from penstock.spiking.bernoulli import successes
from penstock.spiking.connectors import (
    all_to_all,
    distance_dependent,
    fixed_in_degree,
    fixed_out_degree,
    fixed_total,
    from_edges,
    from_graph,
    from_matrix,
    one_to_one,
    probability,
    small_world,
)


def pairs(edges):
    return np.repeat(np.arange(edges.indptr.size - 1), np.diff(edges.indptr).astype(int)), edges.targets.astype(int)


def counts(connector, n_pre, n_post, seed, diagonal=None):
    """How often each pair is connected."""
    pre, post = pairs(connector(n_pre, n_post, np.random.default_rng(seed), diagonal))
    found = np.zeros((n_pre, n_post), int)
    np.add.at(found, (pre, post), 1)
    return found


def own(n_pre, n_post, diagonal):
    """The pairs that are one neuron, by brute force."""
    found = np.zeros((n_pre, n_post), bool)
    if diagonal is not None:
        for i, j in itertools.product(range(n_pre), range(n_post)):
            found[i, j] = j == i + diagonal
    return found


def fits(observed, expected):
    """A chi-square test that passes wrongly rejected once in 10^5 tests."""
    return scipy.stats.chisquare(np.ravel(observed), np.ravel(expected)).pvalue > 1e-5


GRID = np.stack(np.meshgrid(range(3), range(3), range(15), indexing="ij"), axis=-1).reshape(-1, 3)


def column(C=0.3, **settings):
    return distance_dependent(GRID, GRID, lambda d: C * np.exp(-((d / 2) ** 2)), **settings)


RANDOM = {
    "probability": probability(0.1),
    "dense": probability(0.9),
    "all_to_all": all_to_all(),
    "fixed_in_degree": fixed_in_degree(7),
    "fixed_in_degree_many": fixed_in_degree(120),
    "fixed_out_degree": fixed_out_degree(7),
    "fixed_out_degree_many": fixed_out_degree(120),
    "fixed_total": fixed_total(1500),
    "distance_dependent": column(),
    "small_world": small_world(8, 0.3),
}


# Every connector


@pytest.mark.parametrize("name", RANDOM)
def test_rows_are_sorted_and_the_arrays_have_the_agreed_types(name):
    edges = RANDOM[name](135, 135, np.random.default_rng(0), 0)
    pre, post = pairs(edges)
    assert edges.indptr.dtype == np.uint64 and edges.targets.dtype == np.uint32
    assert edges.indptr[0] == 0 and edges.indptr[-1] == edges.targets.size and post.max() < 135
    assert (np.diff(pre * 135 + post) >= 0).all()


@pytest.mark.parametrize("name", RANDOM)
def test_no_self_connection_and_no_pair_twice(name):
    found = counts(RANDOM[name], 135, 135, 1, 0)
    assert not found[own(135, 135, 0)].any()
    assert name == "fixed_total" or found.max() == 1


@pytest.mark.parametrize("name", [name for name in RANDOM if name not in ("distance_dependent", "small_world")])
@settings(deadline=None, max_examples=10)
@given(diagonal=st.integers(-60, 60), seed=st.integers(0, 100))
def test_slices_of_one_group_have_no_self_connections_either(name, diagonal, seed):
    found = counts(RANDOM[name], 150, 140, seed, diagonal)
    assert not found[own(150, 140, diagonal)].any()


@pytest.mark.parametrize("name", RANDOM)
def test_the_same_generator_gives_the_same_bits_and_another_seed_others(name):
    first, second, other = (RANDOM[name](135, 135, np.random.default_rng(s), 0) for s in (3, 3, 4))
    assert np.array_equal(first.targets, second.targets) and np.array_equal(first.indptr, second.indptr)
    assert name == "all_to_all" or not np.array_equal(first.targets, other.targets)


@pytest.mark.parametrize("name", RANDOM)
def test_the_next_draws_of_the_generator_do_not_repeat_the_last_ones(name):
    rng = np.random.default_rng(5)
    first, second = (RANDOM[name](135, 135, rng, 0) for _ in range(2))
    assert name == "all_to_all" or not np.array_equal(first.targets, second.targets)


@pytest.mark.parametrize("name", RANDOM)
def test_expected_number_is_the_mean_number(name):
    # n draws of SD below sqrt(expected), the Poisson value, have a mean within 5 SD / sqrt(n)
    expected = RANDOM[name].expected(135, 135, 0)
    sizes = [RANDOM[name](135, 135, np.random.default_rng(s), 0).targets.size for s in range(30)]
    assert abs(np.mean(sizes) - expected) <= 5 * np.sqrt(expected / 30)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.one_of(st.none(), st.integers(-14, 14)))
def test_all_pairs_but_those_of_one_neuron_are_connected(n_pre, n_post, diagonal):
    wanted = ~own(n_pre, n_post, diagonal)
    assert (counts(all_to_all(), n_pre, n_post, None, diagonal) == wanted).all()
    assert all_to_all().expected(n_pre, n_post, diagonal) == wanted.sum()
    assert (counts(all_to_all(self_connections=True), n_pre, n_post, None, diagonal) == 1).all()
    assert (counts(probability(1.0), n_pre, n_post, 0, diagonal) == wanted).all()
    assert counts(probability(0.0), n_pre, n_post, 0, diagonal).sum() == 0


@pytest.mark.parametrize(
    "connector", [probability(0.5), fixed_in_degree(3), fixed_out_degree(3), fixed_total(200), column(1.0)], ids=repr
)
def test_self_connections_are_made_when_asked_for(connector):
    import dataclasses

    n = 135 if "distance" in repr(connector) else 6
    asked = dataclasses.replace(connector, self_connections=True)
    assert sum(np.trace(counts(asked, n, n, seed, 0)) for seed in range(20)) > 0
    assert sum(np.trace(counts(connector, n, n, seed, 0)) for seed in range(20)) == 0


# Bernoulli


def test_f33_in_degrees_of_probability_are_binomial():
    n, p = 4000, 0.02
    degrees = np.bincount(probability(p)(n, n, np.random.default_rng(0), 0).targets, minlength=n)
    law = scipy.stats.binom(n - 1, p)  # mean p (N - 1)
    assert abs(degrees.mean() - law.mean()) < 5 * law.std() / np.sqrt(n)
    assert abs(degrees.var() / law.var() - 1) < 5 * np.sqrt(2 / n)  # of a nearly normal sample
    edges = [0, *range(66, 95, 2), n]
    expected = n * np.diff(law.cdf(np.array(edges) - 1))
    assert fits(np.histogram(degrees, np.array(edges) - 0.5)[0], expected)


def test_f33_with_autapses_the_mean_in_degree_is_p_n():
    n, p = 300, 0.3
    sizes = [probability(p, self_connections=True)(n, n, np.random.default_rng(s), 0).targets.size for s in range(50)]
    assert abs(np.mean(sizes) / n - p * n) < 5 * np.sqrt(p * (1 - p) / 50)


@pytest.mark.parametrize("p", [0.2, 0.35, 0.7])
def test_every_graph_has_its_bernoulli_probability(p):
    rng, connector = np.random.default_rng(7), probability(p)
    codes = np.zeros(16, int)
    for _ in range(6000):
        pre, post = pairs(connector(2, 2, rng, None))
        codes[np.sum(1 << (2 * pre + post))] += 1
    ones = np.array([code.bit_count() for code in range(16)])
    assert fits(codes, 6000 * p**ones * (1 - p) ** (4 - ones))


def test_the_law_does_not_notice_the_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 50)  # 300 * 0.1 synapses per row: every chunk is one row
    total = sum(counts(probability(0.1), 100, 300, seed) for seed in range(40))
    for axis, n in ((0, 4000), (1, 12000)):
        z = (total.sum(axis) - 0.1 * n) / np.sqrt(n * 0.1 * 0.9)
        assert scipy.stats.kstest(z, "norm").pvalue > 1e-4


@pytest.mark.parametrize("p", [0.7, 1.0])
def test_self_connections_are_left_out_in_every_chunk(monkeypatch, p):
    monkeypatch.setattr(module, "_CHUNK", 200)
    found = sum(counts(probability(p), 100, 90, seed, -5) for seed in range(20))
    assert not found[own(100, 90, -5)].any() and (found[~own(100, 90, -5)] > 0).all()


def test_gaps_shorter_than_expected_are_continued():
    class Short:
        """Gaps of 1, all trials successful, where 1 in 100 is expected."""

        def geometric(self, p, size):
            return np.ones(size, np.int64)

    assert np.array_equal(successes(Short(), 1000, 0.01), np.arange(1000))


# Fixed degrees and numbers


@pytest.mark.parametrize("k", [0, 1, 20, 100, 149, 150])
def test_in_and_out_degrees_are_exact(k):
    assert set(counts(fixed_in_degree(k), 150, 80, 0).sum(0)) == {k}
    assert set(counts(fixed_out_degree(k), 80, 150, 0).sum(1)) == {k}


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_all_sets_of_sources_or_targets_are_equally_likely(k):
    sets = list(itertools.combinations(range(6), k))
    for found in (counts(fixed_in_degree(k), 6, 9000, 0).T, counts(fixed_out_degree(k), 9000, 6, 1)):
        seen = np.bincount(found @ (1 << np.arange(6)), minlength=64)
        assert fits(seen[[sum(1 << i for i in chosen) for chosen in sets]], np.full(len(sets), 9000 / len(sets)))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_sets_without_the_neuron_itself_are_equally_likely(k):
    found = np.array([counts(fixed_in_degree(k), 5, 5, seed, 0)[:, 2] for seed in range(1500)])
    seen = np.bincount(found @ (1 << np.arange(5)), minlength=32)
    sets = list(itertools.combinations([0, 1, 3, 4], k))
    assert fits(seen[[sum(1 << i for i in chosen) for chosen in sets]], np.full(len(sets), 1500 / len(sets)))


def test_out_degrees_of_fixed_in_degree_are_binomial():
    degrees = counts(fixed_in_degree(50), 1000, 2000, 0).sum(1)  # each target takes a source with probability k / n_pre
    law = scipy.stats.binom(2000, 50 / 1000)
    assert degrees.mean() == law.mean()
    assert abs(degrees.var() / law.var() - 1) < 5 * np.sqrt(2 / 1000)


def test_fixed_total_is_exact_and_its_pairs_are_equally_likely():
    total = sum(counts(fixed_total(1000), 3, 5, seed, 1) for seed in range(20))
    assert total.sum() == 20_000
    possible = ~own(3, 5, 1)  # targets 1 to 3 have a source less than the others
    assert not total[~possible].any()
    assert fits(total[possible], np.full(possible.sum(), 20_000 / possible.sum()))


def test_potjans_diesmann_number_connects_pairs_with_the_stated_probability():
    n_pre, n_post, p = 300, 400, 0.1009  # layer 2/3E to 2/3E
    number = round(np.log(1 - p) / np.log(1 - 1 / (n_pre * n_post)))
    found = counts(fixed_total(number), n_pre, n_post, 0)
    assert found.sum() == number
    # occupied cells: mean M p, variance below M p (1 - p)
    assert abs((found > 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / (n_pre * n_post))
    assert found.max() > 1  # multapses


def test_one_to_one_is_the_identity_also_within_a_group():
    for diagonal in (None, 0):
        assert (counts(one_to_one(), 5, 5, None, diagonal) == np.eye(5)).all()
    with pytest.raises(ValueError, match="one_to_one needs groups of equal size, got 5 and 6"):
        one_to_one()(5, 6)


# Distance


@pytest.mark.parametrize("C", [0.1, 0.2, 0.3, 0.4])
def test_liquid_column_has_the_expected_number_of_synapses(C):
    expected = 0.0  # Maass, Natschläger and Markram: C exp(-D^2 / lambda^2), lambda = 2, no self-connections
    for a, b in itertools.permutations(GRID.tolist(), 2):
        expected += C * np.exp(-sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / 4)
    assert column(C).expected(135, 135, 0) == pytest.approx(expected, rel=1e-12)
    size = column(C)(135, 135, np.random.default_rng(0), 0).targets.size
    assert abs(size - expected) < 5 * np.sqrt(expected)


def test_pairs_at_each_distance_are_connected_with_their_probability():
    found = sum(counts(column(), 135, 135, seed, 0) for seed in range(40))
    squared = ((GRID[:, None] - GRID[None]) ** 2).sum(-1)
    z = []
    for d2 in np.unique(squared)[1:]:
        p, here = 0.3 * np.exp(-d2 / 4), found[squared == d2]
        z.append((here.sum() - 40 * here.size * p) / np.sqrt(40 * here.size * p * (1 - p)))
    assert np.abs(z[:20]).max() < 4.5  # beyond, the law is Poisson with a mean below 1
    assert found[squared == 0].sum() == 0


def test_chunks_of_rows_do_not_change_the_synapses(monkeypatch):
    whole = column()(135, 135, np.random.default_rng(0), 0)
    monkeypatch.setattr(module, "_CHUNK", 1000)
    parts = column()(135, 135, np.random.default_rng(0), 0)
    assert np.array_equal(whole.targets, parts.targets) and np.array_equal(whole.indptr, parts.indptr)


def test_positions_on_a_line_and_between_groups():
    near = distance_dependent([0.0, 10.0], [10.0, 0.5, 20.0], lambda d: (d < 1) * 1.0)
    assert (counts(near, 2, 3, 0, None) == [[0, 1, 0], [1, 0, 0]]).all()


@pytest.mark.parametrize("diagonal", [5, 0, -3])
def test_a_rule_of_distance_leaves_out_the_neuron_itself_in_shifted_slices(monkeypatch, diagonal):
    monkeypatch.setattr(module, "_CHUNK", 100)
    everyone = distance_dependent(np.arange(40.0), np.arange(30.0), np.ones_like)
    assert (counts(everyone, 40, 30, 0, diagonal) == ~own(40, 30, diagonal)).all()
    assert everyone.expected(40, 30, diagonal) == (~own(40, 30, diagonal)).sum()


# Small world


@pytest.mark.parametrize(("n", "k"), [(20, 4), (30, 10), (7, 6)])
def test_without_rewiring_it_is_the_ring_of_networkx(n, k):
    ring = nx.to_numpy_array(nx.watts_strogatz_graph(n, k, 0.0))
    found = counts(small_world(k, 0.0), n, n, 0, 0)
    assert (found == ring).all()
    clustering = nx.average_clustering(nx.from_numpy_array(found, create_using=nx.DiGraph))
    assert n < 2 * k or clustering == pytest.approx(3 * (k - 2) / (4 * (k - 1)))


def test_rewired_fully_all_sets_of_targets_are_equally_likely():
    sets = list(itertools.combinations([0, 1, 2, 4, 5], 2))
    found = np.array([counts(small_world(2, 1.0), 6, 6, seed, 0)[3] for seed in range(3000)])
    seen = np.bincount(found @ (1 << np.arange(6)), minlength=64)
    assert fits(seen[[sum(1 << i for i in chosen) for chosen in sets]], np.full(len(sets), 300))


@pytest.mark.parametrize("rewiring", [0.1, 0.5, 0.9])
def test_the_share_of_ring_synapses_that_stay(rewiring):
    n, k, repeats = 60, 10, 60
    ring = counts(small_world(k, 0.0), n, n, 0, 0).astype(bool)
    stay = sum(counts(small_world(k, rewiring), n, n, seed, 0)[ring].sum() for seed in range(repeats))
    # of m given up, each of the m new ones lands on the old places with probability m / (n - 1 - (k - m))
    m = np.arange(k + 1)
    mean = scipy.stats.binom.pmf(m, k, rewiring) @ (k - m + m**2 / (n - 1 - k + m))
    assert abs(stay / (n * repeats) - mean) < 5 * np.sqrt(k / 4 / (n * repeats))


def test_out_degree_stays_exact_and_in_degree_spreads_when_rewired():
    found = counts(small_world(10, 0.5), 2000, 2000, 0, 0)
    assert set(found.sum(1)) == {10}
    # in-degree: of 10 ring synapses Binomial(10, 1/2) stay, the others come as Poisson(5)
    assert abs(found.sum(0).var() - (2.5 + 5)) < 5 * 7.5 * np.sqrt(2 / 2000)


def test_clustering_falls_as_three_synapses_staying_and_as_that_of_networkx():
    n, k, p = 1000, 10, 0.1
    ours = nx.from_numpy_array(counts(small_world(k, p), n, n, 0, 0), create_using=nx.DiGraph)
    theirs = nx.watts_strogatz_graph(n, k, p, seed=0)
    ring = 3 * (k - 2) / (4 * (k - 1))
    ratio = nx.average_clustering(ours) / ring
    assert abs(ratio - (1 - p) ** 3) < 0.03  # Barrat and Weigt (2000), up to O(1 / n) and the spread of the draw
    assert abs(ratio - nx.average_clustering(theirs) / ring) < 0.05
    lengths = [np.mean(list(nx.single_source_shortest_path_length(g, 0).values())) for g in (ours, theirs)]
    assert abs(lengths[0] / lengths[1] - 1) < 0.15  # the ring itself: n / (2 k) = 50 steps
    assert lengths[0] < 6


# Given synapses


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 1), st.integers(0, 1000))
def test_matrix_entries_come_back_from_pre_to_post(n_pre, n_post, density, seed):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n_pre, n_post)) * (rng.random((n_pre, n_post)) < density)
    for given_as in (W, sp.csr_array(W), sp.csc_matrix(W), sp.coo_array(W), W.tolist()):
        connector = from_matrix(given_as)
        edges = connector(n_pre, n_post, None, 0)
        back = np.zeros_like(W)
        back[pairs(edges)] = edges.weights
        assert (back == W).all()
        assert connector.expected(n_pre, n_post) == np.count_nonzero(W)


def test_stored_zeros_of_a_sparse_matrix_are_synapses_and_bools_have_no_weights():
    W = sp.csr_array((np.array([0.0, 2.0]), np.array([1, 0]), np.array([0, 1, 2])), shape=(2, 2))
    assert from_matrix(W)(2, 2).weights.tolist() == [0.0, 2.0]
    for mask in (np.eye(3, dtype=bool), sp.eye_array(3, dtype=bool)):
        edges = from_matrix(mask)(3, 3)
        assert edges.weights is None and edges.targets.tolist() == [0, 1, 2]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=30))
def test_edge_lists_keep_every_synapse_in_a_stable_order(listed):
    pre, post = [i for i, _ in listed], [j for _, j in listed]
    edges = from_edges(pre, post, weights=np.arange(len(listed)), delays=0.5 * np.arange(len(listed)))(5, 4, None, 0)
    wanted = sorted((i, j, k) for k, (i, j) in enumerate(listed))
    assert list(zip(*pairs(edges), edges.weights, strict=True)) == wanted
    assert (edges.delays == 0.5 * edges.weights).all()


def test_graph_edges_with_their_weights():
    graph = nx.DiGraph()
    graph.add_weighted_edges_from([("a", "c", 2.0), ("c", "a", 3.0), ("b", "b", 4.0)])  # nodes in the order a, c, b
    edges = from_graph(graph)(3, 3, None, 0)
    assert list(zip(*pairs(edges), edges.weights, strict=True)) == [(0, 1, 2.0), (1, 0, 3.0), (2, 2, 4.0)]


def test_undirected_edges_go_both_ways_loops_once_and_parallel_edges_stay():
    plain = from_graph(nx.Graph([(0, 1), (1, 1)]))(2, 2)
    assert list(zip(*pairs(plain), strict=True)) == [(0, 1), (1, 0), (1, 1)] and plain.weights is None
    several = nx.MultiDiGraph()
    several.add_weighted_edges_from([(0, 1, 1.0), (0, 1, 5.0)])
    assert from_graph(several)(2, 2).weights.tolist() == [1.0, 5.0]


def test_given_synapses_cannot_be_changed_through_the_edges():
    connector = from_edges([0], [0], weights=[1.0])
    connector(1, 1).weights[0] = 5.0
    assert connector(1, 1).weights[0] == 1.0


def test_reference_graph_of_the_vogels_abbott_network():
    rng = np.random.default_rng(1)  # spiking.md 9.1: numbers stated there
    rows = [np.sort(rng.choice(4000, rng.binomial(4000, 0.02), replace=False)) for _ in range(4000)]
    pre = np.repeat(np.arange(4000), [len(row) for row in rows])
    edges = from_edges(pre, np.concatenate(rows))(4000, 4000, None, 0)
    assert edges.targets.size == 320_150
    assert np.diff(edges.indptr)[:3].tolist() == [70, 72, 70]
    assert edges.targets[:6].tolist() == [78, 108, 158, 245, 337, 365]


# Cost


def test_vogels_abbott_graph_takes_less_than_a_tenth_of_a_second():
    connector, times = probability(0.02), []
    for seed in range(5):
        start = time.process_time()
        connector(4000, 4000, np.random.default_rng(seed), 0)
        times.append(time.process_time() - start)
    assert min(times) < 0.1  # about 0.013 s


@pytest.mark.parametrize(
    "connector", [fixed_in_degree(400), fixed_out_degree(400), fixed_total(4_000_000), probability(0.04)], ids=repr
)
def test_four_million_synapses_need_less_than_six_bytes_each_at_the_peak(connector):
    tracemalloc.start()
    edges = connector(10_000, 10_000, np.random.default_rng(0), 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * edges.targets.size  # four are the targets


def test_texts():
    assert repr(probability(0.02)) == "probability(p=0.02, self_connections=False)"
    assert repr(fixed_in_degree(3)) == "fixed_in_degree(k=3, self_connections=False)"
    assert repr(from_edges([0], [1])) == "from_edges(1 synapses)"
    assert "0x" not in repr(column())


# What is refused


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: probability(1.5), ValueError, r"p must lie in \[0, 1\], got 1.5"),
        (lambda: probability(-0.1), ValueError, r"p must lie in \[0, 1\]"),
        (lambda: probability(np.nan), ValueError, "p must be finite"),
        (lambda: probability(None), TypeError, "p must be a number, got None"),
        (lambda: probability("0.1"), TypeError, "p must be a number"),
        (lambda: probability(True), TypeError, "p must be a number"),
        (lambda: probability(0.1, self_connections=1), TypeError, "self_connections must be True or False, got 1"),
        (lambda: fixed_in_degree(-1), ValueError, "k must be at least 0, got -1"),
        (lambda: fixed_in_degree(2.0), TypeError, "k must be an integer"),
        (lambda: fixed_out_degree(True), TypeError, "k must be an integer"),
        (lambda: fixed_total(None), TypeError, "number must be an integer"),
        (lambda: small_world(3, 0.1), ValueError, "k must be even"),
        (lambda: small_world(4, 1.1), ValueError, r"rewiring must lie in \[0, 1\]"),
        (lambda: distance_dependent(GRID, GRID[:, :2], np.exp), ValueError, "positions_post must have 3 dimensions"),
        (lambda: distance_dependent([[np.nan]], [[0.0]], np.exp), ValueError, "positions_pre must be finite"),
        (lambda: distance_dependent(GRID, GRID, 0.3), TypeError, "probability must be a function of the distance"),
        (lambda: from_matrix([1.0, 2.0]), ValueError, r"W must have shape \(any, any\)"),
        (lambda: from_matrix([[np.inf]]), ValueError, "W must be finite"),
        (lambda: from_matrix([["a"]]), TypeError, "W must hold real numbers"),
        (lambda: from_matrix(None), TypeError, "W must hold real numbers"),
        (lambda: from_matrix(nx.DiGraph()), TypeError, "use from_graph"),
        (lambda: from_graph(np.eye(2)), TypeError, "graph must be a networkx graph, got ndarray"),
        (lambda: from_edges([0], [0, 1]), ValueError, "equal length, got 1 and 2"),
        (lambda: from_edges([0.0], [1]), TypeError, "pre must hold integers"),
        (lambda: from_edges([True], [1]), TypeError, "pre must hold integers"),
        (lambda: from_edges(None, [1]), ValueError, r"pre must have shape \(n_synapses,\)"),
        (lambda: from_edges([0], [-1]), ValueError, r"post must lie in 0..2\*\*32 - 1, got -1"),
        (
            lambda: from_edges([0], [1], weights=[1.0, 2.0]),
            ValueError,
            r"weights must be a number or have shape \(1,\)",
        ),
        (lambda: from_edges([0], [1], weights=[True]), TypeError, "weights must hold numbers, got booleans"),
        (lambda: from_edges([0], [1], delays=True), TypeError, "delays must hold numbers, got booleans"),
        (lambda: distance_dependent([True], [0.0], np.exp), TypeError, "positions_pre must hold numbers"),
        (lambda: from_edges([0], [1], weights="a"), TypeError, "weights must hold real numbers"),
        (lambda: from_edges([0], [1], delays=[-1.0]), ValueError, "delays must be at least 0 ms, got -1"),
        (lambda: from_edges([0], [1], delays=np.nan), ValueError, "delays must be finite"),
    ],
    ids=itertools.count(),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("connector", "sizes", "message"),
    [
        (fixed_in_degree(10), (10, 10, 0), "k must be at most 9, the number of possible sources of a neuron, got 10"),
        (fixed_in_degree(11), (10, 10, None), "k must be at most 10, the number of possible sources"),
        (fixed_out_degree(10), (10, 10, 0), "k must be at most 9, the number of possible targets"),
        (fixed_total(1), (1, 1, 0), "number must be 0 where no pair may be connected"),
        (small_world(4, 0.1), (4, 4, 0), "k must be below the number of neurons, 4, got 4"),
        (small_world(4, 0.1), (10, 11, 0), "small_world needs groups of equal size"),
        (small_world(4, 0.1), (10, 10, 3), "small_world must connect a group, or slice of a group, with itself"),
        (column(), (135, 134, None), "positions_post must have one row for each of 134 neurons, got 135"),
        (column(4.0), (135, 135, None), r"probability must lie in \[0, 1\], got 4 at distance 0"),
        (distance_dependent([0.0], [1.0], lambda d: 0.3), (1, 1, None), r"keep the shape of the distances, \(1, 1\)"),
        (distance_dependent([0.0], [1.0], lambda d: d * np.nan), (1, 1, None), "probability must be finite"),
        (from_matrix(np.ones((2, 3))), (3, 2, None), r"rows and columns for \(2, 3\) neurons, got groups of \(3, 2\)"),
        (from_graph(nx.path_graph(3)), (3, 4, None), r"from_graph has nodes for \(3, 3\) neurons"),
        (from_edges([5], [0]), (5, 5, None), "pre must lie in 0..4, the neurons of its group, got 5"),
        (from_edges([0], [7]), (5, 5, None), "post must lie in 0..4"),
    ],
    ids=itertools.count(),
)
def test_what_does_not_fit_the_groups_is_named(connector, sizes, message):
    with pytest.raises(ValueError, match=message):
        connector(*sizes[:2], np.random.default_rng(0), sizes[2])


def test_a_graph_with_some_weights_names_the_edge_without():
    graph = nx.DiGraph([(0, 1)])
    graph.add_edge(1, 2, weight=3.0)
    with pytest.raises(ValueError, match="weight must be given for all edges or for none, the edge 0 -> 1 has none"):
        from_graph(graph)


# In a network


def test_shifted_slices_of_one_population_get_no_self_connection_in_a_network():
    net = Network(dt=0.1, seed=0)
    exc = net.add(LIF(60), name="exc")
    pre, post = net.connect(exc[10:50], exc[20:60], Delta(), all_to_all(), weight=1.0).edges()[:2]
    assert pre.size == 40 * 40 - 30  # units 20..49 are in both
    assert not (pre + 10 == post + 20).any()
