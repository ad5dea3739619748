"""Benchmark networks of the field, built and ready to run: nothing is recorded until asked for."""

import numpy as np

from penstock.checks import as_finite_array, as_int
from penstock.spiking.connectors import all_to_all, from_edges
from penstock.spiking.inputs import ArrayCurrent, OUCurrent
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF, Izhikevich
from penstock.spiking.synapses import Exponential, Pulse

__all__ = [
    "izhikevich_2003",
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
    200 ms on the rates are 5.61 ± 0.23 Hz (E) and 5.60 ± 0.07 Hz (I), ± the spread over networks. The mean CV of the
    intervals depends on which neurons count, and no definition is agreed upon: over 1.8 s it is 0.61 of those with five
    intervals or more, as we count, 0.59 of those with two or more. Scripts in circulation differ: that of NEST has
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
    200 ms on the rates are 20.1 ± 1.0 Hz (E) and 19.9 ± 0.5 Hz (I), ± the spread over networks. The mean CV of the
    intervals depends on which neurons count: over 0.8 s it is 1.61 of those with five intervals or more, as we count,
    1.47 of those with two or more.

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
