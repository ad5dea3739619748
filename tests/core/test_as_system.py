"""A user who writes only `n_units` and `step` gets the whole contract, and clear words when something is missing."""

import numpy as np
import pytest

from penstock import SystemDefaults, as_system
from penstock.analysis import memory_capacity
from penstock.system import numerical_jacobian

A = np.array([[0.5, 0.3], [-0.2, 0.4]])
B = np.array([[1.0], [-2.0]])


class Plain:
    """x' = tanh(A x + B u), and nothing but the equation."""

    n_units, n_inputs = 2, 1

    def step(self, x, u):
        return np.tanh(A @ x + B @ u)


class Autonomous:
    n_units = 2

    def step(self, x, u):
        assert u.shape == (0,)
        return A @ x


def exact_jacobian(x, u):
    return (1 - np.tanh(A @ x + B @ u) ** 2)[:, None] * A


def test_step_alone_gives_run_blocks_and_batches():
    system, u = as_system(Plain()), np.random.default_rng(0).standard_normal((12, 1))
    x, states = np.zeros(2), []
    for u_t in u:
        x = np.tanh(A @ x + B @ u_t)
        states.append(x)
    np.testing.assert_array_equal(system.run(u), states)
    np.testing.assert_array_equal(np.concatenate(list(system.blocks(u, 5))), states)
    np.testing.assert_array_equal(system.run(np.stack([u, -u]))[1], -np.array(states))  # tanh is odd


def test_step_alone_gives_jacobians_and_pushes():
    system, u = as_system(Plain()), np.array([[0.3], [-0.2], [0.1]])
    x, product = np.array([0.1, -0.4]), np.eye(2)
    np.testing.assert_allclose(system.jacobian(x, u[0]), exact_jacobian(x, u[0]), rtol=1e-14)
    by_input = (1 - np.tanh(A @ x + B @ u[0]) ** 2)[:, None] * B
    np.testing.assert_allclose(system.input_jacobian(x, u[0]), by_input, rtol=1e-14)
    end, basis = system.push(x, u, np.eye(2))
    for u_t in u:
        product = exact_jacobian(x, u_t) @ product
        x = np.tanh(A @ x + B @ u_t)
    np.testing.assert_allclose(end, x, rtol=1e-14)
    np.testing.assert_allclose(basis, product, atol=1e-15)


def test_orthonormal_pushes_sum_to_the_determinant():
    system, u = as_system(Plain()), np.random.default_rng(0).standard_normal((30, 1))
    logs, x, V = np.zeros((10, 2)), np.zeros(2), np.eye(2)
    system._push_qr(x, u, V, 3, logs)
    x, total = np.zeros(2), 0.0
    for u_t in u:
        total += np.log(abs(np.linalg.det(exact_jacobian(x, u_t))))
        x = np.tanh(A @ x + B @ u_t)
    np.testing.assert_allclose(logs.sum(), total, rtol=1e-12)


def test_memory_capacity_of_a_plain_object():
    class ShiftRegister:
        n_units, n_inputs = 5, 1

        def step(self, x, u):
            return np.concatenate([u, x[:-1]])

    # five noiseless delays are recovered; the noise of an unbiased estimate over 20 delays is far below 0.2
    assert abs(memory_capacity(ShiftRegister(), max_delay=20, n_steps=1000, seed=0).total - 5) < 0.2


def test_an_object_without_inputs_is_autonomous():
    system = as_system(Autonomous())
    assert system.n_inputs == 0 and system.dt == 1.0
    np.testing.assert_allclose(system.run(3, x0=[1.0, 2.0])[-1], np.linalg.matrix_power(A, 3) @ [1.0, 2.0], rtol=1e-14)
    np.testing.assert_allclose(system.push([1.0, 2.0], 3, np.eye(2))[1], np.linalg.matrix_power(A, 3), rtol=1e-14)
    with pytest.raises(ValueError, match="system must have inputs to remember"):
        memory_capacity(Autonomous(), seed=0)


def test_a_system_passes_through_as_it_is():
    class Own(SystemDefaults):
        n_units, n_inputs = 1, 0

        def step(self, x, u):
            return x

    system = Own()
    assert as_system(system) is system
    assert as_system(as_system(Plain())).n_units == 2
    plain = Plain()
    assert repr(as_system(plain)) == repr(plain)


