import math
from functools import partial

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from scipy.optimize import brentq

from penstock.data import (
    MSO_FREQUENCIES,
    double_scroll,
    henon,
    kuramoto_sivashinsky,
    logistic,
    lorenz63,
    lorenz96,
    mackey_glass,
    multiple_superimposed_oscillators,
    rossler,
)

WITH_WASHOUT = [
    mackey_glass,
    lorenz63,
    rossler,
    double_scroll,
    partial(lorenz96, seed=3),
    henon,
    logistic,
    kuramoto_sivashinsky,
]


def production(x, beta=0.2, power=10.0):
    return beta * x / (1.0 + x**power)


def orders(errors):
    return np.log2(np.divide(errors[:-1], errors[1:]))


# Mackey-Glass


@pytest.mark.parametrize("substeps", [1, 10])
def test_mackey_glass_is_exact_runge_kutta_while_the_delayed_value_is_frozen(substeps):
    h, gamma, target = 1.0 / substeps, 0.1, production(1.2) / 0.1
    z = -gamma * h
    growth = (1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24) ** substeps
    x = mackey_glass(2, substeps=substeps, washout=0)
    assert_allclose(x, [1.2, target + (1.2 - target) * growth], rtol=1e-15)  # the order-4 Taylor polynomial
    assert_allclose(x[1], target + (1.2 - target) * math.exp(-gamma), rtol=0, atol=1e-7 * h**4)  # |z|^5/120 a step


def test_mackey_glass_follows_the_closed_form_up_to_the_delay():
    t, target = np.arange(171) * 0.1, production(1.2) / 0.1
    assert_allclose(mackey_glass(171, dt=0.1, washout=0), target + (1.2 - target) * np.exp(-0.1 * t), atol=1e-14)


@pytest.mark.parametrize(("tau", "dt", "substeps"), [(17.0, 1.0, 20), (17.3, 0.7, 20), (6.0, 2.5, 50)])
def test_mackey_glass_agrees_with_the_method_of_steps(tau, dt, substeps):
    """Between multiples of tau the equation is an ordinary one whose input is the previous piece."""
    t = dt * np.arange(int(6 * tau / dt))
    expected, delayed, x = np.empty(t.size), lambda s: 1.2, 1.2
    for piece in range(6):
        start = piece * tau
        solution = solve_ivp(
            lambda s, x, delayed=delayed: production(delayed(s - tau)) - 0.1 * x,
            (start, start + tau),
            [x],
            method="DOP853",
            dense_output=True,
            rtol=1e-12,
            atol=1e-13,
            max_step=0.5,
        )
        inside = (t >= start) & (t <= start + tau)
        expected[inside] = solution.sol(t[inside])[0]
        delayed, x = (lambda s, f=solution.sol: f(s)[0]), solution.y[0, -1]
    # Internal step 0.05 in every case: a sixteenth of the stated 1e-9, and the reference's own 1e-11 times growth.
    assert_allclose(mackey_glass(t.size, tau=tau, dt=dt, substeps=substeps, washout=0), expected, rtol=0, atol=2e-10)


def test_mackey_glass_error_shrinks_sixteenfold_when_the_step_is_halved():
    run = partial(mackey_glass, 100, washout=0)
    reference = run(substeps=320)
    errors = [np.abs(run(substeps=substeps) - reference).max() for substeps in (4, 8, 16, 32)]
    assert_allclose(orders(errors), 4, atol=0.05)


@pytest.mark.parametrize(("tau", "dt"), [(17.3, 0.7), (math.pi, 1.0), (0.4, 1.0)])
def test_mackey_glass_has_order_four_for_any_delay_and_step(tau, dt):
    run = partial(mackey_glass, 100, tau=tau, dt=dt, washout=0)
    reference, substeps = run(substeps=400), np.arange(4, 41, 2)
    errors = [np.abs(run(substeps=s) - reference).max() for s in substeps.tolist()]
    steps = tau / np.ceil(tau * substeps / dt)  # the largest fractions of tau that are at most dt / substeps
    # Where the samples fall within the steps changes from fit to fit, so that single pairs scatter.
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert_allclose(slope, 4, atol=0.15)


def test_mackey_glass_default_accuracy_is_as_stated():
    error = np.abs(mackey_glass(501, washout=0) - mackey_glass(501, washout=0, substeps=160))
    assert error[:101].max() <= 1.1e-9 and error.max() <= 6e-9


