"""Run a network chunk by chunk and keep what its recorders ask for."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from penstock.progress import track
from penstock.spiking import kernels as K
from penstock.spiking.plasticity import next_visit, visit
from penstock.spiking.trains import SpikeTrains

__all__ = ["Keeper", "Rate", "Recorder", "Recording", "States", "advance_chunk", "record_run"]

_CHUNK = 2000  # steps between two returns to Python, which moves the progress bar
_TABLE = 1 << 17  # numbers of tabulated input prepared at a time: they stay in the cache
_LOG = 1 << 18  # spikes between two returns to Python, at least


@dataclass(frozen=True)
class Recorder:
    """What is kept of a group: spikes, its rate in bins or a state in intervals of `every` steps."""

    group: Any
    variable: str
    every: int

    def bytes(self, step: int, steps: int) -> int:
        """Return the memory of a run of `steps` from `step`; spikes, which nobody can know, count nothing."""
        if self.variable == "spikes":
            return 0
        if self.variable == "rate":
            return 8 * self.bins(step, steps)
        return 8 * len(self.group) * self.samples(step, steps)

    def samples(self, step: int, steps: int) -> int:
        """Return the number of samples of a state after the steps `step` to `step + steps`."""
        return (step + steps) // self.every - step // self.every

    def bins(self, step: int, steps: int) -> int:
        """Return the number of bins of a rate that these steps touch."""
        return -(-(step + steps) // self.every) - step // self.every


class States(NamedTuple):
    """Samples of a state.

    Parameters
    ----------
    times : array, shape (n_samples,)
        Times (ms).
    values : array, shape (n_samples, n_units)
        The state of each recorded unit at these times, in the unit of the state.
    units : array of int, shape (n_units,)
        The recorded units within their population.
    """

    times: np.ndarray
    values: np.ndarray
    units: np.ndarray

    def __repr__(self):
        return f"States({_span(self.times)}, {len(self.times)} samples of {len(self.units)} units)"

    def plot(self, ax=None, *, ylabel="v (mV)"):
        """Draw a line per unit over time (ms) and return the axes."""
        from penstock.spiking.plots import plot_states

        return plot_states(self, ax, ylabel=ylabel)


class Rate(NamedTuple):
    """Rate of a group in bins.

    A bin from a to b holds the spikes of the steps from a to b: of those labelled a <= t < b with ``timing="brian2"``,
    a < t <= b with ``timing="nest"``, where a spike has the time of the end of its step.

    Parameters
    ----------
    times : array, shape (n_bins + 1,)
        Edges of the bins (ms); the first and last may be cut by the run.
    values : array, shape (n_bins,)
        Spikes per unit and second (Hz).
    """

    times: np.ndarray
    values: np.ndarray

    def __repr__(self):
        return f"Rate({_span(self.times)}, {len(self.values)} bins, mean {np.mean(self.values):.4g} Hz)"


def _span(times) -> str:
    return f"{times[0]:g} to {times[-1]:g} ms" if len(times) else "empty"


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """What a run of a network recorded.

    Parameters
    ----------
    spikes : dict of str to SpikeTrains
        Spikes by name of the group; units are counted within the recorded group.
    states : dict of (str, str) to States
        Samples by names of group and state.
    rates : dict of str to Rate
        Rates by name of the group.
    t_start, t_stop : float
        Window of the run (ms).
    """

    spikes: dict[str, SpikeTrains]
    states: dict[tuple[str, str], States]
    rates: dict[str, Rate]
    t_start: float
    t_stop: float

    def __repr__(self):
        lines = [f"Recording({self.t_start:g} to {self.t_stop:g} ms)"]
        lines += [f"  spikes of {name!r}: {trains!r}" for name, trains in self.spikes.items()]
        lines += [f"  {v!r} of {name!r}: {s.values.shape} samples" for (name, v), s in self.states.items()]
        lines += [f"  rate of {name!r}: {rate.values.size} bins" for name, rate in self.rates.items()]
        return "\n".join(lines)

    def plot(self, ax=None):
        """Draw rasters, rates and states above each other and return the axes of the first."""
        from penstock.spiking.plots import plot_recording

        return plot_recording(self, ax)


def record_run(net, steps: int, progress: bool) -> Recording:
    """Advance a network whose layout is ready by `steps`; return what its recorders kept."""
    keeper = _Keeper(net, steps)
    chunk = _chunk_size(net)
    for first in track(range(0, steps, chunk), -(-steps // chunk), "network", progress):
        advance_chunk(net, min(chunk, steps - first), keeper)
    return keeper.recording()


def _chunk_size(net) -> int:
    width = sum(p.n for p in net.populations if p.noisy)
    width += sum(len(d.target) for d in net.drives)
    return int(np.clip(_TABLE // max(width, 1), 16, _CHUNK))


class Keeper(Protocol):
    """What `advance_chunk` hands its findings to.

    `log` are the buffers of spikes (units, steps), with room for those of all units in one step; `spikes` grows by
    arrays (steps, units, counted through all populations).
    """

    log: tuple[np.ndarray, np.ndarray]
    spikes: list[tuple[np.ndarray, np.ndarray]]

    def tables(self, step: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return recorders of states, their units, rows to fill, recorders of rates, counts to fill for a chunk."""

    def keep(self, step: int, steps: int, rows: np.ndarray, counts: np.ndarray) -> None:
        """Take the filled rows and counts of a chunk."""