class WithJacobian(Plain):
    def jacobian(self, x, u):
        return np.full((2, 2), 7.0)


class WithPush(Plain):
    def push(self, x, u, basis):
        return np.array([0.25, -0.25]), 3.0 * basis


class WithRun(Plain):
    dt = 0.5
    observed = slice(0, 1)

    def run(self, u, x0=None):
        return np.full((len(u), 2), 9.0)


def test_what_the_object_brings_is_used():
    u = np.zeros((2, 1))
    pushed = as_system(WithJacobian()).push(np.zeros(2), u, np.eye(2))[1]
    np.testing.assert_array_equal(pushed, np.linalg.matrix_power(np.full((2, 2), 7.0), 2))
    state, basis = as_system(WithPush()).push(np.zeros(2), u, np.eye(2))
    np.testing.assert_array_equal(state, [0.25, -0.25])
    np.testing.assert_array_equal(basis, 3 * np.eye(2))
    logs, x, V = np.zeros((2, 2)), np.zeros(2), np.eye(2)
    as_system(WithPush())._push_qr(x, u, V, 1, logs)
    np.testing.assert_allclose(logs, np.log(3.0), rtol=1e-15)
    system = as_system(WithRun())
    assert system.dt == 0.5 and system.observed == slice(0, 1)
    np.testing.assert_array_equal(system.run(u), np.full((2, 2), 9.0))
    np.testing.assert_array_equal(np.concatenate(list(system.blocks(u, 1))), np.full((2, 2), 9.0))


def test_what_is_missing_is_named():
    class NoStep:
        n_units = 2

    class NoSize:
        def step(self, x, u):
            return x

    class StepIsANumber:
        n_units, step = 2, 5

    with pytest.raises(TypeError, match=r"without `step`; a System needs n_units, n_inputs and step\(x, u\)"):
        as_system(NoStep())
    with pytest.raises(TypeError, match="without `n_units`"):
        as_system(NoSize())
    with pytest.raises(TypeError, match="system.step must be a function"):
        as_system(StepIsANumber())
    with pytest.raises(TypeError, match=r"got the class Plain; make one, Plain\(…\)"):
        as_system(Plain)
    with pytest.raises(TypeError, match="without `n_units`"):
        as_system(np.eye(2))
    with pytest.raises(TypeError, match="system.n_units must be an integer, got 2.5"):
        as_system(type("Half", (Plain,), {"n_units": 2.5})())
    with pytest.raises(ValueError, match="system.n_inputs must be at least 0, got -1"):
        as_system(type("Negative", (Plain,), {"n_inputs": -1})())
    with pytest.raises(ValueError, match="system.dt must be above 0, got 0"):
        as_system(type("Still", (Plain,), {"dt": 0})())
    with pytest.raises(TypeError, match="system.dtype must be float64 or float32, got int64"):
        as_system(type("Whole", (Plain,), {"dtype": "int64"})())


def test_a_step_of_the_wrong_shape_or_not_finite_is_an_error_everywhere():
    short = as_system(type("Short", (Plain,), {"step": lambda self, x, u: x[:1]})())
    for use in (lambda: short.run([0.0]), lambda: short.push(np.zeros(2), [0.0], np.eye(2))):
        with pytest.raises(ValueError, match=r"step\(x, u\) must return shape \(2,\), got \(1,\)"):
            use()
    blind = as_system(type("Blind", (Plain,), {"step": lambda self, x, u: np.full(2, np.nan)})())
    with pytest.raises(FloatingPointError, match="unit 0 is nan at step 0"):
        blind.run([0.0, 0.0])
    with pytest.raises(FloatingPointError, match="unit 0 is nan at step 0"):
        blind.push(np.zeros(2), [0.0], np.eye(2))
    with pytest.raises(FloatingPointError, match=r"step\(x, u\) is not finite at"):
        blind.jacobian(np.zeros(2), [0.0])


def test_divergence_during_a_push_names_the_step():
    growing = as_system(type("Growing", (), {"n_units": 1, "step": lambda self, x, u: 1e200 * x})())
    with np.errstate(over="ignore"), pytest.raises(FloatingPointError, match="unit 0 is inf at step 1"):
        growing.push([1.0], 4, np.eye(1))


