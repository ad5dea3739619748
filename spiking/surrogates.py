"""Functions by which spiking networks are trained elsewhere: resets, rectified potentials, surrogate slopes, delays.

Plain arrays in, plain arrays out: potentials in units of the threshold's, slopes per unit of potential.
"""

import numpy as np

from penstock.checks import as_finite_array, as_int, as_positive_float

__all__ = [
    "atan_slope",
    "delay_kernel",
    "fast_sigmoid_slope",
    "multi_gaussian_slope",
    "rectangular_slope",
    "rectified_potential",
    "sigmoid_slope",
    "soft_reset",
    "threshold_robust_slopes",
    "threshold_robust_spikes",
    "triangular_slope",
]


def soft_reset(u, threshold=1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes of potentials and the potentials after a reset that keeps what lay above the threshold.

    o = [u > threshold], u <- u - threshold * o

    A hard reset sets u to a constant and loses the overshoot; here it stays, so that the sum of `u` and of the spikes
    times the threshold is kept.

    Parameters
    ----------
    u : array
        Potentials.
    threshold : float
        Threshold, positive.

    Returns
    -------
    o, u : arrays of the shape of `u`
        Spikes (0.0 or 1.0) and potentials.

    References
    ----------
    Y. Guo et al. (2022), Reducing information loss for spiking neural networks, ECCV.

    Examples
    --------
    >>> soft_reset([0.5, 1.25], 1.0)
    (array([0., 1.]), array([0.5 , 0.25]))
    """
    u, threshold = as_finite_array("u", u), as_positive_float("threshold", threshold)
    o = (u > threshold).astype(np.float64)
    return o, u - threshold * o


def rectified_potential(u) -> np.ndarray:
    """Return potentials moved towards 0 or 1, which are the spikes they become.

    phi(u) = 1 - (1 - u)^(1/3) below 0; tanh(3 (u - 1/2)) / (2 tanh(3/2)) + 1/2 from 0 to 1; u^(1/3) above 1

    Continuous and increasing, phi(1 - u) = 1 - phi(u). With a threshold of 1/2 no spike changes, and for -2 <= u <= 3
    no potential moves away from its spike: the error of quantisation never grows.

    Parameters
    ----------
    u : array
        Potentials, in units in which a spike is 1.

    Returns
    -------
    array of the shape of `u`

    References
    ----------
    Y. Guo et al. (2022), Reducing information loss for spiking neural networks, ECCV.

    Examples
    --------
    >>> rectified_potential([0.0, 0.5, 1.0, 8.0])
    array([0. , 0.5, 1. , 2. ])
    """
    u = as_finite_array("u", u)
    inside = np.tanh(3 * (np.clip(u, 0, 1) - 0.5)) / (2 * np.tanh(1.5)) + 0.5
    return np.where(u < 0, 1 - np.cbrt(1 - u), np.where(u > 1, np.cbrt(u), inside))


def threshold_robust_spikes(v, threshold=1.0) -> np.ndarray:
    """Return spikes of the height of the threshold.

    out = threshold * min(floor(v / threshold), 1), at least 0

    Parameters
    ----------
    v : array
        Potentials.
    threshold : float
        Threshold, positive.

    Returns
    -------
    array of the shape of `v`
        0 below the threshold, the threshold from it on.

    References
    ----------
    The method TrSG of the repository kookhh0827/SNN-MP-Init-TRSG.

    Examples
    --------
    >>> threshold_robust_spikes([1.9, 2.0, 7.0], 2.0)
    array([0., 2., 2.])
    """
    v, threshold = as_finite_array("v", v), as_positive_float("threshold", threshold)
    return threshold * np.clip(np.floor(v / threshold), 0.0, 1.0)


def threshold_robust_slopes(v, threshold=1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the surrogate derivatives of `threshold_robust_spikes` by the potential and by the threshold.

    d out / d v = 1 and d out / d threshold = s - v / threshold for threshold / 2 < v < 3 threshold / 2; else 0 and s,
    with s = 1 where there is a spike.

    The first is 1 over a window as wide as the threshold, whatever the threshold: gradients keep their size when it is
    learned.

    Parameters
    ----------
    v : array
        Potentials.
    threshold : float
        Threshold, positive.

    Returns
    -------
    by_potential, by_threshold : arrays of the shape of `v`

    References
    ----------
    The method TrSG of the repository kookhh0827/SNN-MP-Init-TRSG; the derivatives are those of its straight-through
    estimator, theta * round(clip(v / theta - 1/2, 0, 1)).

    Examples
    --------
    >>> threshold_robust_slopes([0.2, 1.2, 4.0], 1.0)[0]
    array([0., 1., 0.])
    """
    v, threshold = as_finite_array("v", v), as_positive_float("threshold", threshold)
    window = (v > threshold / 2) & (v < 1.5 * threshold)
    spikes = (v >= threshold).astype(np.float64)
    return window.astype(np.float64), spikes - np.where(window, v / threshold, 0.0)


def rectangular_slope(x, width=1.0) -> np.ndarray:
    """Return 1 / width for ``|x| < width / 2``, else 0: area 1. `x` is the potential less the threshold.

    Examples
    --------
    >>> rectangular_slope([-1.0, 0.0, 0.4])
    array([0., 1., 1.])
    """
    x, width = as_finite_array("x", x), as_positive_float("width", width)
    return (np.abs(x) < width / 2) / width


def triangular_slope(x, threshold=1.0, scale=0.3) -> np.ndarray:
    """Return scale * max(0, 1 - |x| / threshold): area scale * threshold (Bellec et al. 2018).

    Examples
    --------
    >>> triangular_slope([0.0, 0.5, 2.0])
    array([0.3 , 0.15, 0.  ])
    """
    threshold, scale = as_positive_float("threshold", threshold), as_positive_float("scale", scale)
    return scale * np.maximum(0.0, 1.0 - np.abs(as_finite_array("x", x)) / threshold)


def fast_sigmoid_slope(x, steepness=10.0) -> np.ndarray:
    """Return 1 / (1 + steepness |x|)^2: area 2 / steepness (Zenke & Ganguli 2018).

    Examples
    --------
    >>> fast_sigmoid_slope([0.0, 0.1])
    array([1.  , 0.25])
    """
    steepness = as_positive_float("steepness", steepness)
    return 1.0 / (1.0 + steepness * np.abs(as_finite_array("x", x))) ** 2


def sigmoid_slope(x, steepness=4.0) -> np.ndarray:
    """Return steepness * s (1 - s) with s = 1 / (1 + exp(-steepness x)): area 1.

    Examples
    --------
    >>> sigmoid_slope([0.0])
    array([1.])
    """
    x, steepness = as_finite_array("x", x), as_positive_float("steepness", steepness)
    return steepness / (4.0 * np.cosh(np.clip(0.5 * steepness * x, -350.0, 350.0)) ** 2)


def atan_slope(x, alpha=2.0) -> np.ndarray:
    """Return (alpha / 2) / (1 + (pi alpha x / 2)^2): area 1 (Fang et al. 2021).

    Examples
    --------
    >>> atan_slope([0.0])
    array([1.])
    """
    x, alpha = as_finite_array("x", x), as_positive_float("alpha", alpha)
    return alpha / 2 / (1.0 + (np.pi * alpha * x / 2) ** 2)


def multi_gaussian_slope(x, sigma=0.5, height=0.15, widening=6.0) -> np.ndarray:
    """Return (1 + h) N(x; 0, s) - h N(x; s, w s) - h N(x; -s, w s): area 1 - h (Yin, Corradi & Bohté 2021).

    Examples
    --------
    >>> multi_gaussian_slope([0.0]).round(4)
    array([0.8782])
    """
    x = as_finite_array("x", x)
    sigma, height = as_positive_float("sigma", sigma), as_positive_float("height", height)
    wide = as_positive_float("widening", widening) * sigma
    sides = _normal(x - sigma, wide) + _normal(x + sigma, wide)
    return (1 + height) * _normal(x, sigma) - height * sides


def _normal(x, sigma):
    return np.exp(-0.5 * (x / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def delay_kernel(delay, width, length: int) -> np.ndarray:
    """Return the taps by which a delay is learned: a Gaussian around it, of sum one.

    g_n = exp(-(n - (length - 1 - delay))^2 / (2 width^2)), K = g / sum g

    Convolved with a series (the last tap meets the newest sample) it delays by `delay` steps. As the width shrinks it
    becomes the single tap of a whole delay, which a network with delays then runs exactly.

    Parameters
    ----------
    delay : float or array, shape (k,)
        Delays (steps), between 0 and length - 1.
    width : float
        Width of the Gaussian (steps), positive; training shrinks it.
    length : int
        Number of taps.

    Returns
    -------
    array, shape (length,) or (k, length)

    References
    ----------
    I. Hammouamri, I. Khalfaoui-Hassani, T. Masquelier (2024), Learning delays in spiking neural networks using dilated
    convolutions with learnable spacings, ICLR.

    Examples
    --------
    >>> delay_kernel(1.0, 0.01, 4)
    array([0., 0., 1., 0.])
    """
    delay, width = as_finite_array("delay", delay, ndim=(0, 1)), as_positive_float("width", width)
    length = as_int("length", length)
    if np.any((delay < 0) | (delay > length - 1)):
        raise ValueError(f"delay must lie in 0..{length - 1} steps for {length} taps, got {delay}")
    distance = np.arange(length) - (length - 1 - delay[..., None])
    exponent = -0.5 * (distance / width) ** 2
    g = np.exp(exponent - exponent.max(axis=-1, keepdims=True))
    return g / g.sum(axis=-1, keepdims=True)
