"""Maps and flows of the user's own."""

import numpy as np
import pytest
from numba import njit
from scipy.integrate import solve_ivp

from penstock import Flow, Map


def henon(x, u):
    return np.array([1 - 1.4 * x[0] ** 2 + x[1], 0.3 * x[0]])


def henon_jacobian(x, u):
    return np.array([[-2.8 * x[0], 1.0], [0.3, 0.0]])


def pendulum(x, u):
    return np.array([x[1], -np.sin(x[0]) - 0.1 * x[1] + u[0]])


def pendulum_jacobian(x, u):
    return np.array([[0.0, 1.0], [-np.cos(x[0]), -0.1]])


def test_map_follows_the_rule_jitted_or_plain():
    x, states = np.array([0.1, 0.2]), []
    for _ in range(20):
        x = henon(x, None)
        states.append(x)
    for rule in (henon, njit(henon)):
        np.testing.assert_allclose(Map(rule, 2).run(20, x0=[0.1, 0.2]), states, rtol=1e-12)


def test_map_batch_equals_loop_for_compiled_rules():
    driven = Map(njit(pendulum), n_units=2, n_inputs=1)
    u = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 15, 1))
    np.testing.assert_array_equal(driven.run(u), np.stack([driven.run(one) for one in u]))


def test_jacobian_from_the_complex_step_equals_the_analytic_one():
    x = np.array([0.3, -0.2])
    for rule in (henon, njit(henon)):
        np.testing.assert_allclose(Map(rule, 2).jacobian(x, []), henon_jacobian(x, None), rtol=1e-14)
    np.testing.assert_array_equal(Map(henon, 2, rule_jacobian=henon_jacobian).jacobian(x, []), henon_jacobian(x, None))


def test_flow_agrees_with_scipy():
    u = np.full((100, 1), 0.3)
    exact = solve_ivp(lambda t, x: pendulum(x, u[0]), (0, 10), [0.5, 0.0], method="DOP853", rtol=1e-12, atol=1e-12)
    for rule in (pendulum, njit(pendulum)):
        states = Flow(rule, 2, 1, dt=0.1, substeps=4).run(u, x0=[0.5, 0.0])
        # order 4 with h = 0.025 over 10 time units
        np.testing.assert_allclose(states[-1], exact.y[:, -1], atol=2e-7)


def test_flow_batch_equals_loop_also_with_substeps():
    u = np.random.default_rng(0).uniform(-0.3, 0.3, (3, 20, 1))
    compiled, plain = (Flow(rule, 2, 1, dt=0.2, substeps=3) for rule in (njit(pendulum), pendulum))
    np.testing.assert_allclose(compiled.run(u), np.stack([plain.run(one) for one in u]), rtol=1e-12, atol=1e-15)


def test_steep_rules_keep_the_complex_step():
    steep = Map(lambda x, u: np.tanh(1e4 * x), n_units=1)
    np.testing.assert_allclose(steep.jacobian([1e-5], []), [[1e4 / np.cosh(0.1) ** 2]], rtol=1e-12)


def test_flow_is_of_order_four():
    exact = solve_ivp(lambda t, x: pendulum(x, [0.0]), (0, 2), [1.0, 0.0], method="DOP853", rtol=1e-13, atol=1e-13)
    steps = np.array([4, 8, 16, 32])
    errors = []
    for n in steps:
        states = Flow(pendulum, 2, 1, dt=2 / n).run(np.zeros((n, 1)), x0=[1.0, 0.0])
        errors.append(np.abs(states[-1] - exact.y[:, -1]).max())
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert -4.4 < slope < -3.6


def test_flow_jacobian_is_that_of_the_numerical_step():
    x, u = np.array([0.7, -0.3]), [0.2]
    given = Flow(pendulum, 2, 1, dt=0.3, substeps=2, rule_jacobian=pendulum_jacobian).jacobian(x, u)
    derived = Flow(pendulum, 2, 1, dt=0.3, substeps=2).jacobian(x, u)
    np.testing.assert_allclose(given, derived, rtol=1e-13)


def test_a_wrong_jacobian_is_refused():
    with pytest.raises(ValueError, match="rule_jacobian must be d rule / d x"):
        Map(henon, 2, rule_jacobian=lambda x, u: henon_jacobian(x, u).T)
    with pytest.raises(ValueError, match=r"rule_jacobian must return shape \(2, 2\), got \(2,\)"):
        Map(henon, 2, rule_jacobian=lambda x, u: x)


def test_bad_rules_are_named():
    with pytest.raises(ValueError, match=r"rule\(x, u\) must return shape \(3,\), got \(2,\)"):
        Map(henon, 3)
    with pytest.raises(TypeError, match="rule must be a function"):
        Map("henon", 2)
    with pytest.raises(TypeError, match="rule must be a function of"):
        Map(lambda x: x, 2)
    with pytest.raises(TypeError, match="rule_jacobian must be a function"):
        Map(henon, 2, rule_jacobian=5)
    with pytest.raises(ValueError, match="rule_jacobian must be d rule / d x"):
        Map(henon, 2, rule_jacobian=lambda x, u: np.full((2, 2), np.nan))
    with pytest.raises(TypeError, match="must return real numbers"):
        Map(lambda x, u: 1j * x, 2)
    with pytest.raises(ValueError, match=r"u must have shape \(1,\) at one step"):
        Map(pendulum, 2, 1, rule_jacobian=pendulum_jacobian).jacobian(np.zeros(2), [0.0, 1.0])
    with pytest.raises(ValueError, match="dt must be above 0, got -1"):
        Flow(pendulum, 2, 1, dt=-1.0)
    with pytest.raises(ValueError, match="substeps must be at least 1, got 0"):
        Flow(pendulum, 2, 1, substeps=0)


def test_divergence_of_a_compiled_map_is_named():
    with pytest.raises(FloatingPointError, match=r"unit 0 is -?inf|unit 0 is nan"):
        Map(njit(henon), 2).run(40, x0=[10.0, 0.0])