class Single:
    """A model that computes in float32 whatever it is given."""

    n_units, n_inputs, dtype = 2, 1, np.float32

    def step(self, x, u):
        return np.tanh(A.astype(np.float32) @ x.astype(np.float32) + (B @ u).astype(np.float32))


class Mixed(Single):
    """float32 weights, which NumPy promotes."""

    def step(self, x, u):
        return np.tanh(A.astype(np.float32) @ x + B.astype(np.float32) @ u)


def test_float32_systems_are_differentiated_in_float64_where_they_allow_it():
    x, u = np.array([0.1, -0.4]), np.array([0.2])
    exact = exact_jacobian(x, u)
    single, mixed = as_system(Single()), as_system(Mixed())
    assert single.run([0.1]).dtype == np.float32
    assert mixed.jacobian(x, u).dtype == np.float64
    # the weights are rounded to float32; with A = A.astype(float32) the derivative is that of float64 arithmetic
    rounded = A.astype(np.float32).astype(float)
    state = rounded @ x + B.astype(np.float32).astype(float) @ u
    np.testing.assert_allclose(mixed.jacobian(x, u), (1 - np.tanh(state) ** 2)[:, None] * rounded, rtol=1e-12)
    # inside float32 the states are rounded to 6e-8; differences over 5e-3 then err by 1e-5
    np.testing.assert_allclose(single.jacobian(x, u), exact, atol=3e-5)


@pytest.mark.parametrize(
    ("rule", "slope"),
    [
        (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        (lambda x: 1 / (1 + np.exp(-x)), lambda x: 0.25 / np.cosh(x / 2) ** 2),
        (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
        (lambda x: np.clip(x, -0.5, 0.5), lambda x: (abs(x) < 0.5) * 1.0),
        (lambda x: np.where(x > 0, x**2, -x), lambda x: np.where(x > 0, 2 * x, -1.0)),
        (np.abs, np.sign),  # silently wrong in complex arithmetic, from here on
        (lambda x: np.linalg.norm(x) * np.ones(3), lambda x: None),
        (lambda x: np.vdot(x, x) * np.ones(3), lambda x: None),
        (lambda x: x * np.sign(x), np.sign),
        (lambda x: x + np.conj(x), lambda x: 2 * np.ones(3)),
        (lambda x: x.real * 3.0, lambda x: 3 * np.ones(3)),
        (lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x))),  # does not take complex numbers
        (lambda x: np.arctan2(x, 2.0), lambda x: 2 / (4 + x**2)),
        (lambda x: np.hypot(x, 1.0), lambda x: x / np.hypot(x, 1.0)),
        (lambda x: np.array([float(v) for v in x]) * 2, lambda x: 2 * np.ones(3)),
    ],
)
def test_derivatives_of_rules_good_and_bad_for_the_complex_step(rule, slope):
    x = np.array([0.7, -0.3, 0.2])
    slopes = slope(x)
    if slopes is None:  # norm and its square: rows x / |x| and 2 x
        row = x / np.linalg.norm(x) if rule(x)[0] > 0.7 else 2 * x
        exact = np.tile(row, (3, 1))
    else:
        exact = np.diag(slopes)
    # central differences err by 1e-10, the complex step by rounding
    np.testing.assert_allclose(numerical_jacobian(rule, x), exact, atol=1e-9)


def test_a_shallow_slope_that_the_complex_step_loses_is_noticed():
    small = numerical_jacobian(lambda x: 1e-7 * np.abs(x), np.array([0.5, -0.5]))
    # differences of values 5e-8 over 2e-6 are exact to 1e-17
    np.testing.assert_allclose(small, 1e-7 * np.diag([1.0, -1.0]), atol=1e-15)


def test_an_imaginary_part_dropped_with_a_warning_counts_as_failure():
    def lossy(x):
        out = np.empty(2)
        out[:] = x**2
        return out

    np.testing.assert_allclose(numerical_jacobian(lossy, np.array([0.5, 2.0])), np.diag([1.0, 4.0]), atol=1e-8)
