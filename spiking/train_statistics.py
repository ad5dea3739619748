"""Statistics of each unit's spike train: rate and regularity; times in ms, rates in Hz."""

from collections.abc import Callable

import numpy as np

from penstock.checks import as_int, as_non_negative_float
from penstock.spiking.trains import SpikeTrains, as_trains, counts_of

__all__ = ["cv", "cv2", "fano_factor", "firing_rates", "isi", "lv", "lvr"]


def firing_rates(trains: SpikeTrains) -> np.ndarray:
    """Return the firing rate of every unit, spikes per second of the window (Hz), shape (n,).

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, firing_rates
    >>> firing_rates(SpikeTrains([10.0, 20.0, 30.0], [0, 0, 1], 3, t_stop=100.0))
    array([20., 10.,  0.])
    """
    return as_trains("trains", trains).spike_counts * (1000 / trains.duration)


def isi(trains: SpikeTrains) -> list[np.ndarray]:
    """Return the inter-spike intervals (ms) of every unit: n arrays, empty for units with less than two spikes.

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, isi
    >>> isi(SpikeTrains([10.0, 20.0, 35.0, 40.0], [0, 0, 0, 1], 2, t_stop=100.0))
    [array([10., 15.]), array([], dtype=float64)]
    """
    return [np.diff(times) for times in as_trains("trains", trains)]


def cv(trains: SpikeTrains, *, ddof: int = 0) -> np.ndarray:
    """Return the coefficient of variation of every unit's intervals, standard deviation over mean, shape (n,).

    It is 1 for a Poisson process and 1 / sqrt(k) for a gamma process of order k. A change of rate raises it; `cv2` and
    `lv` compare neighbours only.

    Parameters
    ----------
    trains : SpikeTrains
        Units with less than three spikes get NaN: leave them out of means with `numpy.nanmean`.
    ddof : int
        The variance divides by the number of intervals less this, 0 or 1.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import SpikeTrains, cv
    >>> times = np.cumsum([5.0, 10.0, 20.0, 10.0, 30.0, 15.0])
    >>> cv(SpikeTrains(times, np.zeros(6, int), 1, t_stop=100.0)).round(6)
    array([0.440195])
    """
    ddof = _as_ddof(ddof)
    return _per_unit(trains, lambda d: d.std(ddof=ddof) / d.mean() if d.any() else np.nan)


def cv2(trains: SpikeTrains) -> np.ndarray:
    """Return the mean over neighbouring intervals a, b of 2 abs(a - b) / (a + b), for every unit, shape (n,).

    It is 1 for a Poisson process, 0 for a regular one. Units with less than three spikes get NaN.

    References
    ----------
    G. R. Holt, W. R. Softky, C. Koch, R. J. Douglas (1996), J. Neurophysiol. 75.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import SpikeTrains, cv2
    >>> times = np.cumsum([5.0, 10.0, 20.0, 10.0, 30.0, 15.0])
    >>> cv2(SpikeTrains(times, np.zeros(6, int), 1, t_stop=100.0))
    array([0.75])
    """
    return _per_neighbours(trains, lambda a, b: 2 * np.abs(a - b) / (a + b))


def lv(trains: SpikeTrains) -> np.ndarray:
    """Return the local variation, the mean of 3 ((a - b) / (a + b))^2 over neighbouring intervals, shape (n,).

    It is 1 for a Poisson process and 3 / (2k + 1) for a gamma process of order k. Units with less than three spikes
    get NaN.

    References
    ----------
    S. Shinomoto, K. Shima, J. Tanji (2003), Differences in spiking patterns among cortical neurons, Neural Comput. 15.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import SpikeTrains, lv
    >>> times = np.cumsum([5.0, 10.0, 20.0, 10.0, 30.0, 15.0])
    >>> lv(SpikeTrains(times, np.zeros(6, int), 1, t_stop=100.0)).round(6)
    array([0.4375])
    """
    return _per_neighbours(trains, lambda a, b: 3 * ((a - b) / (a + b)) ** 2)


def lvr(trains: SpikeTrains, R: float = 5.0) -> np.ndarray:
    """Return the local variation corrected for a refractory time, for every unit, shape (n,).

    LvR is the mean of 3 (1 - 4ab / (a + b)^2) (1 + 4R / (a + b)) over neighbouring intervals a, b.

    Parameters
    ----------
    trains : SpikeTrains
        Units with less than three spikes get NaN.
    R : float
        Refractoriness constant (ms); 0 gives `lv`.

    References
    ----------
    S. Shinomoto et al. (2009), Relating neuronal firing patterns to functional differentiation of cerebral cortex,
    PLoS Comput. Biol. 5.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import SpikeTrains, lvr
    >>> times = np.cumsum([5.0, 10.0, 20.0, 10.0, 30.0, 15.0])
    >>> lvr(SpikeTrains(times, np.zeros(6, int), 1, t_stop=100.0), R=5.0).round(6)
    array([0.679398])
    """
    R = as_non_negative_float("R", R)
    return _per_neighbours(trains, lambda a, b: 3 * ((a - b) / (a + b)) ** 2 * (1 + 4 * R / (a + b)))


def fano_factor(trains: SpikeTrains, window: float, *, ddof: int = 0) -> np.ndarray:
    """Return variance over mean of every unit's spike counts in successive windows of `window` ms, shape (n,).

    It is 1 for a Poisson process; for a renewal process it tends to CV^2 in long windows.

    Parameters
    ----------
    trains : SpikeTrains
        Units without a spike get NaN. At least two windows must fit.
    window : float
        Length of the windows (ms).
    ddof : int
        The variance divides by the number of windows less this, 0 or 1 (unbiased).

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, fano_factor
    >>> fano_factor(SpikeTrains([1.0, 2.0, 11.0, 12.0], [0, 0, 0, 1], 2, t_stop=20.0), 10.0).round(6)
    array([0.166667, 0.5     ])
    """
    ddof, counts = _as_ddof(ddof), counts_of(trains, "window", window)
    mean = counts.mean(axis=0)
    return counts.var(axis=0, ddof=ddof) / np.where(mean > 0, mean, np.nan)


def _as_ddof(ddof) -> int:
    if as_int("ddof", ddof, minimum=0) > 1:
        raise ValueError(f"ddof must be 0 or 1, got {ddof}")
    return int(ddof)


def _per_unit(trains, statistic: Callable) -> np.ndarray:
    """Return a statistic of the intervals of every unit, NaN for less than two intervals."""
    return np.array([statistic(d) if len(d) > 1 else np.nan for d in isi(trains)])


def _per_neighbours(trains, term: Callable) -> np.ndarray:
    """Return the mean of a term over neighbouring intervals a, b of every unit; pairs of length 0 are left out."""

    def mean(d):
        a, b = d[:-1], d[1:]
        used = a + b > 0
        return term(a[used], b[used]).mean() if used.any() else np.nan

    return _per_unit(trains, mean)
