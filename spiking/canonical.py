"""Benchmark networks of the field, built and ready to run: nothing is recorded until asked for."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from penstock.checks import as_finite_array, as_int, as_positive_float
from penstock.spiking.connectors import all_to_all, fixed_total, from_edges
from penstock.spiking.inputs import ArrayCurrent, OUCurrent, PoissonInput
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF, Izhikevich
from penstock.spiking.synapses import Exponential, Pulse

__all__ = [
    "izhikevich_2003",
    "potjans_diesmann",
    "vogels_abbott_coba",
    "vogels_abbott_cuba",
    "vogels_abbott_edges",
]

# Vogels and Abbott


def vogels_abbott_edges(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return source and target of every synapse among 4000 neurons, each pair connected with probability 0.02.

    Source by source, from ``numpy.random.default_rng(seed)``: the number of targets from binomial(4000, 0.02), then as
    many distinct ones, sorted. Autapses are allowed. Seed 1 gives the reference graph of 320,150 synapses.

    Parameters
    ----------
    seed : int
        Seed of the graph, at least 0.

    Returns
    -------
    sources, targets : arrays of int, shape (n_synapses,)
        Neurons 0 to 3199 are excitatory, the others inhibitory.

    Examples
    --------
    >>> from penstock.spiking import vogels_abbott_edges
    >>> sources, targets = vogels_abbott_edges(1)
    >>> len(sources), targets[:6]
    (320150, array([ 78, 108, 158, 245, 337, 365]))
    """
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    rows = [np.sort(rng.choice(4000, rng.binomial(4000, 0.02), replace=False)) for _ in range(4000)]
    return np.repeat(np.arange(4000), [len(row) for row in rows]), np.concatenate(rows)


def vogels_abbott_cuba(seed: int, *, dt: float = 0.1, delay: float | None = None, timing: str = "brian2") -> Network:
    """Return the network of 4000 neurons with current synapses (CUBA), benchmark 2 of Brette et al.

    20 ms dv/dt = -49 mV - v + ge + gi, threshold -50 mV, reset -60 mV, refractory for 5 ms. A spike of one of the 3200
    excitatory neurons (group "E") adds 16.2 pA to ge, decaying in 5 ms; one of the 800 inhibitory ones ("I") adds
    -90 pA to gi, decaying in 10 ms. With C_m = 200 pF these are 1.62 mV and -9 mV. Wiring: `vogels_abbott_edges`. At
    the start v is uniform in -60..-50 mV and there is no current.

    Parameters
    ----------
    seed : int
        Seed of the graph; the initial state takes ``seed + 1``.
    dt : float
        Time step (ms).
    delay : float, optional
        Delay of all synapses (ms); 0 under ``timing="brian2"`` and dt under ``timing="nest"`` if not given.
    timing : {"brian2", "nest"}
        Order of operations in a step, see `Network`.

    Returns
    -------
    Network
        Groups "E" and "I"; synaptic states "ge" and "gi" (pA).

    Notes
    -----
    Seed 1, dt 0.1 ms, no delay and Brian2's timing make 23,293 spikes in 1 s, 2,452 of them in the first 100 ms. From
    200 ms on the rates are 5.61 ± 0.23 Hz (E) and 5.60 ± 0.07 Hz (I), and the mean CV of the intervals, of neurons with
    five or more, is 0.606 ± 0.008 (± is the spread over networks). Scripts in circulation differ: that of NEST has
    stronger inhibition.

    References
    ----------
    T. P. Vogels, L. F. Abbott (2005), J. Neurosci. 25, 10786. R. Brette et al. (2007), J. Comput. Neurosci. 23, 349.

    Examples
    --------
    >>> from penstock.spiking import vogels_abbott_cuba
    >>> net = vogels_abbott_cuba(1)
    >>> for group in net.groups:
    ...     net.record(group, "spikes")
    >>> sum(len(trains.times) for trains in net.run(10.0, progress=False).spikes.values())
    411
    """
    neurons = dict(tau_m=20.0, C_m=200.0, E_L=-49.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0)
    synapses = {"E": (Exponential(5.0, name="ge"), 16.2), "I": (Exponential(10.0, name="gi"), -90.0)}
    states = {"v": -60 + 10 * np.random.default_rng(as_int("seed", seed, minimum=0) + 1).random(4000)}
    return _vogels_abbott(seed, neurons, synapses, states, dt=dt, delay=delay, timing=timing)


