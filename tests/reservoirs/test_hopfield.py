"""Modern Hopfield networks: energy, Jacobian and the three regimes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.reservoirs import ModernHopfield
from penstock.system import numerical_jacobian


def patterns(n_patterns=12, n_units=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n_patterns, n_units))


def softmax(z):
    return np.exp(z) / np.exp(z).sum()


def test_states_equal_the_equation_written_out():
    X = patterns()
    memory, x = ModernHopfield(X, 0.7), np.linspace(-1, 1, 7)
    states = memory.run(10, x0=x)
    for state in states:
        x = X.T @ softmax(0.7 * X @ x)
        np.testing.assert_allclose(state, x, atol=1e-13)  # order 1, contracting onto a fixed point


@given(seed=st.integers(0, 10_000), beta=st.floats(0.01, 20))
@settings(deadline=None, max_examples=25)
def test_the_energy_never_increases_and_lies_in_its_bounds(seed, beta):
    X = patterns(seed=seed)
    memory = ModernHopfield(X, beta)
    x0 = np.random.default_rng(seed + 1).normal(size=7)
    orbit = np.concatenate([[x0], memory.run(15, x0=x0)])
    energy = memory.energy(orbit)
    largest = (X**2).sum(axis=1).max()
    assert (np.diff(energy) <= 1e-12 * largest).all()
    assert (energy[1:] >= -1e-12).all() and (energy[1:] <= 2 * largest).all()


def test_the_jacobian_is_symmetric_and_positive_semi_definite():
    memory = ModernHopfield(patterns(), 0.9)
    rng = np.random.default_rng(2)
    for _ in range(5):
        x = rng.normal(size=7)
        J = memory.jacobian(x, [])
        np.testing.assert_allclose(J, numerical_jacobian(lambda x: memory.step(x, []), x), atol=1e-13)
        np.testing.assert_allclose(J, J.T, atol=1e-14)
        assert np.linalg.eigvalsh(J).min() > -1e-13


def test_push_multiplies_the_jacobians():
    memory = ModernHopfield(patterns(), 0.3)
    x = x0 = np.linspace(-1, 1, 7)
    V = np.eye(7)
    for _ in range(4):
        V, x = memory.jacobian(x, []) @ V, memory.step(x, [])
    pushed_x, pushed = memory.push(x0, 4, np.eye(7))
    np.testing.assert_allclose(pushed_x, x, atol=1e-13)
    np.testing.assert_allclose(pushed, V, rtol=1e-10, atol=1e-13)


def test_cold_it_retrieves_and_hot_it_averages():
    X = patterns(8, 40)
    noisy = X + 0.3 * np.random.default_rng(1).normal(size=X.shape)
    # overlaps differ by about |x|^2 = 40: the other patterns weigh e^-200
    np.testing.assert_allclose(ModernHopfield(X, 20.0).run(np.empty((8, 3, 0)), noisy)[:, -1], X, atol=1e-12)
    hot = ModernHopfield(X, 1e-6).run(np.empty((8, 3, 0)), noisy)[:, -1]
    np.testing.assert_allclose(hot, np.tile(X.mean(axis=0), (8, 1)), atol=1e-3)  # weights 1/8 to beta |x|^2


def test_float32_patterns_and_batches():
    X = patterns()
    single = ModernHopfield(X.astype(np.float32), 0.5)
    x0 = np.random.default_rng(3).normal(size=(4, 7))
    states = single.run(np.empty((4, 6, 0)), x0)
    assert states.dtype == single.push(x0[0], 3, np.eye(7))[1].dtype == np.float32
    double = ModernHopfield(X, 0.5)
    np.testing.assert_allclose(states, [double.run(6, x0=x) for x in x0], atol=1e-4)
    np.testing.assert_array_equal(double.run(np.empty((4, 6, 0)), x0)[2], double.run(6, x0=x0[2]))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="beta must be above 0, got 0"):
        ModernHopfield(patterns(), 0)
    with pytest.raises(ValueError, match=r"patterns must have shape \(any, any\), got \(3,\)"):
        ModernHopfield(np.ones(3), 1.0)
    with pytest.raises(ValueError, match="patterns must hold at least one"):
        ModernHopfield(np.empty((0, 3)), 1.0)
    with pytest.raises(ValueError, match=r"states must have shape \(…, 7\), got \(3,\)"):
        ModernHopfield(patterns(), 1.0).energy(np.ones(3))
