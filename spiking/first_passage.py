"""First-passage integrals of white noise through a threshold, without overflow or cancellation at any drive.

In units of the noise, y = (potential - mean) / sigma, a leaky integrator goes from y_reset to y_th in the mean time

    T / tau = sqrt(pi) integral_{y_reset}^{y_th} erfcx(-x) dx                       erfcx(x) = exp(x^2) erfc(x)

and with the variance

    V / tau^2 = 2 pi integral_{y_reset}^{y_th} exp(x^2) integral_{-inf}^{x} exp(y^2) erfc(-y)^2 dy dx

Below the mean (x < 0) both integrands fall off like powers of x, above it they grow like exp(x^2) and exp(2 x^2). So
each range is cut at 0: the part below goes over asinh(-x), in which it is smooth, the part above keeps its growth as a
factor in front, and where all of it lies far below the mean the first terms of the series in 1/x are exact.
"""

import functools

import numpy as np
import scipy

__all__ = ["clip_bounds", "scaled_passage_time", "scaled_passage_variance"]

_N_NODES = 48  # of Gauss and Legendre: both integrals are exact to 1e-12; with more their outer weights are less so
_FAR = 1e7  # where 1 - 1/(2 x^2) is 1 in float64
_DECAY = 45.0  # exp(-45) is 3e-20: nothing beyond counts
_ROWS = 16  # of the double integral at a time, so that its buffers stay within the cache


def clip_bounds(y_reset, y_th):
    """Return both bounds as numbers that can be added (below) or squared (above) and stay numbers."""
    return np.clip(y_reset, -1e300, 1e150), np.clip(y_th, -1e300, 1e150)


def scaled_passage_time(y_reset, y_th, width):
    """Return (below, above) with integral_{y_reset}^{y_th} erfcx(-x) dx = below + exp(max(y_th, 0)^2) above.

    `width` is y_th - y_reset; given apart it stays exact where the bounds are large and close to each other.
    """
    near, far, top, reach = _split(y_reset, y_th, width)
    x, weights = _nodes_below(near, far, width)
    below = (weights * scipy.special.erfcx(x)).sum(axis=-1) + np.log(np.maximum(far / _FAR, 1.0)) / np.sqrt(np.pi)
    below = np.where(near < _FAR, below, np.log1p(width / np.maximum(near, 1.0)) / np.sqrt(np.pi))
    u, weights = _nodes(0.0, reach)
    top = top[..., None]
    above = (weights * np.exp(-u * (2 * top - u)) * scipy.special.erfc(u - top)).sum(axis=-1)
    return below, above


def scaled_passage_variance(y_reset, y_th, width):
    """Return (below, above) with the double integral above = below + exp(2 max(y_th, 0)^2) above; 1-D arguments."""
    near, far, top, reach = _split(y_reset, y_th, width)
    below, above = np.empty_like(near), np.empty_like(near)
    for first in range(0, near.size, _ROWS):
        rows = slice(first, first + _ROWS)
        x, weights = _nodes_below(near[rows], far[rows], width[rows])
        below[rows] = (weights * _inner_below(x)).sum(axis=-1)
        u, weights = _nodes(0.0, reach[rows])
        edge = top[rows, None]
        above[rows] = (weights * np.exp(-2 * u * (2 * edge - u)) * _inner_above(edge - u)).sum(axis=-1)
    start = np.maximum(near, _FAR)  # from here on the inner integral is 1 / (2 pi |x|^3)
    end = np.maximum(far, start)
    length = np.where(near < _FAR, end - start, width)
    tail = (length / end / start) * (1 / start + 1 / end) / (4 * np.pi)
    return np.where(near < _FAR, below + tail, tail), above


def _inner_below(x):
    """exp(y^2) integral_{-inf}^{y} exp(z^2) erfc(-z)^2 dz at y = -x <= 0."""
    u, weights = _nodes(0.0, _DECAY / (x + np.sqrt(x**2 + _DECAY)))
    x = x[..., None]
    return (weights * np.exp(-u * (2 * x + u)) * scipy.special.erfcx(u + x) ** 2).sum(axis=-1)


def _inner_above(x):
    """exp(-x^2) integral_{-inf}^{x} exp(z^2) erfc(-z)^2 dz for x > 0."""
    u, weights = _nodes(0.0, np.where(x**2 > _DECAY, _cut(x), x + np.sqrt(_DECAY)))
    x = x[..., None]
    return (weights * np.exp(-u * (2 * x - u)) * scipy.special.erfc(u - x) ** 2).sum(axis=-1)


def _split(y_reset, y_th, width):
    """The range below 0 as near..far in -x, the top of the range above 0 and how far down from it counts."""
    top = np.maximum(y_th, 0.0)
    reach = np.where(y_reset > 0, width, top)
    return np.maximum(-y_th, 0.0), np.maximum(-y_reset, 0.0), top, np.minimum(reach, _cut(top))


def _cut(top):
    """The u at which u (2 top - u) reaches the decay that counts for nothing; infinite where it never does."""
    beyond = np.maximum(top, np.sqrt(_DECAY))
    return np.where(top**2 > _DECAY, _DECAY / (beyond + np.sqrt(beyond**2 - _DECAY)), np.inf)


def _nodes_below(near, far, width):
    """Nodes x and weights over near <= x <= far, at most _FAR, placed evenly in asinh(x)."""
    near, end = np.minimum(near, _FAR), np.minimum(far, _FAR)
    length = np.where((far <= _FAR) & (near > 0), width, end - near)
    length = np.where(far > 0, length, 0.0)
    # asinh(end) - asinh(near) without cancellation
    span = np.arcsinh(length * (end + near) / np.maximum(end * np.hypot(1, near) + near * np.hypot(1, end), 1e-300))
    s, weights = _nodes(np.arcsinh(near), span)
    return np.sinh(s), weights * np.cosh(s)


def _nodes(start, length):
    """Gauss-Legendre nodes and weights on start..start + length, along a new last axis."""
    t, w = _gauss()
    length = np.asarray(length)[..., None]
    return np.asarray(start)[..., None] + length * t, length * w


@functools.cache
def _gauss():
    t, w = np.polynomial.legendre.leggauss(_N_NODES)
    return (t + 1) / 2, w / 2