def vogels_abbott_coba(seed: int, *, dt: float = 0.1, delay: float | None = None, timing: str = "brian2") -> Network:
    """Return the network of 4000 neurons with conductance synapses (COBA), benchmark 1 of Brette et al.

    200 pF dv/dt = 10 nS (-60 mV - v) + ge (0 mV - v) + gi (-80 mV - v), threshold -50 mV, reset -60 mV, refractory for
    5 ms, by exponential Euler. A spike of one of the 3200 excitatory neurons (group "E") adds 6 nS to ge, decaying in
    5 ms; one of the 800 inhibitory ones ("I") adds 67 nS to gi, decaying in 10 ms. Wiring: `vogels_abbott_edges`.
    At the start v = -65 ± 5 mV, ge = 40 ± 15 nS and gi = 200 ± 120 nS (normal laws; conductances may be negative): a
    strong kick, without which the activity dies.

    Parameters
    ----------
    seed : int
        Seed of the graph; the initial state takes ``seed + 1``.
    dt : float
        Time step (ms).
    delay : float, optional
        Delay of all synapses (ms); 0 under ``timing="brian2"`` and dt under ``timing="nest"`` if not given.
    timing : {"brian2", "nest"}
        Order of operations in a step, see `Network`.

    Returns
    -------
    Network
        Groups "E" and "I"; synaptic states "ge" and "gi" (nS).

    Notes
    -----
    Seed 1, dt 0.1 ms, no delay and Brian2's timing make 78,629 spikes in 1 s, 7,759 of them in the first 100 ms. From
    200 ms on the rates are 20.1 ± 1.0 Hz (E) and 19.9 ± 0.5 Hz (I), and the mean CV of the intervals, of neurons with
    five or more, is 1.62 ± 0.02 (± is the spread over networks).

    References
    ----------
    T. P. Vogels, L. F. Abbott (2005), J. Neurosci. 25, 10786. R. Brette et al. (2007), J. Comput. Neurosci. 23, 349.

    Examples
    --------
    >>> from penstock.spiking import vogels_abbott_coba
    >>> vogels_abbott_coba(1).projections[0].synapse
    Exponential(tau=5.0, reversal=0.0, name='ge')
    """
    neurons = dict(tau_m=20.0, C_m=200.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0)
    synapses = {
        "E": (Exponential(5.0, reversal=0.0, name="ge"), 6.0),
        "I": (Exponential(10.0, reversal=-80.0, name="gi"), 67.0),
    }
    rng = np.random.default_rng(as_int("seed", seed, minimum=0) + 1)
    states = {"v": -60 + 5 * rng.standard_normal(4000) - 5}
    states["ge"] = 10 * (1.5 * rng.standard_normal(4000) + 4)
    states["gi"] = 10 * (12 * rng.standard_normal(4000) + 20)
    return _vogels_abbott(seed, neurons, synapses, states, dt=dt, delay=delay, timing=timing)


def _vogels_abbott(seed, neurons, synapses, states, *, dt, delay, timing):
    net = Network(dt=dt, timing=timing, seed=seed)
    places = {"E": slice(0, 3200), "I": slice(3200, 4000)}
    groups = {name: net.add(LIF(at.stop - at.start, **neurons), name=name) for name, at in places.items()}
    sources, targets = vogels_abbott_edges(seed)
    for pre, (synapse, weight) in synapses.items():
        for post in groups:
            a, b = places[pre], places[post]
            chosen = (a.start <= sources) & (sources < a.stop) & (b.start <= targets) & (targets < b.stop)
            edges = from_edges(sources[chosen] - a.start, targets[chosen] - b.start)
            net.connect(groups[pre], groups[post], synapse, edges, weight=weight, delay=delay)
    for name, group in groups.items():
        net.set(group, **{variable: values[places[name]] for variable, values in states.items()})
    return net


