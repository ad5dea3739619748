"""The builder: what it makes of what it is given, what it refuses and in which words, and runs in pieces."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import penstock.spiking.network as network_file
from penstock import Uniform
from penstock.spiking import (
    ALIF,
    LIF,
    AdEx,
    Alpha,
    ArrayCurrent,
    Delta,
    Exponential,
    Izhikevich,
    Izhikevich2007,
    Network,
    OUCurrent,
    PoissonGroup,
    PoissonInput,
    Pulse,
    SpikeSource,
    StepCurrent,
    TsodyksMarkram,
    all_to_all,
    from_edges,
    from_matrix,
    one_to_one,
    probability,
)
from penstock.spiking.connectors import Edges

CELL = {"tau_m": 20.0, "C_m": 200.0, "E_L": -60.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 2.0}


def small(n=5, **settings):
    """A network with one population of n cells."""
    net = Network(dt=0.1, **settings)
    return net, net.add(LIF(n, **CELL), name="cells")


def noisy_network(seed=3, timing="brian2"):
    """Everything random at once: Poisson units and input, an Ornstein-Uhlenbeck current, noise, short-term states."""
    net = Network(dt=0.1, seed=seed, timing=timing)
    source = net.add(PoissonGroup(30, rate=40.0), name="source")
    cells = net.add(LIF(40, **CELL, sigma=1.0), name="cells", v=Uniform(-60.0, -50.0))
    rule = TsodyksMarkram(U=0.5, tau_rec=100.0, tau_fac=20.0)
    net.connect(
        source,
        cells,
        Exponential(5.0),
        probability(0.3),
        weight=Uniform(40, 60),
        delay=Uniform(0.1, 8),
        short_term=rule,
    )
    net.connect(cells, cells, Exponential(5.0), probability(0.2), weight=Uniform(10.0, 30.0), delay=Uniform(1, 15))
    net.stimulate(cells, OUCurrent(60.0, 30.0, 5.0))
    net.stimulate(cells[:20], PoissonInput(50, 10.0, 10.0, Exponential(5.0)))
    net.record(cells, "spikes")
    net.record(source, "spikes")
    return net, cells


def same_spikes(one, other):
    assert one.spikes.keys() == other.spikes.keys()
    for name, trains in one.spikes.items():
        assert_array_equal(trains.times, other.spikes[name].times)
        assert_array_equal(trains.ids, other.spikes[name].ids)


# ------------------------------------------------------------------------------------------------------ the network
@pytest.mark.parametrize("dt", [0, -0.1, np.nan, np.inf, None, "0.1", True])
def test_dt_must_be_a_positive_number(dt):
    with pytest.raises((TypeError, ValueError), match="dt"):
        Network(dt=dt)


@pytest.mark.parametrize("timing", ["Brian2", "nest ", None, 0, True])
def test_there_are_two_timings(timing):
    with pytest.raises(ValueError, match='timing must be "brian2" or "nest"'):
        Network(timing=timing)


@pytest.mark.parametrize("seed", [None, -1, 1.5, "0", True])
def test_a_seed_is_a_number_that_can_be_repeated(seed):
    with pytest.raises((TypeError, ValueError), match="seed"):
        Network(seed=seed)


def test_a_seed_sequence_serves_two_networks_alike():
    sequence = np.random.SeedSequence(4)
    first, second = (noisy_network(seed=sequence)[0].run(50.0, progress=False) for _ in range(2))
    same_spikes(first, second)
    assert first.spikes["cells"].n_spikes > 20


def test_the_text_of_a_network_names_its_parts():
    net, cells = noisy_network()
    text = repr(net)
    for part in ("dt=0.1 ms", 'timing="brian2"', "at 0 ms", "cells: LIF(40", "source: PoissonGroup(n=30", "OUCurrent"):
        assert part in text
    assert "Projection(source -> cells" in text and "Exponential(tau=5.0" in text and "0.1 to 8 ms" in text
    assert repr(cells) == "Group('cells', LIF, 40 units)"
    assert repr(cells[:10]) == "Group('cells', LIF, 10 of 40 units)"
    net.run(0.3, progress=False)
    assert "at 0.3 ms" in repr(net)
    assert net.time == 0.3
    assert [group.name for group in net.groups] == ["source", "cells"]


# ------------------------------------------------------------------------------------------------------ populations
@pytest.mark.parametrize("model", [None, "LIF", 100, LIF, np.zeros(3)])
def test_a_population_must_be_a_model(model):
    with pytest.raises(TypeError, match="model must be a population of neurons or a source of spikes"):
        Network().add(model)


def test_a_current_is_no_population():
    with pytest.raises(TypeError, match="net.stimulate"):
        Network().add(StepCurrent([0.0], [1.0]))


@pytest.mark.parametrize("name", ["", 3, True, ("a",)])
def test_names_are_texts(name):
    with pytest.raises(TypeError, match="name must be a text"):
        Network().add(LIF(3, **CELL), name=name)


def test_a_name_serves_once():
    net, _ = small()
    with pytest.raises(ValueError, match="name must be new in the network, got 'cells' again"):
        net.add(LIF(3, **CELL), name="cells")
    assert [net.add(LIF(2, **CELL)).name for _ in range(2)] == ["group1", "group2"]


def test_a_refractory_period_must_fit_the_grid():
    with pytest.raises(ValueError, match=r"t_ref of 'cells' must be .* dt=0.3 ms, got 2 ms; take 1.8 or 2.1 ms"):
        Network(dt=0.3).add(LIF(3, **CELL), name="cells")
    with pytest.raises(ValueError, match="t_ref of 'cells' .* got 1.05 ms"):
        Network(dt=0.1).add(LIF(3, **{**CELL, "t_ref": [1.0, 1.05, 1.1]}), name="cells")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"w": 1.0}, "'cells' has no state 'w'; its states are 'v'"),
        ({"v": [1.0, 2.0]}, "v must be one number or one for each of 5 units, got 2"),
        ({"v": np.zeros((5, 1))}, "v must have 0 or 1 dimensions"),
        ({"v": np.nan}, "v must be finite"),
        ({"v": None}, "v must hold real numbers"),
        ({"v": "rest"}, "v must hold real numbers"),
        ({"v": True}, "v must"),
        ({"v": lambda rng, size: np.zeros(size + 1)}, "v must be one number or one for each of 5 units, got 6"),
    ],
)
def test_initial_values_must_fit(values, words):
    net = Network()
    with pytest.raises((TypeError, ValueError), match=words):
        net.add(LIF(5, **CELL), name="cells", **values)
    assert not net.groups  # nothing is left of a failed attempt
    cells = net.add(LIF(5, **CELL), name="cells")
    with pytest.raises((TypeError, ValueError), match=words):
        net.set(cells, **values)


def test_a_source_has_no_states():
    net = Network()
    with pytest.raises(ValueError, match="has no state 'v'; its states are none"):
        net.add(PoissonGroup(3, rate=1.0), v=0.0)
    source = net.add(PoissonGroup(3, rate=1.0))
    for act in (lambda: net.set(source, v=0.0), lambda: net.get(source, "v"), lambda: net.record(source, "v")):
        with pytest.raises(ValueError, match="has no state 'v'"):
            act()


def test_states_are_set_and_got_by_parts_of_a_group():
    net, cells = small()
    net.set(cells, v=np.arange(5.0) - 60.0)
    net.set(cells[[3, 0]], v=[-51.0, -52.0])
    assert_array_equal(net.get(cells, "v"), [-52, -59, -58, -51, -56])
    assert_array_equal(net.get(cells[::-2], "v"), [-56, -58, -52])
    got = net.get(cells, "v")
    got[:] = 0.0
    assert net.get(cells, "v").max() < 0  # a copy
    with pytest.raises(ValueError, match="no state 'g'"):
        net.get(cells, "g")
    net.connect(cells, cells, Exponential(5.0), all_to_all(), weight=1.0)
    net.set(cells, g=3.0)
    assert_array_equal(net.get(cells, "g"), 3.0)


def test_initial_values_of_a_law_have_its_range_and_differ():
    net, _ = small()
    drawn = net.get(net.add(LIF(1000, **CELL), v=Uniform(-60.0, -50.0)), "v")
    assert -60 <= drawn.min() < -59.9 and -50.1 < drawn.max() <= -50 and np.unique(drawn).size == 1000


# ------------------------------------------------------------------------------------------------------------ groups
@pytest.mark.parametrize("index", [slice(3, 3), slice(9, 12), [], [1, 1], [0, -5]])
def test_a_part_of_a_group_holds_units_once(index):
    _, cells = small()
    with pytest.raises(ValueError, match="a part of group 'cells' must hold units, each once"):
        cells[index]


@pytest.mark.parametrize("index", [5, -6, [0, 5], "a", 1.5, [0.5], (0, 1), None, True, [[0, 1]], np.zeros(4, bool)])
def test_units_that_do_not_exist_are_refused(index):
    _, cells = small()
    with pytest.raises((IndexError, ValueError), match="'cells'"):
        cells[index]


def test_slices_of_slices_are_parts_of_the_population():
    net = Network()
    cells = net.add(LIF(20, **CELL), v=np.arange(20.0) - 80.0)
    assert_array_equal(net.get(cells[10:][2:5], "v") + 80, [12, 13, 14])
    assert_array_equal(net.get(cells[10:][-1], "v") + 80, [19])
    assert_array_equal(net.get(cells[np.arange(20) % 7 == 0], "v") + 80, [0, 7, 14])
    assert len(cells[3:8]) == 5 and len(cells[np.int64(4)]) == 1
    assert cells.whole and not cells[1:].whole and not cells[::-1].whole and cells[4:6].start == 4


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.data())
def test_a_part_of_a_group_is_what_numpy_makes_of_its_units(n, data):
    net = Network()
    cells = net.add(LIF(n, **CELL), v=np.arange(float(n)) - 100.0)
    index = data.draw(st.slices(n))
    expected = np.arange(n)[index]
    if expected.size:
        assert_array_equal(net.get(cells[index], "v") + 100.0, expected)
        assert cells[index].is_range == (expected.size == 1 or bool((np.diff(expected) == 1).all()))


# ------------------------------------------------------------------------------------------------------- projections
def test_groups_of_other_networks_are_foreign():
    net, cells = small()
    _, other = small()
    calls = [
        ("pre", lambda g: net.connect(g, cells, Delta(), all_to_all(), weight=1.0)),
        ("post", lambda g: net.connect(cells, g, Delta(), all_to_all(), weight=1.0)),
        ("target", lambda g: net.stimulate(g, StepCurrent([0.0], [1.0]))),
        ("group", lambda g: net.record(g, "spikes")),
        ("group", lambda g: net.set(g, v=-60.0)),
        ("group", lambda g: net.get(g, "v")),
    ]
    for name, call in calls:
        with pytest.raises(ValueError, match=f"{name} must be a group of this network, got 'cells' of another"):
            call(other)
        with pytest.raises(TypeError, match=f"{name} must be a group that net.add returned, got 'cells'"):
            call("cells")


def test_a_source_is_no_target():
    net, cells = small()
    source = net.add(PoissonGroup(3, rate=1.0), name="noise")
    with pytest.raises(ValueError, match="post must be a population of neurons, got the source 'noise'"):
        net.connect(cells, source, Delta(), all_to_all(), weight=1.0)
    with pytest.raises(ValueError, match="target must be a population of neurons, got the source 'noise'"):
        net.stimulate(source, StepCurrent([0.0], [1.0]))


@pytest.mark.parametrize("index", [slice(None, None, 2), slice(None, None, -1), [0, 2], [1, 0]])
def test_synapses_and_drives_take_unbroken_ranges(index):
    net, cells = small()
    for name, pre, post in (("pre", cells[index], cells), ("post", cells, cells[index])):
        with pytest.raises(ValueError, match=f"{name} must be an unbroken range of units of 'cells', such as"):
            net.connect(pre, post, Delta(), all_to_all(), weight=1.0)
    with pytest.raises(ValueError, match="target must be an unbroken range"):
        net.stimulate(cells[index], StepCurrent([0.0], [1.0]))
    with pytest.raises(ValueError, match="rate needs an unbroken range"):
        net.record(cells[index], "rate")


@pytest.mark.parametrize("synapse", [None, 5.0, "exp", Exponential, Delta, TsodyksMarkram(0.5, 1.0, 1.0)])
def test_a_synapse_must_be_one(synapse):
    net, cells = small()
    with pytest.raises(TypeError, match="synapse must be Delta"):
        net.connect(cells, cells, synapse, all_to_all(), weight=1.0)


@pytest.mark.parametrize("connector", [None, 0.1, "all", np.eye(5), all_to_all, probability, one_to_one])
def test_a_connector_must_be_one(connector):
    net, cells = small()
    with pytest.raises(TypeError, match="connector must be"):
        net.connect(cells, cells, Delta(), connector, weight=1.0)


@pytest.mark.parametrize("rule", [0.5, "depressing", (0.5, 100.0, 0.0), Exponential(5.0), TsodyksMarkram])
def test_short_term_plasticity_must_be_a_rule(rule):
    net, cells = small()
    with pytest.raises(TypeError, match="short_term must be TsodyksMarkram"):
        net.connect(cells, cells, Delta(), all_to_all(), weight=1.0, short_term=rule)


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (None, "weight must be given"),
        ([1.0, 2.0], "weight must be one number or one for each of 20 synapses, got shape"),
        (np.ones((5, 5)), "weight must have 0 or 1 dimensions"),
        (np.nan, "weight must be finite"),
        ("strong", "weight must hold real numbers"),
        (True, "weight must"),
        (lambda rng, size: np.ones(3), "weight must be one number or one for each of 20 synapses"),
        (lambda rng, size: np.full(size, np.inf), "weight must be finite"),
    ],
)
def test_weights_must_fit(weight, words):
    net, cells = small()
    with pytest.raises((TypeError, ValueError), match=words):
        net.connect(cells, cells, Delta(), all_to_all(), weight=weight)
    assert not net.projections


@pytest.mark.parametrize(
    ("delay", "words"),
    [
        (1.55, r"delay must be a whole number of steps of dt=0.1 ms, got 1.55 ms; take 1.5 or 1.6 ms"),
        (-0.1, "delay must be at least 0 ms, got -0.1 ms"),
        ([1.0, 2.0], "delay must be one number or one for each of 20 synapses, got shape"),
        (np.ones((5, 5)), "delay must"),
        (np.nan, "delay must be finite"),
        ("long", "delay must hold real numbers"),
        (True, "delay must"),
        (lambda rng, size: np.ones(3), "delay must be one number or one for each of 20 synapses"),
        (lambda rng, size: np.full(size, np.nan), "delay must be finite"),
    ],
)
def test_delays_must_fit(delay, words):
    net, cells = small()
    with pytest.raises((TypeError, ValueError), match=words):
        net.connect(cells, cells, Delta(), all_to_all(), weight=1.0, delay=delay)
    assert not net.projections


def test_failed_calls_draw_nothing():
    """Laws, connectors and noise draw the same numbers whether or not a call failed before them."""

    def build(fail):
        net = Network(seed=9)

        def failing(call):
            if fail:
                with pytest.raises((TypeError, ValueError, MemoryError)):
                    call()

        failing(lambda: net.add(LIF(4, **{**CELL, "t_ref": 0.05}), v=Uniform(-60.0, -50.0)))
        failing(lambda: net.add(PoissonGroup(4, rate=1e6)))
        failing(lambda: net.add(LIF(4, **CELL), v=Uniform(-60.0, -50.0), g=1.0))
        failing(lambda: net.add(LIF(4, **CELL), v=lambda rng, size: np.full(size, np.nan)))
        failing(lambda: net.add(LIF(10**15, **CELL), v=Uniform(-60.0, -50.0)))
        cells = net.add(LIF(40, **CELL, sigma=3.0), name="cells", v=Uniform(-60.0, -50.0))
        failing(lambda: net.set(cells, v=Uniform(-70.0, -50.0), g=1.0))
        failing(lambda: net.set(cells, v=lambda rng, size: np.full(size, np.nan)))
        for wrong in ({"weight": None}, {"delay": 0.05}, {"weight": lambda rng, size: np.zeros(3)}):
            arguments = {"weight": Uniform(1.0, 2.0)} | wrong
            failing(lambda a=arguments: net.connect(cells, cells, Exponential(5.0), probability(0.3), **a))
        failing(lambda: net.connect(cells, cells, Exponential(5.0, name="v"), probability(0.3), weight=1.0))
        failing(lambda: net.connect(cells, cells, Exponential(5.0, reversal=0.0), probability(0.3), weight=1.0))
        net.connect(cells, cells, Exponential(5.0), probability(0.3), weight=Uniform(0.0, 50.0))
        failing(lambda: net.stimulate(cells, PoissonInput(10, 1e6, 1.0, Delta())))
        failing(lambda: net.stimulate(cells, PoissonInput(10, 10.0, 1.0, Exponential(5.0, name="v"))))
        net.stimulate(cells, OUCurrent(100.0, 50.0, 5.0))
        net.record(cells, "spikes")
        return net, cells

    (one, cells), (other, same) = build(False), build(True)
    for mine, its in zip(one.projections[0].edges(), other.projections[0].edges(), strict=True):
        assert_array_equal(mine, its)
    assert_array_equal(one.get(cells, "v"), other.get(same, "v"))
    same_spikes(one.run(50.0, progress=False), other.run(50.0, progress=False))
    assert_array_equal(one.get(cells, "v"), other.get(same, "v"))
    assert list(other.populations[0].states) == ["v", "g"] and len(other.projections) == len(other.drives) == 1


def test_states_are_set_all_or_none():
    net, cells = small()
    before = net.get(cells, "v")
    net.connect(cells, cells, Exponential(5.0), all_to_all(), weight=1.0)
    with pytest.raises(ValueError, match="g must be finite"):
        net.set(cells, v=0.0, g=np.nan)
    assert_array_equal(net.get(cells, "v"), before)


def test_the_recovery_of_izhikevich_neurons_starts_on_the_line_of_their_potential():
    """u = b v, as the published scripts start; a u that is given is kept; setting v later leaves u as it is."""
    net, b = Network(), np.array([0.2, 0.25, -0.1])
    for v in (-70.0, [-60.0, -70.0, -80.0], Uniform(-80.0, -60.0)):
        cells = net.add(Izhikevich(3, b=b), v=v)
        assert_array_equal(net.get(cells, "u"), b * net.get(cells, "v"))
    assert_array_equal(net.get(net.add(Izhikevich(3, b=b), v=-70.0, u=3.0), "u"), 3.0)
    assert_array_equal(net.get(net.add(Izhikevich(3, b=b), u=3.0), "v"), -65.0)
    net.set(cells, v=0.0)
    assert net.get(cells, "u").max() > 5.0 and net.get(cells, "u").min() < -11.0
    other = net.add(Izhikevich2007(3), v=-50.0)
    assert_array_equal(net.get(other, "u"), 0.0)


def test_what_the_connector_brings_is_not_given_twice():
    net, cells = small()
    with pytest.raises(ValueError, match="weight must be None: the connector brings weights of its own"):
        net.connect(cells, cells, Delta(), from_matrix(np.eye(5)), weight=1.0)
    with pytest.raises(ValueError, match="delay must be None: the connector brings delays of its own"):
        net.connect(cells, cells, Delta(), from_edges([0], [1], delays=[1.0]), weight=1.0, delay=1.0)


def test_the_least_delay_is_the_timings():
    for timing, least in (("brian2", 0.0), ("nest", 0.1)):
        net, cells = small(timing=timing)
        assert_array_equal(net.connect(cells, cells, Delta(), one_to_one(), weight=1.0).edges()[3], least)
        drawn = net.connect(cells, cells, Delta(), all_to_all(), weight=1.0, delay=Uniform(-5.0, 5.0)).edges()[3]
        assert drawn.min() == least  # laws are cut there
    with pytest.raises(ValueError, match=r"delay must be at least 0.1 ms, got 0 ms"):
        net.connect(cells, cells, Delta(), all_to_all(), weight=1.0, delay=0.0)


def test_delays_of_a_law_are_rounded_half_up_as_in_brian2():
    net = Network(dt=0.5)
    cells = net.add(LIF(5, **CELL))
    values = np.array([0.2, 0.25, 0.7, 0.75, 1.3])
    projection = net.connect(cells, cells, Delta(), one_to_one(), weight=1.0, delay=lambda rng, size: values)
    assert_array_equal(np.sort(projection.edges()[3]), [0.0, 0.5, 0.5, 1.0, 1.5])


@pytest.mark.parametrize(
    "edges",
    [
        None,
        ([0], [1]),
        Edges(np.array([0, 1, 1, 1, 1, 1], np.uint64), np.array([7], np.uint32)),  # no such target
        Edges(np.array([0, 1], np.uint64), np.array([1], np.uint32)),  # too few sources
        Edges(np.array([0, 1, 2, 2, 2, 2], np.uint64), np.array([1], np.uint32)),  # a synapse too many
        Edges(np.array([0, 1, 0, 1, 1, 1], np.uint64), np.array([1], np.uint32)),  # backwards
        Edges(np.array([0, 1, 1, 1, 1, 1], np.uint64), np.array([1.5])),  # between two targets
        Edges(np.array([0, 0.5, 1, 1, 1, 1]), np.array([1], np.uint32)),
        Edges(np.array([0, 1, 1, 1, 1, 1], np.uint64), np.array([-1])),
    ],
)
def test_a_connector_of_ones_own_that_errs_is_refused(edges):
    """The compiled run trusts these arrays: a target that does not exist would be written to all the same."""
    net, cells = small()
    with pytest.raises((TypeError, ValueError), match="connector must return"):
        net.connect(cells, cells, Delta(), lambda n_pre, n_post, rng, diagonal: edges, weight=1.0)


def edge_lists():
    edge = st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(-50, 50), st.integers(0, 30))
    return st.lists(edge, max_size=40)


@settings(deadline=None, max_examples=150)
@given(edge_lists(), st.sampled_from(["each", "one", "none"]), st.booleans())
def test_edges_are_what_was_asked_for(edges, delays, nest):
    """In every arrangement: no synapse, one delay, many; each synapse with its own weight."""
    net = Network(dt=0.5, timing="nest" if nest else "brian2")
    pre, post = net.add(LIF(6, **CELL)), net.add(LIF(7, **CELL))
    i, j, w, d = np.array(edges, int).reshape(-1, 4).T
    d = (d + nest) * 0.5
    given = {"each": (d, None), "one": (None, 2.5), "none": (None, None)}[delays]
    projection = net.connect(
        pre, post, Exponential(5.0), from_edges(i, j, weights=w.astype(float), delays=given[0]), delay=given[1]
    )
    d = {"each": d, "one": np.full(len(edges), 2.5), "none": np.full(len(edges), 0.5 * nest)}[delays]
    for _ in range(2):
        got = np.column_stack(projection.edges()) if edges else np.column_stack(projection.edges()).reshape(0, 4)
        wanted = np.c_[i, j, w, d]
        assert_allclose(got[np.lexsort(got.T)], wanted[np.lexsort(wanted.T)], atol=1e-9)
        assert (np.diff(got[:, 0]) >= 0).all()  # by source
        assert len(projection) == len(edges) and repr(projection).startswith("Projection(group0 -> group1")
        net.run(0.5, progress=False)  # and the same when laid out


def test_arrays_follow_source_then_target_whatever_the_delays():
    net, cells = small()
    pairs = np.array([(i, j) for i in range(5) for j in range(5) if i != j])
    weights, delays = np.arange(20.0), 0.1 * np.random.default_rng(0).permutation(20)
    projection = net.connect(cells, cells, Delta(), all_to_all(), weight=weights, delay=delays)
    got = np.column_stack(projection.edges())
    assert_allclose(got[np.lexsort((got[:, 1], got[:, 0]))], np.c_[pairs, weights, delays], atol=1e-12)


def test_slices_of_one_population_do_not_connect_units_to_themselves():
    net = Network()
    cells = net.add(LIF(10, **CELL))
    pre, post, _, _ = net.connect(cells[2:7], cells[4:9], Delta(), all_to_all(), weight=1.0).edges()
    assert set(zip(pre + 2, post + 4, strict=True)) == {(i, j) for i in range(2, 7) for j in range(4, 9) if i != j}


def test_equal_synapses_share_a_state_and_others_have_their_own():
    net, cells = small()
    for synapse in (Exponential(5.0), Exponential(5), Exponential(10.0), Exponential(2.0, name="ampa")):
        net.connect(cells, cells, synapse, all_to_all(), weight=1.0)
    assert [p.state_name for p in net.projections] == ["g", "g", "g2", "ampa"]
    for name in ("ampa", "v"):
        with pytest.raises(ValueError, match=f"name of .* must be new in 'cells', got '{name}' again"):
            net.connect(cells, cells, Exponential(3.0, name=name), all_to_all(), weight=1.0)


def test_a_name_that_a_user_has_taken_is_left_out():
    net, cells = small()
    for synapse in (Exponential(1.0, name="g2"), Exponential(2.0), Alpha(3.0, name="g4"), Alpha(4.0), Alpha(5.0)):
        net.connect(cells, cells, synapse, all_to_all(), weight=1.0)
    assert [p.state_name for p in net.projections] == ["g2", "g3", "g4_x", "g5_x", "g6_x"]
    other, cells = small()
    for synapse in (Exponential(1.0, name="g2_x"), Alpha(2.0), Exponential(3.0)):
        other.connect(cells, cells, synapse, all_to_all(), weight=1.0)
    assert [p.state_name for p in other.projections] == ["g2_x", "g3_x", "g4"]


@pytest.mark.parametrize("name", ["spikes", "rate"])
def test_a_state_is_not_called_what_a_record_means(name):
    net, cells = small()
    with pytest.raises(ValueError, match=f"name of .* got '{name}'"):
        net.connect(cells, cells, Exponential(3.0, name=name), all_to_all(), weight=1.0)


# ------------------------------------------------------------------------------------------------------------ drives
@pytest.mark.parametrize("drive", [None, 100.0, np.ones(5), StepCurrent, LIF(5, **CELL)])
def test_a_drive_must_be_one(drive):
    net, cells = small()
    with pytest.raises(TypeError, match="drive must be a current or a PoissonInput"):
        net.stimulate(cells, drive)


def test_a_source_is_connected_not_stimulated_with():
    net, cells = small()
    with pytest.raises(TypeError, match="is a source of spikes: net.add it, then net.connect it"):
        net.stimulate(cells, PoissonGroup(5, rate=1.0))


@pytest.mark.parametrize(
    ("drive", "words"),
    [
        (StepCurrent([0.05], [1.0]), "times must be a whole number of steps"),
        (ArrayCurrent(np.ones((3, 4)), 1.0), r"\(T, 5\) for a group of 5 neurons"),
        (ArrayCurrent(np.ones(3), 0.25), "dt_array must be a whole number of steps"),
        (OUCurrent(0.0, np.ones(4), 5.0), r"sigma must be a number or have shape \(5,\)"),
        (PoissonInput(10, 20000.0, 1.0, Delta()), "rate must be at most 1000 / dt"),
    ],
)
def test_a_drive_must_fit_the_group_and_the_grid_before_the_run(drive, words):
    net, cells = small()
    with pytest.raises(ValueError, match=words):
        net.stimulate(cells, drive)
    assert not net.drives


def test_a_drive_on_a_part_of_a_group_leaves_the_others():
    net, cells = small()
    net.stimulate(cells[1:3], ArrayCurrent(np.ones((1, 2)) * [100.0, 200.0], 0.1))
    net.stimulate(cells[2:], StepCurrent([0.0], [50.0]))
    net.record(cells, "spikes")
    net.run(0.1, progress=False)
    gain = 0.1 * -np.expm1(-0.1 / 20.0)  # tau_m / C_m (1 - exp(-dt / tau_m)), mV per pA
    assert_allclose(net.get(cells, "v") + 60.0, gain * np.array([0, 100, 250, 50, 50]), atol=1e-12)


# ----------------------------------------------------------------------------------------------------- before the run
@pytest.mark.parametrize("duration", [0, -1.0, 0.05, np.nan, np.inf, None, "1", True, 1e300])
def test_a_duration_is_a_number_of_steps(duration):
    net, cells = small()
    net.record(cells, "spikes")
    with pytest.raises((TypeError, ValueError), match="duration must"):
        net.run(duration, progress=False)
    assert net.time == 0


def test_an_empty_network_says_how_to_fill_it():
    with pytest.raises(ValueError, match="the network is empty: net.add"):
        Network().run(1.0, progress=False)


def test_what_would_run_without_effect_is_refused():
    net, cells = small()
    for add in (lambda: None, lambda: net.add(PoissonGroup(3, rate=1.0), name="noise")):
        add()
        with pytest.raises(ValueError, match="is neither connected nor recorded"):
            net.run(1.0, progress=False)
        net.record(cells, "spikes") if not net.recorders else None
    with pytest.raises(ValueError, match="'noise' is neither connected nor recorded"):
        net.run(1.0, progress=False)
    net.stimulate(net.add(LIF(2, **CELL), name="deaf"), StepCurrent([0.0], [1.0]))
    net.connect(net.groups[1], cells, Delta(), all_to_all(), weight=1.0)
    with pytest.raises(ValueError, match="'deaf' is neither connected nor recorded"):
        net.run(1.0, progress=False)


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_a_source_that_does_not_fit_the_grid_is_refused_when_added(timing):
    net, _ = small(timing=timing)
    with pytest.raises(ValueError, match="times must be a whole number of steps of dt=0.1 ms, got 0.25 ms"):
        net.add(SpikeSource(1, [0], [0.25]))
    with pytest.raises(ValueError, match="rate must be at most 1000 / dt"):
        net.add(PoissonGroup(1, rate=10_001.0))
    assert len(net.groups) == 1


def test_what_would_not_fit_in_memory_is_refused(monkeypatch):
    net, cells = small(100)
    net.connect(cells, cells, Exponential(5.0), probability(0.1), weight=1.0)
    net.record(cells, "v")
    monkeypatch.setattr(network_file, "_available_memory", lambda: 100_000)
    net.run(5.0, progress=False)  # 100 units, 50 samples of 8 bytes: 40 kB
    with pytest.raises(MemoryError, match="what is to be recorded would take .* GiB"):
        net.run(50.0, progress=False)
    assert net.time == 5.0
    with pytest.raises(MemoryError, match=r"synapses 'cells' -> 'cells' would take"):
        net.connect(cells, cells, Exponential(5.0), probability(0.5), weight=Uniform(0.0, 1.0), delay=Uniform(0, 1))
    with pytest.raises(MemoryError, match="spikes on their way to 'cells' would take"):
        net.connect(cells, cells, Exponential(5.0), one_to_one(), weight=1.0, delay=100.0)
    with pytest.raises(MemoryError, match="population 'many' would take"):
        net.add(LIF(10_000, **CELL), name="many")
    assert len(net.projections) == 1 and len(net.groups) == 1
    net.run(5.0, progress=False)


def test_memory_counts_states_synapses_spikes_on_their_way_and_records():
    net, cells = small(100)
    bare = net.memory()
    assert bare == 100 * (8 + 8) + 100 * 4 + 8  # v, the end of the refractory period; one step of spikes
    net.connect(cells, cells, Delta(), one_to_one(), weight=1.0, delay=2.0)
    assert net.memory() == bare + 4 * 101 + 4 * 100 + 8 + 20 * (100 * 4 + 8)  # pointers, targets, weight, 20 steps
    before = net.memory(100.0)
    net.record(cells[:7], "v", every=0.5)
    assert net.memory(100.0) == before + 200 * 7 * 8


def test_there_is_a_free_memory():
    assert 2**20 < network_file._available_memory() < 2**62


# ------------------------------------------------------------------------------------------------ runs, in one or many
@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_runs_in_pieces_are_one_run(timing):
    (whole, _), (pieces, _) = noisy_network(timing=timing), noisy_network(timing=timing)
    one = whole.run(60.0, progress=False)
    parts = [pieces.run(duration, progress=False) for duration in (0.1, 9.9, 33.3, 16.7)]
    assert [part.t_start for part in parts] == [0.0, 0.1, 10.0, 43.3] and parts[-1].t_stop == 60.0
    for name, trains in one.spikes.items():
        assert_array_equal(np.concatenate([p.spikes[name].times for p in parts]), trains.times)
        assert_array_equal(np.concatenate([p.spikes[name].ids for p in parts]), trains.ids)
        assert trains.n_spikes > 20
    assert_array_equal(whole.get(whole.groups[1], "v"), pieces.get(pieces.groups[1], "v"))


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_reset_brings_back_every_bit(timing):
    """Random inputs, noise, short-term states and spikes in flight: the run of 23.7 ms leaves some of each."""
    net, cells = noisy_network(timing=timing)
    first = net.run(60.0, progress=False)
    end = {name: net.get(cells, name) for name in ("v", "g")}
    for before in (0.0, 23.7):
        net.reset()
        if before:
            net.run(before, progress=False)
            net.reset()
        assert net.time == 0
        same_spikes(first, net.run(60.0, progress=False))
        for name, values in end.items():
            assert_array_equal(net.get(cells, name), values)


def test_reset_gives_the_initial_states_and_keeps_weights():
    net = Network()
    cells = net.add(LIF(4, **CELL), v=[-60.0, -55.0, -52.0, -58.0])
    projection = net.connect(cells, cells, Exponential(5.0), all_to_all(), weight=3.0)
    net.set(cells, g=7.0)
    net.run(5.0, progress=False)
    net.set(cells, v=-59.0)
    projection.weights = 4.0
    late = net.add(LIF(2, **CELL), v=-51.0)  # added at 5 ms: begins there, and after a reset
    net.record(late, "spikes")
    assert_array_equal(net.get(late, "v"), -51.0)
    net.run(5.0, progress=False)
    net.reset()
    assert_array_equal(net.get(cells, "v"), [-60, -55, -52, -58])
    assert_array_equal(net.get(cells, "g"), 7.0)
    assert_array_equal(net.get(late, "v"), -51.0)
    assert_array_equal(projection.weights, 4.0)


def test_a_refractory_period_goes_on_in_the_next_run_and_ends_with_reset():
    net = Network()
    cell = net.add(LIF(1, **{**CELL, "t_ref": 10.0}), v=-40.0)  # above threshold: spikes at 0 or 0.1 ms
    net.record(cell, "spikes")
    net.run(0.1, progress=False)
    net.set(cell, v=-40.0)
    trains = net.run(20.0, progress=False).spikes["group0"]
    assert_allclose(trains.times[0], 10.0)
    net.reset()
    assert_allclose(net.run(1.0, progress=False).spikes["group0"].times, [0.0])


def relay(delay, timing="brian2"):
    """A source that spikes at 1 ms onto a cell which a spike lifts by 1 mV."""
    net = Network(dt=0.1, timing=timing)
    source = net.add(SpikeSource(1, [0], [1.0]), name="source")
    cell = net.add(LIF(1, tau_m=1e9, C_m=1.0, E_L=0.0, V_th=1e6, V_reset=0.0), name="cell", v=0.0)
    net.connect(source, cell, Delta(), all_to_all(), weight=1.0, delay=delay)
    return net, source, cell


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize("change", ["connect", "add", "longer", "shorter", "weights", "stimulate"])
def test_spikes_keep_on_their_way_when_the_network_changes(timing, change):
    net, source, cell = relay(5.0, timing)
    net.run(3.0, progress=False)  # the spike is on its way until 6 ms
    if change in ("connect", "longer", "shorter"):
        delay = {"connect": 5.0, "longer": 9.0, "shorter": 1.0}[change]
        net.connect(source, cell, Delta(), all_to_all(), weight=10.0, delay=delay)
    elif change == "add":
        net.record(net.add(LIF(3, **CELL)), "spikes")
    elif change == "weights":
        net.projections[0].weights = 2.0
    else:
        net.stimulate(cell, StepCurrent([0.0], [0.0]))
    late = int(timing == "brian2")  # there a spike at 6 ms is delivered in the step that starts at 6 ms
    net.run(3.0, progress=False)
    assert_allclose(net.get(cell, "v"), [0.0 if late else 1.0 + (change == "weights")], atol=1e-6)
    net.run(20.0, progress=False)
    # synapses made at 3 ms do not carry the spike of 1 ms, whatever their delay
    assert_allclose(net.get(cell, "v"), [1.0 + (change == "weights")], atol=1e-6)
    net.reset()
    net.run(30.0, progress=False)
    made = change in ("connect", "longer", "shorter")
    assert_allclose(net.get(cell, "v"), [1.0 + (change == "weights") + 10.0 * made], atol=1e-6)


def test_a_network_extended_between_runs_is_the_one_with_silent_synapses_until_then():
    """Connections made at 30 ms act as if they had been there with weight 0 and had then been given theirs."""

    def build():
        net = Network(dt=0.1, seed=5)
        cells = net.add(LIF(60, **{**CELL, "E_L": -49.0}), name="cells", v=Uniform(-60.0, -50.0))
        net.connect(cells[:40], cells, Exponential(5.0), probability(0.1), weight=20.0, delay=Uniform(0.5, 3.0))
        net.record(cells, "spikes")
        return net, cells

    pre, post = np.random.default_rng(1).integers(0, (20, 60), (200, 2)).T
    late = from_edges(pre, post, delays=np.full(200, 0.1))
    (one, cells), (other, same) = build(), build()
    silent = one.connect(cells[40:], cells, Exponential(5.0), late, weight=0.0)
    first = one.run(30.0, progress=False), other.run(30.0, progress=False)
    same_spikes(*first)
    silent.weights = -30.0
    other.connect(same[40:], same, Exponential(5.0), late, weight=-30.0)
    second = one.run(100.0, progress=False), other.run(100.0, progress=False)
    same_spikes(*second)
    assert second[0].spikes["cells"].n_spikes > 100


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_inputs_added_between_runs_give_what_they_had_given_from_the_start(timing):
    """From its group's point of view: all of them act on synapses or cells that come later anyway."""

    def add_inputs(net, cells):
        late = net.add(PoissonGroup(20, rate=100.0), name="late")
        net.record(late, "spikes")
        net.stimulate(net.add(LIF(3, **CELL), name="others"), OUCurrent(200.0, 100.0, 5.0))
        net.stimulate(net.groups[-1], PoissonInput(50, 10.0, 20.0, Exponential(5.0)))
        net.record(net.groups[-1], "g")

    (one, cells), (other, same) = noisy_network(timing=timing), noisy_network(timing=timing)
    add_inputs(one, cells)
    one.run(31.3, progress=False)
    other.run(31.3, progress=False)
    add_inputs(other, same)
    first, second = one.run(40.0, progress=False), other.run(40.0, progress=False)
    same_spikes(first, second)
    assert first.spikes["late"].n_spikes > 40
    # an exponential current forgets what it was, 31.3 ms ago, by exp(-40 / 5)
    g, late_g = first.states["others", "g"].values, second.states["others", "g"].values
    assert_allclose(late_g[-1], g[-1], atol=200 * np.exp(-40 / 5))
    assert np.abs(g[-1]).min() > 10


