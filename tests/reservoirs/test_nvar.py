"""Next-generation reservoirs against loops, exactly known maps and the published scripts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import next_generation_forecast, nvar_features
from numpy.testing import assert_allclose, assert_array_equal
from published import (
    NGRC_DOUBLE_SCROLL,
    NGRC_INFER_Z,
    NGRC_LORENZ,
    NGRC_LORENZ_TEST,
    NGRC_LORENZ_TRAIN,
)
from scipy.integrate import solve_ivp

from penstock import ClosedLoop, Readout, Ridge, ridge
from penstock.analysis import fixed_points, lyapunov_spectrum
from penstock.data import henon
from penstock.metrics import nrmse_std
from penstock.reservoirs import NVAR, Drawn, Forecaster, Stack
from penstock.system import numerical_jacobian


def lorenz(t, y):
    return [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]]


def double_scroll(t, y):
    across = y[0] - y[1]
    through = across / 3.44 + 2 * 2.25e-5 * np.sinh(11.6 * across)
    return [y[0] / 1.2 - through, through - y[2], y[1] - 0.193 * y[2]]


def published_series(rhs, task, n_steps):
    """The data of the scripts, by RK23 at default tolerances, sampled at exactly dt: (n_steps, 3)."""
    times = task.dt * np.arange(n_steps)
    return solve_ivp(rhs, (0, times[-1]), task.start, t_eval=times, method="RK23").y.T


@pytest.fixture(scope="module")
def lorenz_series():
    return published_series(lorenz, NGRC_LORENZ, 4300)


@pytest.fixture(scope="module")
def scroll_series():
    return published_series(double_scroll, NGRC_DOUBLE_SCROLL, 4100)


def trials(task):
    return range(task.first, task.first + task.n_trials * task.n_train, task.n_train)


def fitted(task, series, first):
    """The System, its states of the known series, and the published readout of the next value."""
    nvar = NVAR(3, n_delays=task.n_delays, skip=task.skip, orders=task.orders)
    end = first + task.n_train
    states = nvar.run(series[:end])
    X = states[first - 1 : end - 1, nvar.observed]
    X = np.column_stack([np.ones(len(X)), X]) if task.constant else X
    steps = np.diff(series[first - 1 : end], axis=0)
    W = steps.T @ X @ np.linalg.pinv(X.T @ X + task.alpha * np.eye(X.shape[1]))
    offset = W[:, 0] if task.constant else 0.0
    W = W[:, W.shape[1] - nvar.n_features :] + np.eye(3, nvar.n_features)  # the value before, which heads the features
    return nvar, states, Readout(W, offset)


def errors(task, series, first, predicted, forecast):
    """Training and test error as the scripts print them; the test counts the last known value, whose error is 0."""
    end, variance = first + task.n_train, series.var(axis=0).sum()
    truth = series[end - 1 : end + task.n_test - 1]
    squares = np.mean((predicted - series[first:end]) ** 2), np.mean((forecast - truth) ** 2)
    return np.sqrt(np.array(squares) / variance)


# Features


def test_feature_counts_are_the_published_ones():
    assert NVAR(3).n_features == 27  # 28 with the constant
    assert NVAR(3, orders=(1, 3)).n_features == 62
    assert NVAR(2, n_delays=4, skip=5).n_features == 44  # 45 with the constant
    for taps, order in ((6, 2), (6, 3), (4, 5)):
        assert NVAR(taps, n_delays=1, orders=(order,)).n_features == math.comb(taps + order - 1, order)


@given(
    n_inputs=st.integers(1, 3),
    n_delays=st.integers(1, 3),
    skip=st.integers(1, 4),
    orders=st.sets(st.integers(1, 4), min_size=1, max_size=3),
)
@settings(deadline=None, max_examples=25)
def test_features_are_all_products_of_delayed_values_in_the_published_order(n_inputs, n_delays, skip, orders):
    u = np.random.default_rng(0).standard_normal((15, n_inputs))
    nvar = NVAR(n_inputs, n_delays=n_delays, skip=skip, orders=tuple(orders))
    states = nvar.run(u)
    expected = nvar_features(u, n_delays, skip, sorted(orders))
    assert_allclose(states[:, nvar.observed], expected, rtol=1e-14, atol=0)  # up to four roundings
    x, drive = states[-1], u[0]
    slopes = numerical_jacobian(lambda x: nvar.step(x, drive), x), numerical_jacobian(lambda v: nvar.step(x, v), drive)
    assert_allclose(nvar.jacobian(x, drive), slopes[0], rtol=1e-13, atol=1e-14)  # the complex step is exact
    assert_allclose(nvar.input_jacobian(x, drive), slopes[1], rtol=1e-13, atol=1e-14)


def test_register_is_a_delay_line_without_shift():
    u = np.random.default_rng(1).standard_normal((40, 2))
    nvar = NVAR(2, n_delays=3, skip=4, orders=(1,))
    states = nvar.run(u)
    assert nvar.n_warmup == 8
    for back in range(9):
        assert_array_equal(states[8:, 2 * back : 2 * back + 2], u[8 - back : 40 - back])
    assert_array_equal(states[8:, nvar.observed], np.hstack([u[8:], u[4:36], u[:32]]))


def test_states_of_the_first_steps_know_nothing_before_the_series():
    nvar, u = NVAR(1, n_delays=3, skip=2), np.arange(1.0, 9.0)
    other = nvar.run(u, x0=np.full(nvar.n_units, 7.0))
    assert_array_equal(nvar.run(u)[nvar.n_warmup :], other[nvar.n_warmup :])
    assert not np.array_equal(nvar.run(u)[nvar.n_warmup - 1], other[nvar.n_warmup - 1])


def test_odd_orders_turn_with_the_series():
    u = np.random.default_rng(2).standard_normal((20, 3))
    nvar = NVAR(3, orders=(1, 3))
    assert_array_equal(nvar.run(-u), -nvar.run(u))


def test_names_say_which_products_the_features_are():
    nvar, u = NVAR(2, n_delays=2, skip=3, orders=(1, 2, 3)), np.random.default_rng(3).standard_normal((5, 2))
    values = {f"u{c}(t{back})": u[t, c] for c in range(2) for back, t in (("", 4), ("-3", 1))}
    by_name = [np.prod([values[factor] for factor in name.split("*")]) for name in nvar.feature_names]
    assert len(set(nvar.feature_names)) == nvar.n_features
    assert_allclose(nvar.run(u)[-1, nvar.observed], by_name, rtol=1e-15)


def test_float32_series_are_computed_in_float64():
    u = np.random.default_rng(4).standard_normal((10, 2)).astype(np.float32)
    assert NVAR(2).run(u).dtype == np.float64
    assert_array_equal(NVAR(2).run(u), NVAR(2).run(u.astype(np.float64)))


def test_push_hands_tangents_through_a_stack():
    rng = np.random.default_rng(5)
    lower = NVAR(2, n_delays=1, orders=(1, 2))
    stack = Stack([lower, NVAR(lower.n_units, n_delays=2, orders=(1, 2))])
    x, u = 0.3 * rng.standard_normal(stack.n_units), 0.3 * rng.standard_normal((4, 2))
    basis = rng.standard_normal((stack.n_units, 3))
    state, expected = x, basis
    for u_t in u:
        expected = numerical_jacobian(lambda y, u_t=u_t: stack.step(y, u_t), state) @ expected
        state = stack.step(state, u_t)
    assert_allclose(stack.push(x, u, basis)[1], expected, rtol=1e-11, atol=1e-12)  # products of four Jacobians


# Exactly known maps


@pytest.fixture(scope="module")
def learnt_henon():
    """The Hénon map of one variable, x' = 1 - 1.4 x^2 + 0.3 x_{-1}, learnt from its series."""
    x = henon(1000)[:, 0]
    nvar = NVAR(1, n_delays=2)
    readout = ridge(nvar.run(x)[1:-1, nvar.observed], x[2:], 1e-13)
    return nvar, readout, x