# Izhikevich


def izhikevich_2003(seed: int, *, noise=None, integrator: str = "half") -> Network:
    """Return the network of 1000 randomly coupled Izhikevich neurons of the paper of 2003, in steps of 1 ms.

    With r uniform in 0..1: 800 excitatory neurons (group "E") have a = 0.02, b = 0.2, c = -65 + 15 r², d = 8 - 6 r²,
    200 inhibitory ones ("I") a = 0.02 + 0.08 r, b = 0.25 - 0.05 r, c = -65, d = 2. All pairs are connected, neurons
    with themselves too; a spike adds 0.5 r (E) or -r (I) to the current of the next millisecond. Thalamic noise is
    normal and independent in every neuron and millisecond, of deviation 5 (E) and 2 (I). At the start v = -65, u = b v.

    Parameters
    ----------
    seed : int
        Seed of parameters, weights and noise.
    noise : array, shape (n_ms, 1000), optional
        Thalamic input per millisecond and neuron, the excitatory ones first, instead of drawn noise.
    integrator : {"half", "euler", "fig1"}
        Scheme of the neurons; "half" is that of the paper: two half-steps for v, then one step for u.

    Returns
    -------
    Network
        Groups "E" and "I", dt = 1 ms; synaptic state "I_syn".

    Notes
    -----
    Scheme "half" fires at 7.32 ± 0.08 Hz (E) and 6.71 ± 0.16 Hz (I), ± the spread over networks. The scheme belongs to
    every rate stated of this network.

    The draws come in this order from ``default_rng(seed)``: 800 r of E, 200 r of I, weights (1000 targets, 800
    sources), then (1000 targets, 200 sources).

    References
    ----------
    E. M. Izhikevich (2003), Simple model of spiking neurons, IEEE Trans. Neural Netw. 14, 1569.

    Examples
    --------
    >>> from penstock.spiking import izhikevich_2003
    >>> net = izhikevich_2003(0)
    >>> net.record(net.groups[0], "spikes")
    >>> 6 < net.run(1000.0, progress=False).spikes["E"].mean_rate < 9  # Hz
    True
    """
    rng = np.random.default_rng(as_int("seed", seed, minimum=0))
    if noise is not None:
        noise = as_finite_array("noise", noise, ndim=2)
        if noise.shape[1] != 1000:
            raise ValueError(f"noise must have shape (n_ms, 1000), got {noise.shape}")
    r_e, r_i = rng.random(800), rng.random(200)
    weights = {"E": 0.5 * rng.random((1000, 800)), "I": -rng.random((1000, 200))}
    net = Network(dt=1.0, seed=seed)
    exc = Izhikevich(800, a=0.02, b=0.2, c=-65 + 15 * r_e**2, d=8 - 6 * r_e**2, integrator=integrator)
    inh = Izhikevich(200, a=0.02 + 0.08 * r_i, b=0.25 - 0.05 * r_i, c=-65.0, d=2.0, integrator=integrator)
    groups = [net.add(exc, name="E", v=-65.0, u=0.2 * -65.0), net.add(inh, name="I", v=-65.0, u=inh.b * -65.0)]
    rows = {"E": slice(0, 800), "I": slice(800, 1000)}
    for pre in groups:
        for post in groups:
            w = weights[pre.name][rows[post.name]].T.ravel()
            net.connect(pre, post, Pulse(name="I_syn"), all_to_all(self_connections=True), weight=w, delay=0.0)
    for group, deviation in zip(groups, (5.0, 2.0), strict=True):
        # a correlation time far below the step: every step draws anew
        white = OUCurrent(0.0, deviation, 1e-3)
        net.stimulate(group, white if noise is None else ArrayCurrent(noise[:, rows[group.name]], 1.0))
    return net


# Potjans and Diesmann


class _Layer(NamedTuple):
    """A population at full size; probabilities of synapses are from the eight populations in order."""

    n: int
    probabilities: tuple[float, ...]
    n_external: int
    rate: float  # of the full network (Hz), for the compensation
    v_mean: float  # initial potential (mV)
    v_std: float


