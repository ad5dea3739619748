"""Oscillators by themselves: eigenvalues, impulse responses and frequency responses computed in the open."""

import numpy as np
import pytest

from penstock.reservoirs.free_oscillators import absolute_sums, are_stable, decays, peak_gains


def stable_rates(n=1500):
    """Rates over the whole stable region: inside, along all of its edges, and within rounding of double roots."""
    rng = np.random.default_rng(0)
    near = 10 ** rng.uniform(-2, 0, (2, n))
    alpha = np.select([rng.random(n) < 0.4, rng.random(n) < 0.5], [near[0], 2 - near[0]], rng.uniform(0, 2, n))
    limit = 4 - 2 * alpha
    beta = np.select(
        [rng.random(n) < 0.3, rng.random(n) < 0.3], [limit * near[1] ** 2, limit * (1 - 0.99 * near[1])],
        limit * rng.uniform(0.01, 0.99, n),
    )  # fmt: skip
    double = 2 - alpha + rng.choice([-2, 2], n) * np.sqrt(np.abs(1 - alpha))  # multipliers that coincide
    close = (alpha < 1) & (rng.random(n) < 0.3)
    beta = np.where(close, double * (1 + 10 ** rng.uniform(-14, -1, n)), beta)
    kept = (beta > 0) & (2 * alpha + beta < 4)
    return alpha[kept], beta[kept]


def step_matrices(alpha, beta):
    """The step of (y, z) without force, in units of dt² and dt; shape (n, 2, 2)."""
    return np.moveaxis(np.array([[1 - beta, 1 - alpha], [-beta, 1 - alpha]]), -1, 0)


def impulse_sums(alpha, beta, n_steps):
    """The sums of |position| and |velocity| after a force of 1 in the first step."""
    y, z, sums = 0 * alpha, 0 * alpha, np.zeros((2, alpha.size))
    for t in range(n_steps):
        z = z + ((t == 0) - beta * y - alpha * z)
        y = y + z
        sums += np.abs([y, z])
    return sums


def test_decays_are_one_minus_the_eigenvalues_of_the_step():
    alpha, beta = stable_rates()
    first, second = decays(alpha, beta)
    by_lapack = np.linalg.eigvals(step_matrices(alpha, beta)).astype(complex)
    # rounding moves a double root by its square root; symmetric functions of both are not so sensitive
    np.testing.assert_allclose(first + second, 2 - by_lapack.sum(axis=1), atol=1e-14)
    np.testing.assert_allclose(first * second, np.prod(1 - by_lapack, axis=1), atol=1e-13)
    np.testing.assert_allclose(np.abs(1 - first), np.abs(by_lapack).max(axis=1), atol=1e-7)
    assert (np.abs(1 - first) >= np.abs(1 - second)).all()


def test_slow_decays_keep_their_digits():
    # d² - (alpha + beta) d + beta = 0: for beta far below alpha² the smaller root is beta / alpha
    first, second = decays(np.array([0.5, 1.0]), np.array([1e-14, 1e-300]))
    np.testing.assert_allclose(first, [2e-14, 1e-300], rtol=1e-13)
    np.testing.assert_allclose(second, [0.5, 1.0], rtol=1e-13)


def test_oscillators_are_stable_where_both_eigenvalues_lie_in_the_unit_circle():
    alpha, beta = np.random.default_rng(1).uniform(-0.5, 4.5, (2, 2000))
    radius = np.abs(np.linalg.eigvals(step_matrices(alpha, beta))).max(axis=1)
    np.testing.assert_array_equal(are_stable(alpha, beta), radius < 1)
    assert 0.05 < are_stable(alpha, beta).mean() < 0.5


def test_sums_lie_between_those_of_the_impulse_response_and_twice_or_three_times_them():
    alpha, beta = stable_rates()
    radius = np.abs(np.linalg.eigvals(step_matrices(alpha, beta))).max(axis=1)
    done = radius < 0.998  # 0.998^15000 = 1e-13
    exact = impulse_sums(alpha[done], beta[done], 15_000)
    ratio = np.array(absolute_sums(alpha[done], beta[done])) / exact
    assert done.sum() > 900
    assert (ratio > 1 - 1e-9).all()  # rounding over thousands of steps
    assert (ratio.max(axis=1) < [2, 3]).all()


def test_the_sum_of_an_overdamped_position_is_one_over_the_stiffness():
    beta = np.array([0.1, 1e-3, 1e-9, 1e-14])
    np.testing.assert_allclose(absolute_sums(np.full(4, 0.9), beta)[0], 1 / beta, rtol=1e-13)


def test_gains_are_the_peaks_of_the_frequency_response():
    alpha, beta = stable_rates()
    done = alpha > 0.03  # the widths of the peaks, of which the grid then takes 30 points
    alpha, beta = alpha[done, None], beta[done, None]
    shift = np.exp(-1j * np.concatenate([np.geomspace(1e-7, 1e-3, 200), np.linspace(1e-3, np.pi, 3000)]))
    response = 1 / (1 - (2 - alpha - beta) * shift + (1 - alpha) * shift**2)
    position, velocity = peak_gains(alpha[:, 0], beta[:, 0])
    for gain, curve in ((position, np.abs(response)), (velocity, np.abs(response * (1 - shift)))):
        ratio = gain / curve.max(axis=1)
        assert (ratio > 1 - 1e-9).all()  # rounding where the response is flat
        assert (ratio < 1.002).all()  # what falls between two points of the grid


@pytest.mark.parametrize("alpha", [1e-4, 1e-8, 1e-12, 1e-200])
def test_gains_of_weak_damping_are_those_at_resonance(alpha):
    # the first square of Q is 0 at s = beta / 2, which leaves alpha² s (2 - s); the next order, alpha / (4 - beta)
    beta = np.array([1e-3, 0.1, 2.0, 3.9])
    position, velocity = peak_gains(np.full(4, alpha), beta)
    at_resonance = alpha * np.sqrt(1 - beta / 4)
    np.testing.assert_allclose(position, 1 / (np.sqrt(beta) * at_resonance), rtol=10 * alpha + 1e-12)
    np.testing.assert_allclose(velocity, 1 / at_resonance, rtol=10 * alpha + 1e-12)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 1.0), (1.0, 0.0), (1.0, -1.0), (2.0, 0.5), (1.0, 2.0), (2.5, 1.0)])
def test_unstable_oscillators_have_infinite_sums_and_gains(alpha, beta):
    rates = np.array([alpha, 1.0]), np.array([beta, 1.0])
    for both in (*absolute_sums(*rates), *peak_gains(*rates)):
        assert both[0] == np.inf and np.isfinite(both[1])
