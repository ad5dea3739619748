"""What a model inherits from `step` alone."""

import numpy as np
import pytest

from penstock import Map, System, SystemDefaults
from penstock.analysis import lyapunov_spectrum, stability


class Affine(SystemDefaults):
    """x' = A x + B u on two units with a directed A."""

    n_units, n_inputs = 2, 1
    A, B = np.array([[0.5, 0.3], [-0.2, 0.4]]), np.array([[1.0], [-2.0]])

    def step(self, x, u):
        return self.A @ x + self.B @ u


class Kinked(Affine):
    """A rule whose complex step is silently wrong: abs of a complex number loses the slope."""

    def step(self, x, u):
        return np.abs(self.A @ x) + self.B @ u


class Doubling(SystemDefaults):
    n_units, n_inputs = 1, 0

    def step(self, x, u):
        with np.errstate(over="ignore"):
            return 1e200 * x


def test_a_class_with_step_is_a_system():
    assert isinstance(Affine(), System)


def test_run_is_the_closed_form_of_a_linear_map():
    u = np.random.default_rng(0).standard_normal((30, 1))
    A, B = Affine.A, Affine.B
    exact = sum(np.linalg.matrix_power(A, 29 - k) @ B @ u[k] for k in range(30))
    np.testing.assert_allclose(Affine().run(u)[-1], exact, atol=1e-14)


def test_run_never_remembers_and_continues_from_x0():
    u = np.random.default_rng(1).standard_normal(20)
    system = Affine()
    whole = system.run(u)
    np.testing.assert_array_equal(system.run(u), whole)
    np.testing.assert_array_equal(system.run(u[8:], x0=whole[7]), whole[8:])
    np.testing.assert_array_equal(np.concatenate(list(system.blocks(u, 6))), whole)
    np.testing.assert_array_equal(system.run(np.stack([u, -u])[..., None])[1], system.run(-u))


def test_jacobians_come_from_the_complex_step():
    np.testing.assert_allclose(Affine().jacobian([0.3, 0.1], 0.2), Affine.A, rtol=1e-15)
    np.testing.assert_allclose(Affine().input_jacobian([0.3, 0.1], [0.2]), Affine.B, rtol=1e-15)


def test_a_wrong_complex_step_is_noticed():
    x = np.array([0.3, 0.1])
    exact = np.sign(Affine.A @ x)[:, None] * Affine.A
    np.testing.assert_allclose(Kinked().jacobian(x, [0.0]), exact, atol=1e-9)


def test_push_multiplies_the_jacobians_in_order():
    basis = np.eye(2)
    x, pushed = Affine().push([1.0, 0.0], np.zeros((5, 1)), basis)
    np.testing.assert_allclose(pushed, np.linalg.matrix_power(Affine.A, 5), atol=1e-15)
    np.testing.assert_allclose(x, np.linalg.matrix_power(Affine.A, 5)[:, 0], atol=1e-15)
    np.testing.assert_array_equal(basis, np.eye(2))


def test_divergence_names_step_and_unit():
    with pytest.raises(FloatingPointError, match=r"unit 0 is inf at step 1"):
        Doubling().run(4, x0=[1.0])
    with pytest.raises(FloatingPointError, match="counted from step 1"):
        list(Doubling().blocks(4, 1, x0=[1.0]))


@pytest.mark.parametrize(
    ("u", "message"),
    [
        (np.zeros((5, 2)), r"u must have shape \(T, 1\) or \(T,\) or \(B, T, 1\), got \(5, 2\)"),
        ([[0.0], [np.nan]], r"u must be finite, got nan at index \(1, 0\)"),
        (np.zeros((2, 2, 2, 1)), "u must have shape"),
    ],
)
def test_bad_inputs_are_named(u, message):
    with pytest.raises(ValueError, match=message):
        Affine().run(u)


class Short(Affine):
    def step(self, x, u):
        return x[:1]


def test_a_step_of_the_wrong_shape_is_not_broadcast():
    with pytest.raises(ValueError, match=r"step\(x, u\) must return shape \(2,\), got \(1,\)"):
        Short().run(np.zeros(3))


def test_bad_input_to_blocks_raises_at_once():
    with pytest.raises(ValueError, match="u must have shape"):
        Affine().blocks(np.zeros((3, 7)), 2)


def test_bad_types_and_states_are_named():
    with pytest.raises(TypeError, match="u must hold real numbers"):
        Affine().run(["a"])
    with pytest.raises(TypeError, match="u must hold real numbers"):
        Affine().run([1j])
    with pytest.raises(ValueError, match=r"x0 must have shape \(2,\), got \(3,\)"):
        Affine().run(np.zeros(4), x0=np.zeros(3))
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        list(Affine().blocks(np.zeros(4), 0))
    with pytest.raises(ValueError, match=r"basis must have shape \(2, k\), got \(3, 3\)"):
        Affine().push(np.zeros(2), np.zeros((1, 1)), np.eye(3))
    with pytest.raises(ValueError, match=r"u must have shape \(1,\) at one step, got \(2,\)"):
        Affine().jacobian(np.zeros(2), [0.0, 1.0])
    with pytest.raises(TypeError, match="u must be a number of steps"):
        Doubling().run(2.5)


def test_analyses_of_an_autonomous_system_begin_where_it_says():
    """Two attracting points: 0 with slope 1/4, where drawn starts end, and 2 with slope 1/2."""
    twofold = Map(lambda x, u: np.where(x.real > 1, 2 + 0.5 * (x - 2), 0.25 * x), n_units=1)
    there = twofold.starting_at([1.5])
    spectrum = [lyapunov_spectrum(system, n_steps=500, progress=False).exponents[0] for system in (twofold, there)]
    np.testing.assert_allclose(spectrum, np.log([0.25, 0.5]), rtol=1e-9)
    np.testing.assert_allclose(
        stability(there, n_steps=500, progress=False).along_input.exponent, np.log(0.5), rtol=1e-9
    )
    assert twofold.start is None and there.run(1)[0, 0] == 0
    with pytest.raises(ValueError, match=r"x0 must have shape \(1,\)"):
        twofold.starting_at([1.0, 2.0])
