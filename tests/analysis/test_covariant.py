"""Covariant Lyapunov vectors: eigenvectors, the velocity of a flow, and how they move."""

import numpy as np
import pytest
from numba import njit

from penstock import Flow, Map, SystemDefaults
from penstock.analysis import covariant_vectors, lyapunov_spectrum
from penstock.reservoirs import ESN


@njit
def lorenz63(x, u):
    return np.array([10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]])


@njit
def jacobian(x, u):
    return np.array([[-10.0, 10.0, 0.0], [28 - x[2], -1.0, -x[0]], [x[1], x[0], -8 / 3]])


@pytest.fixture(scope="module")
def lorenz():
    flow = Flow(lorenz63, 3, dt=0.01, rule_jacobian=jacobian)
    return flow, covariant_vectors(flow, n_steps=4000, washout=4000, end=2000)


def parallel(a, b):
    """Sine of the angle between two vectors."""
    return np.linalg.norm(a / np.linalg.norm(a) - np.sign(a @ b) * b / np.linalg.norm(b))


def test_they_are_the_eigenvectors_of_a_constant_jacobian():
    basis = np.array([[1.0, 3.0, -2.0], [0.5, 2.0, 1.0], [-1.0, 0.3, 0.7]])
    A = basis @ np.diag([-0.3, 2.0, 0.9]) @ np.linalg.inv(basis)
    values, exact = np.linalg.eig(A)
    order = np.argsort(-np.abs(values))
    system = Map(lambda x, u: A @ x % 1.0, n_units=3, rule_jacobian=lambda x, u: A)
    result = covariant_vectors(system, n_steps=50, washout=400, end=200)
    for found, column in zip(result.vectors[20], exact.T[order], strict=True):
        assert parallel(found, column) < 1e-10
    np.testing.assert_allclose(result.exponents, np.log(np.abs(values[order])), atol=1e-10)
    np.testing.assert_allclose(result.local_exponents, result.exponents[None].repeat(50, axis=0), atol=1e-9)


def test_the_second_vector_of_a_flow_is_parallel_to_its_velocity(lorenz):
    _, result = lorenz
    velocity = np.array([lorenz63(x, None) for x in result.states])
    worst = max(parallel(v, f) for v, f in zip(result.vectors[:, 1], velocity, strict=True))
    assert worst < 1e-4  # settled as exp(-0.9 * 20) = 1e-8; the step of order 4 moves the velocity by 1e-5 or so


def test_the_jacobian_moves_each_into_the_next(lorenz):
    flow, result = lorenz
    for t in range(0, 3999, 400):
        J = flow.jacobian(result.states[t], [])
        for i in range(3):
            moved = J @ result.vectors[t, i]
            assert parallel(moved, result.vectors[t + 1, i]) < 1e-8  # rounding, magnified by the angles
            growth = np.log(np.linalg.norm(moved)) / 0.01
            assert result.local_exponents[t + 1, i] == pytest.approx(growth, abs=1e-6)


def test_their_growth_is_the_lyapunov_spectrum(lorenz):
    flow, result = lorenz
    reference = lyapunov_spectrum(flow, n_steps=4000, washout=4000)  # the same start, but a washout split elsewhere
    error = 4 * np.hypot(reference.standard_errors, result.standard_errors) + 1e-3
    assert (np.abs(result.exponents - reference.exponents) < error).all()
    np.testing.assert_allclose(np.linalg.norm(result.vectors, axis=2), 1, atol=1e-12)


def test_vectors_of_a_driven_network_with_a_stride():
    esn = ESN.random(6, leak=0.5, seed=0)
    u = np.random.default_rng(0).uniform(-1, 1, 2000)
    result = covariant_vectors(esn, u, every=3, washout=500, end=500)
    states = esn.run(u)
    np.testing.assert_allclose(result.states, states[502:1500:3][: len(result.states)], atol=1e-14)
    t = 40
    _, V = esn.push(states[502 + 3 * t], u[503 + 3 * t : 506 + 3 * t], result.vectors[t].T)
    for i in range(6):
        assert parallel(V[:, i], result.vectors[t + 1, i]) < 1e-6  # rounding, magnified by small angles
    assert result.kind == "driven"


def test_leading_vectors_are_those_of_the_full_set():
    esn, u = ESN.random(6, leak=0.5, seed=4), np.random.default_rng(0).uniform(-1, 1, 4000)
    full, two = covariant_vectors(esn, u), covariant_vectors(esn, u, 2)
    np.testing.assert_allclose(full.exponents[:2], two.exponents, atol=5e-3)


