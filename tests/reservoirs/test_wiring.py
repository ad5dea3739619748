"""Wirings against the published rules, the package ncps, networkx and known laws."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from numpy.testing import assert_array_equal

import penstock
from penstock.reservoirs import NCP, AutoNCP, Wiring, fully_connected, random_wiring
from tests import published

CHAIN = np.eye(4, k=1, dtype=int)  # 3 -> 2 -> 1 -> 0
RULES = {"sensory_fanout": 2, "inter_fanout": 2, "recurrent_command_synapses": 3, "motor_fanin": 2}


@st.composite
def ncp_arguments(draw):
    inter, command, motor = (draw(st.integers(1, 12)) for _ in range(3))
    return (inter, command, motor), {
        "sensory_fanout": draw(st.integers(1, inter)),
        "inter_fanout": draw(st.integers(1, command)),
        "recurrent_command_synapses": draw(st.integers(0, 20)),
        "motor_fanin": draw(st.integers(1, command)),
        "n_inputs": draw(st.integers(1, 9)),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


def assert_rescued(table, fanout, most):
    """Rule of the links that every source (column) has `fanout` of, and of those for targets that are left out."""
    n_targets, n_sources = table.shape
    fanin = int(np.clip(int(n_sources * fanout / n_targets), 1, most))
    assert (table != 0).any(axis=1).all()
    assert (np.count_nonzero(table, axis=0) >= fanout).all()
    rescues = np.count_nonzero(table) - n_sources * fanout
    assert rescues % fanin == 0 and rescues // fanin <= n_targets - fanout
    # those who were left out have nothing else
    assert rescues // fanin <= (np.count_nonzero(table, axis=1) == fanin).sum()


# Neural circuit policies


@given(ncp_arguments())
@settings(max_examples=40, deadline=None)
def test_policies_obey_the_four_rules(arguments):
    (n_inter, n_command, n_motor), rules = arguments
    wiring = NCP(n_inter, n_command, n_motor, **rules)
    inter, command, motor = wiring.layers
    assert_array_equal(np.r_[motor, command, inter], np.arange(n_inter + n_command + n_motor))
    assert_array_equal(motor, np.arange(n_motor))
    part = {(i, j): wiring.adjacency[np.ix_(wiring.layers[i], wiring.layers[j])] for i in range(3) for j in range(3)}
    assert_rescued(wiring.sensory[inter], rules["sensory_fanout"], rules["n_inputs"])
    assert_rescued(part[1, 0], rules["inter_fanout"], n_command)
    assert_rescued(part[2, 1].T, rules["motor_fanin"], n_motor)
    drawn = rules["recurrent_command_synapses"]
    assert min(drawn, 1) <= np.count_nonzero(part[1, 1]) <= min(drawn, n_command**2)
    assert not wiring.sensory[: n_motor + n_command].any()
    assert not any(part[way].any() for way in ((0, 0), (0, 1), (0, 2), (1, 2), (2, 0), (2, 2)))


@given(st.integers(4, 80), st.data())
@settings(max_examples=30, deadline=None)
def test_auto_policies_have_the_published_sizes(n_units, data):
    n_motor, n_inputs = data.draw(st.integers(1, n_units - 3)), data.draw(st.integers(1, 6))
    sparsity = data.draw(st.floats(0.1, 1.0))
    wiring = AutoNCP(n_units, n_motor, n_inputs=n_inputs, sparsity=sparsity, seed=1)
    others, density = n_units - n_motor, 1.0 - sparsity
    n_command = max(int(0.4 * others), 1)
    assert [len(layer) for layer in wiring.layers] == [others - n_command, n_command, n_motor]
    inter, command, motor = wiring.layers
    fanout = max(int((others - n_command) * density), 1)
    assert_rescued(wiring.sensory[inter], fanout, n_inputs)
    fan = max(int(n_command * density), 1)
    assert_rescued(wiring.adjacency[np.ix_(command, inter)], fan, n_command)
    assert_rescued(wiring.adjacency[np.ix_(motor, command)].T, fan, n_motor)
    loops = np.count_nonzero(wiring.adjacency[np.ix_(command, command)])
    assert 1 <= loops <= max(int(2 * n_command * density), 1)


def test_the_golden_policy_of_28_neurons():
    # 15 inter, 9 command, 4 motor neurons; fan-outs 7 and 4, 9 draws of loops, motor fan-in 4
    wiring = AutoNCP(28, 4, n_inputs=30, sparsity=0.5)  # 30 inputs times 7 leave no inter neuron out
    inter, command, motor = wiring.layers
    assert [len(layer) for layer in wiring.layers] == [15, 9, 4]
    assert_array_equal(np.count_nonzero(wiring.sensory, axis=0), 7)
    assert_array_equal(np.count_nonzero(wiring.adjacency[np.ix_(command, inter)], axis=0), 4)
    assert np.count_nonzero(wiring.adjacency[np.ix_(command, command)]) <= 9
    forward = np.count_nonzero(wiring.adjacency[np.ix_(motor, command)], axis=1)
    assert (forward >= 4).all()


def test_a_small_policy_is_the_published_one_synapse_by_synapse():
    wiring = AutoNCP(8, 2, n_inputs=2)
    assert_array_equal(wiring.adjacency, published.NCPS_AUTONCP_8_2)
    assert_array_equal(wiring.sensory, published.NCPS_AUTONCP_8_2_SENSORY)


@pytest.mark.parametrize(("arguments", "counts"), published.NCPS_AUTONCP.items(), ids=str)
def test_policies_have_the_published_numbers_of_synapses(arguments, counts):
    n_units, n_motor, sparsity, n_inputs = arguments
    wiring = AutoNCP(n_units, n_motor, n_inputs=n_inputs, sparsity=sparsity)
    found = (wiring.n_synapses, wiring.n_sensory_synapses, wiring.adjacency.sum(), wiring.sensory.sum())
    assert found == counts


def test_loops_are_drawn_with_replacement():
    rules = RULES | {"inter_fanout": 1, "motor_fanin": 1, "recurrent_command_synapses": 5}
    one = NCP(2, 1, 1, **rules, n_inputs=1)
    assert np.count_nonzero(one.adjacency[1, 1]) == 1  # five times the same one
    # of n^2 places n^2 draws with replacement hit 1 - (1 - 1/n^2)^(n^2), 0.637 for n = 6; sd of the share 0.052
    rules = RULES | {"recurrent_command_synapses": 36}
    wirings = [NCP(4, 6, 2, **rules, n_inputs=2, seed=seed) for seed in range(100)]
    share = np.mean([np.count_nonzero(wiring.adjacency[2:8, 2:8]) / 36 for wiring in wirings])
    assert abs(share - (1 - (1 - 1 / 36) ** 36)) < 5 * 0.052 / 10


def test_a_command_neuron_left_out_gets_no_more_synapses_than_there_are_command_neurons():
    # 6 inter neurons with one synapse each leave out one of 2 command neurons in 1 of 32 draws; the mean fan-in is 3
    rules = {"sensory_fanout": 1, "inter_fanout": 1, "recurrent_command_synapses": 0, "motor_fanin": 1, "n_inputs": 1}
    counts = [np.count_nonzero(NCP(6, 2, 1, **rules, seed=seed).adjacency[1:3, 3:]) for seed in range(200)]
    assert set(counts) == {6, 8}


def test_polarities_of_a_policy_are_balanced():
    wirings = [AutoNCP(64, 8, n_inputs=8, seed=seed) for seed in range(20)]
    for name in ("adjacency", "sensory"):
        tables = [getattr(wiring, name) for wiring in wirings]
        count, total = sum(map(np.count_nonzero, tables)), sum(table.sum(dtype=int) for table in tables)
        assert abs(total) < 5 * np.sqrt(count)


# Without layers


def test_all_to_all_has_every_synapse_but_the_loops_left_out():
    full = fully_connected(7, n_inputs=3, seed=0)
    assert full.adjacency.all() and full.sensory.all() and full.n_motor == 7 and full.layers is None
    open_loops = fully_connected(7, n_inputs=3, n_motor=2, self_connections=False, seed=0)
    assert_array_equal(open_loops.adjacency != 0, ~np.eye(7, dtype=bool))
    assert open_loops.n_synapses == 42 and open_loops.n_sensory_synapses == 21 and open_loops.n_motor == 2


@given(st.integers(1, 25), st.integers(0, 5), st.floats(0, 0.95), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_random_wirings_have_an_exact_number_of_synapses(n_units, n_inputs, sparsity, seed):
    try:
        wiring = random_wiring(n_units, n_inputs=n_inputs, n_motor=1, sparsity=sparsity, seed=seed)
    except ValueError as error:
        assert "leave a path of synapses" in str(error)
        return
    assert wiring.n_synapses == np.round(n_units**2 * (1 - sparsity))
    assert wiring.n_sensory_synapses == np.round(n_inputs * n_units * (1 - sparsity))


def test_every_place_of_a_random_wiring_is_as_likely():
    wirings = [random_wiring(5, n_inputs=3, n_motor=1, sparsity=0.2, seed=seed) for seed in range(600)]
    for name in ("adjacency", "sensory"):  # 20 of 25 and 12 of 15; five standard errors
        share = np.mean([getattr(wiring, name) != 0 for wiring in wirings], axis=0)
        assert np.abs(share - 0.8).max() < 5 * np.sqrt(0.16 / 600)


@pytest.mark.parametrize("draw", [fully_connected, lambda n, **rest: random_wiring(n, sparsity=0.5, **rest)])
def test_two_of_three_synapses_excite(draw):
    wiring = draw(100, n_inputs=60, seed=3)
    for table in (wiring.adjacency, wiring.sensory):
        count = np.count_nonzero(table)
        assert abs((table == 1).sum() - 2 / 3 * count) < 5 * np.sqrt(count * 2 / 9)


def test_sparse_random_wirings_say_which_motor_neurons_are_lost():
    # 40 synapses among 20 neurons: each has none with probability about e^-2
    with pytest.raises(ValueError, match=r"sparsity must leave a path .* motor neuron .*: take a lower sparsity"):
        random_wiring(20, n_inputs=1, sparsity=0.9, seed=0)
    assert random_wiring(20, n_inputs=0, sparsity=0.9, seed=0).n_synapses == 40  # without inputs nothing is asked
    assert random_wiring(20, n_inputs=3, n_motor=1, sparsity=0.9, seed=0).n_synapses == 40


# The record


def test_rows_receive():
    wiring = Wiring(CHAIN, [[0], [0], [0], [-1]], n_motor=1)
    assert list(nx.topological_sort(wiring.graph())) == ["sensory 0", 3, 2, 1, 0]
    assert wiring.graph().edges["sensory 0", 3]["polarity"] == -1


@given(st.integers(1, 7), st.integers(1, 3), st.floats(0, 0.6), st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_exactly_the_wirings_that_reach_their_motor_neurons_are_taken(n, m, density, seed):
    rng = np.random.default_rng(seed)
    adjacency, sensory = ((rng.random(s) < density) * rng.choice([-1, 1], s) for s in ((n, n), (n, m)))
    graph = nx.DiGraph([(j, i) for i, j in np.argwhere(adjacency)] + [(n + k, i) for i, k in np.argwhere(sensory)])
    graph.add_nodes_from(range(n + m))
    reached = set().union(*(nx.descendants(graph, n + k) for k in range(m)))
    lost = sorted(set(range(n)) - reached)
    n_motor = int(rng.integers(1, n + 1))
    lost = [unit for unit in lost if unit < n_motor]
    if lost:
        with pytest.raises(ValueError, match=f"to motor neuron {', '.join(map(str, lost))}: add synapses"):
            Wiring(adjacency, sensory, n_motor)
    else:
        wiring = Wiring(adjacency, sensory, n_motor)
        assert wiring.n_synapses == np.count_nonzero(adjacency)
        assert wiring.n_sensory_synapses == np.count_nonzero(sensory)


def test_without_inputs_nothing_need_be_reached():
    assert Wiring(np.zeros((3, 3)), np.zeros((3, 0)), n_motor=3).n_inputs == 0


def test_many_lost_motor_neurons_are_not_all_listed():
    with pytest.raises(ValueError, match="motor neuron 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 9 more: add"):
        Wiring(np.zeros((20, 20)), np.eye(20)[:, :1], n_motor=20)


def test_the_graph_holds_all_that_the_wiring_holds():
    wiring = AutoNCP(28, 4, n_inputs=3)
    graph = wiring.graph()
    sensory = [f"sensory {k}" for k in range(3)]
    table = nx.to_numpy_array(graph, nodelist=[*range(28), *sensory], weight="polarity").T
    assert_array_equal(table[:28, :28], wiring.adjacency)
    assert_array_equal(table[:28, 28:], wiring.sensory)
    assert not table[28:].any()
    kinds = dict(graph.nodes(data="kind"))
    for kind, units in zip(("inter", "command", "motor"), wiring.layers, strict=True):
        assert {unit for unit, found in kinds.items() if found == kind} == set(units)
    assert all(kinds[name] == "sensory" for name in sensory)
    kinds = nx.get_node_attributes(fully_connected(3, n_inputs=1, n_motor=1, seed=0).graph(), "kind")
    assert kinds == {0: "motor", 1: "inter", 2: "inter", "sensory 0": "sensory"}


def test_tables_are_small_copies_nobody_can_write():
    table = np.ones((3, 3))
    wiring = Wiring(table, sp.csr_array(np.ones((3, 2))), n_motor=3, layers=None)
    table[:] = 0
    assert wiring.adjacency.all() and wiring.adjacency.dtype == wiring.sensory.dtype == np.int8
    for array in (wiring.adjacency, wiring.sensory, *AutoNCP(8, 2, n_inputs=1).layers):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("draw", [lambda **seed: AutoNCP(20, 3, n_inputs=4, **seed), fully_connected, random_wiring])
def test_the_seed_decides_every_synapse(draw):
    def made(seed):
        if draw is fully_connected:
            return draw(20, n_inputs=4, seed=seed)
        return draw(20, n_inputs=4, sparsity=0.5, seed=seed) if draw is random_wiring else draw(seed=seed)

    for seed in (5, np.random.SeedSequence(5).spawn(2)[1]):
        first, second = made(seed), made(seed)  # a second one adds no synapses
        assert_array_equal(first.adjacency, second.adjacency)
        assert_array_equal(first.sensory, second.sensory)
        assert not np.array_equal(first.adjacency, made(6).adjacency)


def test_drawing_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    AutoNCP(20, 3, n_inputs=4)
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("wiring", [AutoNCP(12, 2, n_inputs=3), fully_connected(4, n_inputs=2, seed=0)], ids=repr)
def test_saved_wirings_come_back(wiring, tmp_path):
    penstock.save(wiring, tmp_path / "wiring")
    again = penstock.load(tmp_path / "wiring")
    assert type(again) is Wiring and again.n_motor == wiring.n_motor
    for name in ("adjacency", "sensory"):
        assert_array_equal(getattr(again, name), getattr(wiring, name))
        assert getattr(again, name).dtype == np.int8
    assert (again.layers is None) == (wiring.layers is None)
    for one, other in zip(again.layers or (), wiring.layers or (), strict=True):
        assert_array_equal(one, other)


ONWARD = Wiring([[0, -1], [0, 0]], [[0], [1]], 1)
DRAWN = [AutoNCP(12, 2, n_inputs=3), fully_connected(4, n_inputs=2, n_motor=1, seed=0), ONWARD]


@pytest.mark.parametrize("wiring", DRAWN, ids=repr)
def test_every_synapse_is_drawn_from_neuron_to_neuron_in_the_colour_of_its_sign(wiring):
    ax, graph = wiring.draw(), wiring.graph()
    ax.figure.canvas.draw()
    lines, *heads, dots = ax.collections
    neuron = {tuple(place): node for place, node in zip(dots.get_offsets(), graph, strict=True)}
    sign = {to_rgb("C0"): 1, to_rgb("C3"): -1}
    found, back = {}, []
    for path, color in zip(lines.get_segments(), lines.get_colors(), strict=True):
        source, target = neuron[tuple(path[0])], neuron[tuple(path[-1])]
        found[source, target] = sign[tuple(color[:3])]
        way = path[-1] - path[0]
        straight = np.abs((path - path[0]) @ (way[1], -way[0])).max() < 1e-12 and way.any()
        assert straight == (path[0][0] < path[-1][0])
        back += [] if straight else [way]
    assert found == {(i, j): polarity for i, j, polarity in graph.edges(data="polarity")}
    assert sum(head.N for head in heads) == len(back)
    for head in heads:  # along the way, or down the loop of a neuron with itself
        for way, *arrow in zip(back, head.U, head.V, strict=True):
            assert np.dot(arrow, way) > 0 if way.any() else np.dot(arrow, (0, -1)) > 0.99
    plt.close("all")


def test_columns_of_a_drawing_are_the_layers():
    ax = DRAWN[0].draw()
    assert [(text.get_text(), text.xy[0]) for text in ax.texts] == [
        ("3 sensory", 0),
        ("6 inter", 1),
        ("4 command", 2),
        ("2 motor", 3),
    ]
    kinds = {"sensory": 0, "inter": 1, "command": 2, "motor": 3}
    columns = [kinds[kind] for _, kind in DRAWN[0].graph().nodes(data="kind")]
    assert_array_equal(ax.collections[-1].get_offsets()[:, 0], columns)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["excitatory", "inhibitory"]
    assert DRAWN[0].draw(ax) is ax
    assert [text.get_text() for text in DRAWN[1].draw().texts] == ["2 sensory", "3 inter", "1 motor"]
    plt.close("all")


def test_thousands_of_synapses_are_a_handful_of_artists():
    ax = fully_connected(64, n_inputs=2, seed=0).draw()  # an artist for each took 7 ms, and half a minute together
    assert len(ax.collections) == 3 and not ax.patches
    plt.close("all")


# Bad input

GOOD = {"adjacency": CHAIN, "sensory": [[0], [0], [0], [1]], "n_motor": 1}
NCP_GOOD = {"n_inter": 4, "n_command": 3, "n_motor": 2, **RULES, "n_inputs": 2}
AUTO_GOOD = {"n_units": 12, "n_motor": 2, "n_inputs": 2}
FULL_GOOD = {"n_units": 6, "n_inputs": 2, "seed": 0}
RANDOM_GOOD = {**FULL_GOOD, "sparsity": 0.2}
LAYERS = ([2, 3], [1], [0])
NUMBERS = {None: "must be an integer, got None", 2.5: "must be an integer, got 2.5", "3": "must be an integer, got '3'"}
NUMBERS |= {True: "must be an integer, got True", np.nan: "must be an integer, got nan", 0: "must be at least 1, got 0"}
NUMBERS |= {-1: "must be at least 1, got -1"}


@pytest.mark.parametrize(
    ("make", "good", "names"),
    [
        (Wiring, GOOD, ["n_motor"]),
        (
            NCP,
            NCP_GOOD,
            ["n_inter", "n_command", "n_motor", "sensory_fanout", "inter_fanout", "motor_fanin", "n_inputs"],
        ),
        (AutoNCP, AUTO_GOOD, ["n_units", "n_motor", "n_inputs"]),
        (fully_connected, FULL_GOOD, ["n_units"]),
        (random_wiring, RANDOM_GOOD, ["n_units"]),
    ],
    ids=["Wiring", "NCP", "AutoNCP", "fully_connected", "random_wiring"],
)
def test_numbers_of_neurons_and_synapses_are_positive_integers(make, good, names):
    make(**good)
    for name in names:
        for value, message in NUMBERS.items():
            with pytest.raises((TypeError, ValueError), match=f"{name} {message}"):
                make(**good | {name: value})


@pytest.mark.parametrize(
    ("make", "good", "bad", "message"),
    [
        (Wiring, GOOD, {"adjacency": None}, "adjacency must hold real numbers"),
        (Wiring, GOOD, {"adjacency": "chain"}, "adjacency must hold real numbers"),
        (Wiring, GOOD, {"adjacency": nx.path_graph(3)}, "adjacency must be an array, got a graph"),
        (Wiring, GOOD, {"adjacency": CHAIN * np.nan}, "adjacency must be finite"),
        (Wiring, GOOD, {"adjacency": CHAIN[:3]}, r"adjacency must be a square matrix .* \(3, 4\)"),
        (Wiring, GOOD, {"adjacency": np.zeros((0, 0))}, r"adjacency must be a square matrix .* \(0, 0\)"),
        (Wiring, GOOD, {"adjacency": CHAIN[0]}, r"adjacency must have shape \(any, any\), got \(4,\)"),
        (
            Wiring,
            GOOD,
            {"adjacency": 2 * CHAIN},
            r"adjacency must hold polarities -1, 0 and 1, got 2 at index \(0, 1\)",
        ),
        (Wiring, GOOD, {"adjacency": 0.5 * CHAIN}, r"adjacency must hold polarities -1, 0 and 1, got 0.5"),
        (Wiring, GOOD, {"sensory": [[0], [0], [0], [-3]]}, r"sensory must hold polarities .* got -3 at index \(3, 0\)"),
        (Wiring, GOOD, {"sensory": [[1]] * 3}, r"sensory must have shape \(4, any\), got \(3, 1\)"),
        (Wiring, GOOD, {"sensory": [1, 1, 1, 1]}, r"sensory must have shape \(4, any\), got \(4,\)"),
        (Wiring, GOOD, {"n_motor": 5}, "n_motor must be at most 4, the 4 neurons, got 5"),
        (Wiring, GOOD, {"layers": 3}, "layers must be three arrays"),
        (Wiring, GOOD, {"layers": LAYERS[1:]}, "layers must be three 1-D arrays"),
        (Wiring, GOOD, {"layers": ([2.0, 3.0], [1], [0])}, "layers must be three 1-D arrays of integers"),
        (Wiring, GOOD, {"layers": ([2, 2], [1], [0])}, "layers must hold each of the neurons 0 to 3 once"),
        (Wiring, GOOD, {"layers": ([2, 4], [1], [0])}, "layers must hold each of the neurons 0 to 3 once"),
        (Wiring, GOOD, {"layers": ([0, 3], [2], [1])}, r"layers\[2\] must hold the motor neurons 0 to 0, got \[1\]"),
        (NCP, NCP_GOOD, {"sensory_fanout": 5}, "sensory_fanout must be at most 4, the 4 inter neurons, got 5"),
        (NCP, NCP_GOOD, {"inter_fanout": 4}, "inter_fanout must be at most 3, the 3 command neurons, got 4"),
        (NCP, NCP_GOOD, {"motor_fanin": 4}, "motor_fanin must be at most 3, the 3 command neurons, got 4"),
        (NCP, NCP_GOOD, {"recurrent_command_synapses": -1}, "recurrent_command_synapses must be at least 0, got -1"),
        (NCP, NCP_GOOD, {"seed": None}, "seed must be a non-negative integer, got None"),
        (NCP, NCP_GOOD, {"seed": -1}, "seed must be at least 0, got -1"),
        (NCP, NCP_GOOD, {"seed": 2**32}, r"seed must be below 2\^32, or a SeedSequence, got 4294967296"),
        (AutoNCP, AUTO_GOOD, {"n_motor": 10}, "n_motor must be below n_units - 2 = 10, got 10"),
        (AutoNCP, AUTO_GOOD, {"sparsity": 0.09}, r"sparsity must lie in \[0.1, 1\], got 0.09"),
        (AutoNCP, AUTO_GOOD, {"sparsity": 1.01}, r"sparsity must lie in \[0.1, 1\], got 1.01"),
        (AutoNCP, AUTO_GOOD, {"sparsity": np.nan}, "sparsity must be finite, got nan"),
        (AutoNCP, AUTO_GOOD, {"sparsity": "high"}, "sparsity must be a number, got 'high'"),
        (AutoNCP, AUTO_GOOD, {"sparsity": True}, "sparsity must be a number, got True"),
        (fully_connected, FULL_GOOD, {"n_inputs": -1}, "n_inputs must be at least 0, got -1"),
        (fully_connected, FULL_GOOD, {"n_motor": 7}, "n_motor must be at most 6, the 6 neurons, got 7"),
        (fully_connected, FULL_GOOD, {"self_connections": 1}, "self_connections must be True or False, got 1"),
        (fully_connected, FULL_GOOD, {"seed": None}, "seed must be a non-negative integer, got None"),
        (random_wiring, RANDOM_GOOD, {"sparsity": 1.0}, r"sparsity must lie in \[0, 1\), got 1.0"),
        (random_wiring, RANDOM_GOOD, {"sparsity": -0.1}, r"sparsity must lie in \[0, 1\), got -0.1"),
        (random_wiring, RANDOM_GOOD, {"sparsity": None}, "sparsity must be a number, got None"),
        (random_wiring, RANDOM_GOOD, {"n_inputs": 1.0}, "n_inputs must be an integer, got 1.0"),
        (random_wiring, RANDOM_GOOD, {"seed": 0.5}, "seed must be a non-negative integer|seed must be an integer"),
    ],
)
def test_bad_input_is_named(make, good, bad, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(**good | bad)


def test_layers_in_any_order_are_taken():
    assert_array_equal(Wiring(**GOOD, layers=([3, 2], [1], [0])).layers[0], [3, 2])


# The package ncps; it keeps a row for every sender


@pytest.fixture
def wirings():
    return pytest.importorskip("ncps.wirings")


def assert_same(ours, theirs):
    theirs.build(ours.n_inputs)
    assert_array_equal(ours.adjacency, theirs.adjacency_matrix.T)
    assert_array_equal(ours.sensory, theirs.sensory_adjacency_matrix.T)
    assert ours.n_motor == theirs.output_dim


@pytest.mark.torch
@given(ncp_arguments())
@settings(max_examples=150, deadline=None)
def test_policies_equal_ncps_synapse_by_synapse(arguments):
    wirings = pytest.importorskip("ncps.wirings")
    sizes, rules = arguments
    names = ("sensory_fanout", "inter_fanout", "recurrent_command_synapses", "motor_fanin", "seed")
    ours, theirs = NCP(*sizes, **rules), wirings.NCP(*sizes, **{name: rules[name] for name in names})
    assert_same(ours, theirs)
    for number, layer in enumerate(ours.layers):
        assert_array_equal(layer, theirs.get_neurons_of_layer(number))


@pytest.mark.torch
@pytest.mark.parametrize("n_units", [4, 5, 8, 19, 28, 32, 64, 100, 128])
@pytest.mark.parametrize("sparsity", [0.1, 0.3, 0.5, 0.9, 1.0])
def test_auto_policies_equal_ncps_synapse_by_synapse(wirings, n_units, sparsity):
    for n_motor in {1, n_units // 4, n_units - 3}:
        for n_inputs, seed in ((1, 22222), (7, 0)):
            ours = AutoNCP(n_units, n_motor, n_inputs=n_inputs, sparsity=sparsity, seed=seed)
            assert_same(ours, wirings.AutoNCP(n_units, n_motor, sparsity, seed))


@pytest.mark.torch
@pytest.mark.parametrize("self_connections", [True, False])
@pytest.mark.parametrize(("n_units", "n_inputs", "n_motor"), [(1, 1, 1), (6, 3, 2), (40, 11, None)])
def test_all_to_all_equals_ncps(wirings, n_units, n_inputs, n_motor, self_connections):
    ours = fully_connected(n_units, n_inputs=n_inputs, n_motor=n_motor, self_connections=self_connections, seed=1111)
    assert_same(ours, wirings.FullyConnected(n_units, n_motor, self_connections=self_connections))


@pytest.mark.torch
@pytest.mark.parametrize(("n_units", "n_inputs", "sparsity"), [(6, 3, 0.0), (12, 3, 0.5), (50, 40, 0.8)])
def test_random_wirings_equal_ncps_but_for_the_polarities_it_draws_twice(wirings, n_units, n_inputs, sparsity):
    ours = random_wiring(n_units, n_inputs=n_inputs, n_motor=2, sparsity=sparsity, seed=1111)
    theirs = wirings.Random(n_units, 2, sparsity, random_seed=1111)
    theirs.build(n_inputs)
    assert_array_equal(ours.adjacency, theirs.adjacency_matrix.T)
    assert_array_equal(ours.sensory != 0, theirs.sensory_adjacency_matrix.T != 0)
