"""Distances between spike trains: van Rossum's, by smoothing, and Victor and Purpura's, by moving spikes; in ms."""

import numpy as np
from numba import njit

from penstock.checks import as_finite_array, as_non_negative_float, as_positive_float
from penstock.spiking.trains import SpikeTrains, as_trains
from penstock.vmath import exp

__all__ = ["van_rossum_distance", "van_rossum_distances", "victor_purpura_distance", "victor_purpura_distances"]


def van_rossum_distance(first, second, tau: float) -> float:
    """Return the van Rossum distance D of two trains, D^2 = (1 / tau) times the integral of (f - g)^2.

    f and g are the trains smoothed by exp(-t / tau), t >= 0. One spike against none gives D^2 = 1/2, two single spikes
    d ms apart 1 - exp(-d / tau). Elephant's D^2 is twice this one. Exact, in time proportional to the spikes.

    Parameters
    ----------
    first, second : array, shape (n_spikes,)
        Spike times (ms), sorted, such as ``trains[i]``; empty ones too.
    tau : float
        Time constant (ms): for short ones D^2 counts the spikes that do not coincide, for long ones it compares spike
        numbers, D^2 = (n - m)^2 / 2.

    References
    ----------
    M. C. W. van Rossum (2001), A novel spike distance, Neural Comput. 13.

    Examples
    --------
    >>> from penstock.spiking import van_rossum_distance
    >>> round(van_rossum_distance([10.0], [], 5.0) ** 2, 12), van_rossum_distance([10.0, 12.0], [10.0, 12.0], 5.0)
    (0.5, 0.0)
    """
    first, second = _as_times("first", first), _as_times("second", second)
    return float(_van_rossum(first, second, as_positive_float("tau", tau)))


def van_rossum_distances(trains: SpikeTrains, tau: float) -> np.ndarray:
    """Return the `van_rossum_distance` of every two units, symmetric with zero diagonal, shape (n, n).

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, van_rossum_distances
    >>> trains = SpikeTrains([10.0, 15.0], [0, 2], 3, t_stop=20.0)
    >>> (van_rossum_distances(trains, 5.0) ** 2).round(6)
    array([[0.      , 0.5     , 0.632121],
           [0.5     , 0.      , 0.5     ],
           [0.632121, 0.5     , 0.      ]])
    """
    times, first = _flat(trains)
    distances = np.zeros((trains.n, trains.n))
    _van_rossum_pairs(times, first, as_positive_float("tau", tau), distances)
    return distances


def victor_purpura_distance(first, second, cost: float) -> float:
    """Return the Victor-Purpura distance: the cheapest way to turn one train into the other.

    Adding or deleting a spike costs 1, moving it by d ms costs `cost` times d. Two single spikes d apart lie
    min(cost d, 2) apart. Takes time proportional to the product of the spike numbers.

    Parameters
    ----------
    first, second : array, shape (n_spikes,)
        Spike times (ms), sorted, such as ``trains[i]``; empty ones too.
    cost : float
        Cost q of moving a spike (1 / ms), at least 0; spikes further than 2 / q apart are not matched.

    References
    ----------
    J. D. Victor, K. P. Purpura (1996), Nature and precision of temporal coding in visual cortex: a metric-space
    analysis, J. Neurophysiol. 76.

    Examples
    --------
    >>> from penstock.spiking import victor_purpura_distance
    >>> victor_purpura_distance([10.0, 20.0], [12.0], 0.25)
    1.5
    """
    first, second = _as_times("first", first), _as_times("second", second)
    return float(_victor_purpura(first, second, as_non_negative_float("cost", cost), np.empty(len(second) + 1)))


def victor_purpura_distances(trains: SpikeTrains, cost: float) -> np.ndarray:
    """Return the `victor_purpura_distance` of every two units, symmetric with zero diagonal, shape (n, n).

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains, victor_purpura_distances
    >>> victor_purpura_distances(SpikeTrains([10.0, 15.0], [0, 2], 3, t_stop=20.0), 0.1)
    array([[0. , 1. , 0.5],
           [1. , 0. , 1. ],
           [0.5, 1. , 0. ]])
    """
    times, first = _flat(trains)
    distances = np.zeros((trains.n, trains.n))
    row = np.empty(int(trains.spike_counts.max()) + 1)
    _victor_purpura_pairs(times, first, as_non_negative_float("cost", cost), row, distances)
    return distances


def _as_times(name: str, times) -> np.ndarray:
    times = as_finite_array(name, times, ndim=1)
    if (np.diff(times) < 0).any():
        raise ValueError(f"{name} must be sorted spike times (ms); take numpy.sort({name})")
    return times


def _flat(trains) -> tuple[np.ndarray, np.ndarray]:
    """Return all times unit after unit, and where each unit begins, shape (n + 1,)."""
    as_trains("trains", trains)
    return np.concatenate(list(trains)), np.concatenate([[0], np.cumsum(trains.spike_counts)])


@njit(cache=True, nogil=True, error_model="numpy")
def _van_rossum(first, second, tau):
    """Return the distance as a sum of squares over the pieces between spikes: nothing cancels in it."""
    i, j, height, total, last = 0, 0, 0.0, 0.0, 0.0
    while i < len(first) or j < len(second):
        ours = j == len(second) or (i < len(first) and first[i] <= second[j])
        now = first[i] if ours else second[j]
        kept = exp((last - now) / tau) if height != 0.0 else 0.0
        total += height * height * (1.0 - kept * kept)
        height = height * kept + (1.0 if ours else -1.0)
        last = now
        i, j = (i + 1, j) if ours else (i, j + 1)
    return np.sqrt((total + height * height) / 2.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _van_rossum_pairs(times, first, tau, out):
    """Fill the matrix of distances between all units."""
    for a in range(len(first) - 1):
        for b in range(a):
            out[a, b] = _van_rossum(times[first[a] : first[a + 1]], times[first[b] : first[b + 1]], tau)
            out[b, a] = out[a, b]


@njit(cache=True, nogil=True, error_model="numpy")
def _victor_purpura(first, second, cost, row):
    """Return the distance; row[j] is that of the spikes of `first` seen so far to the first j of `second`."""
    for j in range(len(second) + 1):
        row[j] = j
    for i in range(len(first)):
        corner = row[0]
        row[0] = i + 1.0
        for j in range(len(second)):
            moved = corner + cost * abs(first[i] - second[j])
            corner = row[j + 1]
            row[j + 1] = min(moved, min(row[j], corner) + 1.0)
    return row[len(second)]


@njit(cache=True, nogil=True, error_model="numpy")
def _victor_purpura_pairs(times, first, cost, row, out):
    """Fill the matrix of distances between all units."""
    for a in range(len(first) - 1):
        for b in range(a):
            ours, theirs = times[first[a] : first[a + 1]], times[first[b] : first[b + 1]]
            out[a, b] = _victor_purpura(ours, theirs, cost, row)
            out[b, a] = out[a, b]