class _Keeper:
    """The arrays that recorders fill."""

    def __init__(self, net, steps):
        self.net, self.start, self.steps = net, net.step, steps
        self.spikes: list[tuple[np.ndarray, np.ndarray]] = []  # steps and units, as they come
        n_log = max(_LOG, sum(p.n for p in net.populations))
        self.log = np.empty(n_log, np.uint32), np.empty(n_log, np.int64)
        logged = {id(r.group.population) for r in net.recorders if r.variable == "spikes"}
        net._flat.populations[:, K.LOGGED] = [id(p) in logged for p in net.populations]
        self.state_recorders = [r for r in net.recorders if r.variable not in ("spikes", "rate")]
        self.rate_recorders = [r for r in net.recorders if r.variable == "rate"]
        self.values = [np.empty((r.samples(net.step, steps), len(r.group))) for r in self.state_recorders]
        self.counts = [np.zeros(r.bins(net.step, steps), np.int64) for r in self.rate_recorders]

    def tables(self, step, steps):
        """Return the recorders of one chunk as the kernel reads them."""
        states = np.zeros((len(self.state_recorders), K.RECORDER_COLUMNS), np.int64)
        units, at, at_unit = [np.zeros(0, np.uint32)], 0, 0
        for row, r in zip(states, self.state_recorders, strict=True):
            place = r.group.population.place[r.variable]
            row[[K.STATE_AT, K.UNITS, K.N_UNITS, K.EVERY, K.ROWS_AT]] = place, at_unit, len(r.group), r.every, at
            at += r.samples(step, steps) * len(r.group)
            at_unit += len(r.group)
            units.append(r.group.units)
        rates = np.zeros((len(self.rate_recorders), K.RATE_COLUMNS), np.int64)
        at_bin = 0
        for row, r in zip(rates, self.rate_recorders, strict=True):
            population = self.net.populations.index(r.group.population)
            row[:] = population, r.group.start, len(r.group), r.every, at_bin
            at_bin += r.bins(step, steps)
        return states, np.concatenate(units), np.empty(at), rates, np.zeros(at_bin, np.int64)

    def keep(self, step, steps, rows, counts):
        """Take what one chunk recorded."""
        at = 0
        for values, r in zip(self.values, self.state_recorders, strict=True):
            n, done = r.samples(step, steps), r.samples(self.start, step - self.start)
            values[done : done + n] = rows[at : at + n * len(r.group)].reshape(n, len(r.group))
            at += n * len(r.group)
        at = 0
        for total, r in zip(self.counts, self.rate_recorders, strict=True):
            n, first = r.bins(step, steps), step // r.every - self.start // r.every
            total[first : first + n] += counts[at : at + n]
            at += n

    def recording(self) -> Recording:
        net, dt = self.net, self.net.dt
        t_start, t_stop = _ms(self.start, dt), _ms(self.start + self.steps, dt)
        steps = np.concatenate([np.zeros(0, np.int64), *[s for s, _ in self.spikes]])
        units = np.concatenate([np.zeros(0, np.int64), *[u for _, u in self.spikes]])
        label = _ms(steps + (net.timing == "nest"), dt)
        spikes = {}
        for r in net.recorders:
            if r.variable == "spikes":
                spikes[r.group.name] = _trains(r.group, label, units, t_start, t_stop, dt)
        states, rates = {}, {}
        for values, r in zip(self.values, self.state_recorders, strict=True):
            samples = self.start // r.every + 1 + np.arange(len(values))
            states[r.group.name, r.variable] = States(
                _ms(samples * r.every, dt), values, r.group.units.astype(np.int64)
            )
        for counts, r in zip(self.counts, self.rate_recorders, strict=True):
            edges = (self.start // r.every + np.arange(counts.size + 1)) * r.every
            edges = np.clip(edges, self.start, self.start + self.steps)
            width = np.diff(edges) * dt * len(r.group)
            rates[r.group.name] = Rate(_ms(edges, dt), 1000.0 * counts / width)
        return Recording(spikes, states, rates, t_start, t_stop)


def _ms(steps, dt):
    """Return times of steps (ms), free of the last digits of dt: 0.3, not 0.30000000000000004."""
    return np.round(steps * dt, 9) if isinstance(steps, np.ndarray) else round(steps * dt, 9)


def _trains(group, times, units, t_start, t_stop, dt) -> SpikeTrains:
    """Return the spikes of a group, its units counted from 0."""
    population = group.population
    number = np.full(population.n, -1, np.int64)
    number[group.units] = np.arange(len(group))
    mine = (units >= population.first) & (units < population.first + population.n)
    ids = number[units[mine] - population.first]
    return SpikeTrains(times[mine][ids >= 0], ids[ids >= 0], len(group), t_start=t_start, t_stop=t_stop, dt=dt)


def advance_chunk(net, steps: int, keeper: Keeper) -> None:
    """Run one chunk: prepare its inputs, call the kernel until all steps are done, take what it recorded."""
    flat = net._flat
    drives = _inputs(net, steps)
    recorders = keeper.tables(net.step, steps)
    log, ends, done = keeper.log, np.zeros(4, np.int64), 0
    outcome = K.FINISHED
    while outcome != K.DIVERGED and done < steps:
        stop = min(steps, next_visit(net.projections, net.step + done, net.dt) - net.step)
        clock = net.step, done, stop, net.timing == "nest"
        outcome = K.advance(
            clock, flat.populations, flat.receptors, flat.projections, drives, recorders, flat.neurons, flat.synapses,
            flat.history, log, ends,
        )  # fmt: skip
        keeper.spikes.append((log[1][: ends[1]].copy(), log[0][: ends[1]].astype(np.int64)))
        done = int(ends[0])
        if outcome == K.FINISHED:
            visit(net.projections, net.step + done, net.dt)
    if outcome == K.DIVERGED:
        _raise_divergence(
            net.populations[ends[2]], int(ends[3]) - 1, f"in step {net.step + done}", net.step + done, net.dt
        )
    if not np.isfinite(flat.neurons[0]).all():
        p = next(p for p in net.populations if any(not np.isfinite(values).all() for values in p.states.values()))
        finite = np.all([np.isfinite(values) for values in p.states.values()], axis=0)
        _raise_divergence(p, int(np.argmin(finite)), f"before step {net.step + steps}", net.step + steps, net.dt)
    keeper.keep(net.step, steps, recorders[2], recorders[4])
    net.step += steps


def _raise_divergence(p, unit, when, step, dt):
    wrong = [name for name, values in p.states.items() if not np.isfinite(values[unit])]
    verb = "is" if len(wrong) == 1 else "are"
    raise FloatingPointError(
        f"{p.name!r}, unit {unit}: {' and '.join(wrong)} {verb} no longer finite {when} (t = {_ms(step, dt):g} ms); "
        "a smaller dt or weaker input may help, net.reset() starts anew"
    )


def _inputs(net, steps: int):
    """Draw the inputs of a chunk: tables of currents, noise and kicks, and the spikes of sources."""
    flat, k = net._flat, net.step
    blocks: list[np.ndarray] = [np.zeros(1)]
    pointers, ids = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)]
    at = 1
    n_ids = n_pointers = 0
    for row, p in zip(flat.populations, net.populations, strict=True):
        if p.is_source:
            when, who = net._streams[p.seed.spawn_key].take(k, k + steps)
            row[K.EVENTS] = n_pointers
            pointers.append(np.searchsorted(when, np.arange(k, k + steps + 1)) + n_ids)
            ids.append(np.asarray(who, np.uint32))
            n_ids, n_pointers = n_ids + len(who), n_pointers + steps + 1
            continue
        current, hold = _current(net, p, k, steps)
        row[K.CURRENT] = row[K.NOISE] = -1
        if current is not None:
            row[K.CURRENT], row[K.CURRENT_WIDTH], row[K.CURRENT_HOLD] = at, current.shape[1], hold
            blocks.append(current.ravel())
            at += current.size
        if p.noisy:
            row[K.NOISE] = at
            blocks.append(net._streams[p.seed.spawn_key].standard_normal(steps * p.n))
            at += steps * p.n
    kicks = []
    for d in net.drives:
        if d.state_name is not None:
            amounts = net._streams[d.seed.spawn_key].take(k, k + steps) * d.source.synapse.gain
            kicks.append(np.zeros(K.KICK_COLUMNS, np.int64))
            post = d.target.population
            kicks[-1][K.KICK_AT] = post.place[d.state_name] + d.target.start
            kicks[-1][K.KICK_SIZE], kicks[-1][K.KICK_TABLE] = len(d.target), at
            kicks[-1][K.KICK_READY] = post.first + d.target.start if d.state_name == "v" else -1
            blocks.append(np.broadcast_to(amounts, (steps, len(d.target))).ravel())
            at += steps * len(d.target)
    table = np.concatenate(blocks)
    return np.array(kicks, np.int64).reshape(-1, K.KICK_COLUMNS), table, np.concatenate(pointers), np.concatenate(ids)


def _current(net, p, k, steps) -> tuple[np.ndarray | None, int]:
    """Return the sum of the currents into a population and the steps that a row of it holds.

    The sum is (rows, 1) if all units share it, else (rows, n). A stream with ``held`` gives rows that hold for longer
    than a step; that helps where nothing has to be added to them.
    """
    drives = [d for d in net.drives if d.target.population is p and d.state_name is None]
    streams = [net._streams[d.seed.spawn_key] for d in drives]
    if len(drives) == 1 and drives[0].target.whole and hasattr(streams[0], "held"):
        return streams[0].held(k, k + steps)
    total = None
    for d, stream in zip(drives, streams, strict=True):
        values = stream.take(k, k + steps)
        if not d.target.whole:
            part = slice(d.target.start, d.target.start + len(d.target))
            values, narrow = np.zeros((steps, p.n)), values
            values[:, part] = narrow
        total = values if total is None else total + values
    return total, 1