_LAYERS = {
    "L23E": _Layer(20683, (0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0, 0.0076, 0), 1600, 0.903, -68.28, 5.36),
    "L23I": _Layer(5834, (0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0, 0.0042, 0), 1500, 2.965, -63.16, 4.57),
    "L4E": _Layer(21915, (0.0077, 0.0059, 0.0497, 0.135, 0.0067, 0.0003, 0.0453, 0), 2100, 4.414, -63.33, 4.74),
    "L4I": _Layer(5479, (0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0, 0.1057, 0), 1900, 5.876, -63.45, 4.94),
    "L5E": _Layer(4850, (0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0), 2000, 7.569, -63.11, 4.94),
    "L5I": _Layer(1065, (0.0548, 0.0269, 0.0257, 0.0022, 0.06, 0.3158, 0.0086, 0), 1900, 8.633, -61.66, 4.55),
    "L6E": _Layer(14395, (0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252), 2900, 1.105, -66.72, 5.46),
    "L6I": _Layer(2948, (0.0364, 0.001, 0.0034, 0.0005, 0.0277, 0.008, 0.0658, 0.1443), 2100, 7.829, -61.43, 4.48),
}
_TAU_M, _TAU_SYN, _C_M, _RATE_EXTERNAL = 10.0, 0.5, 250.0, 8.0
# a current of 1 pA that decays in tau_syn lifts the potential by this much (mV) at its peak
_PEAK = _TAU_SYN / _C_M * (_TAU_SYN / _TAU_M) ** (_TAU_SYN / (_TAU_M - _TAU_SYN))
_WEIGHT = 0.15 / _PEAK  # pA


def potjans_diesmann(scale: float, seed: int, *, k_scale: float | None = None, dt: float = 0.1) -> Network:
    """Return the microcircuit of 1 mm² of early sensory cortex: four layers, eight populations, no thalamic input.

    Exponential currents (0.5 ms) with a post-synaptic potential of 0.15 mV, from L4E to L23E twice that, inhibition -4
    times; the weights are normal with a relative deviation of 0.1. Delays are normal, 1.5 ± 0.75 ms (E) and 0.75 ±
    0.375 ms (I), rounded to the grid and drawn again below half a step. Synapses of two populations are drawn pair by
    pair with replacement (multapses and autapses happen), to the fixed total of ln(1 - p) / ln(1 - 1 / (N_pre N_post)).
    Every neuron has 1500 to 2900 external sources of 8 Hz, as Poisson input. Timing is NEST's.

    Numbers of neurons and in-degrees are multiplied by `scale`, so the synapses by its square: 3e6 at 0.1. To keep the
    mean and the variance of the input of every neuron, weights are divided by sqrt(scale), and the current

        0.001 tau_syn (1 - sqrt(scale)) (sum of w K rate over all sources, external ones included)    (pA)

    replaces the mean that is lost, with in-degrees K, weights w and rates (Hz) of the full network. What this cannot
    keep is the shape of the input: fewer and larger jumps and stronger correlations, which lower the rates.

    Parameters
    ----------
    scale : float
        Factor of neurons and in-degrees, in (0, 1]. The full network has 77,169 neurons and 3e8 synapses.
    seed : int
        Seed of everything drawn.
    dt : float
        Time step (ms).

    Returns
    -------
    Network
        Groups "L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I".

    Notes
    -----
    Rates in Hz after 500 ms, the full network by NEST and seed 1 at scale 0.1 over 10 s with its standard error:

    ====  =====  =====  =====  =====  =====  =====  =====  =====
    .     L23E   L23I   L4E    L4I    L5E    L5I    L6E    L6I
    ====  =====  =====  =====  =====  =====  =====  =====  =====
    1     0.903  2.965  4.414  5.876  7.569  8.633  1.105  7.829
    0.1   0.470  2.156  3.959  5.010  6.979  7.739  0.864  7.061
    ±     0.007  0.021  0.013  0.006  0.079  0.016  0.012  0.015
    ====  =====  =====  =====  =====  =====  =====  =====  =====

    Brian2 makes the same rates of the same synapses. At scale 0.3 all but L23E are within 11 % of the full network.

    References
    ----------
    T. C. Potjans, M. Diesmann (2014), The cell-type specific cortical microcircuit, Cerebral Cortex 24, 785.
    S. J. van Albada, M. Helias, M. Diesmann (2015), Scalability of asynchronous networks is limited by one-to-one
    mapping between effective connectivity and correlations, PLoS Comput. Biol. 11, e1004490.

    Examples
    --------
    >>> from penstock.spiking import potjans_diesmann
    >>> net = potjans_diesmann(0.02, seed=0)
    >>> {group.name: len(group) for group in net.groups}["L23E"]
    414
    """
    scale = _as_fraction("scale", scale)
    k_scale = scale if k_scale is None else _as_fraction("k_scale", k_scale)
    net, synapse = Network(dt=dt, timing="nest", seed=seed), Exponential(_TAU_SYN)
    weights, numbers = _full_weights(), _full_numbers()
    for layer, current in zip(_LAYERS.items(), _lost_current(weights, numbers, k_scale), strict=True):
        _add_layer(net, *layer, current, scale)
    for i, post in enumerate(net.groups[:]):
        n_external = round(k_scale * _LAYERS[post.name].n_external)
        net.stimulate(post, PoissonInput(n_external, _RATE_EXTERNAL, _WEIGHT / np.sqrt(k_scale), synapse))
        for j, pre in enumerate(net.groups[:]):
            total = round(numbers[i, j] * scale * k_scale)
            if total:
                weight = _normal(weights[i, j] / np.sqrt(k_scale), 0.1)
                delay = _delays(0.75 if j % 2 else 1.5, dt)
                net.connect(pre, post, synapse, fixed_total(total, self_connections=True), weight=weight, delay=delay)
    return net