def test_weights_set_between_runs_act_from_then_on():
    net, _, cell = relay(0.0)
    net.add(SpikeSource(1, [0, 0, 0], [0.5, 1.5, 2.5]), name="again")
    projection = net.connect(net.groups[2], cell, Delta(), all_to_all(), weight=10.0)
    net.run(1.0, progress=False)
    projection.weights = [100.0]
    net.run(1.0, progress=False)
    projection.weights = 1000.0
    net.run(1.0, progress=False)
    assert_allclose(net.get(cell, "v"), [10 + 1 + 100 + 1000], rtol=1e-6)


def test_weights_are_copies_and_must_fit():
    net, cells = small()
    projection = net.connect(cells, cells, Delta(), all_to_all(), weight=2.0)
    projection.weights[:] = 0.0
    assert_array_equal(projection.weights, 2.0)
    projection.weights = np.arange(20.0)
    assert_array_equal(projection.edges()[2], np.arange(20.0))
    for wrong in ([1.0, 2.0], np.nan, None, "1", np.ones((20, 1)), True):
        with pytest.raises((TypeError, ValueError), match="weights must"):
            projection.weights = wrong
    assert_array_equal(projection.weights, np.arange(20.0))
    net.record(cells, "spikes")
    net.run(1.0, progress=False)
    projection.weights = 5.0
    net.run(1.0, progress=False)
    assert_array_equal(projection.weights, 5.0)


