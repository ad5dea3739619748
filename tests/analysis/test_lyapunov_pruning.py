from dataclasses import replace
from itertools import permutations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import gamma, hmean

from penstock import Map, identity
from penstock.analysis import lyapunov_spectrum
from penstock.analysis.delocalisation import delocalise_eigenvectors, inverse_participation
from penstock.analysis.linearisation import (
    linear_exponents,
    linearise_run,
    linearise_states,
    stationary_covariance,
)
from penstock.analysis.lyapunov_pruning import (
    prune_betweenness,
    prune_lyapunov_noise,
    prune_lyapunov_synapses,
    synapse_exponents,
    weighted_betweenness,
)
from penstock.analysis.network_report import degree_heterogeneity
from penstock.analysis.noise_pruning import keep_probabilities, noise_covariance
from penstock.analysis.time_constants import quartile_width, tune_time_constants, with_leaks
from penstock.reservoirs import ES2N, ESN, LTC, ResESN

INPUTS = np.random.default_rng(0).uniform(-1, 1, 200)


def network(n=30, seed=0, **settings):
    return ESN.random(n, seed=seed, **{"density": 0.3, "leak": 0.5} | settings)


def dense(system):
    W = system.recurrent_matrix()
    return W.toarray() if hasattr(W, "nnz") else W


class WithoutTangents(ESN):
    """A network that, as one of spikes on a grid, has no Jacobian to give."""

    def jacobian(self, x, u):
        raise TypeError("no Jacobian")


def without_tangents(esn):
    return WithoutTangents(esn.W, esn.W_in, esn.bias, esn.leak, esn.activation)


# --- linearisation ---


def test_local_exponents_are_the_norms_of_explicit_products():
    esn, horizon, n_points = network(8, density=None), 3, 4
    found = linearise_run(esn, INPUTS, horizon=horizon, n_points=n_points)
    states = np.vstack([np.zeros(8), esn.run(INPUTS)])  # state before every step
    first = len(INPUTS) // 20  # half of the washout, a tenth, is the state's own
    starts = first + np.linspace(0, len(INPUTS) - first - horizon, n_points).astype(int)
    expected, A = np.zeros(8), np.zeros((8, 8))
    for t in starts:
        J = [esn.jacobian(states[t + k], INPUTS[t + k]) for k in range(horizon)]
        expected += np.log(np.linalg.norm(J[2] @ J[1] @ J[0], axis=0)) / (n_points * horizon)
        A += J[0] / n_points
    assert_allclose(found.local_exponents, expected, rtol=1e-10)
    assert_allclose(found.A, A, rtol=1e-10, atol=1e-14)


def test_a_unit_forgotten_at_once_has_a_finite_exponent_and_time_counts():
    W = np.array([[0.0, 0.0], [0.0, 0.5]])
    flow = Map(lambda x, u: W @ x, n_units=2, rule_jacobian=lambda x, u: W)
    found = linearise_run(flow, horizon=4)
    assert_allclose(found.local_exponents, [np.log(np.finfo(float).eps) / 4, np.log(0.5)])


def test_a_fit_to_the_states_of_a_linear_network_finds_its_matrix():
    esn = replace(network(6, density=None, leak=1.0), activation=identity)
    found = linearise_states(esn, np.random.default_rng(1).normal(size=600), horizon=3, penalty=1e-13)
    assert_allclose(found.A, esn.W, atol=1e-4)  # one input excites six modes: the worst is seldom seen
    assert found.residual < 1e-8
    powers = np.linalg.norm(np.linalg.matrix_power(esn.W, 3), axis=0)
    assert_allclose(found.local_exponents, np.log(powers) / 3, atol=1e-3)
    assert_allclose(linear_exponents(without_tangents(esn), INPUTS)[0], np.log(0.9), atol=0.02)


def test_exponents_are_those_of_the_spectrum_where_there_are_tangents():
    esn = network(10)
    assert_allclose(linear_exponents(esn, INPUTS), np.sort(lyapunov_spectrum(esn, INPUTS).exponents)[::-1])


