from itertools import permutations, product
from math import factorial, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from penstock.analysis import (
    bin_symbols,
    block_entropies,
    forbidden_words,
    lempel_ziv_complexity,
    ordinal_patterns,
    permutation_entropy,
    sign_patterns,
    symbolic,
    symbolic_dynamics,
    symbolic_words,
    topological_entropy,
)

GOLDEN = log((1 + 5**0.5) / 2)


def chain(P, n_steps, seed):
    """A path of the Markov chain P."""
    rng = np.random.default_rng(seed)
    bounds, draws = np.cumsum(P, axis=1), rng.random(n_steps)
    path = np.zeros(n_steps, int)
    for t in range(1, n_steps):
        path[t] = np.searchsorted(bounds[path[t - 1]], draws[t], side="right")
    return path


def logistic(r, n_steps):
    x = np.empty(n_steps)
    x[0] = 0.3
    for t in range(1, n_steps):
        x[t] = r * x[t - 1] * (1 - x[t - 1])
    return x


# Making symbols


def test_sign_patterns_name_the_visited_regions_of_a_relu_network():
    z = np.array([[9.0, 1, -1], [9, -1, -1], [-9, 1, 1], [9, 1, -2], [0, 0, 0]])
    code = sign_patterns(z, slice(-2, None))
    assert_array_equal(code.labels[code.symbols], z[:, 1:] > 0)
    assert code.n_symbols == 3
    assert_array_equal(code.counts(), [2, 2, 1])
    assert "3 of 3 symbols" in repr(code) and "signs of 2 units" in repr(code)


def test_sign_patterns_of_many_units_do_not_overflow():
    z = np.random.default_rng(0).standard_normal((50, 200))
    assert sign_patterns(z).n_symbols == 50


def test_bins_are_those_of_numpy():
    x, edges = np.random.default_rng(0).standard_normal(500), [-1.0, 0.0, 0.7]
    code = bin_symbols(np.append(x, edges), edges)
    assert_array_equal(code.symbols, np.digitize(np.append(x, edges), edges))
    low, high = code.labels[code.symbols].T
    assert ((low <= np.append(x, edges)) & (np.append(x, edges) < high)).all()


@given(st.lists(st.integers(0, 6), min_size=12, max_size=40), st.integers(2, 5), st.integers(1, 2))
@settings(deadline=None, max_examples=100)
def test_ordinal_patterns_are_ranks_in_order_of_time_if_tied(x, order, delay):
    code = ordinal_patterns(x, order, delay=delay)
    for t, symbol in enumerate(code.symbols):
        window = x[t : t + order * delay : delay][:order]
        ranks = np.argsort(np.argsort(window, kind="stable"), kind="stable")
        assert_array_equal(code.labels[symbol], ranks)
    assert_array_equal(code.labels, list(permutations(range(order))))


@given(st.lists(st.integers(0, 3), min_size=5, max_size=60), st.integers(1, 5))
@settings(deadline=None, max_examples=100)
def test_words_are_the_windows_of_the_sequence(symbols, length):
    words = symbolic_words(symbols, length)
    windows = [tuple(symbols[t : t + length]) for t in range(len(symbols) - length + 1)]
    assert [tuple(w) for w in words.labels[words.symbols].tolist()] == windows
    assert [tuple(w) for w in words.labels.tolist()] == sorted(set(windows))


def test_words_of_any_length_stay_exact():
    symbols = np.random.default_rng(0).integers(0, 1000, 300)
    assert symbolic_words(symbols, 250).n_symbols == 51


# Transitions


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_full_shift_has_entropy_ln_k(k):
    assert topological_entropy(np.ones((k, k))) == pytest.approx(log(k), abs=1e-14)


def test_the_golden_mean_shift_has_the_entropy_of_the_golden_mean():
    assert topological_entropy([[1, 1], [1, 0]]) == pytest.approx(GOLDEN, rel=1e-14)
    # and so it has when coded by its words, whose graph is a higher block presentation of the same shift
    path = chain(np.array([[0.5, 0.5], [1.0, 0.0]]), 5000, 1)
    for length in (1, 2, 5):
        assert symbolic_dynamics(symbolic_words(path, length)).topological_entropy == pytest.approx(GOLDEN, rel=1e-10)