@pytest.mark.parametrize("given", [10.0, [10.0, 20.0]])
@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_a_spike_acts_with_the_weight_at_its_arrival(given, timing):
    net = Network(dt=0.1, timing=timing)
    source = net.add(SpikeSource(2, [0, 1], [0.5, 0.5]))
    cell = net.add(LIF(1, tau_m=1e9, C_m=1.0, E_L=0.0, V_th=1e6, V_reset=0.0), v=0.0)
    projection = net.connect(source, cell, Delta(), all_to_all(), weight=given, delay=2.0)
    net.run(1.0, progress=False)
    for weights in (1.0, [3.0, 4.0], [5.0, 6.0]):
        projection.weights = weights
    net.run(2.0, progress=False)
    assert_allclose(net.get(cell, "v"), 11.0, atol=1e-6)


def test_weights_of_the_same_number_are_written_in_place():
    """Setting them once a second must not copy millions of synapses: the layout of the network stays."""
    net, cells = small()
    projection = net.connect(cells, cells, Exponential(5.0), all_to_all(), weight=np.arange(20.0))
    other = net.connect(cells, cells, Exponential(5.0), all_to_all(), weight=2.0)
    net.run(1.0, progress=False)
    layout = net._flat
    projection.weights = np.arange(20.0)[::-1]
    assert_array_equal(projection.edges()[2], np.arange(20.0)[::-1])
    projection.weights = 3.0
    other.weights = [4.0]
    assert net._flat is layout
    assert_array_equal(projection.weights, 3.0)
    assert_array_equal(other.weights, 4.0)
    assert_array_equal(np.unique(layout.synapses[3]), [0.0, 3.0, 4.0])  # the last one is of an empty projection
    mine = np.arange(20.0)
    other.weights = mine
    mine[:] = 7.0
    assert_array_equal(other.weights, np.arange(20.0))
    net.run(1.0, progress=False)