def test_the_covariance_is_the_sum_over_all_past_noise():
    A = np.random.default_rng(3).normal(size=(5, 5))
    A *= 0.7 / np.abs(np.linalg.eigvals(A)).max()
    powers = [np.linalg.matrix_power(A, k) for k in range(150)]  # 0.7^300 is nothing
    assert_allclose(stationary_covariance(A), sum(P @ P.T for P in powers), rtol=1e-10)


# --- step 1 ---


def test_strengths_are_harmonic_means_over_the_neighbourhoods():
    W = dense(network(12, density=0.15))
    exponents = np.random.default_rng(4).normal(size=12)
    sizes = np.maximum(np.abs(exponents), 1e-3 * np.abs(exponents).mean())
    near = [{i} | set(np.flatnonzero((W[i] != 0) | (W[:, i] != 0))) for i in range(12)]
    alone, around = synapse_exponents(W, exponents, hops=0), synapse_exponents(W, exponents)
    wider = synapse_exponents(W, exponents, hops=2)
    for i, j in np.argwhere(W != 0):
        assert_allclose(alone[i, j], hmean(sizes[sorted({i, j})]))
        assert_allclose(around[i, j], hmean(sizes[sorted(near[i] | near[j])]))
        assert_allclose(wider[i, j], hmean(sizes[sorted(set.union(*(near[k] for k in near[i] | near[j])))]))
    assert not alone[W == 0].any()


def test_one_exponent_at_zero_does_not_lose_all_synapses_around_it():
    W = np.ones((3, 3)) - np.eye(3)
    assert synapse_exponents(W, [0.0, -1.0, -1.0])[W != 0].min() > 0
    with pytest.raises(ValueError, match="local_exponents must not all be 0"):
        synapse_exponents(W, [0.0, 0.0, 0.0])


def test_probabilities_are_noise_pruning_s_when_all_strengths_are_weights():
    W = dense(network(10))
    np.fill_diagonal(W := W.copy(), 0.0)
    C = noise_covariance(ESN(W, np.ones((10, 1))))
    share = np.abs(W) * (np.diag(C)[:, None] + np.diag(C) - 2 * np.sign(W) * C)
    low, high = 0.0, 1e6
    for _ in range(200):  # the kappa of p = min(1, kappa share) by bisection
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, middle * share).sum() < 0.5 * (W != 0).sum() else (low, middle)
    assert_allclose(keep_probabilities(W, np.abs(W), C, 0.5), np.minimum(1, low * share), rtol=1e-9)


def test_on_a_tree_all_links_are_kept_alike():
    n, rng = 12, np.random.default_rng(5)
    W = np.zeros((n, n))
    for i in range(1, n):  # every link of a tree has the effective resistance 1 / w
        j = rng.integers(i)
        W[i, j] = W[j, i] = rng.uniform(0.5, 2)
    C = np.linalg.inv(np.diag(W.sum(axis=0)) - W + 1e-7 * np.eye(n)) / 2
    assert_allclose(keep_probabilities(W, W, C, 0.4)[W != 0], 0.4, rtol=1e-4)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.1, 1.0))
def test_a_share_keep_stays_in_the_mean(seed, keep):
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(6, 6)) * (rng.random((6, 6)) < 0.6)
    np.fill_diagonal(W, 0.0)
    root = rng.normal(size=(6, 6))
    p = keep_probabilities(W, rng.uniform(0.1, 3, (6, 6)), root @ root.T, keep)
    assert p.min() >= 0 and p.max() <= 1 and not p[W == 0].any()
    assert_allclose(p.sum(), keep * (W != 0).sum(), rtol=1e-9)


