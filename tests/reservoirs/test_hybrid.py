"""A model of the physics beside a reservoir."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp

from penstock import Flow, Map, Ridge, ridge
from penstock.analysis import lyapunov_spectrum
from penstock.data import lorenz63
from penstock.reservoirs import ESN, Forecaster, Hybrid, Stack
from penstock.system import numerical_jacobian

BETA = 8 / 3


def lorenz_flow(beta=BETA, dt=0.02):
    def rule(x, u):
        return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - beta * x[2]])

    return Flow(rule, n_units=3, dt=dt)


def esn(n_inputs, n_units=40, **settings):
    return ESN.random(n_units, n_inputs=n_inputs, **({"leak": 0.5, "bias_scaling": 0.2, "seed": 1} | settings))


def test_state_is_that_of_a_reservoir_fed_with_forecast_and_value_beside_the_forecast():
    u, reservoir = np.random.default_rng(0).standard_normal((30, 2)), esn(4)
    hybrid = Hybrid(reservoir, lambda U: np.cos(U))
    states = hybrid.run(u)
    assert_array_equal(states[:, :40], reservoir.run(np.hstack([np.cos(u), u])))
    assert_array_equal(states[:, 40:], np.cos(u))


def test_flow_as_model_forecasts_by_its_step():
    hybrid, point = Hybrid(esn(6), lorenz_flow(1.05 * BETA)), [1.0, 2.0, 20.0]

    def rhs(t, x):
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 1.05 * BETA * x[2]]

    exact = solve_ivp(rhs, (0, 0.02), point, rtol=1e-12, atol=1e-12).y[:, -1]
    assert_allclose(hybrid.run([point])[0, 40:], exact, rtol=1e-4)  # one Runge-Kutta step of order 4


def test_inputs_of_the_model_come_before_its_state():
    model = Map(lambda x, u: 2 * x + u[0], n_units=2, n_inputs=1)
    hybrid = Hybrid(esn(5), model)
    assert hybrid.n_inputs == 3
    assert_array_equal(hybrid.run([[100.0, 1.0, 2.0]])[0, -2:], [102.0, 104.0])


def test_model_may_forecast_part_of_the_channels():
    hybrid = Hybrid(esn(4), lambda U: U[:, :1] ** 2, n_inputs=3)
    assert_array_equal(hybrid.run([[3.0, 1.0, 1.0]])[0, -1:], [9.0])


def test_given_jacobian_of_the_model_is_used():
    def slope(u):
        return np.diag(-np.sin(u))

    given, numerical = (Hybrid(esn(4), lambda U: np.cos(U), model_jacobian=j) for j in (slope, None))
    x, u = np.zeros(42), np.array([0.3, -0.4])
    assert_allclose(given.input_jacobian(x, u), numerical.input_jacobian(x, u), atol=1e-14)
    double = Hybrid(esn(4), lambda U: np.cos(U), model_jacobian=lambda u: 2 * slope(u))
    assert_allclose(double.input_jacobian(x, u)[40:], 2 * slope(u))


def forced_pendulum():
    return Flow(lambda x, u: np.stack([x[1], 0.3 * u[0] * x[0] - np.sin(x[0])]), n_units=2, n_inputs=1, dt=0.3)


@pytest.mark.parametrize("model", [forced_pendulum(), lambda U: np.sin(U[:, :2] * U[:, 1:])], ids=["flow", "rule"])
def test_tangents_pass_through_the_model_as_its_jacobians_say(model):
    """The units of a lower layer are what the model sees; tangents reach it through them, at every step."""
    hybrid = Hybrid(esn(5, 6), model, n_inputs=3)
    stack = Stack([esn(2, 3), hybrid])
    rng = np.random.default_rng(2)
    x, u, basis = 0.5 * rng.standard_normal(stack.n_units), rng.standard_normal((4, 2)), np.eye(stack.n_units)
    slopes = hybrid.input_jacobian(x[3:], x[:3])
    assert_allclose(slopes, numerical_jacobian(lambda v: hybrid.step(x[3:], v), x[:3]), atol=1e-14)
    tangents = stack.push(x, u, basis)[1]
    for u_t in u:
        basis = numerical_jacobian(lambda y, u_t=u_t: stack.step(y, u_t), x) @ basis
        x = stack.step(x, u_t)
    assert_allclose(tangents, basis, rtol=0, atol=1e-13)  # four products of matrices of order 1
    assert np.abs(basis[-2:]).max() > 0.01  # they did reach it


def test_readout_is_the_model_where_the_model_is_perfect():
    series = lorenz63(1500)
    flow = lorenz_flow()
    truth = np.array([series[0], *flow.run(1499, x0=series[0])])  # the model's own orbit
    hybrid = Hybrid(esn(6, input_scaling=0.02), flow)
    readout = ridge(hybrid.run(truth)[100:-1], truth[101:], 1e-6)
    # The penalty lets the reservoir, from which the value can be read too, take over a little.
    assert_allclose(readout.W_out, np.eye(3, 43, 40), rtol=0, atol=1e-3)


def errors_at(model, series, horizon, starts):
    windows = np.stack([series[s - 100 : s] for s in starts])
    truth = np.stack([series[s : s + horizon] for s in starts])
    return np.median(model.forecast(horizon, windows, truth=truth).error[:, -1])


def test_hybrid_outdoes_both_its_parts_on_the_lorenz_system():
    """As in Pathak et al. (2018): beside an imperfect model it is better than the model or the network alone."""
    series, wrong = lorenz63(3000), lorenz_flow(1.05 * BETA)
    starts, settings = range(2200, 2800, 60), {"standardise": False, "washout": 50}
    hybrid = Forecaster(Hybrid(esn(6, 60, input_scaling=0.02), wrong), Ridge(1e-4), **settings)
    alone = Forecaster(esn(3, 60, input_scaling=0.02), Ridge(1e-4), **settings)
    scale = np.sqrt(series.var(axis=0).sum())
    by_model = [np.linalg.norm(wrong.run(50, x0=series[s - 1])[-1] - series[s + 49]) / scale for s in starts]
    by_hybrid, by_network = (
        errors_at(f.fit(series[:2000], progress=False), series, 50, starts) for f in (hybrid, alone)
    )
    assert by_hybrid < 0.5 * np.median(by_model)
    assert by_hybrid < 0.5 * by_network


def test_closed_loop_has_the_exponent_of_the_lorenz_system():
    series = lorenz63(3000)
    hybrid = Hybrid(esn(6, 30, input_scaling=0.02), lorenz_flow(1.05 * BETA))
    model = Forecaster(hybrid, Ridge(1e-6), standardise=False, washout=50).fit(series, progress=False)
    spectrum = lyapunov_spectrum(
        model.closed_loop(), n_exponents=1, n_steps=3000, x0=model.synchronise(), progress=False
    )
    # 0.9056 per unit of time; over 60 of them the standard error is about 0.1
    assert_allclose(spectrum.exponents[0] / 0.02, 0.9056, atol=0.3)


def test_float32_reservoir_gives_a_float32_hybrid():
    hybrid = Hybrid(ESN(np.eye(2, dtype=np.float32) / 2, np.ones((2, 2), np.float32)), np.sin)
    assert hybrid.run([1.0, 2.0]).dtype == np.float32
    assert hybrid.push(np.zeros(3), [1.0, 2.0], np.eye(3))[1].dtype == np.float32


def test_same_seed_same_bits():
    u = np.random.default_rng(0).standard_normal((20, 3))
    first, second = (Hybrid(esn(6), lorenz_flow()).run(u) for _ in range(2))
    assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("n_inputs", "model", "settings", "message"),
    [
        (3, np.cos, {}, r"system must have 2 m inputs, \[K\(u\); u\], got 3; or give n_inputs"),
        (4, np.cos, {"n_inputs": 4}, "system must have inputs for the model and for u, which has 4 channels, got 4"),
        (4, np.cos, {"n_inputs": 3}, r"model\(U\) must return shape \(T, 1\)"),
        (4, np.sum, {}, r"model\(U\) must return shape \(T, 2\), .* got \(\) for T=1"),
        (5, lorenz_flow(), {}, "system must have 3 inputs for the model and 3 for u, got 5"),
        (6, lorenz_flow(), {"n_inputs": 2}, "n_inputs must be that of the model, 3, got 2"),
    ],
)
def test_sizes_that_do_not_fit_are_named(n_inputs, model, settings, message):
    with pytest.raises(ValueError, match=message):
        Hybrid(esn(n_inputs), model, **settings)


def test_model_that_is_neither_function_nor_system_is_refused():
    with pytest.raises(TypeError, match="system must be a System, got 3"):
        Hybrid(esn(4), 3)
    with pytest.raises(TypeError, match=r"model\(U\) must return real numbers, got dtype complex128"):
        Hybrid(esn(4), lambda U: U + 1j)
    with pytest.raises(TypeError, match="model_jacobian must be a function and go with one"):
        Hybrid(esn(6), lorenz_flow(), model_jacobian=np.diag)


def test_reservoir_read_at_its_start_only_is_refused():
    class Half:
        n_units, n_inputs, observed = 2, 2, slice(0, 1)

        def step(self, x, u):
            return 0.5 * x + u

    with pytest.raises(ValueError, match="system must be observed up to its last unit"):
        Hybrid(Half(), np.cos)


def test_model_that_is_not_finite_is_named():
    hybrid = Hybrid(esn(2), lambda U: 1 / (U - 1))
    with np.errstate(divide="ignore"), pytest.raises(FloatingPointError, match="unit 40 is inf at step 2"):
        hybrid.run([0.0, 0.5, 1.0, 2.0])