def test_mackey_glass_has_the_published_range():
    x = mackey_glass(10_000)  # the series of the residual echo state networks: [0.418, 1.319]
    assert_allclose([x.min(), x.max()], [0.418, 1.319], atol=2e-3)  # extremes vary a little between stretches


def test_mackey_glass_samples_do_not_depend_on_the_sampling_step():
    fine = mackey_glass(401, dt=0.25, substeps=5, washout=0)
    assert_allclose(mackey_glass(101, dt=1.0, substeps=20, washout=0), fine[::4], rtol=0, atol=1e-13)


def test_mackey_glass_samples_between_its_own_steps_to_the_same_accuracy():
    # 0.7 is no multiple of the internal step 17/25 here, so that nearly every sample is interpolated.
    coarse, exact = mackey_glass(60, dt=0.7, substeps=1, washout=0), mackey_glass(60, dt=0.7, substeps=64, washout=0)
    assert_allclose(coarse, exact, rtol=0, atol=2e-5)


def test_mackey_glass_rests_at_its_fixed_points():
    assert_allclose(mackey_glass(100, history=1.0, washout=0), 1.0, rtol=0, atol=1e-13)  # beta / 2 = gamma
    assert_array_equal(mackey_glass(50, history=0.0, washout=0), np.zeros(50))


def test_mackey_glass_scales_with_time():
    slow = mackey_glass(200, washout=0)
    fast = mackey_glass(200, tau=8.5, dt=0.5, beta=0.4, gamma=0.2, washout=0)
    assert_allclose(fast, slow, rtol=0, atol=1e-13)


# Flows