def test_the_mean_over_draws_is_the_matrix_and_self_connections_stay():
    esn = network(8, density=0.6)
    linear = linearise_run(esn, INPUTS)
    W, p = dense(esn), None
    p = keep_probabilities(W, synapse_exponents(W, linear.local_exponents), stationary_covariance(linear.A), 0.5)
    draws = np.array(
        [
            dense(prune_lyapunov_synapses(esn, 0.5, linearisation=linear, allow_disconnected=True, seed=seed).system)
            for seed in range(200)
        ]
    )
    error = np.abs(W) * np.sqrt((1 / np.maximum(p, 1e-9) - 1) / len(draws))  # sd of w b / p with b Bernoulli
    random = (p > 0) & (p < 1)
    assert np.abs((draws.mean(axis=0) - W)[random] / error[random]).max() < 4  # of some 30 normal numbers
    assert_allclose(draws[:, ~random], np.broadcast_to(W[~random], draws[:, ~random].shape))
    assert_array_equal(np.diagonal(draws, axis1=1, axis2=2), np.broadcast_to(np.diag(W), (200, 8)))


def test_synapses_of_systems_without_jacobian_are_pruned_by_the_fit():
    esn = without_tangents(network(12, density=0.5))
    pruned = prune_lyapunov_synapses(esn, 0.6, u=INPUTS, seed=1)
    by_hand = prune_lyapunov_synapses(esn, 0.6, linearisation=linearise_states(esn, INPUTS), seed=1)
    assert_array_equal(dense(pruned.system), dense(by_hand.system))
    assert 0.4 < pruned.n_synapses / np.count_nonzero(esn.W.toarray() if hasattr(esn.W, "nnz") else esn.W) < 0.8


# --- step 2 ---


def brute_betweenness(W):
    """Share of shortest paths through every unit, over all orders of the units as paths."""
    n, between = len(W), np.zeros(len(W))
    for s, t in permutations(range(n), 2):
        rest, best = [k for k in range(n) if k not in (s, t)], {}
        for size in range(n - 1):
            for middle in permutations(rest, size):
                path = (s, *middle, t)
                steps = [W[b, a] for a, b in zip(path, path[1:], strict=False)]
                if all(steps):
                    best[path] = sum(1 / abs(w) for w in steps)
        shortest = [p for p, length in best.items() if length < min(best.values()) + 1e-9] if best else []
        for path in shortest:
            between[list(path[1:-1])] += 1 / len(shortest)
    return between / ((n - 1) * (n - 2))


def test_betweenness_equals_all_paths_counted():
    rng = np.random.default_rng(6)
    W = rng.normal(size=(6, 6)) * (rng.random((6, 6)) < 0.5)
    assert_allclose(weighted_betweenness(W), brute_betweenness(W), atol=1e-12)
    ones = np.sign(W)  # many paths of equal length
    assert_allclose(weighted_betweenness(ones), brute_betweenness(ones), atol=1e-12)


def test_betweenness_of_a_larger_network_equals_networkx_s():
    W = dense(network(40, density=0.1))
    graph = nx.DiGraph([(j, i, {"length": 1 / abs(W[i, j])}) for i, j in np.argwhere(W) if i != j])
    graph.add_nodes_from(range(40))
    between = nx.betweenness_centrality(graph, weight="length")
    assert_allclose(weighted_betweenness(W), [between[i] for i in range(40)], atol=1e-14)
    assert weighted_betweenness(np.eye(2)).tolist() == [0, 0]


def test_the_units_removed_are_those_of_least_betweenness():
    esn = network(20, density=0.15)
    between = brute = weighted_betweenness(esn.W)
    pruned = prune_betweenness(esn, 0.75, allow_disconnected=True)
    assert len(pruned.units) == 15 == pruned.system.n_units
    gone = np.setdiff1d(np.arange(20), pruned.units)
    assert brute[gone].max() <= between[pruned.units].min()
    assert_array_equal(dense(pruned.system), dense(esn)[np.ix_(pruned.units, pruned.units)])
    assert_array_equal(pruned.system.W_in, esn.W_in[pruned.units])


# --- step 3 ---


