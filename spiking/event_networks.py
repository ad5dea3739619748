"""Turn a network on a grid of times into the event-driven system that it approximates."""

import numpy as np
import scipy

from penstock.spiking.event_izhikevich import EventIzhikevich
from penstock.spiking.event_lif import EventLIF
from penstock.spiking.inputs import StepCurrent
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF, Izhikevich, Izhikevich2007
from penstock.spiking.synapses import Delta, Exponential

__all__ = ["event_driven"]

SPARSE_BELOW = 0.25  # density of synapses


def event_driven(network: Network, *, dt: float = 1.0, h: float = 0.01) -> EventLIF | EventIzhikevich:
    """Return the network that `network` is on a grid of times as a System whose spikes have exact times.

    Its states and tangents are those of the limit of small time steps. Neurons are numbered through the populations in
    the order in which these were added. LIF: potentials are in mV, and a current of 1 pA counts tau_m / C_m mV, so
    that I = E_L + tau_m / C_m (I_e + drives) and the weights of exponential synapses (pA) become mV. Izhikevich
    (2003): as they are, currents in mV/ms. Izhikevich2007: mV and pA. Its `start` is where the network stands.

    Parameters
    ----------
    network : Network
        All populations `LIF` without noise, or all `Izhikevich`, or all `Izhikevich2007`; synapses all `Delta`, or all
        `Exponential` currents with one time constant per target neuron, without delay and plasticity; drives only
        `StepCurrent` whose last jump has passed.
    dt : float
        Time of one step of the system (ms).
    h : float
        Longest Runge-Kutta step of Izhikevich neurons (ms).

    Returns
    -------
    EventLIF or EventIzhikevich

    Raises
    ------
    TypeError
        If `network` is no Network.
    ValueError
        If something in it has no event-driven form here; the message says what.

    Examples
    --------
    >>> from penstock.spiking import LIF, Exponential, Network, event_driven, probability
    >>> net = Network(seed=0)
    >>> cells = net.add(LIF(50, t_ref=0, I_e=500))
    >>> _ = net.connect(cells, cells, Exponential(5.0), probability(0.1), weight=-20.0)
    >>> event_driven(net)
    EventLIF(n_neurons=50, n_inputs=0, tau_syn=5, tau_m=10, dt=1)
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, got {network!r:.100}")
    kind = _kind(network)
    pulses = _are_pulses(network)
    gain = _joined(network, lambda p: p.model.tau_m / p.model.C_m) if kind is LIF else np.ones(_size(network))
    weights = _weights(network, np.ones(gain.size) if pulses else gain)
    times = {} if pulses else {"tau_syn": _time_constants(network)}
    make = {LIF: _lif, Izhikevich: _izhikevich, Izhikevich2007: _izhikevich_2007}[kind]
    cells = make(network, _currents(network), gain)
    if kind is LIF:
        system: EventLIF | EventIzhikevich = EventLIF(weights, dt=dt, **cells, **times)
    else:
        system = EventIzhikevich(weights, dt=dt, h=h, **cells, **times)
    state = [_joined(network, lambda p: p.states["v"])]
    state += [] if kind is LIF else [_joined(network, lambda p: p.states["u"])]
    state += [] if pulses else [gain * _present_currents(network)]
    if kind is LIF and np.any(cells["t_ref"]):
        state.append(_joined(network, lambda p: np.maximum(p.ready - network.step, 0) * network.dt))
    return system.starting_at(np.concatenate(state))


def _refuse(what):
    raise ValueError(
        f"network must have an event-driven form, but {what}; "
        "penstock.analysis.replica_growth(Liquid(network, …)) measures its growth without tangents"
    )


def _kind(network):
    """Return the class of all neurons, if they are of one that is known here."""
    if not network.populations:
        raise ValueError("network must have neurons, got an empty one")
    kinds = {type(p.model) for p in network.populations}
    for p in network.populations:
        if type(p.model) not in (LIF, Izhikevich, Izhikevich2007):
            _refuse(f"{p.name!r} is {p.model!r}")
        if p.noisy:
            _refuse(f"{p.name!r} has noise, sigma={np.max(p.model.sigma):g}")
        if p.homeostasis is not None:
            _refuse(f"{p.name!r} has {p.homeostasis!r}")
    if len(kinds) > 1:
        _refuse(f"its populations are of different kinds: {', '.join(sorted(kind.__name__ for kind in kinds))}")
    return kinds.pop()


def _are_pulses(network):
    """Return whether the synapses are delta pulses, after a look at all of them."""
    for projection in network.projections:
        synapse = projection.synapse
        if not isinstance(synapse, Delta | Exponential) or getattr(synapse, "reversal", None) is not None:
            _refuse(f"{projection!r} is neither of delta pulses nor of exponential currents")
        if any(rule is not None for rule in (projection.short_term, projection.plasticity, projection.scaling)):
            _refuse(f"{projection!r} is plastic")
        if np.any(projection.delay_steps):
            _refuse(f"{projection!r} has delays")
    kinds = {type(projection.synapse) for projection in network.projections}
    if len(kinds) > 1:
        _refuse("it mixes delta pulses with exponential currents")
    return kinds != {Exponential}


def _size(network):
    return sum(p.n for p in network.populations)


def _joined(network, value):
    """Return what `value(population)` gives, a number or an array, for all neurons."""
    return np.concatenate([np.broadcast_to(value(p), p.n) for p in network.populations]).astype(np.float64)


def _first(network, group):
    """Return the number of the first neuron of a group's population among all."""
    names = [p.name for p in network.populations]
    return sum(p.n for p in network.populations[: names.index(group.name)])


