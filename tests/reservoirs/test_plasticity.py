"""Intrinsic plasticity and the local rules for recurrent weights."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import ACTIVATIONS, adapt_gains_naively, learn_locally_naively
from scipy.optimize import minimize

import penstock
from penstock import identity, relu, sigmoid, tanh
from penstock.reservoirs import ESN, NVAR, ResESN, bcm, hebbian, intrinsic_plasticity, oja
from penstock.scaling import spectral_radius

RULES = {"hebbian": hebbian, "oja": oja, "bcm": bcm}
each_rule = pytest.mark.parametrize("rule", list(RULES))


def inputs(n_steps, n_inputs=2, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n_steps, n_inputs))


def network(activation=tanh, sparse=False, leak=0.7, seed=1):
    density = 0.3 if sparse else None
    return ESN.random(
        12,
        n_inputs=2,
        bias_scaling=0.2,
        activation=activation,
        leak=leak,
        density=density,
        spectral_radius=0.8,
        seed=seed,
    )


def feedforward(n_sources, initial, activation=identity):
    """Sources 0 … n-1 copy the inputs; the last unit sees them one step later, through the only links."""
    n = n_sources + 1
    links = sp.csr_array((initial, (np.full(n_sources, n_sources), np.arange(n_sources))), shape=(n, n))
    return ESN(links, np.eye(n, n_sources), activation=activation)


# --- intrinsic plasticity -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_intrinsic_plasticity_equals_its_naive_twin(activation, sparse):
    esn, u = network(getattr(penstock, activation), sparse, np.linspace(0.3, 1, 12)), inputs(60)
    start, target = np.linspace(-0.1, 0.1, 12), {"mean": 0.15, "std": 0.4}
    given_target = target if activation == "tanh" else {"mean": 0.15}
    adapted = intrinsic_plasticity(esn, u, **given_target, learning_rate=0.02, epochs=2, washout=5, x0=start)
    W = esn.W.toarray() if sparse else esn.W
    gain, bias, outputs = adapt_gains_naively(
        activation, W, esn.W_in, esn.bias, esn.leak, u, start, target["mean"], target["std"], 0.02, 2, 5
    )
    # 120 steps of a contracting network with numbers of order 1
    np.testing.assert_allclose(adapted.gain, gain, atol=1e-12)
    np.testing.assert_allclose(adapted.bias, bias, atol=1e-12)
    np.testing.assert_allclose(adapted.means, outputs.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(adapted.stds, outputs.std(axis=1), atol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_gains_and_biases_are_folded_into_the_network(sparse):
    esn, u = network(sparse=sparse), inputs(50)
    system, gain, bias, *_ = intrinsic_plasticity(esn, u, learning_rate=0.05, washout=0)
    W, x, states = esn.W.toarray() if sparse else esn.W, np.zeros(12), []
    for u_t in u:
        x = 0.3 * x + 0.7 * np.tanh(gain * (W @ x + esn.W_in @ u_t) + bias)
        states.append(x)
    np.testing.assert_allclose(system.run(u), states, atol=1e-13)
    assert sp.issparse(system.W) == sparse and system.leak == 0.7 and abs(gain - 1).min() > 0.01


def mean_divergence(activation, a, b, x, mean, std):
    """KL divergence of the law of y = f(a x + b) from its target, but for the entropy of x and constants of the target.

    ln p_y = ln p_x - ln |a f'|, and -ln p_target is (y - mu)² / (2 sigma²) or y / mu.
    """
    f, slope = ACTIVATIONS[activation]
    z = a * x + b
    y = f(z)
    cost = (y - mean) ** 2 / (2 * std**2) if activation == "tanh" else y / mean
    return cost - np.log(np.abs(a) * slope(z))


@given(
    activation=st.sampled_from(["tanh", "sigmoid"]),
    x=st.floats(-1.5, 1.5),
    bias=st.floats(-0.8, 0.8),
    mean=st.floats(0.05, 0.6),
    std=st.floats(0.2, 1.0),
)
@settings(deadline=None, max_examples=40)
def test_a_step_follows_the_numerical_gradient_of_the_divergence(activation, x, bias, mean, std):
    esn = ESN(np.zeros((1, 1)), np.ones((1, 1)), bias, activation=getattr(penstock, activation))
    law = {"mean": mean, "std": std} if activation == "tanh" else {"mean": mean}
    _, gain, new_bias, *_ = intrinsic_plasticity(esn, [x], **law, learning_rate=1e-3, washout=0)
    h = 1e-5
    by_gain, by_bias = (
        (
            mean_divergence(activation, 1 + s * h, bias + t * h, x, mean, std)
            - mean_divergence(activation, 1 - s * h, bias - t * h, x, mean, std)
        )
        / (2 * h)
        for s, t in ((1, 0), (0, 1))
    )
    # central differences: h² times a third derivative of order 100 / 3, and rounding 1e-16 / h of values up to 50
    assert (gain[0] - 1) / 1e-3 == pytest.approx(-by_gain, abs=2e-7 + 1e-8 * abs(by_gain))
    assert (new_bias[0] - bias) / 1e-3 == pytest.approx(-by_bias, abs=2e-7 + 1e-8 * abs(by_bias))


@pytest.mark.parametrize(("activation", "mean", "std"), [("tanh", 0.1, 0.3), ("sigmoid", 0.2, 0.3)])
def test_the_rule_rests_where_the_divergence_is_least(activation, mean, std):
    """A unit driven by Gaussian numbers ends at the minimum over gain and bias that Nelder-Mead finds for them."""
    u = 0.5 + 0.8 * np.random.default_rng(0).standard_normal(20_000)
    least = minimize(
        lambda p: mean_divergence(activation, p[0], p[1], u, mean, std).mean(), [1.0, 0.0], method="Nelder-Mead"
    )
    esn = ESN(np.zeros((1, 1)), np.ones((1, 1)), activation=getattr(penstock, activation))
    law = {"mean": mean, "std": std} if activation == "tanh" else {"mean": mean}
    rates = [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-5]
    adapted = intrinsic_plasticity(esn, u, **law, learning_rate=rates, epochs=8, washout=0)
    # the noise of a stochastic gradient, sqrt(rate) = 1e-2 to 3e-3 of numbers of order 1; Nelder-Mead is good to 1e-4
    np.testing.assert_allclose([adapted.gain[0], adapted.bias[0]], least.x, atol=0.01)


def test_a_network_comes_to_rest_at_the_moments_of_its_target():
    u = np.random.default_rng(0).standard_normal(6000)
    slowing = {"learning_rate": [1e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-5], "epochs": 7}
    esn = ESN.random(30, input_scaling=0.5, seed=0)
    y = intrinsic_plasticity(esn, u, mean=0.1, std=0.2, **slowing).system.run(u)[100:]
    # two parameters meet two moments but for terms of order sigma² = 4 %; the noise left is a fraction of sigma
    np.testing.assert_allclose(y.mean(axis=0), 0.1, atol=0.02)
    np.testing.assert_allclose(y.std(axis=0), 0.2, rtol=0.05)
    esn = ESN.random(30, activation=sigmoid, input_scaling=2.0, seed=0)
    y = intrinsic_plasticity(esn, u, mean=0.2, **slowing).system.run(u)[100:]
    # the mean change of the bias vanishes: E y - E y² = mu (1 - 2 E y), which the exponential law obeys
    np.testing.assert_allclose(y.mean(axis=0) - (y**2).mean(axis=0), 0.2 * (1 - 2 * y.mean(axis=0)), atol=0.005)


def test_the_passes_report_the_moments_that_moved_the_bias():
    """Without noise of any kind: the bias moved by eta T (1 - (2 + 1 / mu) E y + E y² / mu)."""
    esn, u = network(sigmoid), inputs(300)
    adapted = intrinsic_plasticity(esn, u, mean=0.3, learning_rate=0.01, washout=40)
    m, square = adapted.means[0], adapted.stds[0] ** 2 + adapted.means[0] ** 2
    moved = 0.01 * 260 * (1 - (2 + 1 / 0.3) * m + square / 0.3)
    np.testing.assert_allclose(adapted.bias - esn.bias, moved, atol=1e-12)


def test_float32_networks_stay_so():
    esn = ESN.random(20, dtype=np.float32, n_inputs=2, seed=0)
    adapted = intrinsic_plasticity(esn, inputs(300)).system
    assert adapted.dtype == adapted.W_in.dtype == adapted.bias.dtype == np.float32
    twin = intrinsic_plasticity(ESN(esn.W.astype(float), esn.W_in.astype(float)), inputs(300)).system
    np.testing.assert_allclose(adapted.W, twin.W, rtol=1e-6)  # one rounding at the end


# --- Hebb, Oja, BCM -------------------------------------------------------------------------------------------------


@each_rule
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_local_rules_equal_their_naive_twin(rule, activation, sparse):
    esn, u = network(getattr(penstock, activation), sparse, np.linspace(0.3, 1, 12)), inputs(50)
    start, extra = np.linspace(-0.1, 0.1, 12), {"threshold_rate": 0.2} if rule == "bcm" else {}
    eta = 0.02 if activation == "tanh" else 0.003  # the states of relu units may grow
    adapted = RULES[rule](esn, u, learning_rate=eta, epochs=2, washout=5, x0=start, **extra).W
    W = esn.W.toarray() if sparse else esn.W
    twin = learn_locally_naively(rule, activation, W, esn.W_in, esn.bias, esn.leak, u, start, eta, 0.2, 2, 5)
    np.testing.assert_allclose(adapted.toarray() if sparse else adapted, twin, atol=1e-12)  # 100 contracting steps
    assert np.abs(twin - W).max() > 1e-3


def test_slow_hebbian_learning_adds_the_outer_products_of_successive_states():
    esn, u, eta = network(), inputs(400), 1e-9
    change = (hebbian(esn, u, learning_rate=eta, washout=50).W - esn.W) / eta
    states = esn.run(u)
    # weights change by 4e-7 at most, the states as much; rounding of W, 1e-16 / eta, is as small
    np.testing.assert_allclose(change, states[50:].T @ states[49:-1], atol=1e-3)


def test_hebbian_learning_of_a_linear_unit_multiplies_its_weights():
    """y = w . x gives w <- (1 + eta x x^T) w at every step, on inputs one step old."""
    u, w = inputs(30, 3), np.array([0.3, -0.2, 0.5])
    adapted = hebbian(feedforward(3, w), u, learning_rate=0.1, washout=0)
    for x in u[:-1]:
        w = w + 0.1 * (w @ x) * x
    np.testing.assert_allclose(adapted.W.toarray()[3, :3], w, rtol=1e-13)


def test_oja_turns_a_linear_unit_into_the_first_principal_component():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    u = rng.normal(size=(5000, 4)) * [1.5, 0.7, 0.5, 0.2] @ np.linalg.qr(mixing)[0]
    _, axes = np.linalg.eigh(u.T @ u)
    esn = feedforward(4, rng.normal(size=4))
    esn = oja(esn, u, learning_rate=[1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4], epochs=6)
    w = esn.W.toarray()[4, :4]
    assert esn.W.nnz == 4
    # noise of a stochastic gradient of rate 1e-4: about sqrt(1e-4) times the ratio of the variances
    assert np.linalg.norm(w) == pytest.approx(1, abs=5e-3)
    assert abs(w @ axes[:, -1]) == pytest.approx(1, abs=5e-4)


@pytest.mark.parametrize("seed", range(4))
def test_bcm_makes_a_linear_unit_selective_for_one_of_the_patterns(seed):
    """Of K patterns, equally frequent, the stable fixed point answers one with K and the others with 0.

    There y (y - E y²) vanishes for every pattern: y = 0, or y = E y² = y² / K.
    """
    rng = np.random.default_rng(seed)
    patterns = np.array([[1.0, 0.2, 0.1], [0.1, 1.0, 0.3], [0.2, 0.1, 1.0]])
    u = patterns[rng.integers(3, size=60_000)]
    esn = bcm(feedforward(3, rng.uniform(0.2, 0.6, 3)), u, learning_rate=2e-3, threshold_rate=0.01, epochs=1)
    esn = bcm(esn, u, learning_rate=1e-4, threshold_rate=0.002, epochs=1, washout=5000)
    answers = np.sort(patterns @ esn.W.toarray()[3, :3])
    # the threshold averages 500 steps and so fluctuates by some percent; small rates average that out
    np.testing.assert_allclose(answers, [0, 0, 3], atol=0.15)


@each_rule
def test_absent_links_stay_absent_and_the_radius_is_the_one_asked_for(rule):
    esn, u = network(sparse=True), inputs(200)
    adapted = RULES[rule](esn, u, learning_rate=0.01, spectral_radius=0.7)
    assert spectral_radius(adapted.W) == pytest.approx(0.7, rel=1e-9)
    np.testing.assert_array_equal(adapted.W.toarray() != 0, esn.W.toarray() != 0)
    dense = ESN(esn.W.toarray(), esn.W_in, esn.bias, esn.leak)
    like = RULES[rule](dense, u, learning_rate=0.01, spectral_radius=0.7)
    np.testing.assert_allclose(like.W, adapted.W.toarray(), atol=1e-12)


@each_rule
def test_the_network_given_stays_as_it_was_and_results_repeat_to_the_bit(rule):
    esn, u = network(), inputs(120)
    W, before = esn.W.copy(), u.copy()
    one, two = (RULES[rule](esn, u, learning_rate=0.01) for _ in range(2))
    np.testing.assert_array_equal(esn.W, W)
    np.testing.assert_array_equal(u, before)
    np.testing.assert_array_equal(one.W, two.W)
    np.testing.assert_array_equal(one.W_in, esn.W_in)
    first, second = (intrinsic_plasticity(esn, u) for _ in range(2))
    np.testing.assert_array_equal(first.gain, second.gain)


@each_rule
def test_permuting_units_permutes_what_is_learnt(rule):
    esn, u = network(leak=np.linspace(0.3, 1, 12)), inputs(100)
    order = np.random.default_rng(3).permutation(12)
    turned = ESN(esn.W[order][:, order], esn.W_in[order], esn.bias[order], esn.leak[order])
    one, other = (RULES[rule](net, u, learning_rate=0.01, washout=0) for net in (esn, turned))
    np.testing.assert_allclose(other.W, one.W[order][:, order], atol=1e-12)  # another order of summation
    one, other = (intrinsic_plasticity(net, u, learning_rate=0.01, washout=0) for net in (esn, turned))
    np.testing.assert_allclose(other.gain, one.gain[order], atol=1e-12)


# --- divergence and bad input ---------------------------------------------------------------------------------------


def test_runaway_hebbian_learning_is_named():
    loop = ESN([[0.5]], [[1.0]], activation=identity)
    with pytest.raises(
        FloatingPointError, match=r"hebbian diverged: unit 0 is (inf|nan) at step \d+ of epoch 0; lower"
    ):
        hebbian(loop, np.ones(2000), learning_rate=0.1)
    # only the last weight overflows: no state has seen it yet
    with pytest.raises(FloatingPointError, match="hebbian diverged in epoch 0: what it adapts is not finite"):
        hebbian(loop, [1e8, 1e8], learning_rate=1e295, washout=0)


def test_gains_that_overflow_are_named():
    esn = ESN(np.zeros((1, 1)), np.ones((1, 1)))
    with pytest.raises(FloatingPointError, match="intrinsic plasticity diverged"):
        intrinsic_plasticity(esn, np.full(200, 3.0), learning_rate=1e308)


@pytest.mark.parametrize("activation", [relu, identity])
def test_only_tanh_and_sigmoid_have_an_intrinsic_rule(activation):
    with pytest.raises(ValueError, match=f"activation must be tanh or sigmoid .*, got {activation.__name__}"):
        intrinsic_plasticity(network(activation), inputs(200))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mean": 1.0}, "mean must lie between -1 and 1 for tanh, got 1.0"),
        ({"std": 0.0}, "std must be above 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        (
            {"learning_rate": [1e-3, 1e-4]},
            r"learning_rate must be a number or one for each of 1 epochs, got shape \(2,\)",
        ),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"washout": 200}, "washout must be below the 200 steps of u, got 200"),
        ({"x0": np.zeros(3)}, r"x0 must have shape \(12,\)"),
    ],
)
def test_bad_settings_of_intrinsic_plasticity_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        intrinsic_plasticity(network(), inputs(200), **settings)


def test_bad_targets_of_sigmoid_units_are_named():
    with pytest.raises(ValueError, match="mean must lie between 0 and 1 for sigmoid, got 0.0"):
        intrinsic_plasticity(network(sigmoid), inputs(200), mean=0.0)
    with pytest.raises(ValueError, match="std must be left out for sigmoid"):
        intrinsic_plasticity(network(sigmoid), inputs(200), std=0.2)


@each_rule
def test_bad_settings_of_local_rules_are_named(rule):
    esn, u = network(), inputs(200)
    for call, message in (
        (lambda: RULES[rule](esn, u[None]), r"u must be one series of shape \(T, 2\), got \(1, 200, 2\)"),
        (lambda: RULES[rule](esn, u, spectral_radius=-1), "spectral_radius must be at least 0"),
        (lambda: RULES[rule](esn, u, learning_rate=np.nan), "learning_rate must be finite"),
        (lambda: RULES[rule](ESN(esn.W, np.empty((12, 0))), 200), "x0 must be given for a network without inputs"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="esn must be an ESN, got ResESN"):
        RULES[rule](ResESN.random(10, alpha=0.5, beta=0.5, seed=0), u[:, :1])
    for other in (NVAR(2), None, "esn"):
        with pytest.raises(TypeError, match="esn must be an ESN, got"):
            RULES[rule](other, u)


def test_threshold_rate_is_a_fraction_and_only_hebb_may_unlearn():
    with pytest.raises(ValueError, match=r"threshold_rate must lie in \(0, 1\]"):
        bcm(network(), inputs(200), threshold_rate=2.0)
    with pytest.raises(ValueError, match="learning_rate must be above 0"):
        oja(network(), inputs(200), learning_rate=-0.1)
    learnt, unlearnt = (hebbian(network(), inputs(200), learning_rate=eta).W - network().W for eta in (1e-7, -1e-7))
    np.testing.assert_allclose(learnt, -unlearnt, atol=1e-9)  # to second order in the rate