def test_a_synapse_weight_of_its_own_acts_in_every_arrangement():
    """One step with every source spiking: the sums are the columns of the matrix, whatever the delays."""
    rng = np.random.default_rng(2)
    W = rng.uniform(-1, 1, (6, 7)) * (rng.random((6, 7)) < 0.6)
    for delays in (np.zeros(42), 0.1 * rng.integers(0, 9, 42)):
        net = Network()
        source = net.add(SpikeSource(6, np.arange(6), np.zeros(6)))
        cells = net.add(LIF(7, tau_m=1e9, C_m=1.0, E_L=0.0, V_th=1e6, V_reset=0.0), v=0.0)
        pre, post = np.nonzero(W)
        edges = from_edges(pre, post, weights=W[pre, post], delays=delays[: pre.size])
        net.connect(source, cells, Delta(), edges)
        net.run(1.0, progress=False)
        assert_allclose(net.get(cells, "v"), W.sum(0), atol=1e-7)


# ------------------------------------------------------------------------------------------------ chance and divergence
def test_a_recorder_or_a_source_more_shifts_no_other_draw():
    net, _ = noisy_network()
    plain = net.run(50.0, progress=False)
    other, cells = noisy_network()
    other.record(other.add(PoissonGroup(5, rate=100.0), name="more"), "spikes")
    other.record(cells, "v", every=0.7)
    found = other.run(50.0, progress=False)
    for name in ("cells", "source"):
        assert_array_equal(found.spikes[name].times, plain.spikes[name].times)


