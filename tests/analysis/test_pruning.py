"""Pruning: what stays, with which weight, and what the report says, against plain NumPy and closed forms."""

from itertools import permutations

import networkx as nx
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from numpy.testing import assert_allclose, assert_array_equal

from penstock import identity
from penstock.analysis import (
    PruningReport,
    lyapunov_spectrum,
    memory_capacity,
    network_summary,
    prune_activity,
    prune_magnitude,
    prune_noise,
    prune_random,
    prune_spectral,
    prune_units,
    pruning_report,
    remove_synapses,
    remove_units,
    rewire,
    unit_activity,
)
from penstock.analysis.noise_pruning import noise_covariance, noise_importance
from penstock.reservoirs import ESN, LTC, CoRNN, DeepESN, EIReservoir, EuSN
from penstock.spiking import LIF, CurrentInjection, Exponential, Liquid, Network, probability
from penstock.weights import ring

U = np.random.default_rng(1).uniform(-1, 1, 400)
FREE = {"allow_disconnected": True}


def dense(system):
    W = system.recurrent_matrix()
    return W.toarray() if sp.issparse(W) else np.asarray(W)


def network(W, **fields):
    return ESN(W, np.ones((len(W), 1)), **fields)


def random_network(n, density=1.0, seed=0, loops=True):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, n)) * (rng.random((n, n)) < density) / np.sqrt(n)
    return network(0.5 * (W if loops else W - np.diag(np.diag(W))))


def laplacian(n=40, seed=2):
    """A connected weighted graph: a ring with chords."""
    rng = np.random.default_rng(seed)
    a = np.triu(rng.uniform(0.5, 2, (n, n)) * (rng.random((n, n)) < 0.5), 1)
    a += np.diag(np.ones(n - 1), 1)
    a += a.T
    return np.diag(a.sum(axis=1)) - a, a


def probabilities(share, expected, sizes=1.0):
    """min(1, kappa share), kappa by root finding."""
    count = lambda log: (sizes * np.minimum(1, np.exp(log) * share)).sum() - expected  # noqa: E731
    return np.minimum(1, np.exp(scipy.optimize.brentq(count, -60, 60, xtol=1e-14)) * share)


# --- which synapses stay --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [1.0, 0.5])
def test_magnitude_keeps_what_an_argsort_puts_first(density):
    esn = random_network(30, density)
    W = dense(esn)
    order = np.argsort(-np.abs(W.ravel()), kind="stable")[: round(0.3 * np.count_nonzero(W))]
    expected = np.zeros(W.size)
    expected[order] = W.ravel()[order]
    pruned = prune_magnitude(esn, 0.3)
    assert_array_equal(dense(pruned.system), expected.reshape(W.shape))
    assert_array_equal(pruned.kept, expected.reshape(W.shape) != 0)
    assert pruned.n_synapses == len(order) and pruned.units.tolist() == list(range(30)) and pruned.before is esn


def test_of_equal_weights_the_first_stay():
    W = np.random.default_rng(0).integers(1, 4, (20, 20)).astype(float)
    order = sorted(range(400), key=lambda place: -W.ravel()[place])  # Python sorts stably
    assert_array_equal(np.flatnonzero(prune_magnitude(network(W), 0.5).kept), sorted(order[:200]))


def test_activity_keeps_the_synapses_that_carry_most():
    esn = random_network(20)
    x, total = np.zeros(20), np.zeros(20)
    for t, u in enumerate(U):
        x = np.tanh(esn.W @ x + esn.W_in[:, 0] * u)
        total += np.abs(x) * (t >= 40)
    carried = np.abs(esn.W) * (total / 360)
    threshold = np.sort(carried.ravel())[-120]
    assert_allclose(unit_activity(esn, U), total / 360, rtol=1e-12)
    assert_array_equal(prune_activity(esn, 0.3, U).kept, carried >= threshold)
    assert_allclose(unit_activity(esn, U, washout=399), np.abs(x), rtol=1e-12)


