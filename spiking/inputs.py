"""Inputs of a network: spike sources, which are groups, and drives, which act on the neurons of a group directly.

A source or drive is a record of its parameters. Its method ``stream`` makes what one run needs, from the network's
step dt (ms) and a generator of random numbers; the stream then hands out one stretch of steps after the other. The
numbers do not depend on how a run is cut into stretches.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from penstock.checks import as_finite_float, as_int, as_non_negative_float, as_positive_float, as_vector
from penstock.spiking.clock import steps_of, steps_of_each
from penstock.spiking.streams import BinomialSums, OrnsteinUhlenbeck, PoissonSpikes, Ramp, Replay, Table
from penstock.spiking.values import as_numbers

__all__ = [
    "ArrayCurrent",
    "OUCurrent",
    "PoissonGroup",
    "PoissonInput",
    "RampCurrent",
    "SpikeSource",
    "StepCurrent",
]


# Spike sources


@dataclass(frozen=True, eq=False, repr=False)
class SpikeSource:
    """Emit given spikes.

    Parameters
    ----------
    n : int
        Number of units.
    ids : array of int, shape (n_spikes,)
        The unit of every spike, 0 to n - 1, in any order.
    times : float or array, shape (n_spikes,)
        Its time (ms), a multiple of the network's dt. Under ``timing="brian2"`` times start at 0, under
        ``timing="nest"`` at dt, as the spikes of neurons do.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit or a value is out of range; when the network starts, if a time is not a multiple of dt, or
        a unit has two spikes in one step.

    Examples
    --------
    >>> SpikeSource(3, [0, 2, 2], [1.0, 0.5, 4.0])
    SpikeSource(n=3, 3 spikes in 0.5..4 ms)
    """

    n: int
    ids: Any
    times: Any

    def __post_init__(self):
        n = as_int("n", self.n)
        ids = _as_ids("ids", self.ids, n)
        times = as_vector("times", as_numbers("times", self.times), ids.size)
        if (times < 0).any():
            raise ValueError(f"times must be at least 0 ms, got {times[times < 0][0]:g} ms")
        _set(self, n=n, ids=ids, times=times)

    def __repr__(self):
        span = f" in {self.times.min():g}..{self.times.max():g} ms" if self.times.size else ""
        return f"SpikeSource(n={self.n}, {self.times.size} spikes{span})"

    def stream(self, dt: float, rng, shift: int = 0):
        """Return the stream of spikes for steps of `dt` (ms); a spike of step k is labelled ``(k + shift) dt``."""
        steps = steps_of_each("times", self.times, dt, minimum=shift) - shift
        order = np.lexsort((self.ids, steps))
        steps, ids = steps[order], self.ids[order]
        twice = np.flatnonzero((np.diff(steps) == 0) & (np.diff(ids) == 0))
        if twice.size:
            unit, time = int(ids[twice[0]]), (int(steps[twice[0]]) + shift) * dt
            raise ValueError(f"times must differ for one unit, got two spikes of unit {unit} at {time:g} ms")
        return Replay(steps, ids.astype(np.uint32))


@dataclass(frozen=True, eq=False, repr=False)
class PoissonGroup:
    """Emit independent Poisson spikes: in every step each unit spikes with probability rate * dt, at most once.

    Parameters
    ----------
    n : int
        Number of units.
    rate : float or array, shape (n,); with `dt_rate` array, shape (T,) or (T, n)
        Rate (Hz), at least 0 and at most 1000 / dt.
    dt_rate : float, optional
        Makes the rate change with time: rate[k], of all units or of each, holds for spikes at times from k * dt_rate to
        (k + 1) * dt_rate (ms), 0 after the last. A multiple of dt.
    start, stop : float
        Spikes have times in start <= t < stop (ms), multiples of dt; `stop` None never ends.

    Notes
    -----
    The spike train on the grid is a Bernoulli process, as in Brian2: intervals are geometric with mean 1000 / rate ms,
    their coefficient of variation is sqrt(1 - rate dt), and the variance of a count is its mean times (1 - rate dt).
    Spikes of a changing rate are those of its maximum, thinned.

    Examples
    --------
    >>> import numpy as np
    >>> noise = PoissonGroup(100, rate=20.0)
    >>> steps, ids = noise.stream(0.1, np.random.default_rng(0)).take(0, 10_000)
    >>> steps.size / 100  # the rate in 1 s
    19.77
    >>> t = np.arange(0.0, 1000.0)
    >>> PoissonGroup(100, 20 * (1 + np.sin(2 * np.pi * t / 200)), dt_rate=1.0)  # a wave of 5 Hz, for 1 s
    PoissonGroup(n=100, rate=0..40 Hz, dt_rate=1)
    """

    n: int
    rate: Any
    dt_rate: float | None = field(default=None, kw_only=True)
    start: float = field(default=0.0, kw_only=True)
    stop: float | None = field(default=None, kw_only=True)

    def __post_init__(self):
        n = as_int("n", self.n)
        start = as_non_negative_float("start", self.start)
        stop = None if self.stop is None else as_finite_float("stop", self.stop)
        if stop is not None and stop <= start:
            raise ValueError(f"stop must be above start={start:g} ms, got {stop:g} ms")
        dt_rate = None if self.dt_rate is None else as_positive_float("dt_rate", self.dt_rate)
        rate = _as_rate("rate", self.rate, n) if dt_rate is None else _as_rates("rate", self.rate, n)
        _set(self, n=n, rate=rate, dt_rate=dt_rate, start=start, stop=stop)

    def __repr__(self):
        window = "" if self.stop is None and self.start == 0 else f", start={self.start:g}, stop={self.stop}"
        bins = "" if self.dt_rate is None else f", dt_rate={self.dt_rate:g}"
        return f"PoissonGroup(n={self.n}, rate={_span(self.rate)} Hz{bins}{window})"

    def stream(self, dt: float, rng: np.random.Generator, shift: int = 0):
        """Return the stream of spikes for steps of `dt` (ms); a spike of step k is labelled ``(k + shift) dt``."""
        p = _spike_probability("rate", self.rate, dt)
        first = max(0, steps_of("start", self.start, dt) - shift)
        last = None if self.stop is None else steps_of("stop", self.stop, dt) - shift
        if self.dt_rate is None:
            return PoissonSpikes(p.reshape(1, -1), self.n, rng, window=(first, last))
        every = steps_of("dt_rate", self.dt_rate, dt, minimum=1)
        end = len(p) * every - shift
        window = first, end if last is None else min(end, last)
        return PoissonSpikes(p.reshape(len(p), -1), self.n, rng, window=window, bins=(every, shift))


# Drives: currents


@dataclass(frozen=True, eq=False, repr=False)
class StepCurrent:
    """Inject a current that jumps at given times: amplitudes[k] from times[k] to times[k + 1], 0 before times[0].

    Parameters
    ----------
    times : array, shape (K,)
        Times (ms) of the jumps, increasing, multiples of dt. The step that starts at times[k] feels amplitudes[k].
    amplitudes : array, shape (K,) or (K, n)
        Current (pA) of all neurons or of each. The last one stays.

    Examples
    --------
    >>> import numpy as np
    >>> StepCurrent([0.2, 0.4], [100.0, 0.0]).stream(1, 0.1, None).take(0, 6)[:, 0]
    array([  0.,   0., 100., 100.,   0.,   0.])
    """

    times: np.ndarray
    amplitudes: np.ndarray

    def __post_init__(self):
        times = as_numbers("times", self.times, ndim=1)
        if times.size == 0 or times[0] < 0 or (np.diff(times) <= 0).any():
            raise ValueError(f"times must be at least 0 ms and increasing, got {_short(times)}")
        _set(self, times=times, amplitudes=_as_samples("amplitudes", self.amplitudes, times.size))

    def __repr__(self):
        return f"StepCurrent(times={_short(self.times)} ms, amplitudes={_short(self.amplitudes)} pA)"

    def stream(self, n: int, dt: float, rng=None):
        """Return the stream of currents of `n` neurons for steps of `dt` (ms)."""
        return Table(steps_of_each("times", self.times, dt), _for_neurons("amplitudes", self.amplitudes, n))


@dataclass(frozen=True, eq=False, repr=False)
class RampCurrent:
    """Inject a current that goes in a straight line from `initial` at `start` to `final` at `stop`.

    It is 0 before `start` and stays at `final` after `stop`; the step that starts at time t feels the value at t.

    Parameters
    ----------
    start, stop : float
        Times (ms), multiples of dt.
    final : float or array, shape (n,)
        Current (pA) from `stop` on.
    initial : float or array, shape (n,)
        Current (pA) at `start`.

    Examples
    --------
    >>> RampCurrent(0.1, 0.5, 100.0).stream(1, 0.1, None).take(0, 7)[:, 0]
    array([  0.,   0.,  25.,  50.,  75., 100., 100.])
    """

    start: float
    stop: float
    final: Any
    initial: Any = field(default=0.0, kw_only=True)

    def __post_init__(self):
        start, stop = as_non_negative_float("start", self.start), as_finite_float("stop", self.stop)
        if stop <= start:
            raise ValueError(f"stop must be above start={start:g} ms, got {stop:g} ms")
        ends = {name: _as_parameter(name, getattr(self, name)) for name in ("final", "initial")}
        _set(self, start=start, stop=stop, **ends)

    def __repr__(self):
        ends = f"{_span(self.initial)}..{_span(self.final)} pA"
        return f"RampCurrent({ends} in {self.start:g}..{self.stop:g} ms)"

    def stream(self, n: int, dt: float, rng=None):
        """Return the stream of currents of `n` neurons for steps of `dt` (ms)."""
        ends = [np.atleast_1d(_fit(name, getattr(self, name), n)) for name in ("initial", "final")]
        return Ramp(steps_of("start", self.start, dt), steps_of("stop", self.stop, dt), *ends)


@dataclass(frozen=True, eq=False, repr=False)
class ArrayCurrent:
    """Inject a sampled current: values[k] from k * dt_array to (k + 1) * dt_array, 0 after the last.

    Parameters
    ----------
    values : array, shape (T,) or (T, n)
        Current (pA) of all neurons or of each.
    dt_array : float
        Time (ms) for which each value holds, a multiple of dt.

    Notes
    -----
    Brian2's ``TimedArray`` and `StepCurrent` hold their last value for ever; here nothing given means 0.

    Examples
    --------
    >>> ArrayCurrent([1.0, 2.0], 0.2).stream(1, 0.1, None).take(0, 6)[:, 0]
    array([1., 1., 2., 2., 0., 0.])
    """

    values: np.ndarray
    dt_array: float

    def __post_init__(self):
        dt_array = as_positive_float("dt_array", self.dt_array)
        _set(self, values=_as_samples("values", self.values, None), dt_array=dt_array)

    def __repr__(self):
        return f"ArrayCurrent(values={self.values.shape} pA, dt_array={self.dt_array:g} ms)"

    def stream(self, n: int, dt: float, rng=None):
        """Return the stream of currents of `n` neurons for steps of `dt` (ms)."""
        values = _for_neurons("values", self.values, n)
        every = steps_of("dt_array", self.dt_array, dt, minimum=1)
        return Table(every * np.arange(len(values)), values, end=every * len(values))


@dataclass(frozen=True, eq=False, repr=False)
class OUCurrent:
    """Inject an Ornstein-Uhlenbeck current, independent in every neuron, constant over each step.

    I <- mean + (I - mean) exp(-dt/tau) + sigma sqrt(1 - exp(-2 dt/tau)) xi, the exact step; the first value is drawn
    from the stationary law. So mean, deviation `sigma` and autocovariance sigma^2 exp(-|s|/tau) hold from the start and
    do not depend on dt.

    Parameters
    ----------
    mean, sigma : float or array, shape (n,)
        Mean and stationary standard deviation (pA).
    tau : float or array, shape (n,)
        Correlation time (ms).

    References
    ----------
    D. T. Gillespie, Exact numerical simulation of the Ornstein-Uhlenbeck process and its integral, Phys. Rev. E 54,
    2084 (1996).

    Examples
    --------
    >>> import numpy as np
    >>> I = OUCurrent(100.0, 20.0, 5.0).stream(50, 0.1, np.random.default_rng(0)).take(0, 10_000)
    >>> I.shape, round(I.mean()), round(I.std())
    ((10000, 50), 100, 20)
    """

    mean: Any
    sigma: Any
    tau: Any

    def __post_init__(self):
        mean, sigma, tau = (_as_parameter(name, getattr(self, name)) for name in ("mean", "sigma", "tau"))
        if np.min(sigma) < 0:
            raise ValueError(f"sigma must be at least 0 pA, got {np.min(sigma):g}")
        if np.min(tau) <= 0:
            raise ValueError(f"tau must be above 0 ms, got {np.min(tau):g}")
        _set(self, mean=mean, sigma=sigma, tau=tau)

    def __repr__(self):
        return f"OUCurrent(mean={_span(self.mean)} pA, sigma={_span(self.sigma)} pA, tau={_span(self.tau)} ms)"

    def stream(self, n: int, dt: float, rng: np.random.Generator):
        """Return the stream of currents of `n` neurons for steps of `dt` (ms)."""
        mean, sigma, tau = (as_vector(name, _fit(name, getattr(self, name), n), n) for name in ("mean", "sigma", "tau"))
        return OrnsteinUhlenbeck(mean, sigma, np.exp(-dt / tau), sigma * np.sqrt(-np.expm1(-2 * dt / tau)), rng)


# Drives: the summed spikes of many sources


@dataclass(frozen=True, eq=False, repr=False)
class PoissonInput:
    """Give every neuron the spikes of its own `n_sources` Poisson sources, through one synapse.

    In every step each neuron receives ``weight`` times a Binomial(n_sources, rate * dt) number, independent between
    neurons and steps: the sum of as many units of a `PoissonGroup`, without simulating them.

    Parameters
    ----------
    n_sources : int or array of int, shape (n,)
        Number of sources per neuron.
    rate : float or array, shape (n,)
        Rate (Hz) of one source, at most 1000 / dt.
    weight : float or array, shape (n,)
        Weight of one spike (mV, pA or nS, as the synapse).
    synapse : synapse record
        ``Delta()``, ``Exponential(tau)``, …

    Notes
    -----
    As Brian2's ``PoissonInput`` it acts in the synapse slot of the same step, without delay. Counts come from the
    inverse of the cumulative binomial law, exact to the 53 bits of a uniform draw.

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.spiking import Exponential
    >>> drive = PoissonInput(1000, 10.0, 2.0, Exponential(tau=5.0))
    >>> sums = drive.stream(100, 0.1, np.random.default_rng(0)).take(0, 1000)
    >>> sums.shape, round(float(sums.mean()), 1)  # 2 pA * 1000 sources * 10 Hz * 0.1 ms
    ((1000, 100), 2.0)
    """

    n_sources: Any
    rate: Any
    weight: Any
    synapse: Any

    def __post_init__(self):
        if isinstance(self.synapse, type) or not hasattr(self.synapse, "n_states"):
            raise TypeError(f"synapse must be a synapse such as Delta() or Exponential(tau=5.0), got {self.synapse!r}")
        rate = _as_rate("rate", self.rate)
        _set(self, n_sources=_as_counts("n_sources", self.n_sources), rate=rate)
        _set(self, weight=_as_parameter("weight", self.weight))

    def __repr__(self):
        parts = f"n_sources={_span(self.n_sources)}, rate={_span(self.rate)} Hz, weight={_span(self.weight)}"
        return f"PoissonInput({parts}, {self.synapse!r})"

    def stream(self, n: int, dt: float, rng: np.random.Generator):
        """Return the stream of summed weights of `n` neurons for steps of `dt` (ms)."""
        p = _spike_probability("rate", _fit("rate", self.rate, n), dt)
        laws = np.column_stack([np.broadcast_to(_fit("n_sources", self.n_sources, n), n), np.broadcast_to(p, n)])
        weight = as_vector("weight", _fit("weight", self.weight, n), n)
        return BinomialSums(laws, weight, rng)


# Checks


def _set(record, **fields):
    for name, value in fields.items():
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value = value.copy()
            value.flags.writeable = False
        object.__setattr__(record, name, value)


def _as_parameter(name, value):
    """Return a float, or an array (n,) if it is one."""
    value = as_numbers(name, value)
    return value if value.ndim else float(value)


def _as_rate(name, value, n=None):
    value = _as_parameter(name, value)
    if np.ndim(value) and n not in (None, value.size):
        raise ValueError(
            f"{name} must be a number or have shape ({n},), got {value.shape}; give dt_rate if it changes with time"
        )
    if np.min(value, initial=0.0) < 0:
        raise ValueError(f"{name} must be at least 0 Hz, got {np.min(value):g}")
    return value


def _as_rates(name, value, n):
    """Return rates over time, (T,) or (T, n)."""
    value = as_numbers(name, value, ndim=(0, 1, 2))
    if value.ndim == 0 or value.size == 0 or value.shape[1:] not in ((), (n,)):
        raise ValueError(f"{name} must have shape (T,) or (T, {n}) with dt_rate, got {value.shape}")
    if value.min() < 0:
        raise ValueError(f"{name} must be at least 0 Hz, got {value.min():g}")
    return value


def _as_counts(name, value):
    if np.ndim(value) == 0:
        return as_int(name, value)
    counts = np.asarray(value)
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an integer or an array of integers (n,), got {_short(counts)}")
    if np.min(counts, initial=1) < 1:
        raise ValueError(f"{name} must be at least 1, got {counts.min()}")
    return counts


def _as_ids(name, value, n):
    ids = np.asarray(value)
    if ids.ndim != 1:
        raise ValueError(f"{name} must have shape (n_spikes,), got {ids.shape}")
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {ids.dtype}")
    wrong = (ids < 0) | (ids >= n) if ids.size else np.zeros(0, bool)
    if wrong.any():
        raise ValueError(f"{name} must lie in 0..{n - 1}, got {ids[wrong][0]}")
    return ids.astype(np.int64)


def _as_samples(name, value, length):
    """Return samples (T,) or (T, n)."""
    value = as_numbers(name, value, ndim=(1, 2))
    if length not in (None, len(value)):
        raise ValueError(f"{name} must have one row for each of the {length} times, got shape {value.shape}")
    if value.size == 0:
        raise ValueError(f"{name} must hold at least one value, got shape {value.shape}")
    return value


def _for_neurons(name, samples, n):
    """Return samples (T, 1) or (T, n)."""
    if samples.ndim == 2 and samples.shape[1] != n:
        raise ValueError(f"{name} must have shape (T,) or (T, {n}) for a group of {n} neurons, got {samples.shape}")
    return samples if samples.ndim == 2 else samples[:, None]


def _fit(name, value, n):
    """Return a number or an array (n,) as it is."""
    if np.ndim(value) and len(value) != n:
        raise ValueError(f"{name} must be a number or have shape ({n},) for a group of {n} neurons, got {value.shape}")
    return value


def _spike_probability(name, rate, dt):
    if np.max(rate, initial=0.0) * dt > 1000.0:
        raise ValueError(
            f"{name} must be at most 1000 / dt = {1000 / dt:g} Hz, one spike per step of dt={dt:g} ms, "
            f"got {np.max(rate):g} Hz; take a smaller dt or several units"
        )
    return np.asarray(rate) * dt / 1000.0


def _span(value):
    return f"{value:g}" if np.ndim(value) == 0 else f"{np.min(value):g}..{np.max(value):g}"


def _short(array):
    return np.array2string(np.asarray(array), threshold=6, edgeitems=2, precision=6).replace("\n", "")