@given(st.integers(1, 7), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=150)
def test_topological_entropy_is_the_growth_rate_of_the_number_of_words(n, random):
    A = np.array([[random.random() < 0.4 for _ in range(n)] for _ in range(n)], float)
    power = np.linalg.matrix_power(A, 60).sum()
    if power == 0:  # no path of 60 steps, hence none of any length
        assert topological_entropy(A) == float("-inf")
        return
    # rho^L <= words of length L <= C L^(n-1) rho^L; ratios over 60 steps from two powers remove most of C
    growth = log(np.linalg.matrix_power(A, 240).sum() / power) / 180
    assert topological_entropy(A) == pytest.approx(growth, abs=n * log(240 / 60) / 180 + 1e-9)


def test_a_large_graph_takes_the_sparse_road_to_the_same_number():
    # the tensor product of the golden mean with itself: spectral radii multiply
    A = np.array([[1, 1], [1, 0]])
    product_of_ten = np.ones((1, 1))
    for _ in range(10):
        product_of_ten = np.kron(product_of_ten, A)
    assert product_of_ten.shape == (1024, 1024)
    assert topological_entropy(product_of_ten) == pytest.approx(10 * GOLDEN, rel=1e-10)


def test_periodic_sequences_have_no_entropy():
    result = symbolic_dynamics(np.tile([0, 2, 1], 50))
    assert (result.topological_entropy, result.entropy_rate, result.visited) == (pytest.approx(0, abs=1e-12), 0, 1)
    assert result.topological_entropy >= 0
    assert_allclose(result.stationary, 1 / 3, rtol=1e-12)


def test_chain_lives_on_the_symbols_visited_most_not_on_the_most_symbols():
    # once round a ring of five symbols, then 200 flips between two others
    flips = np.random.default_rng(0).integers(5, 7, 200)
    dynamics = symbolic_dynamics(np.concatenate([[0, 1, 2, 3, 4, 0], flips]))
    assert set(np.flatnonzero(dynamics.stationary)) == {5, 6}
    assert dynamics.visited == 200 / 206
    assert dynamics.entropy_rate == pytest.approx(symbolic_dynamics(flips).entropy_rate, rel=1e-12)


def test_a_path_that_never_returns_has_no_entropy():
    result = symbolic_dynamics(np.arange(5))
    assert (result.topological_entropy, result.entropy_rate) == (float("-inf"), 0)


def test_a_markov_chain_shows_its_closed_form():
    P = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5], [0.4, 0.6, 0.0]])
    values, vectors = np.linalg.eig(P.T)
    pi = vectors[:, np.argmax(values.real)].real
    pi /= pi.sum()
    rate = -sum(pi[i] * P[i, j] * log(P[i, j]) for i, j in product(range(3), repeat=2) if P[i, j])
    result = symbolic_dynamics(chain(P, 40_000, 2))
    # five standard errors; counts of n steps have relative errors of about 1/sqrt(n)
    assert abs(result.entropy_rate - rate) < 5 * result.standard_error < 0.03
    assert_allclose(result.stationary, pi, atol=0.02)
    assert_allclose(result.transition_matrix, P, atol=0.03)
    assert result.topological_entropy == pytest.approx(log(np.abs(np.linalg.eigvals(P > 0)).max()), rel=1e-12)


def test_the_error_of_the_rate_covers_its_scatter():
    P = np.array([[0.9, 0.1], [0.5, 0.5]])
    results = [symbolic_dynamics(chain(P, 3000, seed)) for seed in range(30)]
    scatter = np.std([r.entropy_rate for r in results])
    # the spread of thirty values is known to 13 %, a jackknife over ten blocks to 24 % each
    assert 0.6 < np.mean([r.standard_error for r in results]) / scatter < 1.6


@given(st.lists(st.integers(0, 5), min_size=2, max_size=80))
@settings(deadline=None, max_examples=120)
def test_the_entropy_rate_never_exceeds_the_topological_entropy(symbols):
    result = symbolic_dynamics(symbols)
    assert result.entropy_rate <= max(result.topological_entropy, 0) + 1e-12
    assert result.entropy_rate >= 0
    assert result.stationary.sum() == pytest.approx(1)
    part = np.flatnonzero(result.stationary)
    P = result.counts.toarray()[np.ix_(part, part)].astype(float)
    if P.sum():
        P /= P.sum(axis=1, keepdims=True)
        assert_allclose(result.stationary[part] @ P, result.stationary[part], atol=1e-12)


