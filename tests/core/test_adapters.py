"""Maps and flows of the user's own: jitted or plain, with tangents that are checked, or adaptive."""

import dataclasses
import os

import numpy as np
import pytest
from numba import njit
from scipy.integrate import DOP853, LSODA, Radau, solve_ivp
from scipy.linalg import expm

from penstock import AdaptiveFlow, Flow, Map


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
    quiet = np.errstate(over="ignore", invalid="ignore")  # with the compiler off
    with quiet, pytest.raises(FloatingPointError, match=r"unit 0 is -?inf|unit 0 is nan"):
        Map(njit(henon), 2).run(40, x0=[10.0, 0.0])


# --- compiled pushes ------------------------------------------------------------------------------------------------


def lorenz(x, u):
    return (10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2])


def lorenz_array(x, u):
    return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])


def lorenz_jacobian(x, u):
    return ((-10.0, 10.0, 0.0), (28 - x[2], -1.0, -x[0]), (x[1], x[0], -8 / 3))


def lorenz_jacobian_array(x, u):
    return np.array([[-10.0, 10.0, 0.0], [28 - x[2], -1.0, -x[0]], [x[1], x[0], -8 / 3]])


def mixed_tuple(x, u):
    return (x[1], 1, -np.sin(x[0]) - 0.1 * x[1] + u[0] * x[2])  # a number that is no float, too


def real_work(x, u):
    out = np.zeros(2)  # takes no complex numbers, so that the compiled complex step does not exist
    out[0] = x[1]
    out[1] = -np.sin(x[0]) - 0.1 * x[1] + u[0]
    return out


def product_of_jacobians(system, x, u):
    product = np.eye(system.n_units)
    for u_t in u:
        product = system.jacobian(x, u_t) @ product
        x = system.step(x, u_t)
    return x, product


RULES = {
    "tuples": (njit(lorenz), njit(lorenz_jacobian)),
    "arrays": (njit(lorenz_array), njit(lorenz_jacobian_array)),
    "tuple, complex step": (njit(lorenz), None),
    "array, complex step": (njit(lorenz_array), None),
    "plain Jacobian": (njit(lorenz), lorenz_jacobian),
    "plain": (lorenz, lorenz_jacobian),
}


