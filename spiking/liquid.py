"""A spiking network as a System: inputs encoded into currents or spikes, filtered spikes as the state that is read."""

import copy
from typing import Any

import numpy as np

from penstock.checks import as_finite_array, as_finite_float, as_matrix
from penstock.recurrent import as_units
from penstock.spiking import kernels as K
from penstock.spiking import recording
from penstock.spiking.clock import steps_of
from penstock.spiking.decoders import FilteredSpikes
from penstock.spiking.flat import flatten
from penstock.spiking.group import Group
from penstock.spiking.liquid_state import Layout
from penstock.spiking.network import Drive, Network
from penstock.spiking.streams import InOrder
from penstock.spiking.surgery import connection_matrix, with_connections, with_neurons
from penstock.system import SystemDefaults

__all__ = ["Liquid"]


class Liquid(SystemDefaults):
    """Make a System of a spiking network, an encoder of its inputs and a decoder of its spikes.

    x_t = F(x_{t-1}, u_t): the encoder turns the input u_t into currents or spikes, the network runs for `dt` ms, the
    decoder reads its spikes. The state holds all that the network needs to go on, so that blocks, batches, closed loops
    and every analysis that needs no derivative work as with rate reservoirs. Its first units, the ``observed`` ones,
    are the filtered spikes of all neurons; behind them stand potentials, synaptic states, refractory times, spikes on
    their way, what the encoder remembers, and the number of samples so far. The zero vector stands for the network as
    it was before its first run.

    A perturbed state means something: it moves traces, potentials, synapses and resources, while the counters
    (refractory steps, spikes on their way, samples) are rounded to whole numbers and stay. But on a grid of times a
    tiny one moves no spike, and only decays: to `penstock.analysis.replica_growth` state a finite `delta`, the distance
    in which a mV, a pA and a spike on its way count 1 and more. `penstock.save` does not store networks; pickle does.

    Parameters
    ----------
    network : Network
        Neurons and synapses. A copy is taken: what happens to the network later does not touch the liquid. Plastic
        weights stay as they are.
    encoder : encoder
        `CurrentInjection`, `PoissonRates`, `PopulationRates`, `StepForward`, `Latency`, `SpikesIn` or your own: see
        `CurrentInjection` for what an encoder has to have.
    decoder : FilteredSpikes, optional
        How spikes are read; exponential traces of 30 ms by default.
    dt : float, optional
        Time that each input acts (ms), a multiple of the step of the network.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or a derivative is asked for: spikes make the map jump.
        `event_driven` gives exponents all the same, `penstock.analysis.replica_growth` rates at a finite size.
    ValueError
        If something in the network draws random numbers of its own, so that the next state would not follow from the
        present one, or the encoder's group belongs to another network.

    References
    ----------
    W. Maass, T. Natschläger, H. Markram (2002), Real-time computing without stable states: a new framework for neural
    computation based on perturbations, Neural Computation 14.

    Examples
    --------
    >>> from penstock.spiking import LIF, CurrentInjection, Exponential, Network, probability
    >>> net = Network(dt=0.5, seed=1)
    >>> cells = net.add(LIF(100, t_ref=2.0), name="cells")
    >>> _ = net.connect(cells, cells, Exponential(tau=5.0), probability(0.1), weight=30.0, delay=1.0)
    >>> liquid = Liquid(net, CurrentInjection.random(cells, scale=100.0, bias=400.0, seed=2), dt=10.0)
    >>> states = liquid.run(np.sin(np.arange(50) / 5))
    >>> states[:, liquid.observed].shape
    (50, 100)
    """

    def __init__(self, network: Network, encoder: Any, decoder: Any = None, *, dt: float = 10.0):
        if not isinstance(network, Network):
            raise TypeError(f"network must be a penstock.spiking.Network, got {network!r}")
        decoder = FilteredSpikes() if decoder is None else decoder
        if isinstance(decoder, type) or not hasattr(decoder, "decode"):
            raise TypeError(f"decoder must be FilteredSpikes(…) or None, got {decoder!r}")
        _check_encoder(encoder, network)
        self._build(network, encoder, decoder, as_finite_float("dt", dt))

    def _build(self, network, encoder, decoder, dt):
        """Lay out a copy of the network, which has a population with the name of the encoder's group."""
        self.encoder, self.decoder, self.dt = encoder, decoder, dt
        self._steps = steps_of("dt", dt, network.dt, 1)
        self._net, self._feed = _frozen(network, encoder)
        self._layout = Layout.of(self._net, encoder.n_states)
        self._initial = self._layout.initial(self._net)

    def __repr__(self):
        size = f"{self._layout.neurons.size} neurons, n_inputs={self.n_inputs}, dt={self.dt:g} ms"
        inside = repr(self._net).replace("\n", "\n  ")
        return f"Liquid({size})\n  {self.encoder!r}\n  {self.decoder!r}\n  {inside}"

    def __deepcopy__(self, memo):
        return copy.copy(self)

    def __getstate__(self):
        return self._net_before(), self.encoder, self.decoder, self.dt

    def __setstate__(self, state):
        self._build(*state)  # the arrays of a laid-out network are views of one another, which a copy would sever

    @property
    def n_units(self) -> int:
        """Length of the state."""
        return self._layout.size

    @property
    def n_inputs(self) -> int:
        """Channels that the encoder takes."""
        return self.encoder.n_inputs

    @property
    def n_neurons(self) -> int:
        """Neurons of all populations, which are the observed units."""
        return self._layout.neurons.size

    @property
    def observed(self) -> slice:
        """The decoded spikes."""
        return self._layout.observed

    def step(self, x, u):
        """Return the state after one sample."""
        x, u = self._point(x, u)
        out = np.empty((1, self.n_units))
        self._run(u[None], x, out)
        return out[0]

    def jacobian(self, x, u):
        """Refuse: between two spikes the derivative of the map misses how spike times shift."""
        raise TypeError(
            "a Liquid has no Jacobian: its map jumps where a spike appears, and its derivative elsewhere misses how "
            "spikes shift; event_driven(network) carries tangents through spikes exactly, "
            "penstock.analysis.replica_growth(liquid, u, delta=10.0) measures how perturbations of a stated size grow; "
            "without a finite delta they move no spike on the grid, and only decay"
        )

    def input_jacobian(self, x, u):
        """Refuse, as `jacobian` does."""
        self.jacobian(x, u)

    def _push(self, x, u, V, dU, tape):
        self.jacobian(x, u)

    def _run(self, u, x0, out) -> bool:
        if u.ndim == 3:
            return any([self._run(*series) for series in zip(u, x0, out, strict=True)])
        size = max(1, _CHUNK // (self._layout.places.size + self._steps))
        x = x0 if x0.any() else self._initial
        for first in range(0, len(u), size):
            part = slice(first, first + size)
            self._run_chunk(u[part], x, out[part])
            x = out[min(first + size, len(u)) - 1]
        return False

    def _run_chunk(self, u, x, out):
        """Fill `out` with the states after the samples u, from the state x on."""
        net, layout, steps = self._net, self._layout, self._steps
        earlier = layout.load(net, x, steps)
        start = net.step
        what, out[:, layout.encoder] = self.encoder.encode(u, x[layout.encoder], start // steps, steps, net.dt)
        self._feed.give(_as_encoded(what, self.encoder.group, len(u), steps), start, steps)
        sampler = _Sampler(net, layout, steps, len(u))
        recording.advance_chunk(net, len(u) * steps, sampler)
        at, units = sampler.log_of(start)
        out[:, layout.states] = sampler.rows
        ids = layout.number[units]
        when, ids = at[ids >= 0], ids[ids >= 0]
        self.decoder.decode(when, ids, x[layout.observed], steps=steps, dt=net.dt, out=out[:, layout.observed])
        hold = net._flat.neurons[2][layout.neurons]
        before = np.rint(x[layout.refractory])
        layout.write_refractory(when, ids, hold, before, steps, out[:, layout.refractory])
        if layout.longest:
            at, units = np.append(earlier[0] - start, at), np.append(earlier[1], units)
            layout.write_on_their_way(at, units, steps, out[:, layout.on_their_way])
        out[:, layout.clock] = start // steps + np.arange(1, len(u) + 1)

    def recurrent_matrix(self):
        """Return the weights between all neurons, a sparse matrix (n_neurons, n_neurons) by target and source.

        Parallel synapses are added up. Behind a reversal potential below the initial potential weights count as
        negative.
        """
        return connection_matrix(self._net)

    def with_recurrent(self, W):
        """Return the liquid with the weights W (n_neurons, n_neurons) between its neurons.

        Where W is 0 a synapse is taken out. An entry that had no synapse becomes one of the projection between the two
        populations, of its sign and its most frequent delay.

        Raises
        ------
        ValueError, TypeError
            If W has another shape, or a weight has no projection that could carry it.
        """
        W = as_matrix("W", W, (self.n_neurons, self.n_neurons), np.float64)
        return self._with(with_connections(self._net_before(), W), self.encoder)

    def keep_units(self, units):
        """Return the liquid of some of its neurons, ``units`` of ``range(n_neurons)``, with the synapses among them."""
        kept = as_units("units", units, self.n_neurons)
        net, encoder = self._net_before(), self.encoder
        if not encoder.group.population.is_source:
            encoder = _cut_encoder(encoder, net, kept)
        return self._with(with_neurons(net, kept), encoder)

    def _with(self, net, encoder):
        """Return a liquid of another network, whose populations have the same names."""
        twin = object.__new__(type(self))
        twin._build(net, encoder, self.decoder, self.dt)
        return twin

    def _net_before(self):
        """Return a copy of the network without the encoder's feed."""
        net = copy.deepcopy(self._net)
        net.drives = [d for d in net.drives if not isinstance(d.source, _Feed)]
        net.reset()
        return net

    @property
    def network(self) -> Network:
        """A copy of the network, at time 0."""
        return self._net_before()


def _cut_encoder(encoder, net, kept):
    """Return the encoder for the kept neurons of its group, its group renumbered as they will be."""
    if not hasattr(encoder, "of_units"):
        raise TypeError(f"encoder must have of_units(group, kept) for neurons to be taken out, got {encoder!r}")
    cells = [p for p in net.populations if not p.is_source]
    number = [p.name for p in cells].index(encoder.group.name)
    mine = kept - sum(p.n for p in cells[:number])
    mine = mine[(mine >= 0) & (mine < cells[number].n)]
    inside = np.isin(mine, encoder.group.units)
    if not inside.any():
        raise ValueError(f"units must leave neurons of {encoder.group!r}, which the encoder feeds")
    group = Group(encoder.group.population, np.flatnonzero(inside).astype(np.uint32))
    return encoder.of_units(group, np.searchsorted(encoder.group.units, mine[inside]))


class _Feed:
    """The stream that hands the network what the encoder made of a chunk of samples."""

    what: Any  # currents (samples, n), or steps and units of spikes

    def __init__(self, n, spikes):
        self.n, self.spikes = n, spikes

    def __repr__(self):
        return "the encoder"

    def give(self, what, start, steps):
        """Take the currents or spikes of the samples from step `start` on."""
        self.start, self.steps = start, steps
        if self.spikes:
            at, ids = what
            self.what = np.asarray(at, np.int64) + start, np.asarray(ids, np.uint32)
        else:
            self.what = np.asarray(what, np.float64)

    def take(self, k0, k1):
        """Return the spikes or currents of steps k0 <= k < k1."""
        if self.spikes:
            at, ids = self.what
            here = slice(*np.searchsorted(at, [k0, k1]))
            return at[here], ids[here]
        return self.what[(np.arange(k0, k1) - self.start) // self.steps]

    def held(self, k0, k1):
        """Return the currents of the samples in steps k0 <= k < k1, whole samples, and the steps that each holds."""
        return self.what[(k0 - self.start) // self.steps : (k1 - self.start) // self.steps], self.steps


class _Sampler:
    """The recorder of a liquid: all states at the end of every sample, all spikes."""

    def __init__(self, net, layout, steps, n_samples):
        flat = net._flat
        flat.populations[:, K.LOGGED] = 1
        n_log = _LOG + flat.history[0].shape[1]
        self.log = np.empty(n_log, np.uint32), np.empty(n_log, np.int64)
        self.spikes: list[tuple[np.ndarray, np.ndarray]] = []
        self.rows = np.empty((n_samples, layout.places.size))
        table = np.zeros((1, K.RECORDER_COLUMNS), np.int64)
        table[0, [K.N_UNITS, K.EVERY]] = layout.places.size, steps
        self.table = table, layout.places.astype(np.uint32)

    def tables(self, step, steps):
        """Return the recorders as the kernel reads them."""
        return *self.table, self.rows.reshape(-1), np.zeros((0, K.RATE_COLUMNS), np.int64), np.zeros(0, np.int64)

    def keep(self, step, steps, rows, counts):
        """Nothing: the rows are those of this object already."""

    def log_of(self, start):
        """Return step, counted from `start`, and unit of every spike."""
        steps, units = (np.concatenate(part) for part in zip(*self.spikes, strict=True))
        return steps - start, units


def _check_encoder(encoder, network):
    missing = [name for name in ("group", "n_inputs", "n_states", "encode") if not hasattr(encoder, name)]
    if isinstance(encoder, type) or missing:
        raise TypeError(f"encoder must be CurrentInjection(group, …) and the like, got {encoder!r}")
    if not isinstance(encoder.group, Group):
        raise TypeError(f"encoder.group must be a group that net.add returned, got {encoder.group!r}")
    if encoder.group.population.network is not network:
        raise ValueError(f"encoder must feed a group of the network given, got {encoder.group.name!r} of another one")
    if not (encoder.group.whole if encoder.group.population.is_source else encoder.group.is_range):
        raise ValueError(f"encoder.group must be a whole source or an unbroken range of neurons, got {encoder.group!r}")
    if all(p.is_source for p in network.populations):
        raise ValueError("network must have neurons, got sources of spikes only")


def _as_encoded(what, group, n_samples, steps):
    """Return what an encoder made of its samples if it is sound: the compiled run trusts it."""
    if not group.population.is_source:
        currents = as_finite_array("encode(…) currents", what)
        if currents.shape != (n_samples, len(group)):
            raise ValueError(f"encode(…) must return currents {(n_samples, len(group))}, got {currents.shape}")
        return currents
    at, ids = (np.asarray(part, np.int64) for part in what)
    order = at * len(group) + ids
    inside = at.size == 0 or (at[0] >= 0 and at[-1] < n_samples * steps and 0 <= ids.min() <= ids.max() < len(group))
    if not inside or np.any(np.diff(order) <= 0):
        raise ValueError(
            f"encode(…) must return spikes of {len(group)} units in {n_samples * steps} steps, sorted by step and "
            "unit, each at most once in a step"
        )
    return at, ids


def _frozen(network, encoder):
    """Return a copy of the network at time 0 that learns nothing, records nothing and draws no random numbers."""
    net = copy.deepcopy(network)
    net.reset()
    net.recorders = []
    for p in net.projections:
        p.given_weights = p.given_weights if p.plasticity is None else p.weights
        p.plasticity = p.learning = p.scaling = p.counts = None
    group = encoder.group
    population = next(p for p in net.populations if p.name == group.name)
    feed = _Feed(len(group), population.is_source)
    if population.is_source:
        net._streams[population.seed.spawn_key] = feed
    else:
        net.drives.append(Drive(Group(population, group.units), feed, net._spawn(), None))
        net._streams[net.drives[-1].seed.spawn_key] = feed
    net._complete_streams(0)
    _refuse_chance(net)
    net._flat = flatten(net.populations, net.projections, dt=net.dt, nest=net.timing == "nest", step=0, old=None)
    return net, feed


def _refuse_chance(net):
    """Raise if the network draws random numbers: the next state would not follow from the present one."""
    for p in net.populations:
        if p.noisy or isinstance(net._streams.get(p.seed.spawn_key), InOrder):
            raise ValueError(
                f"network must be deterministic, but {p.name!r} draws random numbers: give it sigma=0, or let the "
                "encoder (PoissonRates and the like) bring the noise, the same for the same sample"
            )
    for d in net.drives:
        if isinstance(net._streams[d.seed.spawn_key], InOrder):
            raise ValueError(f"network must be deterministic, but {d.source!r} draws random numbers")


_CHUNK = 2**18  # numbers sampled at a time
_LOG = 2**17  # spikes