def test_random_pruning_keeps_every_synapse_equally_often():
    esn, draws = random_network(6), 400
    counts = sum(prune_random(esn, 0.4, seed=seed, **FREE).kept.astype(int) for seed in range(draws))
    p = 14 / 36
    assert np.abs(counts / draws - p).max() < 4 * np.sqrt(p * (1 - p) / draws)  # 36 entries: 1 in 400 by chance
    assert counts.sum() == 14 * draws


@settings(deadline=None, max_examples=15)
@given(st.integers(3, 12), st.floats(0.05, 1.0), st.integers(0, 1000))
def test_pruning_takes_away_and_changes_nothing_else(n, keep, seed):
    esn = random_network(n, 0.6, seed)
    W = dense(esn)
    expected = round(keep * np.count_nonzero(W))
    for prune in (prune_magnitude, lambda s, k, **f: prune_random(s, k, seed=seed, **f)):
        pruned = prune(esn, keep, **FREE)
        after = dense(pruned.system)
        assert pruned.n_synapses == np.count_nonzero(after) == expected
        assert_array_equal(after, np.where(pruned.kept, W, 0))
        assert_array_equal(pruned.system.W_in, esn.W_in)
    assert_array_equal(dense(prune_magnitude(esn, 1.0).system), W)


def test_same_seed_same_bits():
    esn = random_network(15)
    for prune in (prune_random, prune_noise, prune_spectral):
        one, same, other = (dense(prune(esn, 0.4, seed=seed).system) for seed in (3, 3, 4))
        assert_array_equal(one, same)
        assert (one != other).any()
    assert_array_equal(dense(rewire(esn, seed=np.random.SeedSequence(1))), dense(rewire(esn, seed=1)))


# --- form -----------------------------------------------------------------------------------------------------------


def test_a_thin_network_becomes_sparse_and_runs_through_the_same_states():
    esn = ESN.random(60, leak=0.5, seed=0)
    thin, thick = prune_magnitude(esn, 0.15).system, prune_magnitude(esn, 0.5).system
    assert isinstance(thin.W, sp.csr_array) and isinstance(thick.W, np.ndarray)
    zeros = ESN(thin.W.toarray(), esn.W_in, esn.bias, esn.leak)
    assert_allclose(thin.run(U), zeros.run(U), rtol=0, atol=1e-14)
    assert isinstance(prune_magnitude(ESN.random(60, density=0.6, seed=0), 0.9).system.W, sp.csr_array)


def test_single_precision_stays():
    esn = ESN.random(30, dtype=np.float32, seed=0)
    for pruned in (prune_magnitude(esn, 0.5), prune_noise(esn, 0.5, seed=0), prune_spectral(esn, 0.5, seed=0)):
        assert pruned.system.dtype == np.float32


# --- connection -----------------------------------------------------------------------------------------------------


def chain(weights):
    return network(np.diag(np.asarray(weights, float), -1))


def test_a_network_that_falls_apart_is_refused_unless_allowed():
    weights = [1.0, 0.1, 1.0]
    with pytest.raises(
        ValueError,
        match="the network must stay connected, but its 4 units fall into 2 parts, 1 before.*allow_disconnected",
    ):
        prune_magnitude(chain(weights), 0.67)
    assert prune_magnitude(chain(weights), 0.67, **FREE).report.after.weak_components == 2
    with pytest.raises(ValueError, match="at least one synapse must stay, got none of 3"):
        prune_magnitude(chain(weights), 0.1)
    assert prune_magnitude(chain(weights), 0.1, **FREE).n_synapses == 0
    with pytest.raises(ValueError, match="its 3 units fall into 2 parts"):
        remove_units(chain([1.0, 1.0, 1.0]), [1])
    assert remove_units(chain([1.0, 1.0, 1.0]), [1], **FREE).units.tolist() == [0, 2, 3]