@pytest.mark.parametrize("name", RULES)
def test_a_push_is_the_product_of_the_jacobians_of_the_numerical_step(name):
    rule, slope = RULES[name]
    system, exact = Flow(rule, 3, dt=0.02, substeps=2, rule_jacobian=slope), Flow(lorenz, 3, dt=0.02, substeps=2)
    x0, u = np.array([1.0, 2.0, 20.0]), np.empty((20, 0))
    x, product = product_of_jacobians(exact, x0, u)
    pushed_x, pushed = system.push(x0, u, np.eye(3))
    # 160 stages, slopes to rounding; the product grows to about 10
    np.testing.assert_allclose(pushed_x, x, rtol=1e-11)
    np.testing.assert_allclose(pushed, product, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(system.run(u, x0)[-1], x, rtol=1e-11)


def test_tangents_of_one_step_equal_the_complex_step_of_the_step():
    x, u = np.array([1.0, 2.0, 20.0]), np.empty((1, 0))
    for name, k in (("tuples", 3), ("tuple, complex step", 3), ("plain", 3), ("tuple, complex step", 5)):
        (rule, slope), basis = RULES[name], np.random.default_rng(0).standard_normal((3, k))
        system = Flow(rule, 3, dt=0.01, rule_jacobian=slope)
        exact = np.column_stack([system.step(x + 1e-20j * v, u[0]).imag / 1e-20 for v in basis.T])
        np.testing.assert_allclose(system.push(x, u, basis)[1], exact, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("interval", [1, 3, 7])
@pytest.mark.parametrize("name", ["tuples", "tuple, complex step", "plain"])
def test_orthonormal_pushes_give_the_logs_of_explicit_factorisations(name, interval):
    rule, slope = RULES[name]
    system = Flow(rule, 3, dt=0.02, rule_jacobian=slope)
    u, x, V = np.empty((20, 0)), np.array([1.0, 2.0, 20.0]), np.eye(3)
    logs = np.zeros((-(-20 // interval), 3))
    system._push_qr(x, u, V, interval, logs)
    state, Q, exact = np.array([1.0, 2.0, 20.0]), np.eye(3), []
    for start in range(0, 20, interval):
        state, J = product_of_jacobians(system, state, u[start : start + interval])
        Q, R = np.linalg.qr(J @ Q)
        exact.append(np.log(np.abs(np.diag(R))))
    # the last vector shrinks by e^2 in seven steps: a few roundings; sums do not depend on the factorisation
    np.testing.assert_allclose(logs, exact, atol=1e-10)
    np.testing.assert_allclose(np.abs(V), np.abs(Q.T), atol=1e-10)
    np.testing.assert_allclose(x, state, rtol=1e-11)


def lattice(x, u):
    out = np.empty_like(x)
    n = len(x)
    for i in range(n):
        out[i] = (x[(i + 1) % n] - x[i - 2]) * x[i - 1] - x[i] + 8.0
    return out


def test_a_hundred_units_need_no_unrolling():
    x0, basis = np.random.default_rng(0).standard_normal((2, 100)), np.random.default_rng(1).standard_normal((100, 6))
    compiled, plain = Flow(njit(lattice), 100, dt=0.01), Flow(lattice, 100, dt=0.01)
    _, product = product_of_jacobians(plain, x0[0], np.empty((3, 0)))
    np.testing.assert_allclose(compiled.push(x0[0], 3, basis)[1], product @ basis, rtol=1e-11, atol=1e-12)


def test_many_tangents_go_through_lapack():
    compiled, plain = Flow(njit(lattice), 15, dt=0.01), Flow(lattice, 15, dt=0.01)
    logs, V, u = np.zeros((3, 15)), np.eye(15), np.empty((9, 0))
    compiled._push_qr(np.linspace(-1, 1, 15), u, V, 3, logs)
    _, J = product_of_jacobians(plain, np.linspace(-1, 1, 15), u)
    np.testing.assert_allclose(logs.sum(), np.linalg.slogdet(J)[1], atol=1e-11)


def test_inputs_reach_the_compiled_push():
    u = np.random.default_rng(0).uniform(-1, 1, (15, 1))
    for rule in (njit(pendulum), njit(real_work)):
        system, plain = Flow(rule, 2, 1, dt=0.1), Flow(pendulum, 2, 1, dt=0.1)
        x, product = product_of_jacobians(plain, np.array([0.4, 0.1]), u)
        pushed_x, pushed = system.push([0.4, 0.1], u, np.eye(2))
        np.testing.assert_allclose(pushed_x, x, rtol=1e-12, atol=1e-14)
        # differences in place of a complex step err by 1e-10 at every stage
        np.testing.assert_allclose(pushed, product, atol=1e-8 if rule.__name__ == "real_work" else 1e-13)


@pytest.mark.parametrize("slope", [None, njit(pendulum_jacobian)])
def test_tangents_of_the_inputs_and_the_record_of_tangents(slope):
    rng = np.random.default_rng(0)
    u, V, dU = rng.uniform(-1, 1, (12, 1)), rng.standard_normal((2, 2)), rng.standard_normal((12, 2, 1))
    compiled, plain = Flow(njit(pendulum), 2, 1, dt=0.1, rule_jacobian=slope), Flow(pendulum, 2, 1, dt=0.1)
    x, rows, tape = np.array([0.4, 0.1]), V.copy(), np.zeros((12, 2, 2))
    compiled._push(x, u, rows, dU, tape)
    state, exact = np.array([0.4, 0.1]), V.T
    for t, u_t in enumerate(u):
        exact = plain.jacobian(state, u_t) @ exact + plain.input_jacobian(state, u_t) @ dU[t].T
        state = plain.step(state, u_t)
        np.testing.assert_allclose(tape[t], exact.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(rows, tape[-1])


def test_tuples_of_mixed_numbers():
    compiled, plain = Flow(njit(mixed_tuple), 3, 1, dt=0.1), Flow(mixed_tuple, 3, 1, dt=0.1)
    u, x0 = np.full((6, 1), 0.3), np.array([0.1, 0.2, 0.0])
    np.testing.assert_allclose(compiled.run(u, x0), plain.run(u, x0), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        compiled.push(x0, u, np.eye(3))[1], product_of_jacobians(plain, x0, u)[1], rtol=1e-12, atol=1e-14
    )


def shallow(x, u):
    return (1e-7 * abs(x[0] - 0.3), 1e-7 * x[1])


def test_a_rule_that_the_complex_step_misjudges_is_detected_however_shallow():
    x, system, basis = np.array([0.45, -0.2]), Map(njit(shallow), 2), np.eye(2)
    product, state = np.eye(2), x
    for _ in range(2):
        columns = [
            (np.array(shallow(state + 1e-6 * e, ())) - np.array(shallow(state - 1e-6 * e, ()))) / 2e-6 for e in basis
        ]
        product, state = np.column_stack(columns) @ product, np.array(shallow(state, ()))
    np.testing.assert_allclose(system.push(x, 2, basis)[1], product, rtol=1e-7)  # differences err by 1e-10


def late(x, u):
    return (x[0] + 0.01, x[1] * abs(x[0]) / 40 if x[0].real > 40.0 else x[1] * x[0] / 40)


def test_a_derivative_that_goes_wrong_only_along_the_trajectory_is_replaced():
    """At the random points and at the start the rule is analytic; beyond x = 40 the complex step loses d/dx0 of abs."""
    system, basis = Map(njit(late), 2), np.eye(2)
    pushed = system.push([39.905, 1.0], 25, basis)[1]
    state, product = np.array([39.905, 1.0]), np.eye(2)
    for _ in range(25):
        a, b = state
        product, state = np.array([[1.0, 0.0], [b / 40, a / 40]]) @ product, np.array(late(state, ()))
    np.testing.assert_allclose(pushed, product, atol=1e-8)  # differences of slopes near 1 over 25 steps


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="the check is part of the compiled loop")
def test_a_jacobian_that_is_wrong_only_along_the_trajectory_is_refused():
    wrong = njit(lambda x, u: ((-2.8 * x[0] if abs(x[0]) < 0.6 else 0.0, 1.0), (0.3, 0.0)))
    system = Map(njit(henon), 2, rule_jacobian=wrong)
    with pytest.raises(
        ValueError, match="rule_jacobian must be d rule / d x, but differs from differences of the rule"
    ):
        system.push([1.0, 0.1], 10, np.eye(2))


def bent(x, u):
    return (max(x[0], 0.0), np.tanh(1e5 * x[1]), 1e9 * x[2] * x[2])


def bent_jacobian(x, u):
    return ((1.0 * (x[0] > 0), 0.0, 0.0), (0.0, 1e5 * (1 - np.tanh(1e5 * x[1]) ** 2), 0.0), (0.0, 0.0, 2e9 * x[2]))


def test_kinks_steep_slopes_and_small_states_raise_no_false_alarm():
    system = Map(njit(bent), 3, rule_jacobian=njit(bent_jacobian))
    on_the_kink, steep, small = np.diag([0.0, 1e-5, 1e-9])
    slopes = [system.push(x, 1, np.eye(3)[:, [i]])[1][i, 0] for i, x in enumerate((on_the_kink, steep, small))]
    np.testing.assert_allclose(slopes, [0.0, 1e5 / np.cosh(1.0) ** 2, 2.0], rtol=1e-12)


def test_tangents_of_any_length_are_linear():
    system, x = Map(njit(henon), 2), np.array([0.3, 0.1])
    unit = system.push(x, 3, np.eye(2))[1]
    for scale in (1e-290, 0.0, 1e150):
        np.testing.assert_allclose(system.push(x, 3, scale * np.eye(2))[1], scale * unit, rtol=1e-12)
    assert system.push(x, 3, np.empty((2, 0)))[1].shape == (2, 0)


def test_a_compiled_push_that_diverges_names_what_did():
    with np.errstate(over="ignore", invalid="ignore"):
        with pytest.raises(FloatingPointError, match="the state diverged: unit 0"):
            Map(njit(henon), 2).push([10.0, 0.0], 400, np.eye(2))
        chaotic = Flow(njit(lorenz), 3, dt=0.02, substeps=2)  # tangents grow by 0.9 per unit of time
        with pytest.raises(FloatingPointError, match="the tangents overflowed within 2000 steps"):
            chaotic.push([1.0, 2.0, 20.0], 2000, 1e300 * np.eye(3))


def test_rules_keep_their_systems_whole_when_copied():
    system = Flow(njit(lorenz), 3, dt=0.01)
    once = system.push([1.0, 2.0, 20.0], 5, np.eye(3))[1]
    again = dataclasses.replace(system).push([1.0, 2.0, 20.0], 5, np.eye(3))[1]
    np.testing.assert_array_equal(once, again)
    assert set(system.__getstate__()) == {"rule", "n_units", "n_inputs", "dt", "substeps", "rule_jacobian"}


# --- adaptive flows -------------------------------------------------------------------------------------------------


ROTATION = np.array([[-0.1, 2.0], [-1.5, -0.2]])
DRIVE = np.array([[0.5], [1.0]])


def linear(x, u):
    return ROTATION @ x + DRIVE @ u


@pytest.mark.parametrize("method", [DOP853, Radau, LSODA])
def test_adaptive_flow_of_a_linear_equation_is_the_matrix_exponential(method):
    system = AdaptiveFlow(linear, 2, 1, dt=0.7, method=method)
    x, u = np.array([1.0, -0.5]), np.array([0.3])
    propagator = expm(0.7 * ROTATION)
    held = np.linalg.solve(ROTATION, (propagator - np.eye(2)) @ DRIVE)
    # errors of single steps of 1e-10 add up over a few hundred of the solvers of low order
    atol = 1e-10 if method is DOP853 else 1e-7
    np.testing.assert_allclose(system.step(x, u), propagator @ x + held @ u, atol=atol)
    np.testing.assert_allclose(system.jacobian(x, u), propagator, atol=atol)
    np.testing.assert_allclose(system.input_jacobian(x, u), held, atol=atol)
    state, basis = system.push(x, np.full((4, 1), 0.3), 1e8 * np.eye(2))
    np.testing.assert_allclose(basis / 1e8, expm(2.8 * ROTATION), atol=10 * atol)
    np.testing.assert_allclose(system.run(np.full(4, 0.3), x0=x)[-1], state, atol=10 * atol)


def test_adaptive_flow_carries_tangents_of_inputs_and_records():
    system, u = AdaptiveFlow(linear, 2, 1, dt=0.3), np.random.default_rng(0).uniform(-1, 1, (3, 1))
    propagator = expm(0.3 * ROTATION)
    held = np.linalg.solve(ROTATION, (propagator - np.eye(2)) @ DRIVE)
    V, dU, tape = np.eye(2), np.random.default_rng(1).standard_normal((3, 2, 1)), np.zeros((3, 2, 2))
    exact = np.eye(2)
    system._push(np.zeros(2), u, V, dU, tape)
    for t in range(3):
        exact = propagator @ exact + held @ dU[t].T
        np.testing.assert_allclose(tape[t], exact.T, atol=1e-9)


def test_runge_kutta_flow_converges_to_the_adaptive_one_with_its_tangents():
    x0, basis = np.array([1.0, 0.2]), np.eye(2)
    reference = AdaptiveFlow(pendulum, 2, 1, dt=1.0, rule_jacobian=pendulum_jacobian)
    x, V = reference.push(x0, [[0.4], [0.4]], basis)
    np.testing.assert_allclose(x, reference.run([0.4, 0.4], x0)[-1], atol=1e-10)
    derived = AdaptiveFlow(njit(pendulum), 2, 1, dt=1.0).push(x0, [[0.4], [0.4]], basis)[1]
    np.testing.assert_allclose(derived, V, atol=1e-9)
    substeps, errors = np.array([8, 16, 32, 64]), []
    for n in substeps:
        state, tangents = Flow(pendulum, 2, 1, dt=1.0, substeps=int(n)).push(x0, [[0.4], [0.4]], basis)
        errors.append((np.abs(state - x).max(), np.abs(tangents - V).max()))
    slopes = np.polyfit(np.log(substeps), np.log(errors), 1)[0]
    np.testing.assert_allclose(slopes, -4, atol=0.1)  # order 4, states and tangents alike


def test_adaptive_flow_is_chaos_proof_over_batches_and_jitted_rules():
    u = np.random.default_rng(0).uniform(-0.3, 0.3, (2, 4, 1))
    system = AdaptiveFlow(njit(pendulum), 2, 1, dt=0.2)
    np.testing.assert_array_equal(system.run(u), np.stack([system.run(one) for one in u]))
    assert repr(system) == "AdaptiveFlow(pendulum, n_units=2, n_inputs=1, dt=0.2, DOP853, rtol=1e-10, atol=1e-12)"


def test_adaptive_flow_refuses_bad_settings_and_gives_up_in_words():
    with pytest.raises(TypeError, match="method must be a solver class such as scipy.integrate.Radau, got 'RK45'"):
        AdaptiveFlow(pendulum, 2, 1, method="RK45")
    with pytest.raises(ValueError, match="rtol must be above 0, got 0"):
        AdaptiveFlow(pendulum, 2, 1, rtol=0)
    with pytest.raises(ValueError, match="rule_jacobian must be d rule / d x"):
        AdaptiveFlow(henon, 2, rule_jacobian=lambda x, u: henon_jacobian(x, u).T)
    with pytest.raises(FloatingPointError, match="DOP853 gave up from state"):
        AdaptiveFlow(lambda x, u: x**2, 1, dt=2.0).step(np.array([1.0]), np.empty(0))  # blows up at t = 1