def test_henon_map_is_learnt_exactly(learnt_henon):
    _, readout, _ = learnt_henon
    assert_allclose(readout.W_out, [[0, 0.3, -1.4, 0, 0]], rtol=0, atol=1e-10)  # 1e-13 of a condition of 1e3
    assert_allclose(readout.offset, 1.0, rtol=0, atol=1e-10)


def test_closed_loop_of_the_henon_map_has_its_fixed_points_and_exponents(learnt_henon):
    nvar, readout, x = learnt_henon
    closed = nvar.close(readout)
    found = fixed_points(closed, n_starts=64, progress=False)
    root = math.sqrt((1 - 0.3) ** 2 + 4 * 1.4)
    assert_allclose(np.sort(found.points[:, 0]), [(-0.7 - root) / 2.8, (-0.7 + root) / 2.8], rtol=1e-9)
    start = nvar.run(x[:100])[-1]
    # Sprott (2003): 0.41922, with a standard error of 2e-3 over so many steps; the two add up to ln 0.3
    exponents = lyapunov_spectrum(closed, n_exponents=2, n_steps=20_000, x0=start, progress=False).exponents
    assert_allclose(exponents[0], 0.4192, atol=8e-3)
    assert_allclose(exponents.sum(), math.log(0.3), atol=1e-4)  # the frame's first and last volume, over the steps


