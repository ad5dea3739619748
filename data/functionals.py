"""Linear functionals of the past with a memory of known shape, the targets of the curse-of-memory work.

``y(t) = int_0^t rho(s) x(t - s) ds`` for a memory kernel rho. Every kernel takes an array of times and returns an array
of its shape; any other function that does may stand in for it.
"""

import numpy as np
import scipy

from penstock.checks import as_finite_array, as_int, as_positive_float, generators
from penstock.data.sequences import Sequences

__all__ = [
    "airy_kernel",
    "exponential_kernel",
    "linear_functional",
    "polynomial_kernel",
    "sine_kernel",
    "two_part_kernel",
    "window_kernel",
]


def linear_functional(kernel, n_steps=100, *, n_series=128, dt=1.0, seed) -> Sequences:
    """Draw the task of a linear functional of white noise; return `Sequences`.

    x_t = dt N(0, 1) and y_t = sum_{k=0}^{t} rho(k dt) x_{t-k}: the exact convolution, the present input included. The
    published sets have 128,000, 12,800 and 12,800 series to train, validate and test: draw them with seeds of their
    own.

    Parameters
    ----------
    kernel : function
        rho, of an array of times: `exponential_kernel`, `polynomial_kernel`, `window_kernel`, `two_part_kernel`,
        `airy_kernel`, `sine_kernel`, or yours.
    n_steps, n_series : int
        Length T and number B of the series.
    dt : float
        Time between two steps, above 0.
    seed : int
        Draws the noise.

    Returns
    -------
    Sequences
        Inputs and targets (B, T, 1), asked at every step.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range or `kernel` is not a function with finite values.

    References
    ----------
    S. Wang, Z. Li, Q. Li, Inverse approximation theory for nonlinear recurrent neural networks, ICLR (2024), and the
    data of S. Wang, Q. Li, StableSSM, ICML (2024).

    Examples
    --------
    >>> task = linear_functional(exponential_kernel, 50, n_series=4, seed=0)
    >>> x, y = task.inputs[0, :, 0], task.targets[0, :, 0]
    >>> bool(np.isclose(y[2], x[2] + np.exp(-1) * x[1] + np.exp(-2) * x[0]))
    True
    """
    if not callable(kernel):
        raise TypeError(f"kernel must be a function of an array of times, got {kernel!r}")
    n_steps, n_series = as_int("n_steps", n_steps), as_int("n_series", n_series)
    dt = as_positive_float("dt", dt)
    times = dt * np.arange(n_steps)
    rho = as_finite_array("kernel(t)", kernel(times), ndim=1)
    if rho.shape != times.shape:
        raise ValueError(f"kernel(t) must have the shape of t, {times.shape}, got {rho.shape}")
    (rng,) = generators(seed, 1)
    inputs = dt * rng.standard_normal((n_series, n_steps))
    targets = scipy.signal.lfilter(rho, [1.0], inputs, axis=1)  # summed directly: no Fourier rounding
    return Sequences(inputs[..., None], targets[..., None], np.ones(inputs.shape, bool))


def exponential_kernel(t):
    """Return exp(-t), the memory that recurrent networks approximate with ease.

    Examples
    --------
    >>> exponential_kernel(np.array([0.0, 1.0])).round(4)
    array([1.    , 0.3679])
    """
    return np.exp(-_times(t))


def polynomial_kernel(t):
    """Return 1 / (1 + 0.1 t)^1.1, a memory with a heavy tail.

    Examples
    --------
    >>> polynomial_kernel(np.array([0.0, 10.0, 90.0])).round(4)
    array([1.    , 0.4665, 0.0794])
    """
    return (1 + 0.1 * _times(t)) ** -1.1


def window_kernel(t):
    """Return 1 for 9 < t < 11 and else 0: the sum of a short stretch of the past.

    Examples
    --------
    >>> window_kernel(np.array([9.0, 9.5, 10.0, 11.0]))
    array([0., 1., 1., 0.])
    """
    t = _times(t)
    return ((t > 9) & (t < 11)).astype(np.float64)


def two_part_kernel(t):
    """Return exp(-t) + exp(-(t - 9)^2): the present and a stretch of the past.

    Examples
    --------
    >>> two_part_kernel(np.array([0.0, 9.0])).round(4)
    array([1.    , 1.0001])
    """
    t = _times(t)
    return np.exp(-t) + np.exp(-((t - 9) ** 2))


def airy_kernel(t):
    """Return Ai(t - 6) of the Airy function: oscillations up to t of about 6, then a decay faster than exponential.

    Examples
    --------
    >>> airy_kernel(np.array([6.0])).round(6)  # 3^(-2/3) / Gamma(2/3)
    array([0.355028])
    """
    return scipy.special.airy(_times(t) - 6)[0]


def sine_kernel(t):
    """Return sin(t), a memory that never fades.

    Examples
    --------
    >>> sine_kernel(np.array([0.0, np.pi / 2]))
    array([0., 1.])
    """
    return np.sin(_times(t))


def _times(t):
    return as_finite_array("t", t)