def test_participation_ratios_of_known_eigenvectors():
    assert_allclose(inverse_participation(np.diag([3.0, 2.0, 1.0]), 3), 1)
    ring = np.roll(np.eye(7), 1, axis=0)  # plane waves
    assert_allclose(inverse_participation(ring, 7), 1 / 7)
    two = np.kron(np.diag([2.0, 1.0]), np.ones((3, 3)))  # leading vector on three of six units
    assert_allclose(inverse_participation(two, 1), 1 / 3)


def test_heterogeneity_of_a_star():
    star = np.zeros((6, 6))
    star[0, 1:] = star[1:, 0] = 1.0
    k = np.array([10, 2, 2, 2, 2, 2])
    assert_allclose(degree_heterogeneity(star), (k**2).mean() / k.mean() ** 2)
    assert np.isnan(degree_heterogeneity(np.eye(3)))


def test_added_synapses_raise_heterogeneity_and_widen_eigenvectors():
    signs = np.where(np.arange(40) < 30, 1.0, -1.0)  # every unit excites or inhibits
    esn = network(40, density=0.1)
    esn = esn.with_recurrent(np.abs(dense(esn)) * signs)
    before = dense(esn)
    wider = delocalise_eigenvectors(esn, 0.5, max_added=20, seed=2)
    W = dense(wider.system)
    assert wider.heterogeneity == (degree_heterogeneity(before), degree_heterogeneity(W))
    assert wider.heterogeneity[1] > wider.heterogeneity[0]
    assert wider.participation == (inverse_participation(before), inverse_participation(W))
    assert wider.participation[1] < wider.participation[0] and not wider.reached
    new = (W != 0) & (before == 0)
    assert 0 < new.sum() == wider.n_added <= 20
    assert_array_equal(W[before != 0], before[before != 0])
    assert ((W >= 0) | (signs < 0)).all()  # a sender keeps its sign
    links = ((before != 0) | (before != 0).T) & ~np.eye(40, dtype=bool)
    assert all(set(before[:, j][before[:, j] != 0]) >= {W[i, j]} for i, j in np.argwhere(new))
    first = wider.n_added and np.argwhere(new)
    reach = np.linalg.matrix_power(links + np.eye(40), 4) > 0  # batches build on each other
    assert all(reach[i, j] for i, j in first)


def test_synapses_that_would_level_degrees_are_not_accepted():
    star = np.zeros((12, 12))
    star[0, 1:] = star[1:, 0] = 1.0  # any synapse between two leaves makes degrees more equal
    wider = delocalise_eigenvectors(ESN(star, np.ones((12, 1))), 0.1, max_added=10, max_rounds=15, seed=0)
    assert wider.n_added == 0 and wider.n_rounds == 15 and not wider.reached


def test_a_target_that_holds_already_adds_nothing():
    wider = delocalise_eigenvectors(network(20), 1.0, seed=0)
    assert wider.n_added == 0 and wider.reached and wider.n_rounds == 0


# --- step 4 ---


def test_leaks_follow_from_time_constants():
    tau = np.array([0.5, 1.0, 30.0])
    assert_allclose(with_leaks(network(3), tau).leak, 1 - np.exp(-1 / tau))


def test_time_constants_calm_growing_oscillators_and_follow_the_gamma_law():
    n, W = 24, np.kron(np.eye(12), [[0.0, -1.1], [1.1, 0.0]])  # pairs with eigenvalues ± 1.1 i: they grow by ln 1.1
    esn = ESN(W, np.ones((n, 1)), activation=identity)
    tuned = tune_time_constants(esn, INPUTS, n_evaluations=12, mean_bounds=(0.3, 30.0), seed=3)
    assert_allclose(tuned.before, np.log(1.1), atol=1e-6)
    leak = 1 - np.exp(-1 / tuned.tau)
    eigenvalues = np.linalg.eigvals(np.diag(1 - leak) + leak[:, None] * W)
    assert tuned.feasible and abs(eigenvalues).max() < 1
    assert_allclose(tuned.after[0], np.log(abs(eigenvalues).max()), atol=0.02)  # 180 steps
    quantile = np.random.default_rng(np.random.SeedSequence(3).spawn(1)[0]).random(n)
    assert_allclose(tuned.tau, gamma.ppf(quantile, tuned.shape, scale=tuned.mean / tuned.shape), rtol=1e-8)
    assert 0.3 <= tuned.mean <= 30 and 0.5 <= tuned.shape <= 20


