import doctest

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.linalg import block_diag, solve_discrete_lyapunov
from scipy.special import roots_jacobi

import penstock.analysis.linear_memory
from penstock.analysis import (
    controllability_rank,
    controllable_modes,
    linear_memory_curve,
    linear_step_memory,
    noise_limited_capacity,
    step_memory,
)
from penstock.reservoirs import LinearMemory


def ring(n, weight):
    return weight * np.roll(np.eye(n), 1, axis=0)


def shift(n):
    return np.eye(n, k=-1)


def random_matrix(n, rng, radius=0.9):
    A = rng.standard_normal((n, n))
    return A * radius / np.abs(np.linalg.eigvals(A)).max()


def orthogonal(n, rng):
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def exact_curve(A, C, count, digits=60):
    """Leverages (A^k C)' G^-1 (A^k C) in 60 digits, G by the series itself."""
    with mpmath.workdps(digits):
        A = mpmath.matrix(A.tolist())
        x, columns = mpmath.matrix(C.tolist()), []
        G = mpmath.zeros(A.rows)
        while not columns or mpmath.norm(x) > mpmath.mpf(10) ** (-digits // 2):
            columns.append(x)
            G += x * x.T
            x = A * x
        return np.array([float((x.T * mpmath.lu_solve(G, x))[0]) for x in columns[:count]])


# The memory curve


def test_ring_has_the_closed_form():
    n, r = 20, 0.9
    curve = linear_memory_curve(ring(n, r), np.eye(n)[0])
    assert curve[0] == pytest.approx(0.985219, abs=5e-7)
    k = np.arange(len(curve))
    assert_allclose(curve, (1 - r ** (2 * n)) * r ** (2 * n * (k // n)), atol=1e-12)
    assert curve.sum() == pytest.approx(n, abs=1.1e-12)
    assert curve[1:].sum() == pytest.approx(n - 1 + r ** (2 * n), abs=1.1e-12)


def test_slow_ring_sums_up():
    curve = linear_memory_curve(ring(100, 0.999), np.eye(100)[0], tol=1e-9)
    # missing after k delays: 100 r^2k, below 1e-9 after 12,660
    assert 12_600 < len(curve) <= 12_700
    assert curve.sum() == pytest.approx(100, abs=1.01e-9)


def test_delay_line_remembers_its_length_exactly():
    assert_allclose(linear_memory_curve(shift(20), np.eye(20)[0]), np.ones(20), atol=1e-14)


@pytest.mark.parametrize("n", [20, 60])
def test_hidden_delay_line_is_found(n):
    """Its computed eigenvalues lie on a circle of radius .16 or .54, not at zero."""
    Q = orthogonal(n, np.random.default_rng(0))
    curve = linear_memory_curve(Q @ shift(n) @ Q.T, Q[:, 0])
    assert np.abs(np.linalg.eigvals(Q @ shift(n) @ Q.T)).min() > 0.1
    assert_allclose(curve, np.ones(n), atol=1e-11)


def test_one_unit_forgets_geometrically():
    k = np.arange(30)
    assert_allclose(linear_memory_curve([[-0.7]], [3.0], max_delay=29), (1 - 0.49) * 0.49**k, atol=1e-15)


def test_no_recurrence_keeps_the_present_input_alone():
    assert_allclose(linear_memory_curve(np.zeros((4, 4)), np.ones(4)), [1.0])


def test_nothing_is_remembered_without_input():
    assert_allclose(linear_memory_curve(ring(4, 0.5), np.zeros(4)), [0.0])


@pytest.mark.parametrize("n", [50, 100])
def test_random_systems_reach_their_dimension(n):
    """Where the condition number of G is 1e17 and 1e18, and formulas with its inverse give 42 and 49."""
    rng = np.random.default_rng(n)
    curve = linear_memory_curve(random_matrix(n, rng), rng.standard_normal(n))
    assert curve.sum() == pytest.approx(n, abs=2e-12)
    assert (np.diff(curve) < 1e-13).all()


def test_curve_equals_the_formula_in_sixty_digits():
    rng = np.random.default_rng(7)
    A, C = random_matrix(12, rng), rng.standard_normal(12)
    assert_allclose(linear_memory_curve(A, C, max_delay=29), exact_curve(A, C, 30), atol=1e-11)


def test_two_masks_have_the_same_curve():
    rng = np.random.default_rng(3)
    A = random_matrix(12, rng)
    one, other = (linear_memory_curve(A, rng.standard_normal(12), max_delay=60) for _ in range(2))
    assert_allclose(one, other, atol=1e-12)


def test_defective_system_reaches_its_dimension():
    """One Jordan block, whose curve is that of a cascade of equal filters."""
    A = 0.5 * np.eye(6) + shift(6)
    C = np.eye(6)[0]
    assert_allclose(linear_memory_curve(A, C, max_delay=29), exact_curve(A, C, 30), atol=1e-10)


def test_uncontrollable_modes_are_left_out():
    curve = linear_memory_curve(block_diag(ring(5, 0.8), ring(3, 1.5)), np.eye(8)[0])
    assert_allclose(curve[:10], linear_memory_curve(ring(5, 0.8), np.eye(5)[0], max_delay=9), atol=1e-12)
    duplicated = np.diag([0.5, 0.5, -0.3])
    twins = linear_memory_curve(duplicated, np.ones(3), max_delay=9)
    assert_allclose(twins, exact_curve(np.diag([0.5, -0.3]), np.ones(2), 10), atol=1e-12)


def test_sparse_and_dense_matrices_agree():
    A, C = ring(15, 0.7), np.eye(15)[:, :1]
    assert_allclose(linear_memory_curve(sp.csr_array(A), sp.csc_array(C)), linear_memory_curve(A, C), atol=0)


def test_max_delay_cuts_the_curve():
    curve = linear_memory_curve(ring(20, 0.9), np.eye(20)[0])
    assert_allclose(linear_memory_curve(ring(20, 0.9), np.eye(20)[0], max_delay=4), curve[:5], atol=0)


# Controllability


@pytest.mark.parametrize("seed", range(5))
def test_thirty_of_fifty_modes_out_of_reach(seed):
    rng = np.random.default_rng(seed)
    A = random_matrix(50, rng)
    A[20:, :20] = 0
    Q = orthogonal(50, rng)
    assert controllability_rank(Q @ A @ Q.T, Q[:, :20] @ rng.standard_normal(20)) == 20
    assert controllability_rank(A, np.eye(50)[0]) == 20


@pytest.mark.parametrize("seed", range(5))
def test_duplicated_eigenvalues_count_once_per_input(seed):
    rng = np.random.default_rng(seed)
    values = rng.uniform(-0.9, 0.9, 50)
    values[40:] = values[:10]
    S = rng.standard_normal((50, 50))
    A = S @ np.diag(values) @ np.linalg.inv(S)
    assert controllability_rank(A, rng.standard_normal(50)) == 40
    assert controllability_rank(A, rng.standard_normal((50, 2))) == 50


@pytest.mark.parametrize(("n", "period"), [(12, 3), (12, 4), (12, 6), (20, 5), (12, 12)])
def test_periodic_signs_on_a_ring_cost_rank(n, period):
    """The ring's left eigenvectors are Fourier modes: the rank is the number of nonzero Fourier coefficients."""
    signs = np.tile(np.random.default_rng(period).choice([-1, 1], period), n // period)
    rank = sum(abs(sum(int(s) * np.exp(2j * np.pi * k * j / n) for j, s in enumerate(signs))) > 1e-9 for k in range(n))
    assert controllability_rank(ring(n, 0.9), signs) == rank
    assert rank <= period
    assert linear_memory_curve(ring(n, 0.9), signs).sum() == pytest.approx(rank, abs=1e-11)


def test_generic_pairs_are_controllable():
    """Where the numerical rank of the matrix [C, AC, ...] itself is 77."""
    rng = np.random.default_rng(0)
    assert controllability_rank(random_matrix(100, rng), rng.standard_normal(100)) == 100


def test_chains_are_reached_from_their_entry_on():
    assert controllability_rank(shift(20), np.eye(20)[9]) == 11
    jordan = 0.5 * np.eye(6) + shift(6)
    assert controllability_rank(jordan, np.eye(6)[0]) == 6
    assert controllability_rank(jordan, np.eye(6)[3]) == 3
    # one input reaches no more than the longest of two chains of one eigenvalue, two inputs both
    both = block_diag(jordan, jordan[:4, :4])
    entries = np.eye(10)[:, [0, 6]]
    assert controllability_rank(both, entries.sum(axis=1)) == 6
    assert controllability_rank(both, entries) == 10


def test_close_but_different_eigenvalues_count_apart():
    assert controllability_rank(np.diag([0.5, 0.5 + 1e-7, 0.5 - 1e-7]), np.ones(3)) == 3


def test_nothing_is_reached_without_input():
    modes = controllable_modes(ring(4, 0.5), np.zeros(4))
    assert (len(modes.eigenvalues), modes.margin) == (0, 0.0)


def test_margin_is_the_weakest_drive():
    modes = controllable_modes(np.diag([0.1, 0.2, 0.3]), [1.0, 1e-6, 0.0])
    assert_allclose(np.sort(modes.eigenvalues.real), [0.1, 0.2], atol=1e-15)
    assert modes.margin == pytest.approx(1e-6, rel=1e-9)


# Noise


def test_observation_noise_against_lyapunov_and_the_trace():
    rng = np.random.default_rng(0)
    A, C, s2 = random_matrix(15, rng), rng.standard_normal((15, 2)), 0.05
    G = solve_discrete_lyapunov(A, C @ C.T)
    inverse = np.linalg.inv(G + s2 * np.eye(15))
    result = noise_limited_capacity(A, C, noise_variance=s2)
    assert result.total == pytest.approx(np.trace(G @ inverse), abs=1e-10)
    expected = [
        np.trace(C.T @ np.linalg.matrix_power(A, k).T @ inverse @ np.linalg.matrix_power(A, k) @ C) for k in range(9)
    ]
    assert_allclose(result.per_delay[:9], expected, atol=1e-10)
    assert result.per_delay.sum() == pytest.approx(result.total, abs=1e-11)


def test_internal_noise_against_lyapunov():
    rng = np.random.default_rng(1)
    A, C, q = random_matrix(15, rng), rng.standard_normal(15), 0.01
    G, H = solve_discrete_lyapunov(A, np.outer(C, C)), solve_discrete_lyapunov(A, q * np.eye(15))
    result = noise_limited_capacity(A, C, noise_variance=0.0, internal_variance=q)
    assert result.total == pytest.approx(np.trace(G @ np.linalg.inv(G + H)), abs=1e-10)
    assert result.per_delay.sum() == pytest.approx(result.total, abs=1e-11)


def test_internal_noise_in_an_orthogonal_network_has_a_closed_form():
    """A = r O: H = q / (1 - r^2), and of a ring G has eigenvalue r^2i / (1 - r^2n) at the unit i steps on."""
    n, r, q = 10, 0.9, 0.02
    result = noise_limited_capacity(ring(n, r), np.eye(n)[0], noise_variance=0.0, internal_variance=q)
    g = r ** (2 * np.arange(n)) / (1 - r ** (2 * n))
    assert result.total == pytest.approx((g / (g + q / (1 - r**2))).sum(), abs=1e-12)


def test_signal_to_noise_ratio_is_that_of_the_mean_unit():
    n, r = 10, 0.9
    g = r ** (2 * np.arange(n)) / (1 - r ** (2 * n))
    for snr_db in (-10.0, 0.0, 30.0):
        s2 = g.mean() * 10 ** (-snr_db / 10)
        result = noise_limited_capacity(ring(n, r), np.eye(n)[0], snr_db=snr_db)
        assert result.total == pytest.approx((g / (g + s2)).sum(), abs=1e-12)


def test_little_noise_leaves_the_exact_curve():
    A, C = ring(8, 0.8), np.eye(8)[0]
    noisy = noise_limited_capacity(A, C, noise_variance=1e-10, max_delay=20)
    assert_allclose(noisy.per_delay, linear_memory_curve(A, C, max_delay=20), atol=1e-7)


def test_noisy_capacity_equals_a_simulation():
    """Squared correlation of the best linear readout with every delayed input, in 400,000 noisy steps."""
    rng = np.random.default_rng(2)
    n, steps, s, q = 4, 400_000, 0.3, 0.04
    A, C = random_matrix(n, rng, 0.8), rng.standard_normal(n)
    u = rng.standard_normal(steps)
    kicks = u[:, None] * C + np.sqrt(q) * rng.standard_normal((steps, n))
    x = np.empty((steps, n))
    state = np.zeros(n)
    for t in range(steps):
        state = x[t] = A @ state + kicks[t]
    x = (x + s * rng.standard_normal(x.shape))[100:]
    result = noise_limited_capacity(A, C, noise_variance=s * s, internal_variance=q)
    for k in range(6):
        y = u[100 - k : steps - k]
        r2 = 1 - np.linalg.lstsq(x, y)[1][0] / (y @ y)
        # 4 standard errors, sqrt(4 R^2 (1 - R^2)^2 / T) < .0013
        assert r2 == pytest.approx(result.per_delay[k], abs=0.005)


# Steps


def test_step_memory_is_the_impulse_response_one_step_on():
    rng = np.random.default_rng(3)
    A, C, readout, u = random_matrix(6, rng), rng.standard_normal((6, 2)), rng.standard_normal((3, 6)), [0.5, -2.0]
    powers = [np.linalg.matrix_power(A, t + 1) @ C @ u for t in range(39)]
    exact = [np.linalg.norm(readout @ x) for x in powers]
    assert_allclose(linear_step_memory(A, C, readout, amplitude=u, n_steps=40), exact, rtol=1e-10)
    whole = linear_step_memory(sp.csr_array(A), C, amplitude=2.0, n_steps=40)
    exact = [2 * np.linalg.norm(np.linalg.matrix_power(A, t + 1) @ C.sum(axis=1)) for t in range(39)]
    assert_allclose(whole, exact, rtol=1e-10)
    assert linear_step_memory(A, C).shape == (1023,)


@pytest.mark.parametrize("make", [LinearMemory.lru, LinearMemory.random])
def test_step_memory_in_closed_form_is_the_measured_one(make):
    memory = make(12, seed=0)
    readout = np.random.default_rng(1).standard_normal(12)
    measured = step_memory(memory, readout=readout, amplitude=-1.5, n_steps=200, washout=0)
    exact = linear_step_memory(memory.W, memory.W_in, readout, amplitude=-1.5, n_steps=200)
    assert_allclose(measured.memory, exact, atol=1e-12)  # differences of outputs of size 30
    assert measured.memory[-20:].min() == 0 or measured.memory.min() < 1e-3


def test_step_memory_goes_down_to_the_smallest_numbers():
    assert_allclose(linear_step_memory([[0.5]], [1.0], n_steps=1000), 0.5 ** np.arange(1.0, 1000), rtol=1e-13)


def test_overflow_of_step_memory_is_named():
    with pytest.raises(FloatingPointError, match="M overflows at t=1023: A is unstable"):  # 2^1024 is too big
        linear_step_memory([[2.0]], [1.0], n_steps=1100)
    assert linear_step_memory([[2.0]], [1.0], n_steps=1024)[-1] == 2.0**1023


def test_many_modes_together_have_a_memory_with_a_heavy_tail_for_a_while():
    """Sum of exponentials of rates in (0, 1] with weights r^(p-1): int_0^1 r^(p-1) exp(-r t) dr is Gamma(p) / t^p."""
    p = 1.1
    x, weights = roots_jacobi(60, 0.0, p - 1)  # Gauss points of the weight (1 + x)^(p - 1) on [-1, 1]
    r = (1 + x) / 2
    memory = linear_step_memory(np.diag(np.exp(-r)), np.ones(60), weights / 2**p, n_steps=200)
    t = np.arange(1.0, 200)
    # the rest of the integral, beyond r = 1, is below exp(-t) / t
    assert_allclose(memory[30:], float(mpmath.gamma(p)) * t[30:] ** -p, rtol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((np.eye(2, 3), np.ones(2)), {}, ValueError, "A must be square"),
        ((np.eye(2), np.ones(3)), {}, ValueError, r"C must have shape \(2, any\)"),
        ((np.eye(2), np.ones(2), np.ones(3)), {}, ValueError, r"readout must have shape \(2,\) or \(n_outputs, 2\)"),
        ((np.eye(2), np.ones(2), "x"), {}, TypeError, "readout must hold real numbers"),
        ((np.eye(2), np.ones(2)), {"amplitude": [1.0, 2.0]}, ValueError, r"amplitude must be a number or have shape"),
        ((np.eye(2), np.ones(2)), {"amplitude": np.nan}, ValueError, "amplitude must be finite"),
        ((np.eye(2), np.ones(2)), {"n_steps": 1}, ValueError, "n_steps must be at least 2"),
        ((np.eye(2), np.ones(2)), {"n_steps": None}, TypeError, "n_steps must be an integer"),
    ],
)
def test_bad_steps_are_refused(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        linear_step_memory(*arguments, **settings)


# Errors


@pytest.mark.parametrize(
    ("A", "C", "message"),
    [
        (np.eye(3, 4), np.ones(3), "A must be square"),
        (np.eye(3), np.ones(4), r"C must have shape \(3, any\), got \(4, 1\)"),
        (np.eye(3) * np.nan, np.ones(3), "A must be finite"),
        (np.eye(3), [1, np.inf, 0], "C must be finite"),
    ],
)
def test_bad_matrices_are_refused(A, C, message):
    for question in (linear_memory_curve, controllability_rank, controllable_modes):
        with pytest.raises(ValueError, match=message):
            question(A, C)
    with pytest.raises(ValueError, match=message):
        noise_limited_capacity(A, C, noise_variance=1.0)


@pytest.mark.parametrize("radius", [1.0, 1.3])
def test_unstable_systems_are_refused(radius):
    with pytest.raises(ValueError, match="inside the unit circle, got modulus"):
        linear_memory_curve(np.diag([radius, 0.5]), np.ones(2))
    with pytest.raises(ValueError, match="inside the unit circle"):
        noise_limited_capacity(np.diag([radius, 0.5]), np.ones(2), noise_variance=1.0)


def test_curves_that_would_not_end_are_refused():
    with pytest.raises(ValueError, match="max_delay must be given"):
        linear_memory_curve([[1 - 1e-9]], [1.0])
    assert len(linear_memory_curve([[1 - 1e-9]], [1.0], max_delay=10)) == 11


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (dict(), ValueError, "either noise_variance or snr_db"),
        (dict(noise_variance=1.0, snr_db=1.0), ValueError, "either noise_variance or snr_db"),
        (dict(noise_variance=-1.0), ValueError, "noise_variance must be at least 0"),
        (dict(noise_variance=0.0), ValueError, "noise_variance must be above"),
        (dict(noise_variance=1.0, internal_variance=-1.0), ValueError, "internal_variance must be at least 0"),
        (dict(snr_db="10"), TypeError, "snr_db must be a number"),
        (dict(snr_db=1.0, max_delay=-1), ValueError, "max_delay must be at least 0"),
        (dict(snr_db=1.0, tol=0.0), ValueError, "tol must be above 0"),
    ],
)
def test_bad_noise_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        noise_limited_capacity(np.eye(3) * 0.5, np.ones(3), **settings)


def test_curve_arguments():
    with pytest.raises(ValueError, match="C must have one column"):
        linear_memory_curve(np.eye(2) * 0.5, np.eye(2))
    with pytest.raises(ValueError, match="tol must be above 0"):
        linear_memory_curve([[0.5]], [1.0], tol=0.0)
    with pytest.raises(TypeError, match="max_delay must be an integer"):
        linear_memory_curve([[0.5]], [1.0], max_delay=1.5)


def test_examples():
    assert doctest.testmod(penstock.analysis.linear_memory).failed == 0