def test_angles_are_those_between_lines():
    result = covariant_vectors(
        Map(
            lambda x, u: np.array([[2.0, 1.0], [0.0, 0.5]]) @ x % 1.0,
            n_units=2,
            rule_jacobian=lambda x, u: np.array([[2.0, 1.0], [0.0, 0.5]]),
        ),
        n_steps=40,
    )
    np.testing.assert_allclose(result.angles(0, 1), np.arctan2(1.5, 1.0), atol=1e-12)  # (1, 0) and (-2, 3)
    np.testing.assert_allclose(result.angles(0, 0), 0, atol=1e-12)
    assert "rad" in result.plot().get_xlabel()
    assert "smallest between neighbours 0.98 rad" in repr(result)
    from matplotlib import pyplot as plt

    plt.close("all")


def test_the_same_seed_gives_the_same_bits():
    esn, u = ESN.random(5, seed=0), np.random.default_rng(0).uniform(-1, 1, 400)
    np.testing.assert_array_equal(covariant_vectors(esn, u).vectors, covariant_vectors(esn, u).vectors)


class Singular(SystemDefaults):
    n_units, n_inputs = 3, 0

    def step(self, x, u):
        return np.array([0.5 * x[0] + 0.1, 0.3 * x[1], 0.0 * x[2]])


def test_vectors_of_a_complex_pair_are_in_doubt():
    c, s = np.cos(1.0), np.sin(1.0)
    A = np.array([[0.9 * c, -0.9 * s, 0.3], [0.9 * s, 0.9 * c, 0.1], [0, 0, 0.5]])
    spiral = Map(lambda x, u: A @ x + 0.1, n_units=3, rule_jacobian=lambda x, u: A)
    result = covariant_vectors(spiral, n_steps=200)
    assert not result.converged and "vectors 0 and 1 (counted from 0) have not parted" in repr(result)
    values, vectors = np.linalg.eig(A)
    real = np.real(vectors[:, np.argmin(np.abs(values))])
    assert parallel(result.vectors[50, 2], real / np.linalg.norm(real)) < 1e-10  # that of the real eigenvalue is known
    assert covariant_vectors(spiral, n_steps=200, n_vectors=1).converged  # no neighbour


def test_too_short_an_end_is_in_doubt(lorenz):
    flow, result = lorenz
    assert result.converged and "NOT CONVERGED" not in repr(result)
    assert not covariant_vectors(flow, n_steps=400, washout=400, end=20).converged  # 0.2 units of time


def test_single_precision_notices_singular_jacobians():
    rule = lambda x, u: np.array([0.5 * x[0] + 0.1, 0.3 * x[0] + 0.2], np.float32)  # noqa: E731

    class Single(SystemDefaults):
        n_units, n_inputs, dtype = 2, 0, np.dtype(np.float32)

        def step(self, x, u):
            return rule(x, u)

        def jacobian(self, x, u):
            return np.array([[0.5, 0.0], [0.3, 0.0]], np.float32) + np.float32(1e-9)

    with pytest.raises(ValueError, match="n_vectors must be at most 1 here"):
        covariant_vectors(Single(), n_steps=100)


def test_memory_is_looked_at_before_the_run():
    class Refuses(SystemDefaults):
        n_units, n_inputs = 1000, 0

        def step(self, x, u):
            raise AssertionError("ran")

    # (k + 1) n + k k numbers at 9000 times and k k at 1000 more
    with pytest.raises(ValueError, match="memory_limit must be at least 152 GB"):
        covariant_vectors(Refuses(), n_steps=9000, end=1000)


def test_bad_arguments_are_named():
    esn, u = ESN.random(5, seed=0), np.zeros((400, 1))
    with pytest.raises(ValueError, match=r"n_vectors must be at most 2 here, got 3: vector 2 .* singular"):
        covariant_vectors(Singular(), n_steps=100)
    with pytest.raises(ValueError, match="memory_limit must be at least .* GB for 5 vectors"):
        covariant_vectors(esn, u, memory_limit=1e-6)
    with pytest.raises(ValueError, match="u must be the inputs of shape"):
        covariant_vectors(esn)
    with pytest.raises(ValueError, match="n_vectors must be at most n_units = 5, got 9"):
        covariant_vectors(esn, u, 9)
    with pytest.raises(ValueError, match="u must be at least .* steps longer than the washout"):
        covariant_vectors(esn, u[:20])
    with pytest.raises(ValueError, match="every must be at least 1"):
        covariant_vectors(esn, u, every=0)
    with pytest.raises(ValueError, match="end must be at least 0"):
        covariant_vectors(esn, u, end=-1)