def test_parts_that_were_apart_may_stay_apart():
    W = np.zeros((5, 5))
    W[0, 1] = W[1, 0] = W[2, 3] = 1.0
    W[3, 2] = 0.5
    pruned = prune_magnitude(network(W), 0.75)  # one unit has no synapse at all
    assert pruned.n_synapses == 3 and pruned.report.after.weak_components == 3
    assert remove_units(network(W), [4]).n_synapses == 4
    W = np.pad(W, (0, 1))
    W[1, 4] = W[4, 5] = 1.0  # 0, 1, 4 and 5 in a row
    assert remove_units(network(W), [2, 3]).units.tolist() == [0, 1, 4, 5]
    with pytest.raises(ValueError, match="its 3 units fall into 2 parts, 1 before"):
        remove_units(network(W), [1, 2, 3])


def test_given_synapses_go_and_no_others():
    esn = random_network(12, 0.6)
    gone = np.random.default_rng(1).random((12, 12)) < 0.3
    pruned = remove_synapses(esn, gone)
    assert_array_equal(dense(pruned.system), np.where(gone, 0, esn.W))
    assert_array_equal(pruned.kept, (esn.W != 0) & ~gone)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_the_given_network_and_its_form_stay_as_they_were(form):
    W = random_network(12, 0.6).W
    esn = network(form(W)) if form is np.asarray else ESN(form(W), np.ones((12, 1)))
    for prune in PRUNERS.values():
        by = {} if prune is not PRUNERS["units"] else {"by": np.arange(12)}
        pruned = prune(esn, 0.9, **by, **FREE)
        assert_array_equal(dense(esn), W)
        assert sp.issparse(pruned.system.W) == sp.issparse(esn.W)
    assert sp.issparse(rewire(esn, seed=0).W) == sp.issparse(esn.W) and (dense(esn) == W).all()


# --- right on average -----------------------------------------------------------------------------------------------


def test_importances_of_a_laplacian_add_up_to_the_nodes_less_one():
    L, a = laplacian()
    C = np.linalg.inv(L + 1e-8 * np.eye(40)) / 2
    importance = noise_importance(a, C)
    assert_allclose(importance.sum(), 39, atol=1e-6)  # Foster (1949)
    assert_allclose(noise_importance(-a, C).sum(), (a * (np.add.outer(np.diag(C), np.diag(C)) + 2 * C)).sum())
    inverse = np.linalg.pinv(L)
    resistance = np.add.outer(np.diag(inverse), np.diag(inverse)) - 2 * inverse
    assert_allclose(importance.toarray(), a * resistance / 2, atol=1e-7)


def noise_probabilities(W, C, keep):
    off = (W != 0) & ~np.eye(len(W), dtype=bool)
    share = np.abs(W) * (np.add.outer(np.diag(C), np.diag(C)) - 2 * np.sign(W) * C)
    p = np.ones_like(W)
    p[off] = probabilities(share[off], keep * np.count_nonzero(W) - np.count_nonzero(np.diag(W)))
    return p


def link_probabilities(W, keep):
    n = len(W)
    a = (np.abs(W) + np.abs(W).T) / 2
    np.fill_diagonal(a, 0)
    inverse = np.linalg.pinv(np.diag(a.sum(axis=1)) - a)
    i, j = np.nonzero(np.triu(a))
    resistance = inverse[i, i] + inverse[j, j] - 2 * inverse[i, j]
    sizes = (W[i, j] != 0).astype(float) + (W[j, i] != 0)
    p = np.eye(n)
    expected = keep * np.count_nonzero(W) - np.count_nonzero(np.diag(W))
    p[i, j] = p[j, i] = probabilities(a[i, j] * resistance, expected, sizes)
    return p


@pytest.mark.parametrize("method", ["noise", "spectral"])
def test_what_is_kept_is_divided_by_its_probability_so_that_the_mean_is_the_network(method):
    esn, keep, draws = random_network(9, 0.8), 0.5, 300
    W = dense(esn)
    if method == "noise":
        C = scipy.linalg.solve_discrete_lyapunov(W, np.eye(9))
        p, prune = noise_probabilities(W, C, keep), lambda seed: prune_noise(esn, keep, seed=seed, **FREE)
    else:
        p, prune = link_probabilities(W, keep), lambda seed: prune_spectral(esn, keep, seed=seed, **FREE)
    total, kept = np.zeros((9, 9)), 0
    for seed in range(draws):
        pruned = prune(seed)
        after = dense(pruned.system)
        assert_allclose(after[pruned.kept] * p[pruned.kept], W[pruned.kept], rtol=1e-9)
        total, kept = total + after, kept + pruned.n_synapses
    there = (W != 0) & (p < 1)
    error = np.abs(W[there]) * np.sqrt((1 / p[there] - 1) / draws)
    assert np.abs((total / draws - W)[there] / error).max() < 4.5  # some 60 entries of skewed sums
    assert_allclose((total / draws)[~there], W[~there], rtol=1e-12)
    expected = keep * np.count_nonzero(W)
    variance = (p * (1 - p))[W != 0].sum() * (2 if method == "spectral" else 1)  # links: two synapses go together
    assert abs(kept / draws - expected) < 4 * np.sqrt(variance / draws)


