"""Encoders: how the samples of a series become currents or spikes of a network.

Spikes are pairs (at, ids) sorted by step and unit, steps counted from the beginning of the series; currents have one
row per sample. However a series is cut, the parts give what the whole would: random numbers are a function of the seed,
the step and the unit alone.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from penstock.checks import (
    as_finite_array,
    as_fraction,
    as_int,
    as_positive_float,
    as_vector,
    generators,
    seed_sequence,
)
from penstock.spiking.group import Group
from penstock.spiking.inputs import SpikeSource
from penstock.spiking.values import as_numbers

__all__ = ["CurrentInjection", "Latency", "PoissonRates", "PopulationRates", "SpikesIn", "StepForward"]


class _Encoder:
    """What encoders share: nothing is remembered unless they say so."""

    n_states = 0

    def __repr__(self):
        group, n_inputs = self.group, self.n_inputs  # type: ignore[attr-defined]
        return f"{type(self).__name__}({n_inputs} inputs into {len(group)} units of {group.name!r})"


@dataclass(frozen=True, eq=False, repr=False)
class CurrentInjection(_Encoder):
    """Inject the current ``W_in u + bias`` into neurons, held for the whole sample.

    Any object with the same attributes and the same method is an encoder: `group`, neurons or a source; `n_inputs`;
    `n_states`, the numbers it remembers from sample to sample; and ``encode(u, state, first, steps, dt)`` of samples u
    (T, n_inputs), what is remembered of those before (n_states,), their number, the network's steps per sample, and its
    step (ms). It returns currents (T, n) in pA, or for a source steps and units of the spikes, and what is remembered
    after every sample (T, n_states).

    Parameters
    ----------
    group : Group
        Neurons, an unbroken range of units.
    W_in : array, shape (n, m) or (n,)
        Current (pA) of each neuron per unit of each input.
    bias : float or array, shape (n,)
        Current (pA) without input.

    Examples
    --------
    >>> from penstock.spiking import LIF, CurrentInjection, Network
    >>> cells = Network().add(LIF(2), name="cells")
    >>> encoder = CurrentInjection(cells, [100.0, -50.0], bias=300.0)
    >>> currents, _ = encoder.encode(np.array([[0.0], [1.0]]), np.zeros(0), 0, 100, 0.1)
    >>> currents
    array([[300., 300.],
           [400., 250.]])
    """

    group: Group
    W_in: np.ndarray
    bias: Any = 0.0

    def __post_init__(self):
        _check_neurons(self.group)
        W_in = _as_gain("W_in", self.W_in, len(self.group))
        _set(self, W_in=W_in, bias=as_vector("bias", as_numbers("bias", self.bias), len(self.group)))

    @classmethod
    def random(
        cls, group: Group, n_inputs: int = 1, *, scale: float = 100.0, density: float = 1.0, bias=0.0, seed
    ) -> "CurrentInjection":
        """Return the injection with weights uniform in ±`scale` (pA), each there with probability `density`.

        Parameters
        ----------
        group : Group
            Neurons.
        n_inputs : int
            Channels.
        scale : float
            Largest weight (pA).
        density : float
            Expected part of the weights that are not 0, in (0, 1].
        bias : float or array, shape (n,)
            Current (pA) without input.
        seed : int or SeedSequence
            Seed of the weights.

        Examples
        --------
        >>> from penstock.spiking import LIF, CurrentInjection, Network
        >>> cells = Network().add(LIF(50), name="cells")
        >>> CurrentInjection.random(cells, 3, scale=200.0, bias=300.0, seed=0)
        CurrentInjection(3 inputs into 50 units of 'cells')
        """
        _check_neurons(group)
        scale, density = as_positive_float("scale", scale), as_fraction("density", density)
        n_inputs = as_int("n_inputs", n_inputs)
        values, there = generators(seed, 2)
        W_in = values.uniform(-scale, scale, (len(group), n_inputs))
        return cls(group, W_in * (there.random(W_in.shape) < density), bias)

    @property
    def n_inputs(self) -> int:
        """Channels of a sample."""
        return self.W_in.shape[1]

    def encode(self, u, state, first, steps, dt):
        """Return the currents (T, n) in pA, and nothing to remember, shape (T, 0)."""
        return _affine(u, self.W_in, self.bias), _nothing(u)

    def of_units(self, group: Group, kept) -> "CurrentInjection":
        """Return the injection into `group`, what is left of the neurons: those at the places `kept` of them."""
        return CurrentInjection(group, self.W_in[kept], self.bias[kept])


@dataclass(frozen=True, eq=False, repr=False)
class _SourceEncoder(_Encoder):
    """Encoders that make spikes of the units of a source."""

    source: Group

    @property
    def group(self) -> Group:
        """The source."""
        return self.source

    @property
    def n_inputs(self) -> int:
        """Channels of a sample: one per unit."""
        return len(self.source)


@dataclass(frozen=True, eq=False, repr=False)
class PoissonRates(_SourceEncoder):
    """Let the units of a source spike at rates ``max(0, gain u + offset)``.

    In every step a unit spikes with probability rate * dt, at most once, as `PoissonGroup` has it. Its random number
    depends on the seed, the step since the beginning and the unit alone: any two series share the numbers of the same
    step (common random numbers), so that the spikes of two inputs differ only because the inputs do. Take another seed
    for other numbers.

    Parameters
    ----------
    source : Group
        ``net.add(SpikeSource(n, [], []))``.
    gain : array, shape (n, m) or (n,)
        Rate (Hz) of each unit per unit of each input.
    offset : float or array, shape (n,)
        Rate (Hz) without input.
    seed : int or SeedSequence
        Seed of the spikes.

    Raises
    ------
    ValueError
        When a series asks for more than one spike per step, a rate above 1000 / dt Hz.

    Examples
    --------
    >>> from penstock.spiking import Network, PoissonRates, SpikeSource
    >>> source = Network().add(SpikeSource(2, [], []), name="source")
    >>> encoder = PoissonRates(source, [50.0, -50.0], offset=50.0, seed=0)
    >>> (at, ids), _ = encoder.encode(np.ones((100, 1)), np.zeros(0), 0, 100, 0.1)  # 100 Hz and 0 Hz for 1 s
    >>> np.bincount(ids, minlength=2)
    array([95,  0])
    """

    gain: np.ndarray
    offset: Any = 0.0
    seed: Any = field(kw_only=True)

    def __post_init__(self):
        _check_source(self.source)
        offset = as_vector("offset", as_numbers("offset", self.offset), len(self.source))
        _set(self, gain=_as_gain("gain", self.gain, len(self.source)), offset=offset, seed=seed_sequence(self.seed))

    @property
    def n_inputs(self) -> int:
        """Channels of a sample."""
        return self.gain.shape[1]

    def rates(self, u):
        """Return the rates (T, n) in Hz for samples (T, m)."""
        return np.maximum(_affine(u, self.gain, self.offset), 0.0)

    def encode(self, u, state, first, steps, dt):
        """Return steps and units of the spikes, and nothing to remember."""
        return _poisson(self.rates(u), self.seed, first, steps, dt), _nothing(u)


@dataclass(frozen=True, eq=False, repr=False)
class PopulationRates(_SourceEncoder):
    """Let every unit of a source prefer a value of the input: rates of Gaussian tuning curves, Poisson spikes.

    rate_i = max_rate exp(-|u - centre_i|^2 / (2 width_i^2)). The spikes are drawn as in `PoissonRates`: series share
    the random numbers of the same step and unit.

    Parameters
    ----------
    source : Group
        ``net.add(SpikeSource(n, [], []))``.
    centres : array, shape (n,) or (n, m)
        The preferred input of each unit; (n,) for one channel.
    width : float or array, shape (n,)
        Standard deviation of the tuning curve, in units of the input.
    max_rate : float or array, shape (n,)
        Rate (Hz) at the centre.
    seed : int or SeedSequence
        Seed of the spikes.

    Raises
    ------
    ValueError
        When the network's step is too long for `max_rate`, which must be at most 1000 / dt.

    Examples
    --------
    >>> from penstock.spiking import Network, PopulationRates, SpikeSource
    >>> source = Network().add(SpikeSource(3, [], []), name="source")
    >>> encoder = PopulationRates(source, [-1.0, 0.0, 1.0], width=0.5, max_rate=80.0, seed=0)
    >>> encoder.rates(np.array([[0.0]])).round(2)
    array([[10.83, 80.  , 10.83]])
    """

    centres: np.ndarray
    width: Any
    max_rate: Any
    seed: Any = field(kw_only=True)

    def __post_init__(self):
        _check_source(self.source)
        n = len(self.source)
        width, max_rate = (
            as_vector(name, as_numbers(name, value), n)
            for name, value in (("width", self.width), ("max_rate", self.max_rate))
        )
        if width.min() <= 0:
            raise ValueError(f"width must be above 0, got {width.min():g}")
        if max_rate.min() < 0:
            raise ValueError(f"max_rate must be at least 0 Hz, got {max_rate.min():g}")
        centres = _as_gain("centres", self.centres, n)
        _set(self, centres=centres, width=width, max_rate=max_rate, seed=seed_sequence(self.seed))

    @property
    def n_inputs(self) -> int:
        """Channels of a sample."""
        return self.centres.shape[1]

    def rates(self, u):
        """Return the rates (T, n) in Hz for samples (T, m)."""
        squares = np.zeros((len(u), len(self.width)))
        for channel, centres in zip(np.asarray(u).T, self.centres.T, strict=True):
            squares += (channel[:, None] - centres) ** 2
        return self.max_rate * np.exp(-squares / (2 * self.width**2))

    def encode(self, u, state, first, steps, dt):
        """Return steps and units of the spikes, and nothing to remember."""
        return _poisson(self.rates(u), self.seed, first, steps, dt), _nothing(u)


@dataclass(frozen=True, eq=False, repr=False)
class StepForward(_SourceEncoder):
    """Spike when the input has moved by a threshold since the last spike: delta modulation, ON and OFF units.

    A baseline starts at 0. A sample u crosses as many thresholds as fit between the baseline and u, at most as many as
    the sample has steps; each is a spike and moves the baseline by one threshold, up (ON) or down (OFF). The spikes of
    a sample are spread evenly over its steps, the first one at its first step. So the baseline is the input as read
    off the spikes, threshold * (ON spikes - OFF spikes) so far, and stays within a threshold of it while the input
    moves by no more than steps * threshold per sample; after a faster move it catches up.

    Parameters
    ----------
    source : Group
        ``net.add(SpikeSource(2 * m, [], []))``: units 0 to m - 1 are the ON units of the m channels, m to 2 m - 1 their
        OFF units.
    threshold : float or array, shape (m,)
        Distance between two levels, in units of the input.

    References
    ----------
    B. Petro, N. Kasabov, R. M. Kiss (2020), Selection and optimization of temporal spike encoding methods for spiking
    neural networks, IEEE Trans. Neural Netw. Learn. Syst. 31, 358 (one crossing per sample there).

    Examples
    --------
    >>> from penstock.spiking import Network, SpikeSource, StepForward
    >>> source = Network().add(SpikeSource(2, [], []), name="source")
    >>> (at, ids), crossings = StepForward(source, 0.5).encode(np.array([[1.2], [0.4]]), np.zeros(1), 0, 10, 0.1)
    >>> at, ids
    (array([ 0,  5, 10]), array([0, 0, 1], dtype=uint32))
    >>> 0.5 * crossings[:, 0]  # the baseline
    array([1. , 0.5])
    """

    threshold: Any

    def __post_init__(self):
        _check_source(self.source)
        if len(self.source) % 2:
            raise ValueError(f"source must have an ON and an OFF unit per channel, got {len(self.source)} units")
        threshold = as_vector("threshold", as_numbers("threshold", self.threshold), self.n_inputs)
        if threshold.min() <= 0:
            raise ValueError(f"threshold must be above 0, got {threshold.min():g}")
        _set(self, threshold=threshold)

    @property
    def n_inputs(self) -> int:
        """Channels of a sample: half the units."""
        return len(self.source) // 2

    @property
    def n_states(self) -> int:
        """One per channel: the baseline in thresholds, a whole number."""
        return self.n_inputs

    def encode(self, u, state, first, steps, dt):
        """Return steps and units of the spikes, and the baselines after every sample in thresholds, (T, m)."""
        levels = np.empty(np.shape(u))
        _follow(u / self.threshold, np.rint(state), float(steps), levels)
        moves = np.diff(levels, axis=0, prepend=np.rint(state)[None]).astype(np.int64)
        sample, channel = np.nonzero(moves)
        counts = np.abs(moves[sample, channel])
        order = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        at = np.repeat(sample, counts) * steps + order * steps // np.repeat(counts, counts)
        unit = np.where(moves[sample, channel] > 0, channel, channel + self.n_inputs)
        return _in_order(at, np.repeat(unit, counts)), levels


@dataclass(frozen=True, eq=False, repr=False)
class Latency(_SourceEncoder):
    """Let every unit spike once per sample, the earlier the larger its input.

    The spike comes at step ``rint((1 - x) (steps - 1))`` of the sample, x = (u - u_min) / (u_max - u_min): at the first
    step for u_max and above, at the last for u_min and below.

    Parameters
    ----------
    source : Group
        ``net.add(SpikeSource(m, [], []))``, one unit per channel.
    u_min, u_max : float or array, shape (m,)
        Range of the input; values outside count as its ends.

    Examples
    --------
    >>> from penstock.spiking import Latency, Network, SpikeSource
    >>> source = Network().add(SpikeSource(2, [], []), name="source")
    >>> (at, ids), _ = Latency(source, 0.0, 1.0).encode(np.array([[1.0, 0.1], [0.5, 7.0]]), np.zeros(0), 0, 11, 0.1)
    >>> at, ids
    (array([ 0,  9, 11, 16]), array([0, 1, 1, 0], dtype=uint32))
    """

    u_min: Any
    u_max: Any

    def __post_init__(self):
        _check_source(self.source)
        u_min, u_max = (
            as_vector(name, as_numbers(name, value), self.n_inputs)
            for name, value in (("u_min", self.u_min), ("u_max", self.u_max))
        )
        wrong = np.flatnonzero(~(u_min < u_max))
        if wrong.size:
            raise ValueError(f"u_min must be below u_max, got u_min={u_min[wrong[0]]:g} and u_max={u_max[wrong[0]]:g}")
        _set(self, u_min=u_min, u_max=u_max)

    def encode(self, u, state, first, steps, dt):
        """Return steps and units of the spikes, and nothing to remember."""
        part = np.clip((u - self.u_min) / (self.u_max - self.u_min), 0.0, 1.0)
        at = np.rint((1.0 - part) * (steps - 1)).astype(np.int64) + steps * np.arange(len(part))[:, None]
        return _in_order(at.ravel(), np.tile(np.arange(self.n_inputs), len(part))), _nothing(u)


@dataclass(frozen=True, eq=False, repr=False)
class SpikesIn(_SourceEncoder):
    """Take spike trains as they are: a channel above 0.5 is a spike of its unit at the first step of the sample.

    Parameters
    ----------
    source : Group
        ``net.add(SpikeSource(m, [], []))``, one unit per channel.

    Examples
    --------
    >>> from penstock.spiking import Network, SpikesIn, SpikeSource
    >>> source = Network().add(SpikeSource(2, [], []), name="source")
    >>> (at, ids), _ = SpikesIn(source).encode(np.array([[0, 1], [0, 0], [1, 1]]), np.zeros(0), 0, 10, 0.1)
    >>> at, ids
    (array([ 0, 20, 20]), array([1, 0, 1], dtype=uint32))
    """

    def __post_init__(self):
        _check_source(self.source)

    def encode(self, u, state, first, steps, dt):
        """Return steps and units of the spikes, and nothing to remember."""
        sample, ids = np.nonzero(np.asarray(u) > 0.5)
        return (sample * steps, ids.astype(np.uint32)), _nothing(u)


# Checks


def _set(record, **fields):
    for name, value in fields.items():
        object.__setattr__(record, name, value)


def _as_group(name, group):
    if not isinstance(group, Group):
        raise TypeError(f"{name} must be a group that net.add returned, got {group!r}")


def _check_neurons(group):
    _as_group("group", group)
    if group.population.is_source:
        raise ValueError(
            f"group must be neurons, got the source {group.name!r}; PoissonRates and the like feed sources"
        )
    if not group.is_range:
        raise ValueError(f"group must be an unbroken range of units of {group.name!r}, such as group[10:20]")


def _check_source(group):
    _as_group("source", group)
    if not isinstance(group.model, SpikeSource):
        raise ValueError(
            f"source must be a SpikeSource(n, [], []) of the network, got {group!r}; CurrentInjection feeds neurons"
        )
    if group.model.ids.size:
        raise ValueError(f"source must have no spikes of its own, SpikeSource(n, [], []), got {group.model!r}")
    if not group.whole:
        raise ValueError(f"source must be the whole of {group.name!r}, got {len(group)} of its units")


def _as_gain(name, value, n):
    """Return a read-only matrix (n, m); (n,) is one column."""
    matrix = as_finite_array(name, as_numbers(name, value, ndim=(1, 2)))
    matrix = np.array(matrix[:, None] if matrix.ndim == 1 else matrix)
    if len(matrix) != n or not matrix.shape[1]:
        raise ValueError(f"{name} must have shape ({n}, m) or ({n},), one row per unit, got {np.shape(value)}")
    matrix.flags.writeable = False
    return matrix


# What the rules share


def _nothing(u):
    return np.zeros((len(u), 0))


def _affine(u, gain, offset):
    """Return ``u gain' + offset``, channel by channel: a matrix product would round by the number of samples."""
    out = np.empty((len(u), len(offset)))
    out[:] = offset
    for channel, column in zip(np.asarray(u).T, gain.T, strict=True):
        out += channel[:, None] * column
    return out


