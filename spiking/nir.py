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
    is what backends give every edge. Every population of neurons gets an ``Output`` node. Initial states have no place
    in the format.

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
        If the network holds something that NIR cannot say; the message says what, and why.
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
        if p.is_source:
            nodes[p.name] = nir.Input({"input": np.array([p.n])})
        else:
            incoming = [q for q in network.projections if q.post.population is p]
            nodes[p.name] = _neurons(nir, p, [q.synapse for q in incoming])
            nodes[f"{p.name}_output"] = nir.Output({"output": np.array([p.n])})
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
    current), ``Delay`` nodes delays.

    Parameters
    ----------
    graph : nir.NIRGraph
        Times in seconds, potentials in mV, currents in pA.
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
    links = [_link(nir, graph, name) for name, node in graph.nodes.items() if isinstance(node, nir.LIF | nir.CubaLIF)]
    known = nir.Input | nir.Output | nir.LIF | nir.CubaLIF | nir.Linear | nir.Affine | nir.Delay
    for name, node in graph.nodes.items():
        if not isinstance(node, known):
            raise ValueError(f"node {name!r} is a {type(node).__name__}, which has no equal here{_why(node)}")
    net = Network(dt=dt, timing=timing, seed=seed)
    biases = {name: sum((one.bias for one in into), np.zeros(1)) for name, into in links}
    groups = {name: net.add(_population(nir, name, node, biases.get(name)), name=name)
              for name, node in graph.nodes.items() if isinstance(node, nir.Input | nir.LIF | nir.CubaLIF)}  # fmt: skip
    for name, into in links:
        for link in into:
            _connect(nir, net, groups, graph.nodes[name], name, link)
    return net


class _Link(NamedTuple):
    """The way from one population to another: weights (n_post, n_pre), delays (s) of the senders, bias (n_post,)."""

    pre: str
    weight: np.ndarray
    delay: np.ndarray
    bias: np.ndarray


def _nir():
    try:
        import nir
    except ImportError as error:
        raise ImportError('NIR graphs need the package nir: pip install "penstock[nir]"') from error
    return nir


def _check_name(name):
    if "/" in name:
        raise ValueError(f"name of a population must be free of '/' in a NIR file, got {name!r}")


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
    for what, there in (("short-term", q.short_term is not None), ("long-term", q.plasticity is not None)):
        if there:
            raise ValueError(f"{q!r} has {what} plasticity, for which NIR has no node")
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
    nodes[name] = nir.Linear(weight)
    late = (delay - (network.dt if network.timing == "nest" else 0.0)) * _MS
    if not np.any(late > 1e-12):
        return [name]
    of_source = np.zeros(n_pre)
    of_source[pre] = late
    if np.any(np.abs(of_source[pre] - late) > 1e-12):
        raise ValueError(f"{q!r} has different delays behind one neuron; a NIR Delay has one for each sender")
    nodes[f"{name}_delay"] = nir.Delay(of_source)
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


def _link(nir, graph, name):
    """Return the name of a population and the ways that lead to it."""
    n = graph.nodes[name].v_threshold.size
    before = [a for a, b in graph.edges if b == name]
    return name, [way for one in before for way in _ways(nir, graph, one, np.eye(n), np.zeros(n), name)]


def _ways(nir, graph, name, weight, bias, target):
    """Follow a way back from `target` to where spikes come from: through linear maps and one delay."""
    delay = None
    while True:
        node = graph.nodes[name]
        if isinstance(node, nir.Input | nir.LIF | nir.CubaLIF):
            n = int(np.prod(node.input_type["input"])) if isinstance(node, nir.Input) else node.v_threshold.size
            return [_Link(name, weight, np.zeros(n) if delay is None else delay, bias)]
        if isinstance(node, nir.Linear | nir.Affine) and delay is None:
            bias = bias + (weight @ node.bias if isinstance(node, nir.Affine) else 0.0)
            weight = weight @ node.weight
        elif isinstance(node, nir.Delay) and delay is None:
            delay = np.asarray(node.delay, np.float64)
        else:
            raise ValueError(f"node {name!r} on the way to {target!r} must be Linear, Affine or Delay, in this order "
                             f"from the target back, got {type(node).__name__}{_why(node)}")  # fmt: skip
        before = [a for a, b in graph.edges if b == name]
        if len(before) != 1:
            raise ValueError(f"node {name!r} must have one input, got {len(before)}: {before}")
        name = before[0]


def _population(nir, name, node, bias):
    if isinstance(node, nir.Input):
        return SpikeSource(int(np.prod(node.input_type["input"])), [], [])
    if node.v_threshold.ndim != 1:
        raise ValueError(f"node {name!r} must have parameters of one dimension, got shape {node.v_threshold.shape}")
    tau = np.asarray(node.tau if isinstance(node, nir.LIF) else node.tau_mem, np.float64) / _MS
    return LIF(
        node.v_threshold.size,
        tau_m=tau,
        C_m=tau / node.r,
        E_L=np.asarray(node.v_leak, np.float64),
        V_th=np.asarray(node.v_threshold, np.float64),
        V_reset=np.asarray(node.v_reset, np.float64),
        t_ref=0.0,
        I_e=bias * (1.0 if isinstance(node, nir.LIF) else node.w_in) + np.zeros(node.v_threshold.size),
    )


def _connect(nir, net, groups, node, name, link):
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
