"""Every delay of an input series as a target of the streamed regression: products with all of them at once."""

import numpy as np
import scipy  # its parts load at first use

__all__ = ["Delays"]

ODD = (1, 3, 5, 9, 15, 25, 27, 45, 75, 81)  # products of small primes, whose transforms are fast
UNITS = 16  # transformed at a time, so that they stay in the cache
TRANSFORM_COST = 8.0  # of a Fourier transform, in units of length log2(length) multiply-adds of a matrix product


class Delays:
    """Every delay of y (steps, m), less its mean, as a target; sums over a window are differences of running sums.

    Whatever else is regressed gives the same two methods and the number of its targets, `count`.
    """

    def __init__(self, y, plan):
        self.mean = y.mean(axis=0)
        self.y = y[plan.discard - plan.delays[-1] :]
        self.n_delays = len(plan.delays)
        self.count = self.n_delays * y.shape[1]
        self.sums = zip(*_target_sums(y - self.mean, plan), strict=True)

    def add_products(self, q, start, cross) -> None:
        """Add ``q @ y`` to cross (N, J), with the targets y (rows, J) from row `start` on.

        q (N, rows) has the units of a row side by side in memory, cross the targets of a unit.
        """
        rows = q.shape[1]
        y = self.y[start : start + rows + self.n_delays - 1] - self.mean
        length = _fast_length(len(y))
        n_channels = y.shape[1]
        if rows * self.count > TRANSFORM_COST * (1 + n_channels) * length * np.log2(length):
            for channel, sums in zip(y.T, np.split(cross, n_channels, axis=1), strict=True):
                _correlate(q, channel, length, sums)
        else:
            windows = np.lib.stride_tricks.sliding_window_view(y, self.n_delays, axis=0)
            targets = np.ascontiguousarray(windows).reshape(rows, self.count)
            scipy.linalg.blas.dgemm(1.0, targets.T, q, beta=1.0, c=cross.T, trans_b=True, overwrite_c=True)

    def end_segment(self):
        """Return the sums (J,) of y and of y^2 over the segment that has just been added."""
        return next(self.sums)


def _fast_length(least) -> int:
    """Return the least power of 2 times one of `ODD` that is no less: at most an eighth more.

    `scipy.fft.next_fast_len` would load all of scipy.special.
    """
    return min(odd << (-(-least // odd) - 1).bit_length() for odd in ODD)


def _correlate(q, y, length, sums) -> None:
    """Add sum_t q[i, t] y[t + j] to sums[i, j] by Fourier transforms, whose rounding is that of a sum in any order."""
    n_units, rows = q.shape
    spectrum = np.fft.rfft(y, length)
    padded = np.zeros((min(UNITS, n_units), length))
    products = np.empty((len(padded), len(spectrum)), complex)
    for first in range(0, n_units, UNITS):
        some = slice(first, min(first + UNITS, n_units))
        count = some.stop - first
        padded[:count, :rows] = q[some, ::-1]  # a convolution with the past is a correlation with the future
        np.fft.rfft(padded[:count], out=products[:count])
        products[:count] *= spectrum
        sums[some] += np.fft.irfft(products[:count], length)[:, rows - 1 : rows - 1 + sums.shape[1]]


def _target_sums(y, plan) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of y and of y^2 of every segment and target, (segments, J), from running sums."""
    ends = plan.discard + plan.edges[:, None] - plan.delays[::-1]
    running = (np.concatenate([np.zeros((1, y.shape[1])), np.cumsum(z, axis=0)])[ends] for z in (y, y * y))
    first, second = (np.diff(z, axis=0).transpose(0, 2, 1).reshape(len(ends) - 1, -1) for z in running)
    return first, second