def test_row_sums_of_a_laplacian_stay_and_the_covariance_comes_closer_the_more_is_kept():
    L, _ = laplacian(30)
    A = -(L + 0.5 * np.eye(30))
    C = scipy.linalg.solve_continuous_lyapunov(A, -np.eye(30))
    system, errors = ESN(A, np.ones((30, 1)), activation=identity), []
    for keep in (0.4, 0.6, 0.8):
        distances = []
        for seed in range(8):
            after = dense(prune_noise(system, keep, covariance=C, correct_diagonal=True, seed=seed).system)
            assert_allclose(after.sum(axis=1), A.sum(axis=1), atol=1e-12)
            distances.append(np.linalg.norm(scipy.linalg.solve_continuous_lyapunov(after, -np.eye(30)) - C, 2))
        errors.append(np.mean(distances))
    assert errors[0] > 1.5 * errors[1] > 2 * errors[2]


def test_effective_resistances_keep_the_laplacian_within_the_published_bound():
    n, eps = 250, 0.8
    rng = np.random.default_rng(0)
    a = np.triu(rng.uniform(0.2, 1, (n, n)), 1)
    a += a.T
    draws = 9 * n * np.log(n) / eps**2  # Spielman and Srivastava (2011), theorem 1, with C = 1
    i, j = np.triu_indices(n, 1)
    inverse = np.linalg.pinv(np.diag(a.sum(axis=1)) - a)
    share = a[i, j] * (inverse[i, i] + inverse[j, j] - 2 * inverse[i, j]) / (n - 1)
    keep = (1 - (1 - share) ** draws).mean()  # the distinct links among so many draws
    after = dense(prune_spectral(network(a), keep, seed=1).system)
    assert_allclose(after, after.T)
    values, vectors = np.linalg.eigh(np.diag(a.sum(axis=1)) - a)
    root = vectors[:, 1:] / np.sqrt(values[1:])
    ratios = np.linalg.eigvalsh(root.T @ (np.diag(after.sum(axis=1)) - after) @ root)
    assert 1 - eps < ratios.min() < 1 < ratios.max() < 1 + eps
    assert keep < 0.6 and ratios.max() - ratios.min() < 4.5 * np.sqrt(n / draws)  # semicircle of that many draws


def test_every_link_of_a_tree_is_kept_with_the_same_probability():
    W = np.zeros((6, 6))
    for child, parent, weight in ((1, 0, 3.0), (2, 0, 0.1), (3, 1, 1.0), (4, 1, -2.0), (5, 2, 0.7)):
        W[child, parent] = weight
    after = dense(prune_spectral(network(W), 0.6, seed=4, **FREE).system)
    assert_allclose(after[after != 0] / W[after != 0], 1 / 0.6, rtol=1e-12)  # resistance 1 / weight: all alike


def test_synapses_of_units_onto_themselves_stay():
    esn = random_network(12)
    for prune in (prune_noise, prune_spectral):
        after = dense(prune(esn, 0.3, seed=0).system)
        assert_array_equal(np.diag(after), np.diag(esn.W))
        for system, keep in ((esn, 0.05), (network(0.5 * np.eye(3)), 0.7)):  # the second has no others
            with pytest.raises(ValueError, match="keep must be larger"):
                prune(system, keep, seed=0)
        assert prune(network(0.5 * np.eye(3)), 1.0, seed=0).n_synapses == 3


