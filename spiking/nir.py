"""Networks as graphs of the Neuromorphic Intermediate Representation (NIR), and back: what that format can carry.

NIR knows no units. Here times are in seconds, potentials in mV, currents in pA, resistances in mV/pA; a spike is a
Dirac pulse of area one, so that weights are pA s.
"""

from typing import Any, NamedTuple

import numpy as np

from penstock.spiking.connectors import from_edges
from penstock.spiking.inputs import SpikeSource
from penstock.spiking.network import Network
from penstock.spiking.neurons import LIF
from penstock.spiking.synapses import Delta, Exponential

__all__ = ["from_nir", "to_nir"]

_MS = 1e-3  # s


def to_nir(network: Network) -> Any:
    """Return a network as a NIR graph.

    Populations of `LIF` neurons become nodes ``LIF`` where their synapses are `Delta`, ``CubaLIF`` where they are
    `Exponential` currents; sources become ``Input`` nodes, whatever they emit; every projection becomes a ``Linear``
    node, after a ``Delay`` where it has more than the least delay (0 with ``timing="brian2"``, dt with "nest"), which
    is what backends give every edge. Every population of neurons gets an ``Output`` node. Initial states, spikes of
    sources, names of synapses, dt, timing and integrator have no place in the format: they are for whoever runs it.

    Parameters
    ----------
    network : Network
        LIF populations with a hard reset, without refractory time, noise, conductances, inputs and plasticity.

    Returns
    -------
    nir.NIRGraph
        ``nir.write("file.nir", graph)`` stores it.

    Raises
    ------
    ValueError, TypeError
        If the network holds something else that NIR cannot say; the message says what, and why.
    ImportError
        If nir is not installed.

    References
    ----------
    J. E. Pedersen et al. (2024), Neuromorphic intermediate representation: a unified instruction set for interoperable
    brain-inspired computing, Nature Communications 15, 8122.

    Examples
    --------
    >>> from penstock.spiking import LIF, Delta, Network, all_to_all
    >>> net = Network(dt=0.1)
    >>> cells = net.add(LIF(3, t_ref=0.0), name="cells")
    >>> _ = net.connect(cells, cells, Delta(), all_to_all(), weight=-1.0)
    >>> to_nir(net).nodes["cells"].tau  # doctest: +SKIP
    array([0.01, 0.01, 0.01])
    """
    nir = _nir()
    if not isinstance(network, Network):
        raise TypeError(f"network must be a penstock.spiking.Network, got {network!r}")
    if network.drives:
        raise ValueError(
            f"network has {network.drives[0].source!r}, NIR has no inputs of its own: give a constant current as I_e, "
            "spikes by a source"
        )
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    for p in network.populations:
        _check_name(p.name)
        incoming = [q.synapse for q in network.projections if q.post.population is p]
        nodes[p.name] = nir.Input({"input": np.array([p.n])}) if p.is_source else _neurons(nir, p, incoming)
    for p in network.populations:
        if not p.is_source:
            _put(nodes, f"{p.name}_output", nir.Output({"output": np.array([p.n])}))
            edges.append((p.name, f"{p.name}_output"))
    for number, q in enumerate(network.projections):
        chain = [q.pre.name, *_synapses(nir, nodes, number, q, network), q.post.name]
        edges += list(zip(chain, chain[1:], strict=False))
    units = {"time": "s", "potential": "mV", "current": "pA"}
    typed = any(p.is_source for p in network.populations)  # nir infers types from its inputs
    return nir.NIRGraph(nodes, edges, metadata=units, type_check=typed)


def from_nir(graph, *, dt: float = 0.1, timing: str = "brian2", seed=0) -> Network:
    """Return the network that a NIR graph describes.

    ``Input`` nodes become `SpikeSource` without spikes, for encoders or to be replaced; ``LIF`` and ``CubaLIF`` nodes
    become populations of the same names, ``Linear`` and ``Affine`` nodes projections (a bias becomes a constant
    current from the beginning), ``Delay`` nodes delays. Potentials begin at v_leak. NIR neurons spike above their
    threshold, as with ``timing="brian2"``.

    Parameters
    ----------
    graph : nir.NIRGraph
        Times in seconds, potentials in mV, currents in pA. Neurons reach an ``Output`` directly; in front of neurons
        every linear node has one input, and a ``Delay`` stands next to the sender.
    dt : float
        Time step of the network (ms); delays are rounded to it.
    timing : {"brian2", "nest"}
        The order of operations, as in `Network`.
    seed : int or SeedSequence
        Seed of the network.

    Returns
    -------
    Network

    Raises
    ------
    ValueError, TypeError
        If a node is of a kind that has no equal here, or parameters do not fit; the message says which and why.
    ImportError
        If nir is not installed.

    Examples
    --------
    >>> import nir  # doctest: +SKIP
    >>> from_nir(nir.read("file.nir")).run(100.0)  # doctest: +SKIP
    """
    nir = _nir()
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(f"graph must be a nir.NIRGraph, got {graph!r}")
    known = nir.Input | nir.Output | nir.LIF | nir.CubaLIF | nir.Linear | nir.Affine | nir.Delay
    for name, node in graph.nodes.items():
        if not isinstance(node, known):
            raise ValueError(f"node {name!r} is a {type(node).__name__}, which has no equal here{_why(node)}")
    targets = [name for name, node in graph.nodes.items() if isinstance(node, nir.LIF | nir.CubaLIF)]
    links = {name: [_link(nir, graph, one, name) for one in _before(graph, name)] for name in targets}
    _check_complete(nir, graph, {name for into in links.values() for link in into for name in link.passed})
    net = Network(dt=dt, timing=timing, seed=seed)
    groups = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Input):
            groups[name] = net.add(SpikeSource(_size(nir, node), [], []), name=name)
        elif name in links:
            groups[name] = net.add(_population(nir, name, node, [link.bias for link in links[name]]), name=name)
    for name, into in links.items():
        for link in into:
            _connect(nir, net, groups, graph.nodes[name], name, link)
    return net