def test_recipe_takes_its_channels_from_the_data():
    assert Drawn(NVAR, n_delays=3, orders=(1, 3)).draw(2).n_taps == 6


# Published tasks


@pytest.fixture(scope="module")
def lorenz_errors(lorenz_series):
    return all_errors(NGRC_LORENZ, lorenz_series)


def all_errors(task, series):
    """Training and test error of every trial, ours and those of the script: (2, n_trials, 2)."""
    ours, theirs = [], []
    for first in trials(task):
        nvar, states, readout = fitted(task, series, first)
        predicted = readout(states[first - 1 : -1, nvar.observed])
        free = nvar.close(readout).run(task.n_test - 1, states[-1])[:, :3]
        ours.append(errors(task, series, first, predicted, np.vstack([states[-1, :3], free])))
        theirs.append(errors(task, series, first, *next_generation_forecast(series, task, first)))
    return np.array([ours, theirs])


def test_lorenz_training_error_is_the_published_one_and_the_test_error_no_larger(lorenz_errors):
    train, test = lorenz_errors[0].mean(axis=0)
    assert abs(train - NGRC_LORENZ_TRAIN[0]) < 2 * NGRC_LORENZ_TRAIN[1]  # 1.034e-4 of 1.046e-4 ± 0.034e-4
    # 1.33e-3 ± 0.21e-3 of 2.11e-3 ± 0.44e-3. The condition of the normal equations, 3e14, hands every rounding of the
    # data on, which differ between versions of SciPy: relative changes of 1e-15 moved this mean by 2 %.
    assert train < test < sum(NGRC_LORENZ_TEST)


@pytest.mark.parametrize("task", ["lorenz", "double scroll"])
def test_errors_of_every_trial_are_those_of_the_published_script(task, lorenz_errors, scroll_series):
    ours, theirs = lorenz_errors if task == "lorenz" else all_errors(NGRC_DOUBLE_SCROLL, scroll_series)
    # The features have the same bits, and so the readouts; only the order of the last sum differs.
    assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("trial", [0, 6])