def test_covariances_are_those_of_the_equation_and_of_the_run():
    A = np.array([[0.5, 0.3], [0.0, -0.4]])
    system = ESN(A, np.ones((2, 1)), activation=identity)
    C = noise_covariance(system)
    assert_allclose(A @ C @ A.T + np.eye(2), C, rtol=1e-13)
    assert_allclose(noise_covariance(system, U, washout=50), np.cov(system.run(U)[50:].T), rtol=1e-13)
    oscillators = CoRNN(0.3 * A, None, np.ones((2, 1)), gamma=1.0, epsilon=1.0, dt=0.2)
    J = oscillators.jacobian(np.zeros(4), np.zeros(1))
    assert_allclose(noise_covariance(oscillators), scipy.linalg.solve_discrete_lyapunov(J, np.eye(4))[:2, :2])
    esn = random_network(20)
    by_run = prune_noise(esn, 0.5, u=U, seed=0).system
    by_hand = prune_noise(esn, 0.5, covariance=np.cov(esn.run(U)[40:].T), seed=0).system
    assert_allclose(by_run.W, by_hand.W, rtol=1e-10)


# --- nulls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loops", [True, False])
def test_rewiring_keeps_degrees_signs_and_weights_sent(loops):
    esn = random_network(25, 0.3, loops=loops)
    W, null = dense(esn), dense(rewire(esn, seed=5))
    for sign in (1, -1):
        assert_array_equal((np.sign(null) == sign).sum(axis=1), (np.sign(W) == sign).sum(axis=1))
        assert_array_equal((np.sign(null) == sign).sum(axis=0), (np.sign(W) == sign).sum(axis=0))
    assert_array_equal(np.sort(null, axis=0), np.sort(W, axis=0))
    assert_array_equal(np.diag(null), np.diag(W))
    moved = ((null != 0) != (W != 0)).mean()
    assert moved > 0.8 * 2 * 0.3 * 0.7  # two independent draws of this density differ in 2 p (1 - p)


def test_rewiring_reaches_every_network_of_the_same_degrees_equally_often():
    # one synapse in and out of four units, none onto itself: the nine derangements
    W, counts, draws = np.roll(np.eye(4), 1, axis=0), {}, 270
    for seed in range(draws):
        targets = tuple(int(t) for t in dense(rewire(network(W), n_trades=5, seed=seed)).argmax(axis=0))
        counts[targets] = counts.get(targets, 0) + 1
    assert set(counts) == {p for p in permutations(range(4)) if all(i != t for i, t in enumerate(p))}
    chi2 = sum((count - draws / 9) ** 2 / (draws / 9) for count in counts.values())
    assert chi2 < 26.1  # 8 degrees of freedom: 1 in 1000


def test_a_full_network_has_no_other_wiring():
    esn = random_network(8)
    assert_array_equal(dense(rewire(esn, seed=0)), esn.W)
    assert dense(rewire(network(np.array([[0.5]])), seed=0)).tolist() == [[0.5]]


# --- units ----------------------------------------------------------------------------------------------------------


def test_units_of_the_largest_scores_stay():
    esn = random_network(10)
    scores = np.random.default_rng(3).normal(size=10)
    best = np.sort(np.argsort(-scores)[:7])
    pruned = prune_units(esn, 0.7, by=scores)
    assert pruned.units.tolist() == best.tolist()
    assert_array_equal(pruned.system.W, esn.W[np.ix_(best, best)])
    expected = np.zeros((10, 10), bool)
    expected[np.ix_(best, best)] = True
    assert_array_equal(pruned.kept, expected)
    same = remove_units(esn, np.setdiff1d(np.arange(10), best))
    assert_array_equal(same.kept, expected)
    mask = np.ones(10, bool)
    mask[best] = False
    assert_array_equal(remove_units(esn, mask).system.W, pruned.system.W)


# --- report ---------------------------------------------------------------------------------------------------------