def _weights(network, gain):
    """Return W, its rows times the gain of the target."""
    n, parts = _size(network), []
    for projection in network.projections:
        pre, post, weight, _ = projection.edges()
        columns = pre + projection.pre.start + _first(network, projection.pre)
        rows = post + projection.post.start + _first(network, projection.post)
        parts.append((gain[rows] * weight, rows, columns))
    values, rows, columns = (np.concatenate(part) for part in zip(*parts, strict=True)) if parts else ([], [], [])
    W = scipy.sparse.csr_array((values, (rows, columns)), shape=(n, n))
    return W if W.nnz < SPARSE_BELOW * n * n else W.toarray()


def _time_constants(network):
    """Return the time constant of every neuron's synaptic current."""
    tau = np.zeros(_size(network))
    for projection in network.projections:
        units = projection.post.units + _first(network, projection.post)
        if np.any((tau[units] != 0) & (tau[units] != projection.synapse.tau)):
            _refuse(f"neurons of {projection.post.name!r} have synapses of different time constants")
        tau[units] = projection.synapse.tau
    return np.where(tau == 0, tau.max(), tau)


def _present_currents(network):
    """Return the synaptic current of every neuron as it is now."""
    names = {p.name: {q.state_name for q in network.projections if q.post.name == p.name} for p in network.populations}
    return _joined(network, lambda p: np.sum([p.states[name] for name in sorted(names[p.name])], axis=0))


def _currents(network):
    """Return the constant current of every neuron: its own and those of drives."""
    total = _joined(network, lambda p: p.model.I_e)
    for drive in network.drives:
        source = drive.source
        if not isinstance(source, StepCurrent) or source.times[-1] > network.time:
            _refuse(f"the drive {source!r} changes in time")
        total[drive.target.units + _first(network, drive.target)] += source.amplitudes[-1]
    return total


def _lif(network, current, gain):
    soft = {bool(p.model.soft_reset) for p in network.populations}
    if len(soft) > 1:
        _refuse("some of its populations have a soft reset and some have not")
    names = ("tau_m", "V_th", "V_reset", "t_ref")
    cells = {name: _joined(network, lambda p, name=name: getattr(p.model, name)) for name in names}
    return cells | {"I": _joined(network, lambda p: p.model.E_L) + gain * current, "soft_reset": soft.pop()}


def _izhikevich(network, current, gain):
    if np.any(_joined(network, lambda p: p.model.u_leak) != 1):
        _refuse("u_leak is not 1")
    names = {name: name for name in ("a", "b", "c", "d", "v_peak", "p1", "p0")} | {"v_u": "v_w"}
    cells = {ours: _joined(network, lambda p, name=name: getattr(p.model, name)) for name, ours in names.items()}
    return cells | {"I": current}


def _izhikevich_2007(network, current, gain):
    for name, usual in (("peak_slope", 0), ("c_slope", 0), ("u_max", np.inf), ("v_switch", np.inf), ("cubic", 0)):
        if np.any(_joined(network, lambda p, name=name: getattr(p.model, name)) != usual):
            _refuse(f"{name} is not {usual}")
    names = ("C", "k", "vr", "vt", "a", "b", "c", "d", "v_peak")
    cell = {name: _joined(network, lambda p, name=name: getattr(p.model, name)) for name in names}
    C, k, vr, vt = (cell.pop(name) for name in ("C", "k", "vr", "vt"))
    return cell | {"p2": k / C, "p1": -k * (vr + vt) / C, "p0": k * vr * vt / C, "v_w": vr, "C": C, "I": current}