def _in_order(at, ids):
    order = np.lexsort((ids, at))
    return at[order], ids[order].astype(np.uint32)


def _poisson(rates, seed, first, steps, dt):
    """Return steps and units of spikes at `rates` (T, n) in Hz, each held for `steps` steps."""
    if rates.size and rates.max() * dt > 1000.0:
        raise ValueError(
            f"rates must be at most 1000 / dt = {1000 / dt:g} Hz, one spike per step of dt={dt:g} ms, "
            f"got {rates.max():g} Hz; lower the gain, or take a smaller dt"
        )
    probability = rates * (dt / 1000.0)
    size = max(1, _BLOCK // (steps * max(1, rates.shape[1])))  # samples at a time
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for t in range(0, len(rates), size):
        p = np.repeat(probability[t : t + size], steps, axis=0)
        at, ids = np.nonzero(_uniforms(seed, (first + t) * steps, *p.shape) < p)
        found.append((at + t * steps, ids))
    at, ids = (np.concatenate(part) for part in zip(*found, strict=True))
    return at, ids.astype(np.uint32)


def _uniforms(seed, step, n_steps, n_units):
    """Return uniform numbers (n_steps, n_units) in [0, 1) that depend on seed, step and unit alone.

    Philox is a function of its key and a counter, four numbers per count: a step has as many counts as its units need.
    """
    counts = -(-n_units // 4)
    bits = np.random.Philox(key=seed.generate_state(2, np.uint64))
    bits.advance(step * counts)
    return np.random.Generator(bits).random((n_steps, 4 * counts))[:, :n_units]


_BLOCK = 2**20  # random numbers at a time


# Kernel


@njit(cache=True, nogil=True, error_model="numpy")
def _follow(u, level, most, out):
    """Let whole-numbered levels (m,) follow u (T, m), at most `most` per sample and never beyond; fill out (T, m)."""
    for c in range(u.shape[1]):
        x = level[c]
        for t in range(u.shape[0]):
            x += min(max(np.trunc(u[t, c] - x), -most), most)
            out[t, c] = x