def test_report_says_what_one_measures_oneself():
    esn = ESN.random(20, spectral_radius=0.8, seed=0)
    pruned = prune_random(esn, 0.3, seed=0)
    report = pruning_report(esn, pruned.system, u=U, memory=True, seed=7, progress=False)
    for summary, system in ((report.before, esn), (report.after, pruned.system)):
        W = dense(system)
        assert summary.largest_exponent == lyapunov_spectrum(system, U, 1, seed=7, progress=False).exponents[0]
        assert summary.memory_capacity == memory_capacity(system, seed=7, progress=False).total
        assert_allclose(summary.spectral_radius, np.abs(np.linalg.eigvals(W)).max(), rtol=1e-9)
        assert_allclose(np.sort_complex(summary.eigenvalues), np.sort_complex(np.linalg.eigvals(W)), atol=1e-12)
        assert (summary.n_synapses, summary.density) == (np.count_nonzero(W), np.count_nonzero(W) / 400)
        assert summary.n_parameters == np.count_nonzero(W) + 20
    lines = repr(report).splitlines()
    assert len(lines) == 13 and lines[2].split() == ["synapses", "400", "120"]
    assert pruned.report.after.lyapunov is None and "exponent" not in repr(pruned.report)


def test_a_synapse_of_a_liquid_time_constant_network_has_four_parameters():
    ltc = LTC.random(6, n_inputs=2, seed=0)
    assert network_summary(ltc).n_parameters == 4 * (np.count_nonzero(ltc.W) + np.count_nonzero(ltc.W_in))


def test_report_of_an_autonomous_network_takes_a_number_of_steps():
    esn = ESN.random(12, n_inputs=0, spectral_radius=0.9, seed=0)
    exponent = network_summary(esn, u=500, seed=1).largest_exponent
    assert exponent == lyapunov_spectrum(esn, n_exponents=1, n_steps=500, seed=1).exponents[0]


def test_graph_measures_of_rings_stars_and_paths():
    path = network_summary(chain(np.ones(6)))  # 0 -> 1 -> … -> 6
    i = np.arange(7)
    assert_allclose(path.betweenness, i * (6 - i) / (6 * 5))
    assert (path.strong_components, path.weak_components, path.largest_component) == (7, 1, 1)
    assert path.reciprocity == 0 and path.spectral_radius == 0
    star = np.zeros((6, 6))
    star[0, 1:] = star[1:, 0] = star[0, 0] = 1.0
    summary = network_summary(network(star))
    assert_allclose(summary.degree_heterogeneity, (100 + 5 * 4) / 6 / (20 / 6) ** 2)
    assert (summary.reciprocity, summary.strong_components, summary.n_synapses) == (1, 1, 11)
    circle = network_summary(ESN.random(8, weights=ring, spectral_radius=0.5, seed=0))
    assert_allclose(circle.pagerank, 1 / 8)
    assert_allclose(np.abs(circle.eigenvalues), 0.5)
    W = np.array([[0, 2.0, 0], [0, 0, 1.0], [0, 0, 0]])  # from 2 to 1 to 0
    ranks = nx.pagerank(nx.DiGraph([(2, 1), (1, 0)]))
    assert_allclose(network_summary(network(W)).pagerank, [ranks[i] for i in range(3)])
    assert np.isnan(network_summary(network(np.eye(3))).reciprocity)


def test_report_draws_the_eigenvalues_and_their_radii():
    report = prune_magnitude(ESN.random(15, seed=0), 0.5).report
    assert isinstance(report, PruningReport)
    ax = prune_magnitude(ESN.random(15, seed=0), 0.5).plot()
    assert isinstance(ax, Axes)
    before, first_circle, after, second_circle = (np.hypot(*line.get_data()) for line in ax.lines)
    assert_allclose(first_circle, 0.9) and assert_allclose(second_circle, report.after.spectral_radius)
    assert_allclose([before.max(), after.max()], [0.9, report.after.spectral_radius])
    assert report.plot(ax) is ax


