"""Build a spiking network from populations, synapses and inputs, and run it in one compiled loop."""

import os
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from inspect import isfunction
from typing import Any

import numpy as np

from penstock.checks import as_positive_float, generators, seed_sequence
from penstock.spiking import kernels as K
from penstock.spiking.clock import steps_of, steps_of_each
from penstock.spiking.flat import Flat, flatten
from penstock.spiking.group import Group, Population, whole
from penstock.spiking.plasticity import SynapticScaling, ThresholdHomeostasis, modulation_of
from penstock.spiking.projection import Learning, Projection, arrange, checked
from penstock.spiking.recording import Recorder, Recording, record_run
from penstock.spiking.values import as_numbers

__all__ = ["Group", "Network", "Projection"]


@dataclass(frozen=True)
class Drive:
    """An input that acts on the neurons of a group without synapses in between."""

    target: Group
    source: Any
    seed: np.random.SeedSequence
    state_name: str | None  # of the state that kicks change; None: a current


class Network:
    """Populations of neurons, the synapses between them and the inputs to them, advanced in steps of `dt`.

    Every step k (from time k dt to (k + 1) dt) runs the same phases for all populations. `timing` says which:

    - ``"brian2"``: integrate; find the potentials *above* threshold and label these spikes k dt; deliver the spikes
      that arrive in this step (a delay of 0 arrives in the step of the spike itself); reset those that spiked. After a
      spike the potential is held for ``t_ref / dt - 1`` updates.
    - ``"nest"``: integrate; deliver; find the potentials *at or above* threshold, reset them at once and label these
      spikes (k + 1) dt. After a spike the potential is held for ``t_ref / dt`` updates. Delays are at least `dt`.

    With delays of at least `dt` both give the same spikes, one step apart in label, if "brian2" has a refractory period
    longer by `dt`.

    Parameters
    ----------
    dt : float
        Time step (ms). Delays and refractory periods must be multiples of it.
    timing : {"brian2", "nest"}
        The order of operations.
    seed : int or SeedSequence
        Source of everything random: connections, weights, initial values, noise. Each object draws from a stream of
        its own, by the order in which they are made: one more at the end, or a recorder anywhere, changes no other
        number.

    References
    ----------
    Stimberg, M., Brette, R. & Goodman, D. (2019), eLife 8, e47314 (Brian 2). Gewaltig, M.-O. & Diesmann, M. (2007),
    Scholarpedia 2, 1430 (NEST).

    Examples
    --------
    >>> from penstock.spiking import LIF, Exponential, Network, PoissonGroup, probability
    >>> net = Network(dt=0.1, seed=1)
    >>> noise = net.add(PoissonGroup(200, rate=50.0), name="noise")
    >>> cells = net.add(LIF(100, tau_m=20.0, C_m=200.0, t_ref=2.0), name="cells")
    >>> _ = net.connect(noise, cells, Exponential(tau=5.0), probability(0.2), weight=40.0)
    >>> net.record(cells, "spikes")
    >>> net.run(100.0).spikes["cells"].n
    100
    """

    def __init__(self, dt: float = 0.1, timing: str = "brian2", seed=0):
        self.dt = as_positive_float("dt", dt)
        if timing not in ("brian2", "nest"):
            raise ValueError(f'timing must be "brian2" or "nest", got {timing!r}')
        self.timing = timing
        self._seeds = seed_sequence(seed)
        self._n_seeds = 0  # given away
        self.step = 0
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.drives: list[Drive] = []
        self.recorders: list[Recorder] = []
        self._flat: Flat | None = None
        self._old: Flat | None = None
        self._streams: dict[tuple[int, ...], Any] = {}
        self._whole_steps = True  # False while a run is under way, and for good if it is broken off

    def __deepcopy__(self, memo):
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(deepcopy(self.__dict__, memo))
        twin._changed()  # its states are no longer views into its layout
        return twin

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._changed()  # pickled arrays are no longer views into the layout

    def __repr__(self):
        lines = [f'Network(dt={self.dt:g} ms, timing="{self.timing}", at {self.time:g} ms)']
        lines += [f"  {p.name}: {p.model!r}" for p in self.populations]
        lines += [f"  {p!r}" for p in self.projections]
        lines += [f"  {d.source!r} into {d.target.name}" for d in self.drives]
        return "\n".join(lines)

    @property
    def time(self) -> float:
        """Model time that has been run (ms)."""
        return round(self.step * self.dt, 9)

    @property
    def groups(self) -> list[Group]:
        """The whole populations, in the order they were added."""
        return [whole(p) for p in self.populations]

    # ------------------------------------------------------------------------------------------------------ building
    def add(self, model, name: str | None = None, **initial) -> Group:
        """Add a population of neurons or a source of spikes; return its group.

        Parameters
        ----------
        model : LIF, ALIF, AdEx, Izhikevich, Izhikevich2007, PoissonGroup, SpikeSource
            The neurons, with their number.
        name : str, optional
            Name in recordings; ``"group0"``, … if not given.
        **initial : float, array (n,) or law
            Initial values of states (``v=…`` in mV); those of the model where not given. The u of an `Izhikevich`
            follows the v that is given: u = b v.
        """
        if isinstance(model, type) or not (hasattr(model, "coefficients") or hasattr(model, "stream")):
            raise TypeError(f"model must be a population of neurons or a source of spikes, got {model!r}")
        if not hasattr(model, "n"):
            raise TypeError(f"{model!r} acts on neurons of a group: net.stimulate(group, …)")
        name = f"group{len(self.populations)}" if name is None else name
        if not isinstance(name, str) or not name:
            raise TypeError(f"name must be a text, got {name!r}")
        if name in [p.name for p in self.populations]:
            raise ValueError(f"name must be new in the network, got {name!r} again")
        with self._all_or_nothing():
            population = Population(name, model, self, self._spawn())
            defaults = {} if population.is_source else model.initial()
            self._check_memory(8 * model.n * (2 + 2 * len(defaults)), f"population {name!r}")
            if population.is_source:  # what does not fit says so
                model.stream(self.dt, generators(population.seed, 1)[0], int(self.timing == "nest"))
            else:
                steps_of_each(f"t_ref of {name!r}", model.t_ref, self.dt)
                model.coefficients(self.dt, False)
            _know(name, defaults, initial)
            given = {variable: self._drawn(variable, value, model.n) for variable, value in initial.items()}
        if "v" in given:
            defaults |= model.following(given["v"])
        for variable, value in (defaults | given).items():
            population.write(variable, value)
        self.populations.append(population)
        self._changed()
        return whole(population)

    def connect(
        self,
        pre: Group,
        post: Group,
        synapse,
        connector,
        *,
        weight=None,
        delay=None,
        short_term=None,
        plasticity=None,
    ) -> Projection:
        """Connect two groups; return the projection.

        Parameters
        ----------
        pre, post : Group
            Where spikes come from and where they go: groups of this network, unbroken ranges of units.
        synapse : Delta, Pulse, Exponential, Alpha, DoubleExponential or Modulation
            What an arriving spike does.
        connector : callable
            Who is connected: ``probability(p)``, ``all_to_all()``, ``from_edges(…)`` and the like.
        weight : float, array (n_synapses,) or law
            mV for `Delta`, pA for currents, nS for conductances. Arrays follow the order of source, then target. None:
            the weights that the connector brings.
        delay : float, array (n_synapses,) or law, optional
            From spike to arrival (ms), a multiple of dt. Laws are rounded to the grid, half a step up, and cut at the
            least delay. None: the delays that the connector brings, or else the least delay, 0 ("brian2") or dt
            ("nest").
        short_term : TsodyksMarkram, optional
            Short-term plasticity of each synapse.
        plasticity : PairSTDP, TripletSTDP, InhibitorySTDP, ThreeFactor or LocalLearning, optional
            Rule by which spikes change the weights, which must lie within its bounds. With a `short_term` too, that
            one scales what the weight of the moment does.

        Returns
        -------
        Projection
            Its ``edges()`` and ``weights``. Made between two runs, it carries the spikes from then on.
        """
        self._own(pre, "pre")
        self._own(post, "post")
        if post.population.is_source:
            raise ValueError(f"post must be a population of neurons, got the source {post.name!r}")
        for name, group in (("pre", pre), ("post", post)):
            if not group.is_range:
                raise ValueError(f"{name} must be an unbroken range of units of {group.name!r}, such as group[10:20]")
        if isinstance(synapse, type) or not hasattr(synapse, "decay"):
            raise TypeError(f"synapse must be Delta(), Exponential(…) and the like, got {synapse!r}")
        if not callable(connector) or (isfunction(connector) and connector.__module__ in _CONNECTOR_MAKERS):
            raise TypeError(f"connector must be probability(…), all_to_all() and the like, got {connector!r}")
        if short_term is not None and (isinstance(short_term, type) or not hasattr(short_term, "draw")):
            raise TypeError(f"short_term must be TsodyksMarkram(…) or None, got {short_term!r}")
        if plasticity is not None and (isinstance(plasticity, type) or not hasattr(plasticity, "check_weights")):
            raise TypeError(f"plasticity must be PairSTDP(…) and the like or None, got {plasticity!r}")
        if plasticity is not None:
            plasticity.check_model(post)
        self._check_synapses(connector, pre, post, weight, delay, short_term, plasticity)
        diagonal = pre.start - post.start if pre.population is post.population else None
        with self._all_or_nothing():
            rng_edges, rng_values = generators(self._spawn(), 2)
            edges = checked(connector(len(pre), len(post), rng_edges, diagonal), len(pre), len(post))
            least = int(self.timing == "nest")
            synapses = arrange(
                edges, weight=weight, delay=delay, short_term=short_term, dt=self.dt, least=least, rng=rng_values
            )
            learning = None
            if plasticity is not None:
                plasticity.check_weights(synapses.weights, f"{pre.name!r} -> {post.name!r}")
                synapses = synapses._replace(weights=np.array(np.broadcast_to(synapses.weights, synapses.targets.size)))
                learning = Learning.of(plasticity, len(pre), len(post), synapses)
            longest = int(max(synapses.delay_steps, default=0))
            self._check_memory(self._ring(longest), f"spikes on their way to {post.name!r}")
            state_name = post.population.receptor(synapse, self.dt)
        self.projections.append(
            Projection(
                pre, post, synapse, state_name, self.dt, *synapses,
                since=self.step, plasticity=plasticity, learning=learning,
            )
        )  # fmt: skip
        self._changed()
        return self.projections[-1]

    def _check_synapses(self, connector, pre, post, weight, delay, short_term, plasticity):
        """Refuse more synapses than fit in memory, if the connector knows how many it will make."""
        if hasattr(connector, "expected"):
            each = 4 + 8 * (callable(weight) or np.ndim(weight) > 0) + 24 * (callable(delay) or np.ndim(delay) > 0)
            each += 48 * (short_term is not None) + 40 * (plasticity is not None)
            expected = connector.expected(len(pre), len(post))
            self._check_memory(int(expected * each), f"about {expected:.3g} synapses {pre.name!r} -> {post.name!r}")

    def stimulate(self, target: Group, drive) -> None:
        """Let a current (pA) or a `PoissonInput` act on the neurons of a group.

        Parameters
        ----------
        target : Group
            Neurons of this network.
        drive : StepCurrent, RampCurrent, ArrayCurrent, OUCurrent or PoissonInput
            The input; its value at time k dt acts during step k.
        """
        self._own(target, "target")
        if target.population.is_source:
            raise ValueError(f"target must be a population of neurons, got the source {target.name!r}")
        if not target.is_range:
            raise ValueError(f"target must be an unbroken range of units of {target.name!r}, such as group[10:20]")
        if isinstance(drive, type) or not hasattr(drive, "stream"):
            raise TypeError(f"drive must be a current or a PoissonInput, got {drive!r}")
        if hasattr(drive, "n"):
            raise TypeError(f"{drive!r} is a source of spikes: net.add it, then net.connect it")
        with self._all_or_nothing():
            seed = self._spawn()
            drive.stream(len(target), self.dt, generators(seed, 1)[0])  # what does not fit says so here
            synapse = getattr(drive, "synapse", None)
            name = None if synapse is None else target.population.receptor(synapse, self.dt)
        self.drives.append(Drive(target, drive, seed, name))
        self._changed()

    def regulate(self, what, rule) -> None:
        """Let a slow rule hold rates near a target.

        Parameters
        ----------
        what : Group or Projection
            A whole population of neurons with a threshold (`LIF`, `ALIF`) for a `ThresholdHomeostasis`, whose state
            ``"shift"`` (mV) is added to it; what `connect` returned for a `SynapticScaling`.
        rule : ThresholdHomeostasis or SynapticScaling
            The rule.
        """
        if isinstance(rule, SynapticScaling):
            self._scale(what, rule)
        elif isinstance(rule, ThresholdHomeostasis):
            self._shift(what, rule)
        else:
            raise TypeError(f"rule must be ThresholdHomeostasis(…) or SynapticScaling(…), got {rule!r}")
        self._changed()

    def _scale(self, projection, rule):
        if not isinstance(projection, Projection):
            raise TypeError(f"what must be a projection that net.connect returned, for {rule!r}, got {projection!r}")
        if not any(projection is p for p in self.projections):
            raise ValueError(f"what must be a projection of this network, got {projection!r} of another one")
        if projection.scaling is not None:
            raise ValueError(f"{projection!r} is scaled already")
        steps_of("every", rule.every, self.dt, 1)
        projection.given_weights = np.array(np.broadcast_to(projection.given_weights, projection.targets.size))
        projection.scaling, projection.counts = rule, np.zeros(len(projection.post))

    def _shift(self, group, rule):
        self._own(group, "what")
        population = group.population
        if not group.whole:
            raise ValueError(f"what must be the whole population {group.name!r}, got {group!r}")
        if population.is_source or not hasattr(population.model, "V_th"):
            raise ValueError(
                f"{rule!r} needs neurons with a threshold V_th (LIF, ALIF), got {group.name!r}: {population.model!r}"
            )
        if "shift" in population.states:
            raise ValueError(f"{group.name!r} must have no state 'shift' yet, got one of a synapse or an earlier rule")
        population.homeostasis = rule
        population.write("shift", 0.0)

    def set(self, group: Group, **values) -> None:
        """Set states of a group: ``net.set(cells, v=Uniform(-60, -50), g=0.0)``; numbers, arrays (n,) or laws.

        Only these: no other state follows. Before the first run they are initial values, to which `reset` returns.
        """
        self._own(group, "group")
        _know(group.name, group.population.states, values)
        with self._all_or_nothing():
            drawn = {name: self._drawn(name, value, len(group)) for name, value in values.items()}
        for name, value in drawn.items():
            group.population.write(name, value, group.units, initial=self.step == 0)

    def get(self, group: Group, name: str) -> np.ndarray:
        """Return the present values of a state, one per unit of the group."""
        self._own(group, "group")
        _know(group.name, group.population.states, [name])
        return group.population.states[name][group.units].copy()

    def record(self, group: Group, variable: str, every: float | None = None) -> None:
        """Keep something of a group for the result of every later run.

        Parameters
        ----------
        group : Group
            Any units of this network.
        variable : str
            ``"spikes"``; ``"rate"`` (spikes per unit and second); or a state: ``"v"``, ``"u"``, ``"g"``, …
        every : float, optional
            Interval of the samples of a state (ms; default dt), or the width of the bins of a rate (ms; default 1).
            The sample at time t is the state after t / dt steps.
        """
        self._own(group, "group")
        if not isinstance(variable, str):
            raise TypeError(f'variable must be a name such as "spikes" or "v", got {variable!r}')
        if variable not in ("spikes", "rate"):
            _know(group.name, group.population.states, [variable])
        if variable == "spikes":
            if every is not None:
                raise ValueError(f"every must be None for spikes, which are all kept, got {every!r}")
            interval = 1
        else:
            default = self.dt if variable != "rate" else max(1.0, self.dt)
            interval = steps_of("every", default if every is None else every, self.dt, 1)
        if (group.name, variable) in [(r.group.name, r.variable) for r in self.recorders]:
            raise ValueError(f"{variable!r} of {group.name!r} is recorded already; record all units wanted at once")
        if variable == "rate" and not group.is_range:
            raise ValueError(f"the rate needs an unbroken range of units of {group.name!r}, such as group[10:20]")
        self.recorders.append(Recorder(group, variable, interval))

    # ------------------------------------------------------------------------------------------------------- running
    def run(self, duration: float, progress: bool = True) -> Recording:
        """Advance the network by `duration` (ms) from where it stands; return what was recorded on the way.

        Raises
        ------
        ValueError
            If `duration` is no multiple of dt, or something in the network is neither connected nor recorded.
        MemoryError
            If what is to be recorded does not fit.
        FloatingPointError
            If a state is no longer finite; the message names the step and the unit.
        RuntimeError
            If the last run was broken off, by such an error or by the user: `reset` comes first.
        """
        steps = steps_of("duration", duration, self.dt, 1)
        if not self._whole_steps:
            raise RuntimeError("the last run was broken off, its inputs are out of step; net.reset() starts anew")
        self._check_idle()
        for projection in self.projections:
            modulation_of(projection)
        self._check_memory(sum(r.bytes(self.step, steps) for r in self.recorders), "what is to be recorded")
        if self._flat is None:
            self._flat = flatten(
                self.populations,
                self.projections,
                dt=self.dt,
                nest=self.timing == "nest",
                step=self.step,
                old=self._old,
            )
        self._complete_streams(self.step)
        self._whole_steps = False
        recording = record_run(self, steps, progress)
        self._whole_steps = True
        return recording

    def reset(self) -> None:
        """Return to time 0: initial states, no spikes on their way, and the random numbers from their beginning.

        Initial states are those set before the first run; weights, learned ones too, stay as they are; what plasticity
        remembers of spikes (traces, eligibilities) is forgotten.
        """
        for population in self.populations:
            for name, values in population.initial.items():
                population.states[name][:] = values
            population.ready[:] = 0
        for projection in self.projections:
            projection.since = 0
            if projection.short_term is not None:
                projection.short_term[5] = -1.0
            if projection.learning is not None:
                projection.given_weights[:] = projection.weights
                projection.learning.forget()
            if projection.counts is not None:
                projection.counts[:] = 0.0
        self.step, self._streams, self._old, self._whole_steps = 0, {}, None, True
        if self._flat is not None:
            self._flat.history[1][:] = 0
            self._flat.projections[:, K.SINCE] = 0

    def memory(self, duration: float = 0.0) -> int:
        """Return the bytes that the network takes, with the recorded states and rates of a run of `duration` (ms)."""
        steps = steps_of("duration", duration, self.dt)
        arrays = [a for p in self.populations for a in [*p.states.values(), p.ready]]
        for p in self.projections:
            arrays += [p.pointers, p.targets, p.given_weights] + ([] if p.short_term is None else [p.short_term])
            arrays += [] if p.learning is None else p.learning.arrays
            arrays += [] if p.counts is None else [p.counts]
        recorded = sum(r.bytes(self.step, steps) for r in self.recorders)
        return sum(a.nbytes for a in arrays) + self._ring() + recorded

    # ------------------------------------------------------------------------------------------------------- helpers
    def _ring(self, longest: int = 0) -> int:
        """Return the bytes of the spikes of as many steps as the longest delay has."""
        longest = max([longest, *[int(p.delay_steps[0]) for p in self.projections if p.delay_steps.size]])
        return (longest + 1) * (4 * sum(p.n for p in self.populations) + 8 * len(self.populations))

    def _spawn(self) -> np.random.SeedSequence:
        key = (*self._seeds.spawn_key, self._n_seeds)
        self._n_seeds += 1
        return np.random.SeedSequence(self._seeds.entropy, spawn_key=key)

    @contextmanager
    def _all_or_nothing(self):
        """Take back the seeds of a call that fails, so that the next one draws what it would have drawn without it."""
        n_seeds = self._n_seeds
        try:
            yield
        except BaseException:
            self._n_seeds = n_seeds
            raise

    def _drawn(self, name, value, n) -> np.ndarray:
        """Return a number, an array (n,) or the draws of a law."""
        values = as_numbers(name, value(np.random.default_rng(self._spawn()), n) if callable(value) else value)
        if values.size not in (1, n):
            raise ValueError(f"{name} must be one number or one for each of {n} units, got {values.size}")
        return values

    def _changed(self):
        """Forget the layout; the next run makes it anew and carries the spikes on their way over."""
        self._old, self._flat = self._flat or self._old, None

    def _own(self, group, name):
        if not isinstance(group, Group):
            raise TypeError(f"{name} must be a group that net.add returned, got {group!r}")
        if group.population.network is not self:
            raise ValueError(f"{name} must be a group of this network, got {group.name!r} of another one")

    def _check_idle(self):
        """Refuse what would run without any effect."""
        if not self.populations:
            raise ValueError("the network is empty: net.add(LIF(100)) adds a population")
        used = {id(p.pre.population) for p in self.projections} | {id(p.post.population) for p in self.projections}
        used |= {id(r.group.population) for r in self.recorders}
        for population in self.populations:
            if id(population) not in used:
                raise ValueError(
                    f"{population.name!r} is neither connected nor recorded: nobody would see what it does"
                )

    def _check_memory(self, needed: int, what: str):
        free = _available_memory()
        if needed > free:
            raise MemoryError(f"{what} would take {needed / 2**30:.3g} GiB, {free / 2**30:.3g} GiB are available")

    def _start_streams(self):
        self._streams = {}
        self._complete_streams(0)

    def _complete_streams(self, step):
        """Make the streams of random numbers and inputs that are missing, and move them to a step."""
        shift = int(self.timing == "nest")
        for p in self.populations:
            if p.seed.spawn_key not in self._streams:
                if p.is_source:
                    stream = p.model.stream(self.dt, np.random.default_rng(p.seed), shift)
                    self._streams[p.seed.spawn_key] = _moved(stream, step)
                elif p.noisy:
                    self._streams[p.seed.spawn_key] = np.random.default_rng(p.seed)
        for d in self.drives:
            if d.seed.spawn_key not in self._streams:
                stream = d.source.stream(len(d.target), self.dt, generators(d.seed, 1)[0])
                self._streams[d.seed.spawn_key] = _moved(stream, step)


def _moved(stream, step):
    """Return a stream that has given the numbers of all steps before `step`."""
    for k in range(0, step, 1000):
        stream.take(k, min(k + 1000, step))
    return stream


# functions of these files make connectors: given themselves, they were not called
_CONNECTOR_MAKERS = ("penstock.spiking.connectors", "penstock.spiking.edges")


def _know(name, states, wanted):
    """Raise unless a population has all states that are wanted."""
    for state in wanted:
        if state not in states:
            have = ", ".join(map(repr, states)) or "none"
            raise ValueError(f"{name!r} has no state {state!r}; its states are {have}")


def _available_memory() -> int:
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":") for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**62