def test_other_seeds_give_other_networks():
    first, second = (noisy_network(seed=seed)[0].run(50.0, progress=False) for seed in (1, 2))
    assert first.spikes["cells"].times.tolist() != second.spikes["cells"].times.tolist()


@pytest.mark.parametrize("timing", ["brian2", "nest"])
def test_a_divergence_names_population_unit_and_step(timing):
    net = Network(dt=0.5, timing=timing)
    net.add(LIF(3, **CELL), name="calm")
    wild = net.add(Izhikevich(4, a=0.02), name="wild")
    for group in net.groups:
        net.record(group, "spikes")
    net.stimulate(wild[2], StepCurrent([10.0], [-1e200]))  # the square of v overflows in the next step
    with pytest.raises(FloatingPointError) as error:
        net.run(100.0, progress=False)
    assert "'wild', unit 2" in str(error.value) and "net.reset()" in str(error.value)
    step = int(str(error.value).split("step ")[1].split()[0])
    assert 20 <= step <= 22 and f"t = {step * 0.5:g} ms" in str(error.value)


def test_after_a_divergence_reset_starts_anew():
    net, cells = small()
    net.record(cells, "spikes")
    net.stimulate(cells, OUCurrent(200.0, 50.0, 5.0))
    expected = net.run(50.0, progress=False)
    net.reset()
    net.connect(cells, cells, Exponential(5.0), all_to_all(), weight=1.0).weights = 1e308
    with pytest.raises(FloatingPointError, match="'cells', unit"):
        net.run(100.0, progress=False)
    net.projections[0].weights = 0.0
    with pytest.raises(RuntimeError, match="broken off.*net.reset"):
        net.run(100.0, progress=False)  # the states are still wrong
    net.reset()
    same_spikes(expected, net.run(50.0, progress=False))