# --- every kind of system -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "system", [EIReservoir.random(20, n_inputs=1, seed=0), LTC.random(12, n_inputs=1, seed=0)], ids=["EI", "LTC"]
)
def test_other_models_are_pruned_in_the_same_way(system):
    W = dense(system)
    C = np.diag(np.linspace(1, 2, len(W)))
    for pruned in (
        prune_magnitude(system, 0.6),
        prune_random(system, 0.6, seed=1),
        prune_noise(system, 0.6, covariance=C, seed=1),
        prune_spectral(system, 0.6, seed=1),
        prune_units(system, 0.5, by=np.arange(len(W))),
    ):
        assert type(pruned.system) is type(system)
        after = np.zeros_like(W)
        after[np.ix_(pruned.units, pruned.units)] = dense(pruned.system)
        assert_array_equal(after != 0, pruned.kept)
        assert (np.sign(after[pruned.kept]) == np.sign(W[pruned.kept])).all()
        assert pruned.n_synapses < np.count_nonzero(W)


def test_a_spiking_network_is_pruned_as_any_other():
    net = Network(dt=0.5, seed=1)
    cells = net.add(LIF(30, t_ref=2.0), name="cells")
    net.connect(cells, cells, Exponential(tau=5.0), probability(0.3), weight=30.0, delay=1.0)
    liquid = Liquid(net, CurrentInjection.random(cells, scale=100.0, bias=400.0, seed=2), dt=5.0)
    u = U[:60]
    W = dense(liquid)
    by_activity = prune_activity(liquid, 0.5, u)
    carried = W * np.abs(liquid.run(u)[6:, liquid.observed]).mean(axis=0)
    assert by_activity.n_synapses == round(0.5 * np.count_nonzero(W))
    assert carried[by_activity.kept].min() >= carried[(W != 0) & ~by_activity.kept].max()
    assert_array_equal(dense(by_activity.system), np.where(by_activity.kept, W, 0))
    assert by_activity.system.run(u).shape[0] == 60
    noisy = prune_noise(liquid, 0.5, u=u, seed=1)
    assert_allclose(dense(noisy.system)[noisy.kept], dense(prune_noise(liquid, 0.5, u=u, seed=1).system)[noisy.kept])
    assert prune_units(liquid, 0.5, by=unit_activity(liquid, u), **FREE).system.recurrent_matrix().shape == (15, 15)
    report = pruning_report(liquid, noisy.system, u=u, seed=0)
    assert report.after.largest_exponent is None and report.after.n_synapses == noisy.n_synapses
    assert repr(report).splitlines()[-1] == "  no exponent: Liquid has no tangents; see replica_growth"
    assert "exponent" not in repr(noisy.report)  # nobody asked
    with pytest.raises(TypeError, match="u must be given"):
        prune_noise(liquid, 0.5, seed=0)


# --- bad input ------------------------------------------------------------------------------------------------------

PRUNERS = {
    "magnitude": prune_magnitude,
    "random": lambda system, keep, **f: prune_random(system, keep, seed=0, **f),
    "activity": lambda system, keep, **f: prune_activity(system, keep, U, **f),
    "noise": lambda system, keep, **f: prune_noise(system, keep, seed=0, **f),
    "spectral": lambda system, keep, **f: prune_spectral(system, keep, seed=0, **f),
    "units": lambda system, keep, **f: prune_units(system, keep, **{"by": np.arange(8)} | f),
}
SMALL = random_network(8)