class _Link(NamedTuple):
    """The way from one population to another: weights (n_post, n_pre), delays (s) of the senders, bias (n_post,)."""

    pre: str
    weight: np.ndarray
    delay: np.ndarray
    bias: np.ndarray
    passed: tuple[str, ...]  # the nodes on the way


def _nir():
    try:
        import nir
    except ImportError as error:
        raise ImportError('NIR graphs need the package nir: pip install "penstock[nir]"') from error
    return nir


def _check_name(name):
    if "/" in name:
        raise ValueError(f"name of a population must be free of '/' in a NIR file, got {name!r}")


def _put(nodes, name, node):
    if name in nodes:
        raise ValueError(f"name of a population must not be that of another node, got {name!r}")
    nodes[name] = node


# ------------------------------------------------------------------------------------------------------------- to NIR
def _neurons(nir, p, synapses):
    model = p.model
    if type(model) is not LIF:
        raise ValueError(f"{p.name!r} holds {type(model).__name__} neurons; of spiking neurons NIR knows LIF only")
    for what, there in (
        ("a refractory time", np.any(np.asarray(model.t_ref) > 0)),
        ("a soft reset", model.soft_reset),
        ("noise", p.noisy),
        ("a homeostatic threshold", p.homeostasis is not None),
    ):
        if there:
            raise ValueError(f"{p.name!r} has {what}, for which NIR has no field")
    r = np.asarray(model.tau_m) / model.C_m
    arrays = dict(
        r=r, v_leak=model.E_L + r * model.I_e, v_threshold=model.V_th, v_reset=model.V_reset
    )  # fmt: skip
    arrays = {name: np.array(np.broadcast_to(value, p.n), np.float64) for name, value in arrays.items()}
    tau = np.array(np.broadcast_to(np.asarray(model.tau_m) * _MS, p.n))
    kinds = set(synapses)
    if len({type(s) for s in kinds}) > 1 or len(kinds) > 1:
        raise ValueError(f"{p.name!r} has several kinds of synapses, {_list(kinds)}; a NIR neuron has one input")
    synapse = kinds.pop() if kinds else Delta()
    if isinstance(synapse, Delta):
        return nir.LIF(tau=tau, **arrays)
    if isinstance(synapse, Exponential) and synapse.reversal is None:
        return nir.CubaLIF(tau_syn=np.full(p.n, synapse.tau * _MS), tau_mem=tau, **arrays)
    raise ValueError(f"{p.name!r} has synapses {synapse!r}; NIR has pulses and exponential currents only")


def _synapses(nir, nodes, number, q, network):
    """Add the nodes of a projection; return their names in order."""
    for what, there in (
        ("short-term plasticity", q.short_term is not None),
        ("long-term plasticity", q.plasticity is not None),
        ("synaptic scaling", q.scaling is not None),
    ):
        if there:
            raise ValueError(f"{q!r} has {what}, for which NIR has no node")
    pre, post, w, delay = q.edges()
    pre, post = pre + q.pre.start, post + q.post.start
    n_pre, n_post = q.pre.population.n, q.post.population.n
    weight = np.zeros((n_post, n_pre))
    np.add.at(weight, (post, pre), w)
    node = nodes[q.post.name]
    if isinstance(node, nir.LIF):
        weight *= (node.tau / node.r)[:, None]  # a pulse of area w moves v by r w / tau
    else:
        weight *= node.tau_syn[:, None]  # and the current by w / tau_syn
    name = f"{q.pre.name}_to_{q.post.name}_{number}"
    _put(nodes, name, nir.Linear(weight))
    late = (delay - (network.dt if network.timing == "nest" else 0.0)) * _MS
    if not np.any(late > 1e-12):
        return [name]
    of_source = np.zeros(n_pre)
    of_source[pre] = late
    if np.any(np.abs(of_source[pre] - late) > 1e-12):
        raise ValueError(f"{q!r} has different delays behind one neuron; a NIR Delay has one for each sender")
    _put(nodes, f"{name}_delay", nir.Delay(of_source))
    return [f"{name}_delay", name]