def test_lorenz_forecast_is_that_of_the_published_script(lorenz_series, trial):
    first = trials(NGRC_LORENZ)[trial]
    predicted, forecast = next_generation_forecast(lorenz_series, NGRC_LORENZ, first)
    nvar, states, readout = fitted(NGRC_LORENZ, lorenz_series, first)
    # The features have the same bits; the condition of the normal equations, 1e14, would show any other order.
    assert_allclose(readout(states[first - 1 : -1, nvar.observed]), predicted, rtol=0, atol=1e-6)
    free = nvar.close(readout).run(NGRC_LORENZ.n_test - 1, states[-1])[:, :3]
    assert_allclose(free, forecast[1:], rtol=0, atol=1e-5)


def test_forecaster_with_increments_gives_the_published_forecast(lorenz_series):
    """Its ridge leaves the constant free of penalty, which the scripts do not; the errors are the same."""
    task, first = NGRC_LORENZ, 200
    series = lorenz_series[first - 2 : first + task.n_train]
    model = Forecaster(NVAR(3), Ridge(task.alpha), washout=2, standardise=False, increments=True).fit(series)
    last = series[-1:]
    forecast = np.vstack([last, model.forecast(task.n_test - 1).series])
    ours = errors(task, lorenz_series, first, model.predict(series)[2:], forecast)
    theirs = errors(task, lorenz_series, first, *next_generation_forecast(lorenz_series, task, first))
    assert_allclose(ours[0], theirs[0], rtol=0.02)
    assert ours[1] < 2 * theirs[1]


def test_fixed_points_of_the_learnt_lorenz_map_are_those_of_the_equations(lorenz_series):
    nvar, _, readout = fitted(NGRC_LORENZ, lorenz_series, 200)
    r = math.sqrt(8 / 3 * 27)
    true = np.array([[0, 0, 0], [r, r, 27], [-r, -r, 27]])
    starts = nvar.run(np.repeat(true, 2, axis=0))[1::2]
    found = fixed_points(nvar.close(readout), x0=starts, n_starts=16, progress=False)
    scale = math.sqrt(lorenz_series.var(axis=0).sum())
    distances = np.linalg.norm(found.points[:, None, :3] - true, axis=-1).min(axis=0) / scale
    # One step is learnt to 1e-4 and moves the linearisation at the points by 0.25 per unit of distance or more; the
    # origin lies outside the training data.
    assert distances[0] < 0.01 and (distances[1:] < 0.004).all()


def test_fixed_points_of_the_learnt_lorenz_map_are_saddles_like_the_true_ones(lorenz_series):
    nvar, _, readout = fitted(NGRC_LORENZ, lorenz_series, 200)
    closed, r = nvar.close(readout), math.sqrt(8 / 3 * 27)
    slope = np.array([[-10, 10, 0], [1, -1, -r], [r, r, -8 / 3]])
    found = fixed_points(closed, x0=nvar.run([[r, r, 27]] * 2)[1:], n_starts=1, progress=False)
    nearest = np.linalg.norm(found.points[:, :3] - [r, r, 27], axis=1).argmin()
    rate = found.eigenvalues[nearest][np.abs(found.eigenvalues[nearest]).argmax()]
    true = np.linalg.eigvals(slope)
    true = true[true.real.argmax()]
    # growth 0.094 and frequency 10.19 per unit of time: of the flow, whose data have errors of 1e-3 per step
    assert_allclose(np.log(rate).real / 0.025, true.real, atol=0.05)
    assert_allclose(abs(np.log(rate).imag) / 0.025, abs(true.imag), rtol=0.01)