@pytest.mark.parametrize("timing", ["brian2", "nest"])
@pytest.mark.parametrize(
    ("model", "state", "words"),
    [
        (LIF(3, **CELL), "g", "unit 1: v and g are no longer finite in step 0 "),
        (ALIF(3, **CELL), "theta", "unit 1: theta is no longer finite in step 0 "),
        (ALIF(3, **CELL), "w", "unit 1: v and w are no longer finite in step 0 "),
        (Izhikevich(3), "u", "unit 1: v and u are no longer finite in step 0 "),
        (AdEx(3), "w", "unit 1: v and w are no longer finite in step 0 "),
    ],
    ids=["g", "theta", "ALIF w", "u", "AdEx w"],
)
def test_a_divergence_names_the_states_that_diverged(timing, model, state, words):
    net = Network(dt=0.1, timing=timing)
    cells = net.add(model, name="cells")
    net.connect(cells, cells, Exponential(5.0), one_to_one(), weight=1.0)
    net.populations[0].states[state][1] = np.nan  # past the checks of net.set
    net.record(cells, "spikes")
    with pytest.raises(FloatingPointError, match=f"'cells', {words}"):
        net.run(20.0, progress=False)


@pytest.mark.parametrize(("timing", "run"), [("brian2", 1.1), ("nest", 1.0)])
def test_a_divergence_in_the_last_step_of_a_run_is_found(timing, run):
    """Two spikes of half the largest number each and more arrive at 1 ms; no potential has felt them yet."""
    net = Network(dt=0.1, timing=timing)
    source = net.add(SpikeSource(2, [0, 1], [0.5, 0.5]))
    cells = net.add(LIF(3, **CELL), name="cells")
    net.connect(source, cells[2:], Exponential(5.0), all_to_all(), weight=1.7e308, delay=0.5)
    net.record(cells, "spikes")
    with pytest.raises(FloatingPointError, match=f"'cells', unit 2: g is no longer finite before step {run * 10:g} "):
        net.run(run, progress=False)
    with pytest.raises(RuntimeError, match="broken off"):
        net.run(run, progress=False)


