"""What NIR can carry comes back unchanged and means what its equations say; the rest is refused with the reason."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from penstock.spiking import (
    ALIF,
    LIF,
    Alpha,
    Delta,
    Exponential,
    Izhikevich,
    Network,
    PairSTDP,
    PoissonInput,
    SpikeSource,
    StepCurrent,
    SynapticScaling,
    ThresholdHomeostasis,
    TsodyksMarkram,
    all_to_all,
    from_matrix,
    from_nir,
    probability,
    to_nir,
)

nir = pytest.importorskip("nir")


def network(timing="brian2", synapse=None, delay=None):
    """Three populations: a source, neurons that it drives, neurons that these drive."""
    synapse = Exponential(5.0) if synapse is None else synapse
    strength = 1.0 if isinstance(synapse, Delta) else 60.0
    rng = np.random.default_rng(0)
    times, ids = np.sort(rng.integers(1, 2000, 300)) * 0.1, rng.integers(0, 5, 300)
    times, ids = np.unique(np.stack([times.round(1), ids]), axis=1)
    net = Network(dt=0.1, timing=timing, seed=1)
    source = net.add(SpikeSource(5, ids.astype(int), times), name="source")
    first = net.add(LIF(20, tau_m=np.linspace(8, 14, 20), t_ref=0.0, I_e=300.0), name="first")
    second = net.add(LIF(10, tau_m=20.0, C_m=200.0, t_ref=0.0, V_reset=-60.0), name="second")
    least = 0.1 if timing == "nest" else 0.0
    late = {"delay": least + (0.0 if delay is None else delay)}
    net.connect(source, first, synapse, all_to_all(), weight=2 * strength, **late)
    net.connect(first, first, synapse, probability(0.3), weight=-0.2 * strength, **late)
    net.connect(first, second, synapse, probability(0.5), weight=2 * strength)
    return net


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("synapse", [Delta(), Exponential(5.0)])
@pytest.mark.parametrize("delay", [None, 1.5])
def test_a_network_survives_a_file(tmp_path, timing, synapse, delay):
    net = network(timing, synapse, delay)
    nir.write(str(tmp_path / "net.nir"), to_nir(net))
    back = from_nir(nir.read(str(tmp_path / "net.nir")), timing=timing)
    source = next(p for p in back.populations if p.is_source)
    source.model = net.populations[0].model  # NIR has no spikes of its own, and no initial potentials
    for group in back.groups:
        if not group.population.is_source:
            back.set(group, v=net.get(next(g for g in net.groups if g.name == group.name), "v"))
    for one in (net, back):
        for group in one.groups:
            one.record(group, "spikes")
    ours, theirs = (one.run(200.0, progress=False).spikes for one in (net, back))
    for name in ("first", "second"):
        assert ours[name].times.size > 20
        assert np.array_equal(ours[name].times, theirs[name].times)
        assert np.array_equal(ours[name].ids, theirs[name].ids)


def test_a_spike_has_the_effect_of_the_equations_of_the_format():
    net = Network(dt=0.1)
    source = net.add(SpikeSource(1, [0], [0.0]), name="source")
    cells = net.add(LIF(1, tau_m=12.0, C_m=150.0, t_ref=0.0, I_e=20.0), name="cells")
    net.connect(source, cells, Exponential(4.0), all_to_all(), weight=80.0)
    graph = to_nir(net)
    node, weight = graph.nodes["cells"], graph.nodes["source_to_cells_0"].weight
    assert isinstance(node, nir.CubaLIF)

    def flow(t, x):  # seconds; the Dirac pulse at 0 is the initial current w_in w / tau_syn
        v, current = x
        return (node.v_leak[0] - v + node.r[0] * current) / node.tau_mem[0], -current / node.tau_syn[0]

    begin = [-70.0, node.w_in[0] * weight[0, 0] / node.tau_syn[0]]
    exact = solve_ivp(flow, (0.0, 0.02), begin, rtol=1e-11, atol=1e-11).y[0, -1]
    net.record(cells, "v")
    v = net.run(20.1, progress=False).states["cells", "v"].values[-1, 0]
    without = Network(dt=0.1)
    alone = without.add(LIF(1, tau_m=12.0, C_m=150.0, t_ref=0.0, I_e=20.0), name="cells", v=-70.0)
    without.record(alone, "v")
    first = without.run(0.1, progress=False).states["cells", "v"].values[0, 0]  # the pulse comes after the first update
    assert v == pytest.approx(exact + (first + 70.0) * np.exp(-20 / 12), abs=1e-7)


def test_a_pulse_into_lif_neurons_has_the_area_that_moves_them_by_the_weight():
    net = Network(dt=0.1)
    cells = net.add(LIF(2, tau_m=[10.0, 20.0], C_m=100.0, t_ref=0.0), name="cells")
    net.connect(cells, cells, Delta(), from_matrix(np.array([[0.0, 3.0], [5.0, 0.0]])))
    graph = to_nir(net)
    node = graph.nodes["cells"]
    jumps = graph.nodes["cells_to_cells_0"].weight * (node.r / node.tau)[:, None]
    np.testing.assert_allclose(jumps, [[0.0, 5.0], [3.0, 0.0]], rtol=1e-14)
    assert np.array_equal(node.tau, [0.01, 0.02])


def test_affine_nodes_in_a_row_are_one_projection_and_a_current():
    lif = nir.LIF(
        tau=np.full(2, 0.01), r=np.full(2, 0.1), v_leak=np.zeros(2), v_threshold=np.full(2, 15.0)
    )  # fmt: skip
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "a": nir.Affine(np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0])),
        "b": nir.Affine(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0])),
        "cells": lif,
        "out": nir.Output({"output": np.array([2])}),
    }
    net = from_nir(nir.NIRGraph(nodes, [("in", "a"), ("a", "b"), ("b", "cells"), ("cells", "out")]))
    np.testing.assert_allclose(net.populations[1].model.I_e, [[5 + 1 + 4, 6 + 3 + 8]][0], rtol=1e-14)
    weight = np.zeros((2, 3))
    pre, post, w, _ = net.projections[0].edges()
    weight[post, pre] = w
    expected = np.array([[1.0, 2.0], [3.0, 4.0]]) @ np.arange(6.0).reshape(2, 3) * 0.1 / 0.01
    np.testing.assert_allclose(weight, expected, rtol=1e-14)


def _lif(net, **kind):
    return net.add(LIF(3, **{"t_ref": 0.0} | kind), name="cells")


REFUSED = {
    "ALIF": (lambda net: net.add(ALIF(3, t_ref=0.0)), "ALIF neurons"),
    "Izhikevich": (lambda net: net.add(Izhikevich(3)), "Izhikevich neurons"),
    "refractory": (lambda net: _lif(net, t_ref=1.0), "refractory time"),
    "soft reset": (lambda net: _lif(net, soft_reset=True), "soft reset"),
    "noise": (lambda net: _lif(net, sigma=1.0), "noise"),
    "homeostasis": (lambda net: net.regulate(_lif(net), ThresholdHomeostasis(5.0, eta=0.1)), "homeostatic"),
    "current": (lambda net: net.stimulate(_lif(net), StepCurrent([0.0], [1.0])), "I_e"),
    "Poisson": (lambda net: net.stimulate(_lif(net), PoissonInput(5, 10.0, 0.1, Delta())), "PoissonInput"),
    "name": (lambda net: net.add(LIF(3, t_ref=0.0), name="a/b"), "free of '/'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_format_lacks_is_refused_with_the_reason(what):
    make, message = REFUSED[what]
    net = Network(dt=0.1)
    make(net)
    with pytest.raises(ValueError, match=message):
        to_nir(net)


@pytest.mark.parametrize(
    "synapses, kind, message",
    [
        ([Alpha(2.0)], {}, "pulses and exponential currents only"),
        ([Exponential(2.0, reversal=0.0)], {}, "pulses and exponential currents only"),
        ([Exponential(2.0), Exponential(3.0)], {}, "several kinds"),
        ([Exponential(2.0), Delta()], {}, "several kinds"),
        ([Delta()], {"short_term": TsodyksMarkram(U=0.5, tau_rec=10.0, tau_fac=0.0)}, "short-term"),
        ([Delta()], {"plasticity": PairSTDP(0.1, 0.1, w_max=2.0)}, "long-term"),
        ([Delta()], {"delay": lambda rng, n: np.arange(n) / 10}, "different delays"),
    ],
    ids=["alpha", "conductance", "two taus", "two kinds", "short", "long", "delays"],
)
def test_synapses_that_the_format_lacks_are_refused(synapses, kind, message):
    net = Network(dt=0.1)
    cells = _lif(net)
    for synapse in synapses:
        net.connect(cells, cells, synapse, all_to_all(), weight=1.0, **kind)
    with pytest.raises(ValueError, match=message):
        to_nir(net)


def test_scaled_synapses_and_names_taken_by_other_nodes_are_refused():
    net = Network(dt=0.1)
    cells = _lif(net)
    q = net.connect(cells, cells, Delta(), all_to_all(), weight=1.0)
    net.regulate(q, SynapticScaling(5.0))
    with pytest.raises(ValueError, match="synaptic scaling"):
        to_nir(net)
    for name in ("cells_output", "cells_to_cells_0"):
        net = Network(dt=0.1)
        cells = _lif(net)
        net.connect(cells, cells, Delta(), all_to_all(), weight=1.0)
        net.add(LIF(3, t_ref=0.0), name=name)
        with pytest.raises(ValueError, match=f"of another node, got '{name}'"):
            to_nir(net)


def test_parts_of_populations_keep_their_places():
    net = Network(dt=0.1)
    cells = _lif(net)
    net.connect(cells[:2], cells[1:], Delta(), from_matrix(np.array([[1.0, 2.0], [3.0, 4.0]])))
    back = from_nir(to_nir(net)).projections[0]
    pre, post, w, _ = back.edges()
    weight = np.zeros((3, 3))
    weight[post, pre] = w
    np.testing.assert_allclose(weight, [[0, 0, 0], [1, 3, 0], [2, 4, 0]], rtol=1e-14)


def test_input_weights_of_neurons_scale_spikes_and_biases():
    one = np.ones(2)
    node = nir.CubaLIF(
        tau_syn=0.005 * one, tau_mem=0.01 * one, r=one, v_leak=0 * one, v_threshold=one, w_in=np.array([2.0, 3.0])
    )
    nodes = {"in": INPUT, "a": nir.Affine(np.ones((2, 2)), np.array([5.0, 7.0])), "x": node, "out": OUTPUT}
    net = from_nir(nir.NIRGraph(nodes, [("in", "a"), ("a", "x"), ("x", "out")]))
    np.testing.assert_allclose(net.projections[0].weights, [400.0, 600.0, 400.0, 600.0], rtol=1e-14)
    np.testing.assert_allclose(net.populations[1].model.I_e, [10.0, 21.0], rtol=1e-14)


INPUT, OUTPUT = nir.Input({"input": np.array([2])}), nir.Output({"output": np.array([2])})
WEIGHT, DELAY = nir.Linear(np.ones((2, 2))), nir.Delay(np.array([0.001, 0.002]))
LOST = {
    "a readout": ([("in", "x"), ("x", "w"), ("w", "out")], "'w' must lead to neurons"),
    "weights both ways": ([("in", "w"), ("w", "x"), ("w", "out")], "'out' must follow neurons, got the Linear 'w'"),
    "a loose end": ([("in", "x"), ("in", "w"), ("x", "out")], "'w' must lead to neurons"),
    "two inputs": ([("in", "w"), ("x", "w"), ("w", "x"), ("x", "out")], "'w' must have one input"),
    "a circle": ([("v", "w"), ("w", "v"), ("w", "x"), ("in", "x"), ("x", "out")], "'w' must have one input|itself"),
    "late delays": ([("in", "w"), ("w", "d"), ("d", "x"), ("x", "out")], "'w' before 'x' must be"),
    "past all neurons": ([("in", "x"), ("in", "out")], "'out' must follow neurons, got the Input 'in'"),
    "sizes": ([("three", "w"), ("w", "x"), ("x", "out")], r"weight at node 'w' must have shape \(2, 3\)"),
}


@pytest.mark.parametrize("what", LOST)
def test_graphs_of_which_something_would_be_lost_are_refused(what):
    edges, message = LOST[what]
    one = np.ones(2)
    three = nir.Input({"input": np.array([3])})
    known = {"in": INPUT, "out": OUTPUT, "w": WEIGHT, "v": WEIGHT, "d": DELAY, "three": three}
    known["x"] = nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one)
    nodes = {name: known[name] for name in {name: None for edge in edges for name in edge}}
    with pytest.raises(ValueError, match=message):
        from_nir(nir.NIRGraph(nodes, edges, type_check=False))


def test_parameters_that_make_no_neurons_name_their_node():
    one = np.ones(2)
    for wrong, message in (({"r": 0 * one}, "r of node 'x'"), ({"v_reset": 2 * one}, "'x' does not make.*V_reset")):
        node = nir.LIF(**{"tau": one, "r": one, "v_leak": 0 * one, "v_threshold": one} | wrong)
        with pytest.raises(ValueError, match=message):
            from_nir(nir.NIRGraph({"in": INPUT, "x": node, "out": OUTPUT}, [("in", "x"), ("x", "out")]))


def test_nodes_without_an_equal_are_refused():
    one = np.ones(2)
    out = {"out": nir.Output({"output": np.array([2])}), "in": nir.Input({"input": np.array([2])})}
    for node, message in (
        (nir.IF(one, one), "tau_m would be infinite"),
        (nir.LI(one, one, one), "no spikes"),
        (nir.Threshold(one), "has no equal here"),
    ):
        with pytest.raises(ValueError, match=message):
            from_nir(nir.NIRGraph(out | {"x": node}, [("in", "x"), ("x", "out")]))
    taus = nir.CubaLIF(tau_syn=np.array([0.1, 0.2]), tau_mem=one, r=one, v_leak=0 * one, v_threshold=one)
    with pytest.raises(ValueError, match="one tau_syn"):
        from_nir(nir.NIRGraph(out | {"x": taus}, [("in", "x"), ("x", "out")]))
    with pytest.raises(TypeError, match="graph must be"):
        from_nir(out)
    with pytest.raises(TypeError, match="network must be"):
        to_nir(out)
