"""The exact properties of the functions of the training toolbox."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.signal import lfilter

from penstock.spiking.surrogates import (
    atan_slope,
    delay_kernel,
    fast_sigmoid_slope,
    multi_gaussian_slope,
    rectangular_slope,
    rectified_potential,
    sigmoid_slope,
    soft_reset,
    threshold_robust_slopes,
    threshold_robust_spikes,
    triangular_slope,
)

AREAS = {
    "rectangular": (lambda x: rectangular_slope(x, 0.7), 1.0),
    "triangular": (lambda x: triangular_slope(x, 0.7, 0.3), 0.21),
    "fast sigmoid": (lambda x: fast_sigmoid_slope(x, 25.0), 2 / 25),
    "sigmoid": (lambda x: sigmoid_slope(x, 3.0), 1.0),
    "atan": (lambda x: atan_slope(x, 5.0), 1.0),
    "several Gaussians": (lambda x: multi_gaussian_slope(x, 0.5, 0.15, 6.0), 0.85),
}


@pytest.mark.parametrize("name", AREAS)
def test_areas_under_the_slopes(name):
    slope, area = AREAS[name]
    pieces = [(-np.inf, -0.7), (-0.7, -0.35), (-0.35, 0.0), (0.0, 0.35), (0.35, 0.7), (0.7, np.inf)]
    total = sum(quad(lambda x: float(slope(np.array([x]))[0]), a, b)[0] for a, b in pieces)
    assert total == pytest.approx(area, abs=1e-7)


def test_a_soft_reset_keeps_potential_and_spikes_together():
    u = np.random.default_rng(0).normal(0, 2, 1000)
    spikes, rest = soft_reset(u, 0.7)
    np.testing.assert_allclose(rest + 0.7 * spikes, u, rtol=1e-15)
    assert np.array_equal(spikes, (u > 0.7).astype(float)) and soft_reset([0.7], 0.7)[0][0] == 0


def test_rectified_potentials_are_continuous_increasing_and_symmetric():
    u = np.linspace(-2, 3, 5001)
    phi = rectified_potential(u)
    assert np.all(np.diff(phi) > 0)
    np.testing.assert_allclose(rectified_potential(1 - u), 1 - phi, atol=1e-14)
    for edge in (0.0, 1.0):
        np.testing.assert_allclose(rectified_potential([edge - 1e-12, edge, edge + 1e-12]), edge, atol=1e-11)


@given(st.floats(-2, 3))
def test_rectified_potentials_never_move_away_from_their_spike(u):
    phi, spike = float(rectified_potential([u])[0]), float(u > 0.5)
    assert float(phi > 0.5) == spike and abs(phi - spike) <= abs(u - spike) + 1e-15


@pytest.mark.torch
def test_threshold_robust_slopes_are_those_of_the_straight_through_estimator():
    torch = pytest.importorskip("torch")
    v = torch.tensor(np.random.default_rng(1).uniform(-1, 4, 200), dtype=torch.float64, requires_grad=True)
    theta = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    clipped = torch.clip(v / theta - 0.5, 0, 1)
    out = theta * (clipped + (torch.round(clipped) - clipped).detach())
    by_v, by_theta = threshold_robust_slopes(v.detach().numpy(), 1.3)
    np.testing.assert_allclose(threshold_robust_spikes(v.detach().numpy(), 1.3), out.detach().numpy(), atol=1e-15)
    (gradient,) = torch.autograd.grad(out.sum(), v, retain_graph=True)
    np.testing.assert_allclose(by_v, gradient.numpy(), atol=1e-12)
    for i in range(0, 200, 10):
        (gradient,) = torch.autograd.grad(out[i], theta, retain_graph=True)
        assert by_theta[i] == pytest.approx(float(gradient), abs=1e-12)


def test_delay_kernels_become_single_taps_and_keep_their_centre():
    wide = delay_kernel(np.array([3.0, 4.5]), 1.0, 20)
    np.testing.assert_allclose(wide.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(wide @ (19 - np.arange(20)), [3.0, 4.5], atol=2e-2)  # the tail beyond 0 is cut
    u = np.random.default_rng(2).normal(size=50)
    sharp = lfilter(delay_kernel(3, 0.1, 8)[::-1], 1.0, u)
    np.testing.assert_allclose(sharp[3:], u[:-3], atol=1e-12)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: soft_reset(None), "u must"),
        (lambda: soft_reset([1.0], 0.0), "threshold must be above 0"),
        (lambda: rectified_potential([np.nan]), "u must be finite"),
        (lambda: threshold_robust_spikes([1.0], -1.0), "threshold must"),
        (lambda: threshold_robust_slopes("a"), "v must"),
        (lambda: rectangular_slope([1.0], 0), "width must"),
        (lambda: triangular_slope([1.0], scale=True), "scale must"),
        (lambda: fast_sigmoid_slope([1.0], -1), "steepness must"),
        (lambda: sigmoid_slope([1.0], None), "steepness must"),
        (lambda: atan_slope([1.0], "2"), "alpha must"),
        (lambda: multi_gaussian_slope([1.0], sigma=0), "sigma must"),
        (lambda: delay_kernel(8, 1.0, 8), r"delay must lie in 0\.\.7"),
        (lambda: delay_kernel(1, 0.0, 8), "width must"),
        (lambda: delay_kernel(1, 1.0, 8.5), "length must"),
    ],
    ids=range(14),
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
