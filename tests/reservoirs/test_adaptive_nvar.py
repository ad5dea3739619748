"""The trained network of delayed values: its gradient, its units, and what it learns from noisy series."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime
from scipy.sparse import csr_array

from penstock import Ridge, ridge
from penstock.data import lorenz63
from penstock.reservoirs import NVAR, AdaptiveNVAR, Forecaster, Stack, train_adaptive_nvar
from penstock.reservoirs.adaptive_nvar import _Descent, _windows
from penstock.system import numerical_jacobian


def noisy_waves(n_steps=600, noise=0.2, seed=0):
    t = np.arange(n_steps)
    clean = np.column_stack([np.sin(0.3 * t), 5 + 2 * np.cos(0.3 * t)])
    return clean + noise * np.random.default_rng(seed).standard_normal(clean.shape)


def train(series, **changed):
    small = {"n_delays": 4, "n_hidden": 6, "n_features": 5, "max_iter": 40, "seed": 0, "progress": False}
    return train_adaptive_nvar(series, **(small | changed))


# The System


@given(n_inputs=st.integers(1, 3), n_delays=st.integers(1, 3), skip=st.integers(1, 3))
@settings(deadline=None, max_examples=15)
def test_features_are_the_taps_and_a_network_of_them(n_inputs, n_delays, skip):
    u = np.random.default_rng(1).standard_normal((12, n_inputs))
    nvar = AdaptiveNVAR.random(n_inputs, n_delays=n_delays, skip=skip, n_hidden=4, n_features=3, seed=0)
    nvar = AdaptiveNVAR(nvar.W1, 0.1, nvar.W2, [1.0, 2.0, 3.0], n_delays=n_delays, skip=skip)
    states = nvar.run(u)
    for t in range(len(u)):
        taps = np.concatenate([u[t - k * skip] if t >= k * skip else 0 * u[0] for k in range(n_delays)])
        expected = np.concatenate([taps, nvar.W2 @ np.tanh(nvar.W1 @ taps + 0.1) + [1, 2, 3]])
        assert_allclose(states[t, nvar.observed], expected, rtol=1e-13, atol=1e-14)  # a few roundings
    x, drive = states[-1], u[0]
    assert_allclose(nvar.jacobian(x, drive), numerical_jacobian(lambda x: nvar.step(x, drive), x), atol=1e-13)
    assert_allclose(nvar.input_jacobian(x, drive), numerical_jacobian(lambda v: nvar.step(x, v), drive), atol=1e-13)


def test_tangents_pass_through_the_network_as_its_jacobians_say():
    """In a stack, where they come with the inputs; alone they leave the register after as many steps as it has."""
    lower = AdaptiveNVAR.random(2, n_delays=1, n_hidden=3, n_features=2, seed=0)
    upper = AdaptiveNVAR.random(lower.n_units, n_delays=2, n_hidden=4, n_features=3, seed=1)
    stack, rng = Stack([lower, upper]), np.random.default_rng(5)
    x, u, basis = rng.standard_normal(stack.n_units), rng.standard_normal((3, 2)), np.eye(stack.n_units)
    for n_steps in (1, 3):
        state, expected = x, basis
        for u_t in u[:n_steps]:
            expected = numerical_jacobian(lambda y, u_t=u_t: stack.step(y, u_t), state) @ expected
            state = stack.step(state, u_t)
        assert_allclose(stack.push(x, u[:n_steps], basis)[1], expected, rtol=0, atol=1e-12)  # entries of order 1
    closed = upper.close(0.1 * rng.standard_normal((lower.n_units, upper.n_features)))
    x, basis = 0.3 * rng.standard_normal(closed.n_units), np.eye(closed.n_units)
    state, expected = x, basis
    for _ in range(4):
        expected = numerical_jacobian(lambda y: closed.step(y, np.empty(0)), state) @ expected
        state = closed.step(state, np.empty(0))
    assert np.abs(expected).max() > 1e-3
    assert_allclose(closed.push(x, 4, basis)[1], expected, rtol=0, atol=1e-12)


def test_published_number_of_features_is_that_of_products():
    assert AdaptiveNVAR.random(3, n_delays=2, n_hidden=8, seed=0).n_features == 6 + 21


def test_start_has_the_spread_of_glorot_for_tanh():
    nvar = AdaptiveNVAR.random(10, n_delays=10, n_hidden=300, n_features=200, seed=0)
    # gain 5/3, variance 2 / (fan in + fan out); the relative error of a standard deviation is 1 / sqrt(2 entries)
    assert_allclose(nvar.W1.std(), 5 / 3 * np.sqrt(2 / 400), rtol=0.02)
    assert_allclose(nvar.W2.std(), 5 / 3 * np.sqrt(2 / 500), rtol=0.02)
    assert not nvar.b1.any() and not nvar.b2.any()


# Training


def descent(weight_decay):
    start = AdaptiveNVAR.random(2, n_delays=3, n_hidden=4, n_features=3, seed=0)
    taps, targets = _windows(noisy_waves(40) - [0, 5], start)
    readout = np.random.default_rng(2).standard_normal((2, start.n_features))
    return _Descent(start, readout, (taps, targets), (taps[:0], targets[:0]), weight_decay, 10)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_gradient_is_that_of_differences(weight_decay):
    problem = descent(weight_decay)
    point = np.random.default_rng(3).standard_normal(problem.kept.size)
    differences = approx_fprime(point, lambda p: problem.loss(p)[0], 1e-7)
    assert_allclose(problem.loss(point)[1], differences, rtol=0, atol=2e-6)  # 1e-7 times the curvature


def test_loss_is_the_mean_square_and_the_weights_as_written():
    problem = descent(0.3)
    W1, b1, W2, b2, V = problem._split(np.random.default_rng(3).standard_normal(problem.kept.size))
    taps, targets = problem.training
    features = [[*tap, *(W2 @ np.tanh(W1 @ tap + b1) + b2)] for tap in taps]
    squares = np.mean((np.array(features) @ V.T - targets) ** 2)
    weights = sum((part**2).sum() for part in (W1, W2, V))
    value = problem.loss(problem._join([W1, b1, W2, b2, V]))[0]
    assert_allclose(value, squares / 2 + 0.3 * weights / 2, rtol=1e-13)


def test_windows_pair_the_taps_with_the_next_value():
    series = np.arange(20.0)[:, None]
    taps, targets = _windows(series, AdaptiveNVAR.random(1, n_delays=3, skip=4, seed=0))
    assert_array_equal(taps[:, 0], np.arange(8, 19))
    assert_array_equal(taps[:, 2], np.arange(0, 11))
    assert_array_equal(targets[:, 0], np.arange(9, 20))


def test_errors_told_are_those_of_the_returned_system_and_readout():
    series = noisy_waves()
    outcome = train(series)
    states = outcome.system.run(series)
    predicted = outcome.readout(states[:-1, outcome.system.observed])
    misses = (predicted - series[1:]) / series[:540].std(axis=0)  # the units: those of the training part
    for errors, part in ((outcome.training_errors, slice(3, 539)), (outcome.validation_errors, slice(539, None))):
        assert_allclose(errors[outcome.best], np.sqrt(np.mean(misses[part] ** 2)), rtol=1e-10)


def test_training_does_not_depend_on_the_units_of_the_series():
    series = noisy_waves()
    one, other = train(series), train(series * [100.0, 0.01] + [3.0, -7.0])
    # the same up to rounding, which 40 quasi-Newton steps amplify
    assert_allclose(one.training_errors, other.training_errors, rtol=1e-5)


def test_validation_tail_is_not_learned_from():
    series = noisy_waves()
    changed = series.copy()
    changed[540:] *= -3
    assert_array_equal(train(series).training_errors[:10], train(changed).training_errors[:10])


def test_best_iteration_is_kept_and_waiting_is_limited():
    outcome = train(noisy_waves(150, 1.0), n_hidden=40, weight_decay=0.0, patience=7, max_iter=300)
    assert outcome.converged and outcome.best == outcome.validation_errors.argmin()
    assert len(outcome.validation_errors) - 1 == outcome.best + 7


def test_stop_at_the_limit_is_told():
    outcome = train(noisy_waves(), max_iter=3)
    assert not outcome.converged and "stopped by max_iter, not converged" in repr(outcome)
    assert len(outcome.training_errors) == 4


def test_without_validation_the_last_iteration_is_kept():
    outcome = train(noisy_waves(), validation=0.0, max_iter=10)
    assert outcome.best == 10
    assert_array_equal(outcome.training_errors, outcome.validation_errors)


def test_same_seed_same_bits():
    one, other, third = (train(noisy_waves(), seed=seed) for seed in (1, 1, 2))
    assert_array_equal(one.system.W1, other.system.W1)
    assert_array_equal(one.readout.W_out, other.readout.W_out)
    assert not np.array_equal(one.system.W1, third.system.W1)


def test_large_weight_decay_leaves_the_linear_ridge_regression():
    """Two layers of weights in a row are not worth their penalty then; the biases stand for the intercept."""
    series = noisy_waves()
    outcome = train(series, weight_decay=0.5, validation=0.0, max_iter=400)
    scale = series.std(axis=0)
    taps, targets = _windows((series - series.mean(axis=0)) / scale, outcome.system)
    linear = ridge(taps, targets, 0.5 * targets.size)
    ours = outcome.readout.W_out / scale[:, None]
    assert_allclose(ours[:, :8] * np.tile(scale, 4), linear.W_out, rtol=0, atol=1e-4)  # of weights around 0.1
    assert np.abs(ours[:, 8:] @ outcome.system.W2).max() < 1e-4


def test_linear_series_is_predicted_as_well_as_by_least_squares():
    """A noisy wave obeys an autoregression: the network can do no better than its error, 4 % more for its freedom."""
    series = noisy_waves(2000, 0.3)
    outcome = train(series, max_iter=200)
    taps = np.array([np.concatenate([series[t - k] for k in range(4)]) for t in range(3, 1999)])
    X = np.column_stack([taps, np.ones(len(taps))])
    W = np.linalg.lstsq(X[:1790], series[4:1794], rcond=None)[0]
    least = np.sqrt(np.mean(((series[4:] - X @ W)[1796:] / series[:1800].std(axis=0)) ** 2))
    assert outcome.validation_errors[outcome.best] < 1.04 * least


def test_noisy_lorenz_is_predicted_better_than_by_products_of_two_values_and_than_it_will_be_measured():
    clean = lorenz63(2600)
    noise = 0.3 * clean.std(axis=0)
    noisy = clean + noise * np.random.default_rng(0).standard_normal(clean.shape)
    outcome = train(noisy[:2000], n_delays=10, n_hidden=20, n_features=20, weight_decay=1e-4, max_iter=100)
    ours, by_products = (
        np.square(Forecaster(system, Ridge(), standardise=False).fit(noisy[:2000]).predict(noisy) - clean)[2000:]
        for system in (outcome.system, NVAR(3))
    )
    assert (ours.mean(axis=0) < noise**2).all()  # of the next value, before its measurement
    blocks = np.reshape([ours / noise**2, by_products / noise**2], (2, 6, 300)).mean(axis=-1)
    assert (blocks[0] < blocks[1]).all()  # in six stretches of 100 steps, by chance once in 64


def test_series_without_noise_is_learnt_to_a_thousandth_of_its_first_error():
    """A wave obeys x_{t+1} = 2 cos(w) x_t - x_{t-1}: SciPy's own tolerances would stop at an error of 1e-3."""
    outcome = train(np.sin(np.arange(600.0)), n_delays=2, weight_decay=0.0, max_iter=500, patience=500)
    assert outcome.training_errors[outcome.best] < 1e-3 * outcome.training_errors[0]