def test_infinite_states_without_spikes_are_found():
    net = Network()
    cells = net.add(ALIF(3, **{**CELL, "C_m": 1.0}), name="cells")
    net.record(cells, "spikes")
    net.connect(cells, cells, Pulse(), all_to_all(), weight=1.0)
    net.stimulate(cells[1], ArrayCurrent(np.full(20, -1.7e308), 0.1))
    with pytest.raises(FloatingPointError, match="'cells', unit 1: v is no longer finite"):
        net.run(50.0, progress=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_a_copy_goes_on_as_the_network_itself_would(copied):
    net = Network(seed=4)
    cells = net.add(LIF(30, sigma=8.0, I_e=300.0), name="cells")
    source = net.add(PoissonGroup(10, rate=200.0), name="source")
    net.connect(source, cells, Exponential(3.0), probability(0.5), weight=100.0, delay=1.5)
    net.stimulate(cells, OUCurrent(50.0, 30.0, 5.0))
    net.record(cells, "spikes")
    net.run(50.0)
    twin = copied(net)
    one, other = net.run(50.0).spikes["cells"], twin.run(50.0).spikes["cells"]
    assert one.n_spikes > 50
    assert_array_equal(one.times, other.times)
    assert_array_equal(one.ids, other.ids)
    assert_array_equal(net.get(cells, "v"), twin.get(twin.groups[0], "v"))
    net.reset(), twin.reset()
    assert_array_equal(net.run(50.0).spikes["cells"].times, twin.run(50.0).spikes["cells"].times)