def test_a_transient_is_left_out_and_reported():
    result = symbolic_dynamics(np.concatenate([[3, 4, 5, 6], np.tile([0, 0, 1], 32)]))
    assert_array_equal(np.flatnonzero(result.stationary), [0, 1])
    assert result.visited == pytest.approx(0.96)
    assert "0.96 of the steps" in repr(result)


def test_the_graph_of_transitions_goes_to_networkx():
    graph = symbolic_dynamics([0, 1, 0, 1, 1, 2]).to_networkx()
    assert graph[0][1] == {"count": 2, "probability": 1.0}
    assert graph[1][1]["probability"] == pytest.approx(1 / 3)
    assert set(graph.edges) == {(0, 1), (1, 0), (1, 1), (1, 2)}


@given(st.lists(st.integers(0, 2), min_size=4, max_size=50), st.integers(2, 4))
@settings(deadline=None, max_examples=100)
def test_forbidden_words_are_those_that_do_not_occur(symbols, length):
    found = forbidden_words(symbols, length)
    have = {tuple(symbols[t : t + length]) for t in range(len(symbols) - length + 1)}
    shorter = {tuple(symbols[t : t + length - 1]) for t in range(len(symbols) - length + 2)}
    missing = [w for w in product(sorted(set(symbols)), repeat=length) if w not in have]
    assert [tuple(w) for w in found.words.tolist()] == missing
    assert found.minimal.tolist() == [w[1:] in shorter and w[:-1] in shorter for w in missing]


def test_the_golden_mean_shift_forbids_one_word_and_no_other_minimal_one():
    path = chain(np.array([[0.5, 0.5], [1.0, 0.0]]), 5000, 3)
    two, three = forbidden_words(path, 2), forbidden_words(path, 3)
    assert two.words[two.minimal].tolist() == [[1, 1]]
    assert len(three.words) == 3 and not three.minimal.any()
    assert two.expected[0] == pytest.approx(4999 * np.mean(path) ** 2)


# Entropies


def test_the_logistic_map_at_four_has_entropy_ln_two():
    code = bin_symbols(logistic(4.0, 50_000), [0.5])  # the generating partition
    result = block_entropies(code, 8)
    # the bias left by Miller and Madow is of order 1/n^2; five jackknife errors of H_8, which carry those of the rates
    assert np.abs(result.rates - log(2)).max() < 5 * result.standard_errors.max() < 0.02
    assert result.entropy_rate == result.rates[-1]
    assert result.excess_entropy == pytest.approx(0, abs=0.02)
    assert symbolic_dynamics(code).topological_entropy == pytest.approx(log(2), rel=1e-12)


def test_block_entropies_of_a_coin_are_free_of_the_first_order_bias():
    # 2^8 words among 1500: the plug-in value lacks 255/3000; the next order, sum(1/p) / 12 n^2, is .0024 for both
    results = [block_entropies(np.random.default_rng(s).integers(2, size=1507), 8) for s in range(20)]
    plug_in = np.mean([r.plug_in[-1] for r in results])
    corrected = np.mean([r.entropies[-1] for r in results])
    assert plug_in == pytest.approx(8 * log(2) - 255 / 3000, abs=0.02)
    assert abs(corrected - 8 * log(2)) < 0.01


def test_block_entropies_are_those_of_the_words_by_definition():
    symbols = chain(np.array([[0.9, 0.1], [0.5, 0.5]]), 400, 5)
    result = block_entropies(symbols, 4)
    for length in range(1, 5):
        windows = [tuple(symbols[t : t + length]) for t in range(400 - length + 1)]
        counts = np.array([windows.count(w) for w in set(windows)])
        p = counts / counts.sum()
        plain = -(p * np.log(p)).sum()
        assert result.plug_in[length - 1] == pytest.approx(plain, rel=1e-12)
        assert result.entropies[length - 1] == pytest.approx(plain + (p.size - 1) / (2 * counts.sum()), rel=1e-12)
        assert result.n_words[length - 1] == p.size


def test_too_few_steps_are_said_to_be_too_few():
    result = block_entropies(np.random.default_rng(0).integers(2, size=200), 10)
    assert_array_equal(result.sampled, [True] * 4 + [False] * 6)
    assert "too few steps" in repr(result)
    assert np.isnan(block_entropies(np.arange(40), 1).entropy_rate)