def test_forecaster_continues_from_a_trained_system():
    series = noisy_waves(800, 0.05)
    system = train(series[:700]).system
    model = Forecaster(system, standardise=False).fit(series[:700], progress=False)
    clean = noisy_waves(800, 0.0)[700:750]
    assert np.abs(model.forecast(50).series - clean).max() < 1.0  # amplitudes 1 and 2, noise 0.05


def test_plot_shows_both_errors():
    plt = pytest.importorskip("matplotlib.pyplot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ax = train(noisy_waves(), max_iter=5).plot()
    assert [len(line.get_xdata()) for line in ax.get_lines()[:2]] == [6, 6]
    plt.close("all")


# Bad input


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"validation": 1.0}, r"validation must lie in \[0, 1\), got 1.0"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"n_hidden": 0}, "n_hidden must be at least 1"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"n_delays": 600}, "series must have shape .* with 602 training steps or more"),
    ],
)
def test_bad_settings_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        train(noisy_waves(), **changed)


def test_series_that_cannot_be_learned_are_named():
    with pytest.raises(ValueError, match="series must vary in every channel, got channel 1 constant"):
        train(noisy_waves() * [1.0, 0.0])
    with pytest.raises(ValueError, match=r"series must have shape \(T, m\) .* got shape \(50, 0\)"):
        train(np.zeros((50, 0)))
    with pytest.raises(ValueError, match="series must be finite"):
        train(np.full(100, np.nan))
    with pytest.raises(TypeError, match="seed must be a non-negative integer"):
        train(noisy_waves(), seed=None)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((np.ones((2, 5)), 0.0, np.ones((3, 2)), 0.0), r"W1 must have shape \(n_hidden, m n_delays\) with n_delays=2"),
        ((np.ones((2, 4)), 0.0, np.ones((3, 3)), 0.0), r"W2 must have shape \(any, 2\), got \(3, 3\)"),
        ((np.ones((2, 4)), np.ones(3), np.ones((3, 2)), 0.0), r"b1 must be a number or have shape \(2,\), got \(3,\)"),
        ((np.ones((2, 4)), 0.0, np.ones((3, 2)), [np.inf] * 3), "b2 must be finite"),
    ],
)
def test_arrays_that_do_not_fit_are_named(parts, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveNVAR(*parts, n_delays=2)


def test_sparse_weights_are_named():
    with pytest.raises(TypeError, match="W1 must be a dense array, got a sparse one"):
        AdaptiveNVAR(csr_array(np.eye(2)), 0.0, np.eye(2), 0.0, n_delays=2)
