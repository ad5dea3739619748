"""Excitation and inhibition: Dale's law, the one-step design and local adaptation."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import adapt_inhibition_naively

from penstock import sigmoid
from penstock.reservoirs import (
    ESN,
    EIReservoir,
    adapt_inhibition,
    adapt_inhibition_hebbian,
    balance_inhibition,
    design_inhibition,
)
from penstock.reservoirs.esn import to_dense

N = 40
RULES = {"own rate": adapt_inhibition, "both ends": adapt_inhibition_hebbian}
each_rule = pytest.mark.parametrize("rule", list(RULES))


def network(seed=0, **settings):
    settings = {"in_degree": 20, "gain": 4.0, "threshold": 0.05, "n_inputs": 2} | settings
    return EIReservoir.random(N, **settings, seed=seed)


def dense(reservoir):
    return replace(reservoir, excitation=to_dense(reservoir.excitation), inhibition=to_dense(reservoir.inhibition))


def inputs(n_steps, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n_steps, 2))


def two_units(inhibition=0.5):
    """Unit 0 excites itself and unit 1, unit 1 inhibits unit 0."""
    return EIReservoir([[0.4, 0.0], [0.6, 0.0]], [[0.0, inhibition], [0.0, 0.0]], [[1.0], [0.0]], 2.0, [0.1, 0.2])


# --- the network ----------------------------------------------------------------------------------------------------


def test_states_equal_the_equation_written_out():
    u, r, states = [0.3, -0.7, 0.1], np.zeros(2), []
    for u_t in u:
        r = np.array(
            [
                1 / (1 + np.exp(-2 * (0.4 * r[0] - 0.5 * r[1] + u_t - 0.1))),
                1 / (1 + np.exp(-2 * (0.6 * r[0] - 0.2))),
            ]
        )
        states.append(r)
    np.testing.assert_allclose(two_units().run(u), states, atol=1e-15)  # numbers of order 1


def test_it_is_an_esn_with_folded_arrays():
    ours, u = network(), inputs(50)
    W = 4.0 * (ours.excitation.toarray() - ours.inhibition.toarray())
    esn = ESN(W, 4.0 * ours.W_in, np.full(N, -4.0 * 0.05), activation=sigmoid)
    states = ours.run(u)
    np.testing.assert_allclose(states, esn.run(u), atol=1e-14)  # sparse and dense sums round differently
    x, W_out = states[-1], np.random.default_rng(1).normal(size=(2, N))
    np.testing.assert_allclose(ours.close(W_out, 0.1).run(5, x0=x), esn.close(W_out, 0.1).run(5, x0=x), atol=1e-13)
    (mine,), (theirs,) = ours.lure_blocks(), esn.lure_blocks()
    np.testing.assert_allclose(mine.C, theirs.C, atol=1e-15)
    assert mine.slopes == (0.0, 0.25)
    np.testing.assert_array_equal(ours.run(u), ours.esn.run(u))


def test_dense_sparse_and_mixed_weights_give_the_same_states():
    ours, u = network(), inputs(30)
    mixed = replace(ours, excitation=ours.excitation.toarray())
    for other in (dense(ours), mixed):
        np.testing.assert_allclose(other.run(u), ours.run(u), atol=1e-14)  # another order of summation


def test_rates_stay_between_0_and_1_and_float32_stays_float32():
    single, u = network(dtype=np.float32), inputs(30)
    states = single.run(u)
    assert states.dtype == np.float32 and single.inhibition.dtype == np.float32 and (states > 0).all()
    np.testing.assert_allclose(states, network().run(u), atol=1e-5)  # a few roundings of 6e-8, hardly amplified
    adapted = adapt_inhibition(single, u, 0.4, washout=5).system
    assert adapted.dtype == adapted.inhibition.dtype == np.float32
    assert design_inhibition(single, 0.4).system.dtype == balance_inhibition(single, 1.1).dtype == np.float32


@given(
    n_units=st.integers(4, 70),
    fraction=st.floats(0.2, 0.9),
    ratio=st.floats(0, 3),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=25)
def test_random_networks_obey_dale_and_have_the_asked_sums(n_units, fraction, ratio, seed):
    drawn = EIReservoir.random(n_units, excitatory_fraction=fraction, spread=0.0, ratio=ratio, seed=seed)
    excitation, inhibition = drawn.excitation.toarray(), drawn.inhibition.toarray()
    assert not ((excitation.sum(axis=0) > 0) & (inhibition.sum(axis=0) > 0)).any()
    assert (excitation >= 0).all() and (inhibition >= 0).all()
    np.testing.assert_allclose(excitation.sum(axis=1), 1, rtol=1e-12)  # k weights of 1 / k, as spread is 0
    np.testing.assert_allclose(inhibition.sum(axis=1), ratio, rtol=1e-12, atol=1e-300)  # subnormal ratios round
    assert len(set(np.diff(drawn.excitation.indptr)) | {0}) == 2  # the same number of links in every row


def test_random_network_has_the_published_statistics():
    drawn = EIReservoir.random(500, seed=0)
    weights = drawn.excitation.data
    assert drawn.excitation.nnz == 500 * 40 and drawn.inhibition.nnz == 500 * 10
    # mean 1 / 40 and standard deviation 0.2 / 40, from 20,000 draws: bands of 4 standard errors
    assert abs(40 * weights.mean() - 1) < 4 * 0.2 / np.sqrt(20_000)
    assert abs(40 * weights.std() - 0.2) < 4 * 0.2 / np.sqrt(40_000)
    # the inhibitory mean is f_E / f_I = 4 times that: two errors of 4 standard errors, most from 5000 draws
    assert abs(drawn.inhibition.data.mean() / weights.mean() - 4) < 4 * 4 * 0.2 / np.sqrt(5000)
    driven = drawn.W_in[drawn.W_in[:, 0] != 0, 0]
    assert driven.size == 150 and abs(driven).max() <= 0.25 and drawn.gain == 10 and drawn.threshold == 0
    np.testing.assert_array_equal(drawn.inhibitory, np.arange(500) >= 400)


def test_parts_come_from_independent_streams_and_the_same_seed_gives_the_same_bits():
    one, two = (EIReservoir.random(30, n_inputs=m, seed=5) for m in (1, 2))
    np.testing.assert_array_equal(one.excitation.toarray(), two.excitation.toarray())
    np.testing.assert_array_equal(one.W_in[:, 0], two.W_in[:, 0])
    u = np.sin(np.arange(20.0))
    np.testing.assert_array_equal(one.run(u), EIReservoir.random(30, seed=5).run(u))


def test_repr_tells_the_balance():
    assert "40 (8 inhibitory)" in repr(network()) and "I/E=1.3" in repr(balance_inhibition(network(), 1.3))
    bare = EIReservoir(np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 1)))
    assert "I/E=nan" in repr(bare) and np.isnan(bare.ratio)  # nothing excites: no warning either


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"excitation": -np.eye(N)}, "excitation must be at least 0 everywhere, got -1"),
        ({"inhibition": -sp.csr_array(np.eye(N))}, "inhibition must be at least 0 everywhere, got -1"),
        ({"inhibition": np.eye(N)}, r"different units \(Dale's law\), got columns of unit 0 in both"),
        ({"excitation": np.ones((N, 2))}, "excitation must be square"),
        ({"inhibition": np.ones((2, 2))}, r"inhibition must have shape \(40, 40\), got \(2, 2\)"),
        ({"W_in": np.ones((3, 1))}, r"W_in must have shape \(40, any\)"),
        ({"gain": 0.0}, "gain must be above 0"),
        ({"threshold": np.zeros(3)}, r"threshold must be a number or have shape \(40,\)"),
        ({"threshold": np.nan}, "threshold must be finite"),
    ],
)
def test_impossible_networks_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(network(), **change)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_degree": 1}, "in_degree must be at least 2"),
        ({"in_degree": 39, "excitatory_fraction": 0.5}, "in_degree must be at most the units there are, 10 excitatory"),
        ({"excitatory_fraction": 1.5}, r"excitatory_fraction must lie in \(0, 1\]"),
        ({"ratio": -1.0}, "ratio must be at least 0"),
        ({"input_fraction": 0.0}, r"input_fraction must lie in \(0, 1\]"),
    ],
)
def test_impossible_draws_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EIReservoir.random(20, **settings, seed=0)


# --- global scaling and the one-step design -------------------------------------------------------------------------


@given(ratio=st.floats(0, 5), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=20)
def test_balancing_scales_all_inhibition_by_one_factor(ratio, seed):
    before = network(seed)
    after = balance_inhibition(before, ratio)
    assert after.inhibition.sum() == pytest.approx(ratio * after.excitation.sum(), rel=1e-12, abs=1e-300)
    np.testing.assert_allclose(
        after.inhibition.toarray() * before.ratio, before.inhibition.toarray() * ratio, atol=1e-13
    )
    np.testing.assert_array_equal(after.excitation.toarray(), before.excitation.toarray())


@given(seed=st.integers(0, 1000), low=st.floats(0.05, 0.5), sparse=st.booleans())
@settings(deadline=None, max_examples=30)
def test_the_design_makes_the_targets_a_fixed_point_wherever_nothing_was_cut_off(seed, low, sparse):
    rng = np.random.default_rng(seed)
    targets, mean_input = rng.uniform(low, low + 0.4, N), rng.uniform(-0.5, 0.5, 2)
    given_network = network(seed) if sparse else dense(network(seed))
    system, factors, exact = design_inhibition(given_network, targets, mean_input)
    image = system.step(targets, mean_input)
    np.testing.assert_allclose(image[exact], targets[exact], atol=1e-13)  # sums of order 1 through a slope of 1
    assert (factors[~exact] == 0).all() and (image[~exact] < targets[~exact]).all()  # too little excitation


def test_the_design_of_two_units_by_hand():
    """Targets 0.6 and 0.5 at input 0.2: unit 0 needs 0.4 * 0.6 + 0.2 - 0.1 - logit(0.6) / 2 of inhibition."""
    system, factors, exact = design_inhibition(two_units(), [0.6, 0.5], 0.2)
    wanted = 0.24 + 0.2 - 0.1 - np.log(1.5) / 2
    assert factors[0] == pytest.approx(wanted / (0.5 * 0.5), rel=1e-14)
    assert exact.tolist() == [True, False] and factors[1] == 1.0  # nobody inhibits unit 1
    assert system.step(np.array([0.6, 0.5]), np.array([0.2]))[0] == pytest.approx(0.6, rel=1e-14)


# --- local adaptation -----------------------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_adaptation_equals_its_naive_twin(rule, kind):
    ours, u = network() if kind == "sparse" else dense(network()), inputs(60)
    targets, start = np.random.default_rng(3).beta(2, 2, N), np.full(N, 0.3)
    deltas = [0.3, 0.05]  # large, so that weights are cut off at 0
    result = RULES[rule](ours, u, targets, learning_rate=deltas, epochs=2, washout=7, x0=start)
    twin, errors = adapt_inhibition_naively(dense(ours), u, targets, deltas, 7, start, rule == "both ends")
    adapted = result.system.inhibition
    adapted = adapted.toarray() if kind == "sparse" else adapted
    np.testing.assert_allclose(adapted, twin, atol=1e-12)  # 120 steps of a map of Lipschitz constant about 1
    np.testing.assert_allclose(result.errors, errors, atol=1e-12)
    there = ours.inhibition.toarray() > 0 if kind == "sparse" else ours.inhibition > 0
    assert (adapted[there] == 0).any() and (adapted[~there] == 0).all() and (adapted >= 0).all()
    frozen = replace(dense(ours), inhibition=twin).run(u, start)[7:].mean(axis=0)
    np.testing.assert_allclose(result.rates, frozen, atol=1e-12)


def test_one_step_of_both_rules_by_hand():
    """From r = (0.5, 0.8) without input, unit 0 goes to sigmoid(2 (0.4 * 0.5 - 0.5 * 0.8 - 0.1)); its target: 0.25."""
    rate = 1 / (1 + np.exp(0.6))
    for rule, pre in ((adapt_inhibition, 1.0), (adapt_inhibition_hebbian, 0.8)):
        result = rule(two_units(), [0.0], [0.25, 0.5], learning_rate=0.1, washout=0, x0=[0.5, 0.8])
        expected = [[0.0, 0.5 + 0.1 * (rate - 0.25) * pre], [0.0, 0.0]]
        np.testing.assert_allclose(result.system.inhibition, expected, rtol=1e-15)


@each_rule
def test_mean_rates_approach_uneven_targets(rule):
    ours, u = network(), inputs(4000)
    targets = np.random.default_rng(1).uniform(0.3, 0.6, N)
    before = np.abs(ours.run(u)[100:].mean(axis=0) - targets)
    result = RULES[rule](ours, u, targets, learning_rate=[1e-2, 1e-3], epochs=2)
    after = np.abs(result.system.run(u)[100:].mean(axis=0) - targets)
    assert result.converged and after.max() < 0.02 < before.mean()
    np.testing.assert_allclose(result.rates, result.system.run(u)[100:].mean(axis=0), atol=1e-12)  # order of summation
    assert "InhibitionAdaptation(converged: 40 of 40 units within 0.02" in repr(result)


def test_a_pass_that_returns_to_its_weights_had_exactly_the_target_rates():
    """Uncut, the weights of the first rule move by delta times the sum of r - rho: unmoved, the mean is rho."""
    ours, u = network(), inputs(1000)
    result = adapt_inhibition(ours, u, 0.45, learning_rate=1e-2, epochs=40)
    assert result.system.inhibition.data.min() > 0
    assert result.errors[-1] < 1e-12


def test_unreachable_targets_are_reported():
    """Unit 1 of two has no inhibition, and unit 0 of a network without excitation cannot reach 0.9."""
    u = np.zeros(300)
    result = adapt_inhibition(two_units(), u, [0.4, 0.2])
    assert result.reached.tolist() == [True, False] and "NOT converged: 1 of 2 units" in repr(result)
    weak = EIReservoir(np.zeros((2, 2)), [[0.0, 1.0], [0.0, 0.0]], np.zeros((2, 1)))
    lost = adapt_inhibition(weak, u, [0.9, 0.5])
    assert lost.system.inhibition.sum() == 0 and lost.rates[0] == pytest.approx(0.5, abs=1e-12)


@each_rule
def test_permuting_units_permutes_the_result(rule):
    ours, u = network(), inputs(80)
    order = np.random.default_rng(4).permutation(N)
    targets = np.random.default_rng(5).beta(2, 2, N)
    turned = EIReservoir(
        ours.excitation[order][:, order], ours.inhibition[order][:, order], ours.W_in[order], ours.gain, ours.threshold
    )
    one = RULES[rule](ours, u, targets, washout=10, learning_rate=0.05)
    other = RULES[rule](turned, u, targets[order], washout=10, learning_rate=0.05)
    # sums in another order; 80 steps of a map of Lipschitz constant about 1
    np.testing.assert_allclose(
        other.system.inhibition.toarray(), one.system.inhibition.toarray()[order][:, order], atol=1e-12
    )
    np.testing.assert_allclose(other.rates, one.rates[order], atol=1e-12)


@each_rule
def test_adaptation_leaves_the_rest_alone_and_repeats_to_the_bit(rule):
    ours, u = network(), inputs(100)
    before, kept = ours.inhibition.toarray(), u.copy()
    one, two = (RULES[rule](ours, u, 0.3, washout=0, learning_rate=1.0) for _ in range(2))
    np.testing.assert_array_equal(ours.inhibition.toarray(), before)
    np.testing.assert_array_equal(u, kept)
    np.testing.assert_array_equal(one.system.inhibition.toarray(), two.system.inhibition.toarray())
    np.testing.assert_array_equal(one.system.excitation.toarray(), ours.excitation.toarray())
    np.testing.assert_array_equal(one.system.inhibition.indices, ours.inhibition.indices)  # links cut to 0 stay links
    np.testing.assert_array_equal(one.system.W_in, ours.W_in)


def test_a_network_without_inputs_adapts_from_a_given_start():
    alone = replace(network(), W_in=np.empty((N, 0)))
    result = adapt_inhibition(alone, 2000, 0.4, x0=np.full(N, 0.5))
    assert result.converged
    with pytest.raises(ValueError, match="x0 must be given for a network without inputs"):
        adapt_inhibition(alone, 2000, 0.4)


def test_plot_shows_every_unit():
    result = adapt_inhibition(network(), inputs(200), 0.4)
    ax = result.plot()
    assert len(ax.lines[0].get_xdata()) == N and ax.get_xlabel() and ax.get_ylabel()
    assert result.plot(ax) is ax
    plt.close(ax.figure)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, u: adapt_inhibition(n, u, 1.0), "rates must lie between 0 and 1, got 1.0 to 1.0"),
        (lambda n, u: design_inhibition(n, 0.0), "rates must lie between 0 and 1, got 0.0"),
        (lambda n, u: adapt_inhibition(n, u, [0.5, 0.5]), r"rates must be a number or have shape \(40,\), got \(2,\)"),
        (lambda n, u: adapt_inhibition(n, u, 0.5, learning_rate=0), "learning_rate must be above 0, got 0"),
        (
            lambda n, u: adapt_inhibition(n, u, 0.5, learning_rate=[1, 1]),
            "learning_rate must be a number or one for each",
        ),
        (lambda n, u: adapt_inhibition(n, u, 0.5, epochs=0), "epochs must be at least 1"),
        (lambda n, u: adapt_inhibition(n, u, 0.5, tolerance=0), "tolerance must be above 0"),
        (lambda n, u: adapt_inhibition(n, u, 0.5, washout=150), "washout must be below the 150 steps of u, got 150"),
        (lambda n, u: adapt_inhibition(n, u[:, :1], 0.5), r"u must have shape \(T, 2\)"),
        (lambda n, u: adapt_inhibition(n, u[None], 0.5), r"u must be one series of shape \(T, 2\)"),
        (
            lambda n, u: design_inhibition(n, 0.5, [1.0]),
            r"mean_input must be a number or have shape \(2,\), got \(1,\)",
        ),
        (lambda n, u: balance_inhibition(n, -1), "ratio must be at least 0"),
        (
            lambda n, u: balance_inhibition(balance_inhibition(n, 0), 1),
            "reservoir must have inhibitory weights to scale",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(network(), inputs(150))


def test_only_excitatory_inhibitory_networks_are_taken():
    esn = ESN.random(10, seed=0)
    for call in (balance_inhibition, design_inhibition, lambda n, r: adapt_inhibition(n, np.zeros(200), r)):
        with pytest.raises(TypeError, match="reservoir must be an EIReservoir, got ESN"):
            call(esn, 0.5)


def test_overflowing_weights_are_named():
    with pytest.raises(FloatingPointError, match="adapting inhibition diverged in epoch 0"):
        adapt_inhibition(network(), inputs(200), 1e-6, learning_rate=1e308)