def test_lorenz63_agrees_with_another_integrator():
    def rhs(t, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    t = np.arange(101) * 0.02
    expected = solve_ivp(rhs, (0, 2), [1, 1, 1], method="Radau", t_eval=t, rtol=1e-11, atol=1e-11).y.T
    assert_allclose(lorenz63(101, washout=0), expected, rtol=0, atol=1e-7)  # Radau's error grown over two time units


def test_lorenz63_default_accuracy_is_as_stated():
    def rhs(t, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    t = np.arange(501) * 0.02
    exact = solve_ivp(rhs, (0, 10), [1, 1, 1], method="DOP853", t_eval=t, rtol=3e-14, atol=1e-14).y.T
    assert_allclose(lorenz63(501, washout=0), exact, rtol=0, atol=2e-8)


def test_lorenz63_is_symmetric_under_half_a_turn_about_z():
    one, other = lorenz63(300, x0=(1, 2, 3), washout=0), lorenz63(300, x0=(-1, -2, 3), washout=0)
    assert_array_equal(other * [-1, -1, 1], one)


def test_lorenz63_rests_at_its_fixed_points():
    r = math.sqrt(8 / 3 * 27)
    for point in ([0, 0, 0], [r, r, 27], [-r, -r, 27]):
        assert_allclose(
            lorenz63(100, x0=point, washout=0), np.tile(point, (100, 1)), rtol=0, atol=5e-8
        )  # 1e-10 of 27 a step, grown


def test_lorenz63_takes_its_parameters():
    s, r, b = 16.0, 45.92, 4.0
    point = [math.sqrt(b * (r - 1)), math.sqrt(b * (r - 1)), r - 1]
    x = lorenz63(20, sigma=s, rho=r, beta=b, x0=point, washout=0)
    assert_allclose(x, np.tile(point, (20, 1)), rtol=0, atol=1e-8)
    # The linearisation at the origin has the eigenvector (1, 1 + m / sigma, 0) with growth rate m.
    m = (-(s + 1) + math.sqrt((s - 1) ** 2 + 4 * s * r)) / 2
    near = lorenz63(2, sigma=s, rho=r, beta=b, dt=0.1, x0=[1e-5, 1e-5 * (1 + m / s), 0], washout=0)
    assert_allclose(near[1, :2] / near[0, :2], math.exp(0.1 * m), rtol=1e-4)  # tolerance 1e-10 of states 1e-5


def test_rossler_agrees_with_another_integrator():
    def rhs(t, s):
        return [-s[1] - s[2], s[0] + 0.2 * s[1], 0.2 + s[2] * (s[0] - 5.7)]

    t = np.arange(101) * 0.1
    expected = solve_ivp(rhs, (0, 10), [-0.1, 0, 0.02], method="Radau", t_eval=t, rtol=1e-11, atol=1e-12).y.T
    assert_allclose(rossler(101, washout=0), expected, rtol=0, atol=1e-7)


def test_rossler_without_z_is_a_linear_oscillator():
    a, t = 0.15, 0.1 * np.arange(50)
    expected = [expm(s * np.array([[0, -1], [1, a]])) @ [1, 0.5] for s in t]
    x = rossler(50, a=a, b=0.0, x0=(1, 0.5, 0), washout=0)
    assert_allclose(x, np.column_stack((expected, np.zeros(50))), rtol=0, atol=1e-8)


def test_rossler_rests_at_its_fixed_point():
    a, b, c = 0.2, 0.2, 5.7
    y = (-c + math.sqrt(c * c - 4 * a * b)) / (2 * a)
    point = [-a * y, y, -y]
    assert_allclose(rossler(50, x0=point, washout=0), np.tile(point, (50, 1)), rtol=0, atol=1e-8)


def double_scroll_by_hand(t, s):
    across = s[0] - s[1]
    through = across / 3.44 + 2 * 2.25e-5 * math.sinh(11.6 * across)
    return [s[0] / 1.2 - through, through - s[2], s[1] - 0.193 * s[2]]


def test_double_scroll_agrees_with_another_integrator():
    t, start = np.arange(81) * 0.25, [0.37926545, 0.058339, -0.08167691]
    expected = solve_ivp(double_scroll_by_hand, (0, 20), start, method="Radau", t_eval=t, rtol=1e-11, atol=1e-12).y.T
    assert_allclose(double_scroll(81, washout=0), expected, rtol=0, atol=1e-7)  # both errors, grown twelvefold


def test_double_scroll_default_accuracy_is_as_stated():
    t, start = np.arange(201) * 0.25, [0.37926545, 0.058339, -0.08167691]
    exact = solve_ivp(double_scroll_by_hand, (0, 50), start, method="DOP853", t_eval=t, rtol=3e-14, atol=1e-15).y.T
    error = np.abs(double_scroll(201, washout=0) - exact)
    assert error[:41].max() <= 1e-8 and error.max() <= 5e-7


def test_double_scroll_rests_where_all_currents_are_equal():
    """There V2 = r4 I, V1 = r1 I and the diodes carry I."""
    r1, r4 = 1.2, 0.193
    current = brentq(lambda i: i - (r1 - r4) * i / 3.44 - 4.5e-5 * math.sinh(11.6 * (r1 - r4) * i), 0.5, 1.2)
    point = np.array([r1, r4, 1.0]) * current
    for sign in (-1, 0, 1):
        orbit = double_scroll(50, x0=sign * point, washout=0)
        assert_allclose(orbit, np.tile(sign * point, (50, 1)), rtol=0, atol=1e-7)  # 1e-10 a step, grown over 12


def test_double_scroll_turns_with_its_start():
    one, other = double_scroll(200, washout=0), double_scroll(200, x0=(-0.37926545, -0.058339, 0.08167691), washout=0)
    assert_array_equal(other, -one)


def test_double_scroll_without_diodes_is_linear():
    t, start = 0.25 * np.arange(20), np.array([0.1, -0.2, 0.3])
    A = np.array([[1 / 1.5 - 1 / 3, 1 / 3, 0], [1 / 3, -1 / 3, -1], [0, 1, -0.2]])
    expected = [expm(s * A) @ start for s in t]
    x = double_scroll(20, r1=1.5, r2=3.0, r4=0.2, i_r=0.0, x0=start, washout=0)
    assert_allclose(x, expected, rtol=0, atol=1e-8)


def test_double_scroll_refuses_a_short_circuit():
    with pytest.raises(ValueError, match="r2 must not be 0"):
        double_scroll(10, r2=0.0)


def test_lorenz96_agrees_with_the_equation_written_as_a_loop():
    n, forcing = 7, 6.0

    def rhs(t, x):
        return [(x[(i + 1) % n] - x[i - 2]) * x[i - 1] - x[i] + forcing for i in range(n)]

    x0, t = forcing + np.linspace(-0.5, 0.4, n) ** 2, np.arange(101) * 0.02
    expected = solve_ivp(rhs, (0, 2), x0, method="RK45", t_eval=t, rtol=1e-10, atol=1e-10).y.T
    x = lorenz96(101, n_variables=n, forcing=forcing, dt=0.02, x0=x0, washout=0)
    assert_allclose(x, expected, rtol=0, atol=1e-6)


def test_lorenz96_rests_at_the_uniform_state():
    x = lorenz96(100, n_variables=12, forcing=8.0, x0=np.full(12, 8.0), washout=0)
    assert_allclose(x, 8.0, rtol=0, atol=1e-10)


def test_lorenz96_loses_energy_by_friction_alone():
    """The products conserve sum x^2: without forcing it decays exactly as exp(-2 t)."""
    x = lorenz96(101, n_variables=9, forcing=0.0, x0=np.sin(np.arange(9.0)), washout=0)
    energy = (x**2).sum(axis=1)
    assert_allclose(energy, energy[0] * np.exp(-0.02 * np.arange(101)), rtol=1e-8)


def test_lorenz96_turns_with_the_ring():
    x0 = 8 + np.random.default_rng(0).normal(size=6)
    turned = lorenz96(150, n_variables=6, x0=np.roll(x0, 2), washout=0)
    assert_allclose(turned, np.roll(lorenz96(150, n_variables=6, x0=x0, washout=0), 2, axis=1), rtol=0, atol=1e-8)


def test_lorenz96_seed_draws_the_start_about_the_forcing():
    start = lorenz96(1, n_variables=2000, forcing=3.0, seed=5, washout=0)[0]
    assert 2.5 <= start.min() < 2.51 and 3.49 < start.max() < 3.5  # 2000 draws come within 0.01 of both ends
    assert_array_equal(start, lorenz96(1, n_variables=2000, forcing=3.0, seed=5, washout=0)[0])
    assert not np.array_equal(start, lorenz96(1, n_variables=2000, forcing=3.0, seed=6, washout=0)[0])


def test_lorenz96_batch_is_each_trajectory_alone():
    x0 = np.random.default_rng(1).uniform(7.5, 8.5, (3, 5))
    batch = lorenz96(120, n_variables=5, x0=x0, washout=10)
    assert batch.shape == (3, 120, 5)
    for one, start in zip(batch, x0, strict=True):
        # The batch shares its steps, so the two differ by the tolerance, 1e-10 of 8 a step, grown over 1.3 time units.
        assert_allclose(one, lorenz96(120, n_variables=5, x0=start, washout=10), rtol=0, atol=1e-6)


# Maps


def test_henon_starts_as_computed_by_hand():
    assert_allclose(henon(4, washout=0), [[0, 0], [1, 0], [-0.4, 0.3], [1.076, -0.12]], atol=1e-15)


def test_henon_rests_at_its_fixed_point():
    a, b = 1.4, 0.3
    x = (-(1 - b) + math.sqrt((1 - b) ** 2 + 4 * a)) / (2 * a)
    orbit = henon(20, x0=(x, b * x), washout=0)
    assert_allclose(orbit, np.tile([x, b * x], (20, 1)), rtol=0, atol=1e-15 * 2**20)  # multiplier -1.92


def test_henon_shrinks_and_flips_areas_by_b():
    corner, size = np.array([0.3, -0.1]), 1e-6
    images = [henon(2, x0=corner + size * np.array(d), washout=0)[1] for d in ([0, 0], [1, 0], [0, 1])]
    area = np.linalg.det(np.column_stack((images[1] - images[0], images[2] - images[0]))) / size**2
    assert_allclose(area, -0.3, rtol=1e-8)  # rounding 1e-16 of differences 1e-6; the quadratic part drops out


def test_logistic_follows_its_closed_form():
    with mpmath.workdps(40):
        angle = mpmath.asin(mpmath.sqrt(mpmath.mpf(0.1)))
        exact = [float(mpmath.sin(2**t * angle) ** 2) for t in range(26)]
    # Each step at most doubles the error twice over near 1/2 and doubles it on average: 2^26 roundings of 1e-16.
    assert_allclose(logistic(26, washout=0), exact, rtol=0, atol=2**26 * 2.2e-16)


def test_logistic_at_four_has_its_known_exponent_and_density():
    x = logistic(200_000)
    assert_allclose(np.log(np.abs(4 * (1 - 2 * x))).mean(), math.log(2), atol=5e-3)
    assert_allclose([x.mean(), x.var()], [1 / 2, 1 / 8], atol=4e-3)  # arcsine law; standard error below 1e-3


def test_logistic_settles_on_its_fixed_point_and_its_two_cycle():
    assert_allclose(logistic(5, r=2.5), 0.6, rtol=1e-14)
    root = math.sqrt((3.2 - 3) * (3.2 + 1))
    cycle = sorted(((3.2 + 1 - root) / 6.4, (3.2 + 1 + root) / 6.4))
    assert_allclose(np.sort(logistic(2, r=3.2)), cycle, rtol=1e-12)


# Kuramoto-Sivashinsky


@pytest.mark.parametrize("mode", [1, 2, 3, 5])
def test_kuramoto_sivashinsky_small_waves_grow_at_their_linear_rate(mode):
    length, n = 22.0, 64
    k = 2 * np.pi * mode / length
    wave = np.cos(k * np.arange(n) * length / n)
    u = kuramoto_sivashinsky(41, x0=1e-9 * wave, washout=0)
    t = 0.25 * np.arange(41)
    amplitude = 2 / n * u @ wave
    assert_allclose(amplitude, 1e-9 * np.exp((k**2 - k**4) * t), rtol=1e-6, atol=1e-22)  # next order: 1e-9 relative


def test_kuramoto_sivashinsky_agrees_with_the_equation_in_real_space():
    """Differentiation matrices of the trigonometric interpolant and an implicit integrator share no code with it."""
    n, length = 24, 14.0
    q = 2 * np.pi * np.arange(n) / n
    away = np.where(np.eye(n, dtype=bool), 1.0, q[:, None] - q)
    first = np.where(np.eye(n, dtype=bool), 0.0, 0.5 * np.cos(np.pi * n / (2 * np.pi) * away) / np.tan(away / 2))
    first *= 2 * np.pi / length
    second = np.array(
        [
            [-((-1.0) ** (i - j)) / (2 * np.sin((q[i] - q[j]) / 2) ** 2) if i != j else 0 for j in range(n)]
            for i in range(n)
        ]
    )
    second = (second - np.diag(np.full(n, n**2 / 12 + 1 / 6))) * (2 * np.pi / length) ** 2

    def rhs(t, u):
        return -0.5 * first @ u**2 - second @ (u + second @ u)

    start = np.cos(q) + 0.5 * np.sin(3 * q + 1)
    t = 0.1 * np.arange(21)
    expected = solve_ivp(rhs, (0, 2), start, method="Radau", t_eval=t, rtol=1e-9, atol=1e-10).y.T
    u = kuramoto_sivashinsky(21, length=length, n_points=n, dt=0.1, substeps=32, x0=start, washout=0)
    assert np.abs(u[-1] - u[0]).max() > 0.5  # something happened
    assert_allclose(u, expected, rtol=0, atol=1e-7)


def test_kuramoto_sivashinsky_has_order_four():
    run = partial(kuramoto_sivashinsky, 9, dt=0.25, washout=0)
    reference = run(substeps=256)
    errors = [np.abs(run(substeps=substeps) - reference).max() for substeps in (8, 16, 32, 64)]
    assert errors[-1] > 1e-12  # above rounding
    assert_allclose(orders(errors), 4, atol=0.3)


def test_kuramoto_sivashinsky_default_accuracy_is_as_stated():
    error = np.abs(kuramoto_sivashinsky(401, washout=0) - kuramoto_sivashinsky(401, substeps=16, washout=0))
    assert error[:41].max() <= 1e-4 and error.max() <= 3e-3


def test_kuramoto_sivashinsky_is_resolved_by_the_default_grid():
    fine = kuramoto_sivashinsky(101, n_points=128, washout=0)
    assert_allclose(kuramoto_sivashinsky(101, washout=0), fine[:, ::2], rtol=0, atol=1e-9)


def test_kuramoto_sivashinsky_conserves_the_mean():
    start = 0.7 + np.sin(2 * np.pi * np.arange(64) / 64)
    assert_allclose(kuramoto_sivashinsky(400, x0=start, washout=0).mean(axis=1), 0.7, rtol=0, atol=1e-13)


def test_kuramoto_sivashinsky_is_galilean_invariant():
    """If u solves it, so does u(x - c t, t) + c: c carries the profile by whole grid steps here."""
    start = np.cos(2 * np.pi * np.arange(64) / 64)
    c = 4 * (22.0 / 64) / 10.0  # four grid steps in 40 samples of 0.25
    rest = kuramoto_sivashinsky(41, x0=start, substeps=16, washout=0)
    moving = kuramoto_sivashinsky(41, x0=start + c, substeps=16, washout=0)
    assert_allclose(moving[40], np.roll(rest[40], 4) + c, rtol=0, atol=1e-6)  # the step error at 16 substeps


def test_kuramoto_sivashinsky_default_start_has_no_mirror():
    u = kuramoto_sivashinsky(1, washout=0)[0]
    mirrored = [np.abs(u + np.roll(u[::-1], shift)).max() for shift in range(64)]  # u(x) -> -u(2 c - x)
    assert min(mirrored) > 0.3


def test_kuramoto_sivashinsky_on_odd_grids_and_short_rings():
    x = np.arange(21) * 6.0 / 21  # 2 pi > 6: every wave decays
    u = kuramoto_sivashinsky(400, length=6.0, n_points=21, x0=np.cos(2 * np.pi * x / 6), washout=0)
    k = 2 * np.pi / 6
    late = np.abs(u[[300, 396]]).max(axis=1)
    assert_allclose(math.log(late[1] / late[0]) / (96 * 0.25), k**2 - k**4, rtol=1e-3)


# Superimposed oscillators


def test_oscillators_add_up():
    expected = [sum(math.sin(a * 0.5 * t) for a in MSO_FREQUENCIES[:5]) for t in range(200)]
    assert_allclose(multiple_superimposed_oscillators(200, MSO_FREQUENCIES[:5], dt=0.5), expected, rtol=0, atol=1e-13)


def test_oscillators_are_the_published_ones():
    assert MSO_FREQUENCIES == (0.2, 0.311, 0.42, 0.51, 0.63, 0.74, 0.85, 0.97)
    assert_array_equal(multiple_superimposed_oscillators(50), multiple_superimposed_oscillators(50, MSO_FREQUENCIES))


# What all share


@pytest.mark.parametrize("signal", WITH_WASHOUT)
def test_washout_drops_the_first_samples_and_nothing_else(signal):
    # The flows' last step depends on the span, so samples may differ by rounding there.
    assert_allclose(signal(6, washout=4), signal(10, washout=0)[4:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("signal", WITH_WASHOUT)
def test_one_sample_without_washout_is_the_initial_state(signal):
    assert_allclose(signal(1, washout=0), signal(4, washout=0)[:1], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("signal", WITH_WASHOUT)
def test_same_call_same_bits(signal):
    assert_array_equal(signal(50), signal(50))


@pytest.mark.parametrize("signal", [*WITH_WASHOUT, multiple_superimposed_oscillators])
@pytest.mark.parametrize(("n_steps", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError)])
def test_a_wrong_number_of_steps_is_refused(signal, n_steps, error):
    with pytest.raises(error, match="n_steps must be"):
        signal(n_steps)


@pytest.mark.parametrize("signal", WITH_WASHOUT)
def test_a_negative_washout_is_refused(signal):
    with pytest.raises(ValueError, match="washout must be at least 0, got -1"):
        signal(5, washout=-1)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (partial(mackey_glass, tau=0.0), "tau must be above 0"),
        (partial(mackey_glass, dt=-1.0), "dt must be above 0"),
        (partial(mackey_glass, beta=-0.2), "beta must be above 0"),
        (partial(mackey_glass, history=-0.5), "history must be at least 0"),
        (partial(mackey_glass, substeps=0), "substeps must be at least 1"),
        (partial(lorenz63, dt=0.0), "dt must be above 0"),
        (partial(lorenz63, x0=(1.0, 2.0)), r"x0 must have shape \(3,\), got \(2,\)"),
        (partial(rossler, c=math.inf), "c must be finite"),
        (partial(lorenz63, beta=-1.0), "bounded solution"),
        (partial(lorenz96), "give either x0 or seed"),
        (partial(lorenz96, n_variables=4, x0=np.ones(4), seed=0), "give either x0 or seed"),
        (partial(lorenz96, n_variables=3, seed=0), "n_variables must be at least 4"),
        (partial(lorenz96, n_variables=5, x0=np.ones(6)), r"x0 must have shape \(5,\) or \(B, 5\), got \(6,\)"),
        (partial(henon, x0=(3.0, 3.0)), "bounded solution"),
        (partial(henon, x0=(math.nan, 0.0)), "x0 must be finite"),
        (partial(logistic, r=4.5), r"r must lie in \[0, 4\]"),
        (partial(logistic, x0=1.5), r"x0 in \[0, 1\]"),
        (partial(kuramoto_sivashinsky, length=100.0, n_points=60), "n_points must be at least 64, got 60"),
        (partial(kuramoto_sivashinsky, n_points=10), "n_points must be at least 15"),
        (partial(kuramoto_sivashinsky, x0=np.ones(63)), r"x0 must have shape \(64,\)"),
        (partial(kuramoto_sivashinsky, dt=50.0, substeps=1), "bounded solution"),
        (partial(multiple_superimposed_oscillators, frequencies=()), "frequencies must hold at least one"),
    ],
)
def test_wrong_arguments_are_named(call, match):
    with pytest.raises(ValueError, match=match):
        call(5)