@pytest.mark.parametrize("prune", PRUNERS.values(), ids=list(PRUNERS))
def test_bad_fractions_and_systems_are_refused_by_every_method(prune):
    for keep, error in (
        (3, TypeError), (1, TypeError), (True, TypeError), ("0.5", TypeError), (None, TypeError), ([0.5], TypeError),
        (0.0, ValueError), (-0.5, ValueError), (1.1, ValueError), (np.nan, ValueError), (np.inf, ValueError),
    ):  # fmt: skip
        with pytest.raises(error, match="keep must"):
            prune(SMALL, keep)
    with pytest.raises(TypeError, match="EuSN has no recurrent matrix"):
        prune(EuSN.random(8, seed=0), 0.5)
    with pytest.raises(TypeError, match="Stack has no recurrent matrix"):
        prune(DeepESN.random(8, n_layers=2, seed=0), 0.5)
    with pytest.raises(TypeError, match="system must be a System"):
        prune(np.eye(8), 0.5)
    with pytest.raises(ValueError, match="system must have at least one synapse"):
        prune(network(np.zeros((8, 8))), 0.5)
    with pytest.raises(TypeError, match="allow_disconnected must be True or False, got 1"):
        prune(SMALL, 0.5, allow_disconnected=1)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: prune_random(SMALL, 0.5, seed=None), TypeError, "seed must"),
        (lambda: prune_random(SMALL, 0.5, seed=-1), ValueError, "seed must"),
        (lambda: prune_noise(SMALL, 0.5, seed="a"), TypeError, "seed must"),
        (lambda: rewire(SMALL, seed=1.5), TypeError, "seed must"),
        (lambda: rewire(SMALL, n_trades=0, seed=1), ValueError, "n_trades must"),
        (lambda: rewire(LTC.random(6, seed=0).with_recurrent(np.eye(6) + np.eye(6, k=1)), seed=1), ValueError, "LTC"),
        (lambda: prune_activity(SMALL, 0.5, None), TypeError, "u must"),
        (lambda: prune_activity(SMALL, 0.5, np.full(9, np.nan)), ValueError, "u must"),
        (lambda: prune_activity(SMALL, 0.5, np.ones((2, 9, 1))), ValueError, "u must be one series"),
        (lambda: prune_activity(SMALL, 0.5, U, washout=400), ValueError, "u must be longer than the washout"),
        (lambda: unit_activity(SMALL, U, washout=-1), ValueError, "washout must"),
        (lambda: prune_noise(SMALL, 0.5, covariance=np.eye(3), seed=0), ValueError, "covariance and W"),
        (lambda: prune_noise(SMALL, 0.5, covariance=np.eye(8), u=U, seed=0), TypeError, "must not both"),
        (lambda: prune_noise(SMALL, 0.5, covariance=np.triu(np.ones((8, 8))), seed=0), ValueError, "symmetric"),
        (lambda: prune_noise(SMALL, 0.5, covariance=np.ones((8, 8)) - np.eye(8), seed=0), ValueError, "negative"),
        (lambda: prune_noise(SMALL, 0.5, covariance=np.full((8, 8), np.nan), seed=0), ValueError, "covariance must"),
        (lambda: prune_noise(SMALL, 0.5, correct_diagonal=1, seed=0), TypeError, "correct_diagonal must"),
        (lambda: prune_noise(SMALL, 0.5, u=U[:1], seed=0), ValueError, "at least two steps"),
        (lambda: prune_noise(network(2.0 * np.eye(3)), 0.5, seed=0), ValueError, "stable linearisation"),
        (lambda: prune_units(SMALL, 0.5, by=np.ones(3)), ValueError, "by must"),
        (lambda: prune_units(SMALL, 0.5, by=None), TypeError, "by must"),
        (lambda: prune_units(SMALL, 0.5, by=np.full(8, np.nan)), ValueError, "by must"),
        (lambda: prune_units(SMALL, 0.01, by=np.ones(8)), ValueError, "at least one unit"),
        (lambda: prune_activity(SMALL, 0.5, None, allow_disconnected=0), TypeError, "allow_disconnected must"),
        (lambda: remove_synapses(SMALL, np.ones((8, 8))), TypeError, "synapses must be an array of bool"),
        (lambda: remove_synapses(SMALL, np.ones((8, 1), bool)), ValueError, r"synapses must have shape \(8, 8\)"),
        (lambda: remove_synapses(SMALL, np.ones((8, 8), bool)), ValueError, "at least one synapse must stay"),
        (lambda: remove_units(SMALL, [8]), ValueError, "units must"),
        (lambda: remove_units(SMALL, range(8)), ValueError, "units must leave"),
        (lambda: remove_units(SMALL, "all"), TypeError, "units must"),
        (lambda: network_summary(SMALL, u=U), TypeError, "seed must"),
        (lambda: network_summary(SMALL, memory=1, seed=0), TypeError, "memory must"),
        (lambda: pruning_report(SMALL, EuSN.random(8, seed=0)), TypeError, "EuSN"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
