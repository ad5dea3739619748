import re

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from penstock.data import (
    airy_kernel,
    exponential_kernel,
    linear_functional,
    polynomial_kernel,
    sine_kernel,
    two_part_kernel,
    window_kernel,
)

# the memory kernels as the papers' data have them, one time at once
PUBLISHED = {
    exponential_kernel: lambda t: mpmath.exp(-t),
    polynomial_kernel: lambda t: 1 / (1 + t / 10) ** mpmath.mpf("1.1"),
    window_kernel: lambda t: 1 if 9 < t < 11 else 0,
    two_part_kernel: lambda t: mpmath.exp(-t) + mpmath.exp(-((t - 9) ** 2)),
    airy_kernel: lambda t: mpmath.airyai(t - 6),
    sine_kernel: lambda t: mpmath.sin(t),
}
each_kernel = pytest.mark.parametrize("kernel", PUBLISHED, ids=lambda kernel: kernel.__name__)


@each_kernel
def test_kernels_have_the_published_values(kernel):
    times = np.arange(0, 100, 0.5)
    expected = [float(PUBLISHED[kernel](mpmath.mpf(float(t)))) for t in times]
    assert_allclose(kernel(times), expected, atol=1e-13)
    assert kernel(times.reshape(2, -1)).shape == (2, 100)


@each_kernel
@pytest.mark.parametrize("dt", [1.0, 0.1])
def test_targets_are_the_causal_convolution(kernel, dt):
    task = linear_functional(kernel, 100, n_series=3, dt=dt, seed=0)
    assert task.inputs.shape == task.targets.shape == (3, 100, 1) and task.mask.all()
    rho = kernel(dt * np.arange(100))
    for x, y in zip(task.inputs[..., 0], task.targets[..., 0], strict=True):
        # a hundred terms of order dt
        assert_allclose(y, np.convolve(x, rho)[:100], atol=1e-13)


def test_inputs_are_white_noise_of_size_dt():
    x = linear_functional(sine_kernel, 100, n_series=1000, dt=0.1, seed=1).inputs[..., 0]
    assert x.mean() == pytest.approx(0, abs=4 * 0.1 / np.sqrt(x.size))
    assert x.std() == pytest.approx(0.1, rel=4 / np.sqrt(2 * x.size))
    assert (x[:, 1:] * x[:, :-1]).mean() == pytest.approx(0, abs=4 * 0.01 / np.sqrt(x.size))
    assert_array_equal(x, linear_functional(airy_kernel, 100, n_series=1000, dt=0.1, seed=1).inputs[..., 0])


def test_a_linear_recurrence_solves_the_exponential_functional():
    task = linear_functional(exponential_kernel, 60, n_series=2, seed=2)
    y = np.zeros(2)
    for t in range(60):
        y = np.exp(-1) * y + task.inputs[:, t, 0]
        assert_allclose(task.targets[:, t, 0], y, atol=1e-14)


def test_kernels_of_your_own_are_taken():
    task = linear_functional(lambda t: (t == 3).astype(float), 10, n_series=2, seed=0)
    assert_array_equal(task.targets[:, 3:], task.inputs[:, :-3])
    assert not task.targets[:, :3].any()


@pytest.mark.parametrize(
    ("settings", "error", "fragment"),
    [
        ({"kernel": "exp"}, TypeError, "kernel must be a function of an array of times, got 'exp'"),
        ({"kernel": None}, TypeError, "kernel must be a function"),
        ({"kernel": lambda t: 1.0}, ValueError, "kernel(t) must have 1 dimensions"),
        ({"kernel": lambda t: t[:-1]}, ValueError, "kernel(t) must have the shape of t, (10,), got (9,)"),
        ({"kernel": lambda t: 1 / (t - 1e9) * np.inf}, ValueError, "kernel(t) must be finite"),
        ({"n_steps": 0}, ValueError, "n_steps must be at least 1"),
        ({"n_series": 2.0}, TypeError, "n_series must be an integer"),
        ({"dt": 0.0}, ValueError, "dt must be above 0"),
        ({"dt": True}, TypeError, "dt must be a number"),
        ({"seed": None}, TypeError, "seed must be"),
    ],
)
def test_bad_input_is_named(settings, error, fragment):
    settings = {"kernel": sine_kernel, "n_steps": 10, "n_series": 2, "seed": 0} | settings
    with pytest.raises(error, match=re.escape(fragment)):
        linear_functional(**settings)


def test_bad_times_are_named():
    with pytest.raises(ValueError, match="t must be finite"):
        sine_kernel([0.0, np.nan])
    with pytest.raises(TypeError, match="t must hold real numbers"):
        exponential_kernel(None)