def test_no_choice_tried_was_wider_and_permitted():
    seen, esn = [], network(15)

    def setter(system, tau):
        seen.append(tau)
        return with_leaks(system, tau)

    tuned = tune_time_constants(esn, INPUTS, with_time_constants=setter, n_evaluations=10, seed=0)
    assert len(seen) == tuned.n_evaluations >= 10
    all_of_them = [linear_exponents(with_leaks(esn, tau), INPUTS) for tau in seen]
    assert_allclose(quartile_width(tuned.after), max(quartile_width(e) for e in all_of_them if e[0] <= 0))


def test_a_wider_spectrum_with_a_positive_exponent_is_not_chosen():
    seen = []

    def setter(system, tau):  # exponents tau - 3, whatever else
        A = np.diag(np.exp(tau - 3))
        seen.append(tau)
        return Map(lambda x, u: A @ x + 0 * u[0], n_units=8, n_inputs=1, rule_jacobian=lambda x, u: A)

    tuned = tune_time_constants(
        network(8), INPUTS[:60], with_time_constants=setter, mean_bounds=(0.5, 6.0), n_evaluations=15, seed=1
    )
    widths = np.array([quartile_width(tau) for tau in seen])
    calm = np.array([tau.max() <= 3 for tau in seen])
    assert widths[~calm].max() > widths[calm].max()
    assert tuned.feasible and tuned.tau.max() <= 3
    assert_allclose(quartile_width(tuned.tau), widths[calm].max(), rtol=0.02)  # frames of 60 steps are still turning


class Closed(ESN):
    """A network that takes no synapse where it has none."""

    def with_recurrent(self, W):
        if np.count_nonzero(dense(ESN(W, self.W_in))) > np.count_nonzero(dense(self)):
            raise ValueError("no synapse of that kind")
        return super().with_recurrent(W)


def test_a_batch_that_the_system_refuses_does_not_stay():
    esn = network(30, density=0.1)
    assert delocalise_eigenvectors(esn, 0.5, max_rounds=8, seed=0).n_added > 0
    assert delocalise_eigenvectors(Closed(esn.W, esn.W_in), 0.5, max_rounds=8, seed=0).n_added == 0


def test_a_network_that_no_time_constant_calms_says_so():
    growing = ESN(1.5 * np.eye(6), np.ones((6, 1)), activation=identity)  # 1 + a / 2 for every leak a
    tuned = tune_time_constants(growing, 1e-6 * INPUTS[:60], n_evaluations=4, seed=0)
    assert not tuned.feasible and "NO choice" in repr(tuned)


def test_systems_without_time_constants_are_refused_by_name():
    for call in (
        lambda s: tune_time_constants(s, INPUTS, seed=0),
        lambda s: prune_lyapunov_noise(s, u=INPUTS, seed=0),
    ):
        with pytest.raises(TypeError, match="ES2N has no field `leak` .* time_constants=False"):
            call(ES2N.random(10, seed=0))


# --- all ---


