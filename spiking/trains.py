"""Spike trains of a population: which unit fired when, with its window of time; all times in ms, all rates in Hz."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
import scipy

from penstock.checks import as_finite_array, as_finite_float, as_int, as_positive_float
from penstock.store import load, save

__all__ = ["SpikeTrains", "as_trains", "counts_of"]


@dataclass(frozen=True, eq=False, repr=False)
class SpikeTrains:
    """Hold the spikes of `n` units in the window from `t_start` to `t_stop`, sorted by time, then unit.

    Both ends belong to the window, so that spikes labelled with the start of their step ("brian2") and with its end
    ("nest") fit. ``trains[i]`` are the times of unit i, ``len(trains)`` is the number of units.

    Parameters
    ----------
    times : array, shape (n_spikes,)
        Spike times (ms), in any order.
    ids : array of int, shape (n_spikes,)
        The unit of each spike, 0 to n - 1.
    n : int
        Number of units, the silent ones too.
    t_start, t_stop : float
        Ends of the window (ms).
    dt : float, optional
        Step (ms) of the grid that the times lie on: times within a millionth of it count as equal where windows and
        bins begin and end. None for times off any grid.

    Raises
    ------
    ValueError, TypeError
        If a time is not finite or outside the window, a unit does not exist, or the lengths differ.

    Examples
    --------
    >>> from penstock.spiking import SpikeTrains
    >>> trains = SpikeTrains([3.0, 1.0, 8.0], [0, 1, 1], 3, t_stop=10.0)
    >>> trains
    SpikeTrains(n=3, 3 spikes, mean rate 100 Hz, 0 to 10 ms)
    >>> trains[1]
    array([1., 8.])
    >>> trains.counts(5.0)
    array([[1, 1, 0],
           [0, 1, 0]])
    """

    times: np.ndarray
    ids: np.ndarray
    n: int
    _: KW_ONLY
    t_start: float = 0.0
    t_stop: float
    dt: float | None = None

    def __post_init__(self):
        n, t_start, t_stop = as_int("n", self.n), as_finite_float("t_start", self.t_start), self.t_stop
        t_stop, dt = as_finite_float("t_stop", t_stop), None if self.dt is None else as_positive_float("dt", self.dt)
        if not t_stop > t_start:
            raise ValueError(f"t_stop must be above t_start = {t_start:g} ms, got {t_stop:g} ms")
        for name, value in (("n", n), ("t_start", t_start), ("t_stop", t_stop), ("dt", dt)):
            object.__setattr__(self, name, value)
        times, ids = as_finite_array("times", self.times, ndim=1), _as_ids(self.ids, n)
        if ids.shape != times.shape:
            raise ValueError(f"ids must have one unit per time, shape {times.shape}, got {ids.shape}")
        wrong = (times < t_start - self._slack) | (times > t_stop + self._slack)
        if wrong.any():
            raise ValueError(f"times must lie in [{t_start:g}, {t_stop:g}] ms, got {times[wrong][0]:g} ms")
        step = np.diff(times)
        in_order = ((step > 0) | (step == 0) & (np.diff(ids) >= 0)).all()  # so networks give them: sorting takes long
        order = slice(None) if in_order else np.lexsort((ids, times))
        for name, array in (("times", np.array(times[order])), ("ids", ids[order])):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def from_units(cls, times, *, t_stop: float, t_start: float = 0.0, dt: float | None = None) -> "SpikeTrains":
        """Return the trains of units given one by one: ``times[i]`` are the spike times (ms) of unit i.

        Examples
        --------
        >>> from penstock.spiking import SpikeTrains
        >>> SpikeTrains.from_units([[3.0], [1.0, 8.0], []], t_stop=10.0)
        SpikeTrains(n=3, 3 spikes, mean rate 100 Hz, 0 to 10 ms)
        """
        if not isinstance(times, Iterable) or isinstance(times, str):
            raise TypeError(f"times must be one array per unit, got {times!r:.100}")
        units = [as_finite_array(f"times[{i}]", one, ndim=1) for i, one in enumerate(times)]
        ids = np.repeat(np.arange(len(units)), [len(one) for one in units])
        return cls(np.concatenate([np.empty(0), *units]), ids, len(units), t_start=t_start, t_stop=t_stop, dt=dt)

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def duration(self) -> float:
        """Length of the window (ms)."""
        return self.t_stop - self.t_start

    @property
    def n_spikes(self) -> int:
        """Number of spikes of all units."""
        return len(self.times)

    @property
    def mean_rate(self) -> float:
        """Spikes per unit and second (Hz)."""
        return 1000 * self.n_spikes / (self.n * self.duration)

    @property
    def spike_counts(self) -> np.ndarray:
        """Number of spikes of each unit, shape (n,)."""
        return np.bincount(self.ids, minlength=self.n)

    def __len__(self):
        return self.n

    def __getitem__(self, unit) -> np.ndarray:
        if isinstance(unit, slice | np.ndarray | list | tuple):
            raise TypeError("trains[i] gives the times of one unit; take trains.select(ids) for several")
        unit = as_int("unit", unit, minimum=-(2**63))
        if not -self.n <= unit < self.n:
            raise IndexError(f"unit must be below n = {self.n}, got {unit}")
        times, first = self._by_unit
        return times[first[unit % self.n] : first[unit % self.n + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[unit] for unit in range(self.n))

    def __repr__(self):
        window = f"{self.t_start:g} to {self.t_stop:g} ms"
        return f"SpikeTrains(n={self.n}, {self.n_spikes} spikes, mean rate {self.mean_rate:.4g} Hz, {window})"

    @cached_property
    def _by_unit(self) -> tuple[np.ndarray, np.ndarray]:
        """All times unit after unit, and where each unit begins, shape (n + 1,)."""
        small = self.ids.astype(np.min_scalar_type(self.n))  # NumPy sorts integers of 16 bits by radix
        times = self.times[np.argsort(small, kind="stable")]
        times.flags.writeable = False
        return times, np.concatenate([[0], np.cumsum(self.spike_counts)])

    @property
    def _slack(self) -> float:
        """By how much times (ms) may miss an edge and count as on it: k * dt and an edge differ by rounding."""
        return 2e-15 * max(abs(self.t_start), abs(self.t_stop)) if self.dt is None else 1e-6 * self.dt

    # --- parts and wholes -------------------------------------------------------------------------------------------

    def between(self, t0: float, t1: float) -> "SpikeTrains":
        """Return the spikes with t0 <= t < t1 (ms) and that window; a window up to `t_stop` includes its end.

        Windows that share an edge share no spike, and together they hold all.
        """
        t0, t1 = as_finite_float("t0", t0), as_finite_float("t1", t1)
        if not self.t_start - self._slack <= t0 < t1 <= self.t_stop + self._slack:
            raise ValueError(
                f"t0 and t1 must satisfy {self.t_start:g} <= t0 < t1 <= {self.t_stop:g} ms, got {t0:g} and {t1:g} ms"
            )
        first, last = np.searchsorted(self.times, [t0 - self._slack, t1 - self._slack])
        last = self.n_spikes if t1 >= self.t_stop - self._slack else last
        return SpikeTrains(self.times[first:last], self.ids[first:last], self.n, t_start=t0, t_stop=t1, dt=self.dt)

    def select(self, ids) -> "SpikeTrains":
        """Return the trains of some units, numbered anew from 0 in the order of `ids` (integers, a mask or a slice)."""
        if isinstance(ids, slice):
            ids = np.arange(self.n)[ids]
        elif np.asarray(ids).dtype.kind == "b":
            if np.shape(ids) != (self.n,):
                raise ValueError(f"ids as a mask must have shape ({self.n},), got {np.shape(ids)}")
            ids = np.flatnonzero(ids)
        ids = _as_ids(ids, self.n)
        if not ids.size or len(np.unique(ids)) < len(ids):
            raise ValueError(f"ids must name at least one unit and none twice, got {ids.tolist()[:10]}")
        number = np.full(self.n, -1)
        number[ids] = np.arange(len(ids))
        new = number[self.ids]
        times, new = self.times[new >= 0], new[new >= 0]
        return SpikeTrains(times, new, len(ids), t_start=self.t_start, t_stop=self.t_stop, dt=self.dt)

    def join(self, later: "SpikeTrains") -> "SpikeTrains":
        """Return these trains followed by those of the same units in the window that begins where this one ends."""
        if not isinstance(later, SpikeTrains):
            raise TypeError(f"later must be SpikeTrains, got {later!r:.100}")
        if later.n != self.n:
            raise ValueError(f"later must have n = {self.n} units, got {later.n}")
        if abs(later.t_start - self.t_stop) > max(self._slack, later._slack):
            raise ValueError(f"later must begin at t_stop = {self.t_stop:g} ms, got t_start = {later.t_start:g} ms")
        times, ids = np.concatenate([self.times, later.times]), np.concatenate([self.ids, later.ids])
        dt = self.dt if self.dt == later.dt else None
        return SpikeTrains(times, ids, self.n, t_start=self.t_start, t_stop=later.t_stop, dt=dt)

    # --- signals ----------------------------------------------------------------------------------------------------

    def counts(self, bin: float) -> np.ndarray:
        """Return spike counts of all units in bins of `bin` ms, int64, shape (n_bins, n).

        Bins are half-open, [t_start + k * bin, t_start + (k + 1) * bin), the one that ends at `t_stop` closed. A rest
        of the window shorter than a bin is left out.
        """
        n_bins, number = self._binned("bin", bin)
        used = number < n_bins
        flat = np.bincount(number[used] * self.n + self.ids[used], minlength=n_bins * self.n)
        return flat.reshape(n_bins, self.n)

    def rate(self, bin: float = 1.0) -> np.ndarray:
        """Return the population rate, spikes per unit and second (Hz), in the bins of `counts`, shape (n_bins,)."""
        n_bins, number = self._binned("bin", bin)
        return np.bincount(number[number < n_bins], minlength=n_bins) * (1000 / (self.n * float(bin)))

    def filtered(self, tau: float, *, every: float = 1.0) -> np.ndarray:
        """Return x_i(t) = sum of exp(-(t - t_j) / tau) over spikes t_j <= t of unit i, float64, shape (n_times, n).

        Row k is the state at t_start + (k + 1) * every, exact for spikes anywhere between; from the last row of one
        run the next would go on. Divide by tau to read it as a rate (spikes per ms).

        Parameters
        ----------
        tau : float
            Time constant (ms).
        every : float
            Interval (ms) of the rows; a rest of the window that is shorter is left out.
        """
        tau, every = as_positive_float("tau", tau), as_positive_float("every", every)
        n_rows = self._whole("every", every)
        row = np.maximum(self._next_row(every), 0)
        used = row < n_rows
        row, lag = row[used], (self.t_start + (row[used] + 1) * every) - self.times[used]
        arrived = np.bincount(row * self.n + self.ids[used], np.exp(-lag / tau), minlength=n_rows * self.n)
        return scipy.signal.lfilter([1.0], [1.0, -np.exp(-every / tau)], arrived.reshape(n_rows, self.n), axis=0)

    def smoothed(self, kernel: Callable, support: float | tuple[float, float], *, every: float = 1.0) -> np.ndarray:
        """Return x_i(t) = sum of kernel(t - t_j) over the spikes t_j of unit i, float64, shape (n_times, n).

        Row k is the signal at t_start + (k + 1) * every, as in `filtered`.

        Parameters
        ----------
        kernel : callable
            Vectorised function of the lag t - t_j (ms), taken as 0 outside `support`.
        support : float or (float, float)
            Longest lag of a causal kernel (ms), or shortest and longest: (-30, 30) for a kernel that looks ahead.
        every : float
            Interval (ms) of the rows.
        """
        if not callable(kernel):
            raise TypeError(f"kernel must be a function of the lag (ms), got {kernel!r}")
        low, high = _as_support(support)
        every = as_positive_float("every", every)
        n_rows = self._whole("every", every)
        signals = np.zeros((n_rows, self.n))
        first = self._next_row(every, self.times + low)
        for row in (first + k for k in range(int((high - low) / every) + 2)):
            lag = (self.t_start + (row + 1) * every) - self.times
            used = (row >= 0) & (row < n_rows) & (lag <= high + self._slack)
            values = as_finite_array("kernel(lags)", kernel(lag[used]), ndim=1) if used.any() else np.empty(0)
            np.add.at(signals, (row[used], self.ids[used]), values)
        return signals

    def _whole(self, name: str, length: float) -> int:
        """Return how many intervals of a length (ms) the window has, at least 1."""
        count = int((self.duration + self._slack) / length)
        if count < 1:
            raise ValueError(f"{name} must be at most the window of {self.duration:g} ms, got {length:g} ms")
        return count

    def _binned(self, name: str, bin: float) -> tuple[int, np.ndarray]:
        """Return the number of bins, and the bin of every spike; a spike at the very end is in the last."""
        bin = as_positive_float(name, bin)
        n_bins = self._whole(name, bin)
        number = np.floor((self.times - self.t_start + self._slack) / bin).astype(np.int64)
        number = np.maximum(number, 0)
        if n_bins * bin >= self.duration - self._slack:
            number = np.minimum(number, n_bins - 1)
        return n_bins, number

    def _next_row(self, every: float, times=None) -> np.ndarray:
        """Return the first row at or after each time: row k stands for t_start + (k + 1) * every."""
        times = self.times if times is None else times
        return np.ceil((times - self.t_start - self._slack) / every).astype(np.int64) - 1

    # --- out and in -------------------------------------------------------------------------------------------------

    def plot(self, ax=None):
        """Draw a dot per spike, units over time (ms); return the matplotlib axes."""
        from penstock.spiking.plots import plot_raster

        return plot_raster(self, ax)

    def plot_rate(self, ax=None, bin: float = 5.0):
        """Draw the population rate (Hz) in bins of `bin` ms over time (ms); return the matplotlib axes."""
        from penstock.spiking.plots import plot_rate

        return plot_rate(self, ax, bin=bin)

    def save(self, path) -> None:
        """Write the trains to one file, whole or not at all: see `penstock.save`.

        It is an npz archive without pickle: ``numpy.load(path)["times"]`` and ``["ids"]`` need no penstock.
        """
        save(self, path)

    @classmethod
    def load(cls, path) -> "SpikeTrains":
        """Return the trains that `save` wrote, the same to the last bit.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it holds something else or was altered.
        """
        trains = load(path)
        if not isinstance(trains, cls):
            raise ValueError(f"cannot load {path!r}: it holds a {type(trains).__name__}, not SpikeTrains")
        return trains

    def to_neo(self) -> list:
        """Return one ``neo.SpikeTrain`` per unit (times in ms), for Elephant and other tools.

        Raises
        ------
        ImportError
            If Neo is not installed.
        """
        try:
            import neo
        except ImportError as error:
            raise ImportError(f"to_neo needs the package neo: pip install neo ({error})") from error
        window = dict(t_start=self.t_start, t_stop=self.t_stop, units="ms")
        return [neo.SpikeTrain(times.clip(self.t_start, self.t_stop), **window) for times in self]


def as_trains(name: str, trains) -> SpikeTrains:
    """Return `trains` if they are SpikeTrains."""
    if not isinstance(trains, SpikeTrains):
        got = type(trains).__name__
        raise TypeError(f"{name} must be SpikeTrains, got {got}; take recording.spikes[name] or SpikeTrains.from_units")
    return trains


def counts_of(trains: SpikeTrains, name: str, bin: float) -> np.ndarray:
    """Return the counts of checked trains in at least two bins, shape (n_bins, n)."""
    bin = as_positive_float(name, bin)
    if as_trains("trains", trains).duration < bin * (2 - 1e-9):
        raise ValueError(f"{name} must fit twice into the {trains.duration:g} ms of the trains, got {bin:g} ms")
    return trains.counts(bin)


def _as_ids(ids, n: int) -> np.ndarray:
    """Return unit numbers as int64 in 0..n-1."""
    array = np.asarray(ids)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"ids must be integers, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"ids must have 1 dimension, got shape {array.shape}")
    wrong = (array < 0) | (array >= n)
    if wrong.any():
        raise ValueError(f"ids must lie in 0..{n - 1} for n = {n} units, got {array[wrong][0]}")
    return array.astype(np.int64)


def _as_support(support) -> tuple[float, float]:
    if np.ndim(support) == 0:
        return 0.0, as_positive_float("support", support)
    low, high = as_finite_array("support", support, ndim=1) if np.shape(support) == (2,) else (1.0, 0.0)
    if not low < high:
        raise ValueError(f"support must be a longest lag or (shortest, longest) in ms, got {support!r}")
    return float(low), float(high)