def _as_fraction(name, value) -> float:
    value = as_positive_float(name, value)
    if value > 1:
        raise ValueError(f"{name} must lie in (0, 1], got {value:g}")
    return value


def _add_layer(net, name, layer, current, scale):
    n = max(1, round(scale * layer.n))
    neurons = LIF(n, tau_m=_TAU_M, C_m=_C_M, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=current)
    net.add(neurons, name=name, v=_normal(layer.v_mean, abs(layer.v_std / layer.v_mean)))


def _full_weights() -> np.ndarray:
    """Mean weight (pA) to population i from population j."""
    weights = np.tile(_WEIGHT * np.array([1.0, -4.0] * 4), (8, 1))
    weights[0, 2] *= 2
    return weights


def _full_numbers() -> np.ndarray:
    """Number of synapses to population i from population j in the full network."""
    sizes = np.array([layer.n for layer in _LAYERS.values()], dtype=np.float64)
    p = np.array([layer.probabilities for layer in _LAYERS.values()])
    return np.log1p(-p) / np.log1p(-1 / np.outer(sizes, sizes))


def _lost_current(weights, numbers, k_scale) -> np.ndarray:
    """Mean current (pA) that every population loses when in-degrees shrink and weights grow by their root."""
    sizes, _, external, rates, *_ = (np.array(column) for column in zip(*_LAYERS.values(), strict=True))
    per_second = (weights * numbers / sizes[:, None]) @ rates + _WEIGHT * external * _RATE_EXTERNAL
    return 1e-3 * _TAU_SYN * (1 - np.sqrt(k_scale)) * per_second


def _normal(mean, relative_std) -> Callable:
    """Law: normal with a deviation relative to its mean."""
    return lambda rng, size: mean + abs(mean) * relative_std * rng.standard_normal(size)


def _delays(mean, dt) -> Callable:
    """Law: normal with a deviation of half its mean, drawn again below dt / 2."""

    def law(rng, size):
        delays = rng.normal(mean, mean / 2, size)
        while (low := delays < dt / 2).any():
            delays[low] = rng.normal(mean, mean / 2, low.sum())
        return delays

    return law