def test_every_step_can_be_switched_off_and_leaves_the_others_draws_alone():
    esn, settings = network(30), {"u": INPUTS[:100], "seed": 5, "n_evaluations": 3}
    whole = prune_lyapunov_noise(esn, 0.5, **settings)
    assert [s.name for s in whole.steps] == ["before", "synapses", "nodes", "delocalise", "time constants"]
    no_tuning = prune_lyapunov_noise(esn, 0.5, time_constants=False, **settings)
    assert [s[:-1] for s in no_tuning.steps] == [s[:-1] for s in whole.steps[:-1]]
    assert_array_equal(dense(no_tuning.system), dense(whole.steps[-2].system))
    assert_array_equal(no_tuning.kept, whole.kept)
    for off, missing in (
        ({"synapses": False}, "synapses"),
        ({"nodes": 0}, "nodes"),
        ({"delocalise": None}, "delocalise"),
    ):
        names = [s.name for s in prune_lyapunov_noise(esn, 0.5, time_constants=False, **off, **settings).steps]
        assert missing not in names and len(names) == 3
    alone = prune_lyapunov_synapses(esn, 0.5, u=INPUTS[:100], seed=np.random.SeedSequence(5).spawn(4)[0])
    assert alone.n_synapses == whole.steps[1].n_synapses


def test_the_whole_keeps_no_more_than_asked_and_no_positive_exponent():
    esn, u = network(30), INPUTS[:100]
    esn = esn.with_recurrent(1.4 * esn.W)
    pruned, again = (prune_lyapunov_noise(esn, 0.5, u=u, seed=7, n_evaluations=4) for _ in range(2))
    assert_array_equal(dense(pruned.system), dense(again.system))
    assert_array_equal(pruned.system.leak, again.system.leak)
    assert pruned.steps[-1].n_synapses <= pruned.steps[1].n_synapses
    assert pruned.steps[-1].leading_exponent <= 0
    assert lyapunov_spectrum(pruned.system, u, 1).exponents[0] <= 1e-3  # the same run, by one vector alone
    assert len(pruned.units) == 27 and pruned.n_synapses == pruned.steps[-1].n_synapses
    assert_array_equal(pruned.kept[np.ix_(pruned.units, pruned.units)], dense(pruned.system) != 0)
    assert "time constants" in repr(pruned)


def test_single_precision_and_sparse_form_stay_through_all_steps():
    esn = network(30, dtype=np.float32)
    pruned = prune_lyapunov_noise(esn, 0.5, u=INPUTS[:100], seed=5, n_evaluations=2)
    for step in pruned.steps:
        assert step.system.dtype == step.system.W.dtype == np.float32 and hasattr(step.system.W, "nnz")


def test_time_constants_of_other_models_are_set_by_a_function():
    def setter(system, tau):
        return replace(system, C_m=tau * system.g_leak)

    ltc = LTC.random(10, n_inputs=1, seed=0)
    tuned = tune_time_constants(ltc, INPUTS[:60], with_time_constants=setter, n_evaluations=2, seed=0)
    assert_allclose(tuned.system.C_m / tuned.system.g_leak, tuned.tau)
    assert tuned.feasible


def test_what_a_later_step_cannot_do_is_said_before_the_first(monkeypatch):
    def never(*_, **__):
        raise AssertionError("work has begun")

    monkeypatch.setattr("penstock.analysis.lyapunov_pruning._record", never)
    rest = {"u": INPUTS, "seed": 0}
    for change, message in (
        ({"mean_bounds": (3.0, 1.0)}, "mean_bounds must"),
        ({"n_evaluations": 0}, "n_evaluations must"),
        ({"u": None, "synapses": False}, "u must be the inputs"),
    ):
        with pytest.raises(ValueError, match=message):
            prune_lyapunov_noise(network(12), **rest | change)
    with pytest.raises(ValueError, match="nodes must be 0 for this system: .* O must be orthogonal"):
        prune_lyapunov_noise(ResESN.random(12, seed=0), time_constants=False, **rest)


def test_a_rule_without_a_derivative_at_zero_still_has_tangents():
    class Away(ESN):
        def jacobian(self, x, u):
            if not x.any():
                raise FloatingPointError("no derivative here")
            return super().jacobian(x, u)

    esn = network(10)
    away = Away(esn.W, esn.W_in, esn.bias, esn.leak)
    assert_allclose(linear_exponents(away, INPUTS[:60]), linear_exponents(esn, INPUTS[:60]))