def test_permutation_entropy_of_the_example_of_bandt_and_pompe():
    # 4 7 9 10 6 11 3: of the pairs four rise and two fall; of the triples two rise throughout, two are 120, one 102
    pairs, triples = (permutation_entropy([4, 7, 9, 10, 6, 11, 3], order) for order in (2, 3))
    assert_array_equal(pairs.counts, [4, 2])
    correction = 1 / 12
    assert pairs.entropy == pytest.approx(min(log(3) - 2 / 3 * log(2) + correction, log(2)))
    assert_array_equal(triples.counts, [2, 0, 1, 2, 0, 0])
    plain = -(2 * 0.4 * log(0.4) + 0.2 * log(0.2))
    assert triples.entropy == pytest.approx(plain + 2 / 10)
    assert (triples.n_missing, triples.normalised) == (3, pytest.approx(triples.entropy / log(6)))


def test_permutation_entropy_of_noise_is_full_and_of_the_logistic_map_lacks_the_falling_triple():
    noise = permutation_entropy(np.random.default_rng(0).standard_normal(20_000), 4)
    assert noise.normalised == pytest.approx(1, abs=1e-3) and noise.n_missing == 0
    # three falling values in a row are impossible for r = 4
    counts = permutation_entropy(logistic(4.0, 5000), 3).counts
    assert counts[-1] == 0 and (counts[:-1] > 0).all()


def test_permutation_entropy_does_not_see_increasing_maps():
    x = np.random.default_rng(1).standard_normal(300)
    assert_array_equal(permutation_entropy(x, 4).counts, permutation_entropy(np.exp(x), 4).counts)


def phrases_by_definition(text):
    count, start = 0, 0
    while start < len(text):
        length = 1
        while start + length <= len(text) and text[start : start + length] in text[: start + length - 1]:
            length += 1
        count, start = count + 1, start + length
    return count


@given(st.text("abc", min_size=1, max_size=60))
@settings(deadline=None, max_examples=200)
def test_lempel_ziv_phrases_are_the_shortest_new_ones(text):
    assert lempel_ziv_complexity([ord(c) - 97 for c in text]).n_phrases == phrases_by_definition(text)


def test_lempel_ziv_rate_of_a_coin_nears_ln_two_and_of_a_period_zero():
    coin = lempel_ziv_complexity(np.random.default_rng(0).integers(2, size=20_000))
    # approached from above like ln ln n / ln n
    assert log(2) < coin.entropy_rate < 1.1 * log(2)
    assert lempel_ziv_complexity(np.tile([0, 1], 500)).n_phrases == 3


def test_compiled_and_plain_phrases_agree():
    s = np.random.default_rng(0).integers(3, size=300)
    kernel = symbolic._count_phrases
    assert kernel(s) == getattr(kernel, "py_func", kernel)(s)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sign_patterns(np.ones(5)), "states must have 2 dim"),
        (lambda: sign_patterns(np.ones((5, 2)), slice(2, None)), "units must choose columns"),
        (lambda: bin_symbols(np.ones(5), [1.0, 1.0]), "edges must be strictly increasing"),
        (lambda: ordinal_patterns(np.ones(5), 9), "order must be at most 8"),
        (lambda: ordinal_patterns(np.ones(5), 3, delay=3), "series must have more than"),
        (lambda: symbolic_words([0, 1], 3), "length must be at most the 2 symbols"),
        (lambda: symbolic_dynamics([0.0, 1.0]), "symbols must be integers"),
        (lambda: symbolic_dynamics([0]), "symbols must be at least 2"),
        (lambda: symbolic_dynamics([-1, 2]), "symbols must lie between 0"),
        (lambda: symbolic_dynamics([[0, 1]]), "symbols must be one sequence"),
        (lambda: topological_entropy(np.ones((2, 3))), "transitions must be a square matrix"),
        (lambda: topological_entropy(np.ones((0, 0))), "transitions must be a square matrix"),
        (lambda: forbidden_words(np.arange(50), 5), "length must leave at most"),
        (lambda: block_entropies([0, 1, 0], 1), "symbols must be at least 20"),
        (lambda: lempel_ziv_complexity([]), "symbols must be"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_results_draw_themselves():
    import matplotlib.pyplot as plt

    symbols = np.random.default_rng(0).integers(3, size=200)
    axes = [
        symbolic_dynamics(symbols).plot(),
        block_entropies(symbols, 4).plot(),
        permutation_entropy(symbols, 3).plot(),
    ]
    assert all(ax.get_xlabel() and ax.get_ylabel() for ax in axes)
    assert factorial(3) == len(axes[-1].patches)
    plt.close("all")