def test_z_is_inferred_from_x_and_y_as_in_the_published_script():
    task = NGRC_INFER_Z
    series = published_series(lorenz, task, task.first + 2 * task.n_train + task.n_test)
    nvar = NVAR(2, n_delays=task.n_delays, skip=task.skip)
    states, rows = nvar.run(series[:, :2])[:, nvar.observed], nvar_features(series[:, :2], 4, 5, (1, 2))
    for first in (task.first, task.first + task.n_train):
        train, test = (
            slice(first, first + task.n_train),
            slice(first + task.n_train, first + task.n_train + task.n_test),
        )
        center, z = rows[train].mean(axis=0), series[train, 2]
        gram = (rows[train] - center).T @ (rows[train] - center) + task.alpha * np.eye(44)
        W = np.linalg.solve(gram, (rows[train] - center).T @ (z - z.mean()))
        inferred = ridge(states[train], z, task.alpha)(states)[:, 0]
        # two solutions of equations of condition 5e6, times rounding, times z of order 30
        assert_allclose(inferred[test], z.mean() + (rows[test] - center) @ W, rtol=0, atol=1e-7)
        # the script penalises its constant too: by 0.05 beside 400 samples, which the error can hardly feel
        X = np.column_stack([np.ones(len(rows)), rows])
        script = X @ np.linalg.solve(X[train].T @ X[train] + task.alpha * np.eye(45), X[train].T @ z)
        errors = [nrmse_std(series[test, 2], z_hat[test]) for z_hat in (inferred, script)]
        assert errors[0] < 1.1 * errors[1]


def test_fed_back_kernel_equals_the_loop_over_single_steps():
    rng = np.random.default_rng(6)
    for outside in (0, 1):
        nvar = NVAR(outside + 2, n_delays=2, skip=3, orders=(1, 2))
        readout = Readout(0.03 * rng.standard_normal((2, nvar.n_features)), 0.3 * rng.standard_normal(2))
        x, u = 0.3 * rng.standard_normal(nvar.n_units), 0.3 * rng.standard_normal((2, 40, outside))
        by_kernel, by_loop = ClosedLoop(nvar, readout), ClosedLoop(nvar, lambda states, R=readout: R(states))
        assert_allclose(by_kernel.run(u, x), by_loop.run(u, x), rtol=1e-11, atol=1e-12)  # a contraction, 40 steps


def test_runaway_of_the_fed_back_kernel_names_step_and_unit():
    closed = NVAR(1, n_delays=1).close([[0.0, 1.0]])
    # squared over and over: 1e10, 1e20, …, 1e160, whose square is infinite
    with pytest.raises(FloatingPointError, match="unit 2 is inf at step 4"):
        closed.run(8, [1.0, 1.0, 1e10])


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_inputs": 0}, "n_inputs must be at least 1, got 0"),
        ({"n_inputs": 1, "n_delays": 0}, "n_delays must be at least 1, got 0"),
        ({"n_inputs": 1, "skip": 0}, "skip must be at least 1, got 0"),
        ({"n_inputs": 1, "orders": ()}, "orders must be a tuple of one positive integer or more"),
        ({"n_inputs": 1, "orders": 2}, "orders must be a tuple of one positive integer or more, got 2"),
        ({"n_inputs": 1, "orders": (0, 1)}, "orders must be at least 1, got 0"),
        ({"n_inputs": 1, "orders": (2, 2)}, "orders must differ from each other"),
        ({"n_inputs": 40, "orders": (5,)}, "must leave at most 1000000 features, got 30872016: 80 taps"),
    ],
)
def test_bad_sizes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        NVAR(**arguments)


@pytest.mark.parametrize(
    ("orders", "message"), [((1.5,), "an integer, got 1.5"), ([[1], [2, 3]], r"an integer, got \[1\]")]
)
def test_orders_that_are_no_integers_are_refused(orders, message):
    with pytest.raises(TypeError, match=f"orders must be {message}"):
        NVAR(1, orders=orders)


def test_overflow_names_step_and_unit():
    u = np.ones((6, 1))
    u[3] = 1e200
    for series in (u, np.stack([np.ones_like(u), u])):
        with pytest.raises(FloatingPointError, match="unit 4 is inf at step 3"):
            NVAR(1).run(series)  # the square of the newest value, behind two values of the register and two features