def test_self_connections_alone_are_a_network_to_be_recorded():
    esn = ESN(np.diag([0.5, 0.4, 0.3]), np.ones((3, 1)), leak=0.5)
    pruned = prune_lyapunov_noise(esn, 1.0, u=INPUTS, nodes=0, n_evaluations=2, seed=0)
    assert pruned.n_synapses == 3 and np.isnan(pruned.steps[-1].heterogeneity)


def test_without_inputs_a_driven_network_has_steps_that_need_none():
    pruned = prune_lyapunov_noise(network(30), synapses=False, time_constants=False, seed=0)
    assert np.isnan(pruned.steps[-1].leading_exponent) and pruned.steps[-1].n_units == 27


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"keep": 0.0}, ValueError, "keep must lie in"),
        ({"keep": 2}, TypeError, "keep must be the fraction"),
        ({"keep": None}, TypeError, "keep must be a number"),
        ({"u": None}, ValueError, "u must be the inputs"),
        ({"u": INPUTS[:20]}, ValueError, "u must be at least"),
        ({"u": np.full(100, np.nan)}, ValueError, "u must be finite"),
        ({"seed": None}, TypeError, "seed must be"),
        ({"synapses": 1}, TypeError, "synapses must be True or False"),
        ({"time_constants": "gamma"}, TypeError, "time_constants must be True or False"),
        ({"nodes": 1.0}, ValueError, "nodes must be the fraction to remove"),
        ({"nodes": True}, TypeError, "nodes must be a number"),
        ({"delocalise": 0.0}, ValueError, "delocalise must lie in"),
        ({"with_time_constants": 3}, TypeError, "with_time_constants must be a function"),
        ({"mean_bounds": (3.0, 1.0)}, ValueError, "mean_bounds must be two numbers above 0"),
        ({"n_evaluations": 0}, ValueError, "n_evaluations must be at least 1"),
        ({"allow_disconnected": 0}, TypeError, "allow_disconnected must be"),
        ({"synapses": False, "nodes": 0, "delocalise": None, "time_constants": False}, ValueError, "at least one step"),
        ({"system": Map(lambda x, u: x, n_units=2)}, TypeError, "Map has no recurrent matrix"),
    ],
)
def test_arguments_of_no_use_are_refused(change, kind, message):
    given = {"system": network(12), "keep": 0.5, "u": INPUTS[:60], "seed": 0, "n_evaluations": 2} | change
    with pytest.raises(kind, match=message):
        prune_lyapunov_noise(given.pop("system"), given.pop("keep"), **given)


def test_matrices_of_no_use_are_refused():
    W, C = np.ones((3, 3)), np.eye(3)
    for call, message in (
        (lambda: keep_probabilities(W, W[:2], C, 0.5), "strengths must have shape"),
        (lambda: keep_probabilities(W, 0 * W, C, 0.5), "strengths must have shape .* above 0"),
        (lambda: keep_probabilities(W, W, np.eye(2), 0.5), "covariance"),
        (lambda: prune_lyapunov_synapses(network(3), covariance=W[:2], u=INPUTS, seed=0), "covariance"),
        (lambda: synapse_exponents(W, [1.0, 2.0]), "local_exponents must be a number or have shape"),
        (lambda: synapse_exponents(W, 1.0, hops=-1), "hops must be at least 0"),
        (lambda: stationary_covariance(1.1 * C), "stable linearisation, .* is 1.1: give covariance"),
        (lambda: linearise_states(network(5), INPUTS, penalty=0), "penalty must be above 0"),
        (lambda: with_leaks(network(3), [1.0, 0.0, 1.0]), "tau must be above 0"),
        (lambda: delocalise_eigenvectors(network(5), max_added=-1, seed=0), "max_added must be at least 0"),
        (lambda: prune_lyapunov_synapses(network(12), 0.25, u=INPUTS, seed=0), "must stay connected"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