def _list(things):
    return ", ".join(sorted(map(repr, things)))


# ----------------------------------------------------------------------------------------------------------- from NIR
def _why(node) -> str:
    reasons = {
        "IF": ": without a leak tau_m would be infinite",
        "LI": ": it has no spikes",
        "CubaLI": ": it has no spikes",
    }
    return reasons.get(type(node).__name__, "")


def _before(graph, name):
    return [a for a, b in graph.edges if b == name]


def _size(nir, node):
    return int(np.prod(node.input_type["input"])) if isinstance(node, nir.Input) else node.v_threshold.size


def _link(nir, graph, name, target) -> _Link:
    """Follow a way back from `target` to where spikes come from: through linear maps, then a delay."""
    n = _size(nir, graph.nodes[target])
    weight, bias, delay = np.eye(n), np.zeros(n), None
    passed: list[str] = []
    while not isinstance(node := graph.nodes[name], nir.Input | nir.LIF | nir.CubaLIF):
        if name in passed:
            raise ValueError(f"node {name!r} must not lead back to itself without a neuron in between")
        if isinstance(node, nir.Delay) and delay is None:
            delay = np.asarray(node.delay, np.float64).ravel()
        elif isinstance(node, nir.Linear | nir.Affine) and delay is None:
            _check_shape(name, "weight", node.weight, (weight.shape[1], None))
            bias = bias + (weight @ node.bias if isinstance(node, nir.Affine) else 0.0)
            weight = weight @ node.weight
        else:
            raise ValueError(
                f"node {name!r} before {target!r} must be a Linear, an Affine, or one Delay next to the sender, got a "
                f"{type(node).__name__} that leads to {passed[-1:] or [target]}"
            )
        passed.append(name)
        before = _before(graph, name)
        if len(before) != 1:
            raise ValueError(f"node {name!r} must have one input, got {len(before)}: {before}")
        name = before[0]
    delay = np.zeros(_size(nir, node)) if delay is None else delay
    for what, value, shape in (("weight", weight, (n, _size(nir, node))), ("delay", delay, (_size(nir, node),))):
        _check_shape(passed[-1] if passed else target, what, value, shape)
    return _Link(name, weight, delay, bias, tuple(passed))


def _check_shape(name, what, value, shape):
    fits = value.ndim == len(shape) and all(want in (None, got) for got, want in zip(value.shape, shape, strict=True))
    if not fits:
        wanted = str(shape).replace("None", "m")
        raise ValueError(f"{what} at node {name!r} must have shape {wanted}, got {value.shape}")


def _check_complete(nir, graph, passed):
    """Raise if something in the graph would be lost: linear maps and delays that lead to no neuron."""
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Linear | nir.Affine | nir.Delay) and name not in passed:
            raise ValueError(
                f"node {name!r} must lead to neurons, got a {type(node).__name__} of which nothing is left"
            )
        for one in _before(graph, name) if isinstance(node, nir.Output) else ():
            if not isinstance(graph.nodes[one], nir.LIF | nir.CubaLIF):
                kind = type(graph.nodes[one]).__name__
                raise ValueError(f"node {name!r} must follow neurons, got the {kind} {one!r}: keep it as a readout")


def _population(nir, name, node, biases):
    _check_shape(name, "v_threshold", node.v_threshold, (None,))
    pulses = isinstance(node, nir.LIF)
    tau = np.asarray(node.tau if pulses else node.tau_mem, np.float64) / _MS
    if np.any(node.r <= 0):
        raise ValueError(f"r of node {name!r} must be above 0, got {np.min(node.r):g}")
    gain = np.ones(tau.size) if pulses else node.w_in
    try:
        return LIF(
            tau.size,
            tau_m=tau,
            C_m=tau / node.r,
            E_L=np.asarray(node.v_leak, np.float64),
            V_th=np.asarray(node.v_threshold, np.float64),
            V_reset=np.asarray(node.v_reset, np.float64),
            t_ref=0.0,
            I_e=gain * sum(biases, np.zeros(tau.size)),
        )
    except ValueError as error:
        raise ValueError(f"node {name!r} does not make LIF neurons: {error}") from None


def _connect(nir, net, groups, node, name, link):
    synapse: Delta | Exponential
    if isinstance(node, nir.LIF):
        synapse, scale = Delta(), node.r / node.tau
    else:
        if np.ptp(node.tau_syn) > 0:
            raise ValueError(f"node {name!r} must have one tau_syn for all neurons, got {np.unique(node.tau_syn)} s")
        synapse, scale = Exponential(float(node.tau_syn[0]) / _MS), node.w_in / node.tau_syn
    post, pre = np.nonzero(link.weight)
    order = np.lexsort((post, pre))
    post, pre = post[order], pre[order]
    steps = np.floor(link.delay[pre] / _MS / net.dt + 0.5) + (net.timing == "nest")
    weight = (link.weight * np.asarray(scale)[:, None])[post, pre]
    net.connect(groups[link.pre], groups[name], synapse, from_edges(pre, post), weight=weight, delay=steps * net.dt)
