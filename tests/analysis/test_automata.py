import re
from itertools import combinations, product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import penstock
from penstock import Map, Readout, SystemDefaults
from penstock.analysis import (
    Automaton,
    all_strings,
    automaton_fidelity,
    automaton_from_states,
    extract_automaton,
    minimise,
)
from penstock.reservoirs import ESN

PARITY = Automaton([[0, 1], [1, 0]], [0, 1])

# The seven grammars of Tomita (1982): automaton by hand, language by another rule, size of the minimal automaton
TOMITA = {
    1: ([[1, 0], [1, 1]], [1, 0], lambda s: re.fullmatch("1*", s)),
    2: ([[2, 1], [0, 2], [2, 2]], [1, 0, 0], lambda s: re.fullmatch("(10)*", s)),
    3: (
        # even ones; odd ones; odd ones and odd zeros; odd ones and even zeros; dead
        [[0, 1], [2, 0], [3, 4], [2, 1], [4, 4]],
        [1, 1, 0, 1, 0],
        lambda s: not any(len(a) % 2 and len(b) % 2 for a, b in re.findall("(1+)(0+)", s)),
    ),
    4: ([[1, 0], [2, 0], [3, 0], [3, 3]], [1, 1, 1, 0], lambda s: "000" not in s),
    5: ([[1, 2], [0, 3], [3, 0], [2, 1]], [1, 0, 0, 0], lambda s: s.count("0") % 2 == 0 and s.count("1") % 2 == 0),
    6: ([[1, 2], [2, 0], [0, 1]], [1, 0, 0], lambda s: (s.count("0") - s.count("1")) % 3 == 0),
    7: (
        [[0, 1], [2, 1], [2, 3], [4, 3], [4, 4]],
        [1, 1, 1, 1, 0],
        lambda s: re.fullmatch("0*1*0*1*", s),
    ),
}
SIZES = {1: 2, 2: 3, 3: 5, 4: 4, 5: 4, 6: 3, 7: 5}


def constant(x):
    return np.ones(len(x), int)


def tomita(k):
    transitions, outputs, _ = TOMITA[k]
    return Automaton(transitions, outputs)


class OneHot(SystemDefaults):
    """A network whose units are the states of an automaton; `spread` tells apart how a state was reached."""

    def __init__(self, automaton, spread=0.0):
        self.automaton, self.spread = automaton, spread
        self.n_units, self.n_inputs = automaton.n_states + 1, automaton.n_symbols

    def step(self, x, u):
        state, symbol = int(np.argmax(x[:-1])), int(np.argmax(u))
        after = np.zeros(self.n_units)
        after[self.automaton.transitions[state, symbol]] = 1
        after[-1] = self.spread * symbol
        return after

    def start(self):
        return np.eye(self.n_units)[self.automaton.start]

    def readout(self, x):
        return self.automaton.outputs[x[:, :-1].argmax(axis=1)]


def extract(network, strings, **settings):
    inputs = np.eye(network.n_inputs)
    return extract_automaton(network, inputs, strings, readout=network.readout, x0=network.start(), **settings)


def distinguishable(automaton):
    """The pairs of reachable states told apart by some string: table filling, Myhill and Nerode."""
    reachable = {automaton.start}
    while True:
        more = reachable | {int(t) for s in reachable for t in automaton.transitions[s]}
        if more == reachable:
            break
        reachable = more
    marked = {p for p in combinations(sorted(reachable), 2) if automaton.outputs[p[0]] != automaton.outputs[p[1]]}
    while True:
        new = {
            (a, b)
            for a, b in combinations(sorted(reachable), 2)
            for c, d in automaton.transitions[[a, b]].T
            if (min(c, d), max(c, d)) in marked
        }
        if new <= marked:
            return sorted(reachable), marked
        marked |= new


@st.composite
def automata(draw, max_states=9):
    S, K = draw(st.integers(1, max_states)), draw(st.integers(1, 3))
    state = st.integers(0, S - 1)
    transitions = draw(st.lists(st.lists(state, min_size=K, max_size=K), min_size=S, max_size=S))
    return Automaton(transitions, draw(st.lists(st.integers(0, 2), min_size=S, max_size=S)), draw(state))


# Minimisation


@given(automata())
@settings(deadline=None, max_examples=200)
def test_minimised_automata_have_the_states_of_the_table_of_myhill_and_nerode(automaton):
    reachable, marked = distinguishable(automaton)
    classes = {frozenset(b for b in reachable if (min(a, b), max(a, b)) not in marked) for a in reachable}
    assert minimise(automaton).n_states == len(classes)


@given(automata(6))
@settings(deadline=None, max_examples=60)
def test_minimised_automata_answer_as_before(automaton):
    small = minimise(automaton)
    for string in [(), *all_strings(automaton.n_symbols, 5)]:
        assert small.output(string) == automaton.output(string)
    assert small.equivalent(automaton) and minimise(small).isomorphic(small)
    assert_array_equal(minimise(small).transitions, small.transitions)


@given(automata(5), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_copies_of_states_are_merged_again(automaton, random):
    S = automaton.n_states
    copies = np.array(
        [[random.choice([t, t + S, t + 2 * S]) for t in row] for row in automaton.transitions.tolist() * 3]
    )
    blown_up = Automaton(copies, np.tile(automaton.outputs, 3), automaton.start + S)
    assert minimise(blown_up).isomorphic(minimise(automaton))
    order = np.random.default_rng(random.randrange(99)).permutation(S)
    place = np.argsort(order)
    renamed = Automaton(place[automaton.transitions[order]], automaton.outputs[order], int(place[automaton.start]))
    assert renamed.isomorphic(automaton) and automaton.isomorphic(renamed)


def test_automata_that_differ_are_told_apart():
    other = Automaton([[0, 1], [1, 1]], [0, 1])
    assert not PARITY.isomorphic(other) and not PARITY.equivalent(other)
    assert not PARITY.equivalent(Automaton([[0, 1], [1, 0]], [1, 0]))
    # alike but for a state that nothing reaches
    assert PARITY.isomorphic(Automaton([[0, 1], [1, 0], [2, 2]], [0, 1, 1]))
    assert not PARITY.isomorphic(Automaton([[0, 1, 0], [1, 0, 1]], [0, 1]))


def test_a_long_counter_is_minimised_in_time():
    # the chain that makes naive refinement quadratic: states tell how many symbols are left
    S = 3000
    counter = Automaton(np.minimum(np.arange(1, S + 1), S - 1)[:, None], (np.arange(S) == S - 1).astype(int))
    assert minimise(counter).n_states == S


# Languages


@pytest.mark.parametrize("k", TOMITA)
def test_tomita_grammars_accept_their_languages_and_have_the_known_size(k):
    automaton, language = tomita(k), TOMITA[k][2]
    for string in [(), *all_strings(2, 9)]:
        assert automaton.accepts(string) == bool(language("".join(map(str, string)))), string
    assert minimise(automaton).n_states == SIZES[k]


@pytest.mark.parametrize("k", TOMITA)
def test_tomita_grammars_are_found_in_networks_that_compute_them(k):
    # the last symbol stays visible in the state, so that groups outnumber the states of the automaton
    network = OneHot(tomita(k), spread=0.5)
    found = extract(network, 7)
    assert found.automaton.n_states > SIZES[k]
    assert found.minimised.isomorphic(minimise(tomita(k)))
    assert (found.transition_conflicts, found.output_conflicts, found.open_transitions) == (0, 0, 0)
    assert found.sizes.sum() == found.n_strings + 1 == 2**8 - 1


def saturated_parity():
    """Two steep sigmoid units count parity + input >= 1 and >= 2; their difference is the new parity."""
    gain = 40.0
    W, W_in = gain * np.array([[1.0, -1], [1, -1]]), gain * np.ones((2, 1))
    return ESN(W, W_in, bias=gain * np.array([-0.5, -1.5]), activation=penstock.sigmoid)


def test_a_saturated_reservoir_computes_parity():
    esn, readout = saturated_parity(), Readout(np.array([[1.0, -1.0]]), np.array([-0.5]))
    found = extract_automaton(esn, [0.0, 1.0], 8, readout=readout)
    # three saturated states: (0, 0) and (1, 1) are even, (1, 0) is odd
    assert found.automaton.n_states == 3
    assert found.minimised.isomorphic(PARITY)
    fidelity = automaton_fidelity(found.minimised, esn, [0.0, 1.0], readout=readout, length=500, n_strings=20, seed=0)
    assert (fidelity.agreement, fidelity.whole) == (1, 1)
    assert fidelity.by_chance == pytest.approx(0.5, abs=0.05)
    assert "2 states when minimised" in repr(found)


def test_readouts_given_in_any_form_agree():
    esn = saturated_parity()
    rows = np.array([[0.0, 0.0], [1.0, -1.0]])
    offset = np.array([0.5, 0.0])
    forms = [
        Readout(np.array([[1.0, -1.0]]), np.array([-0.5])),
        Readout(rows, offset),  # the larger of two
        lambda x: x[:, 0] - x[:, 1] > 0.5,
        lambda x: x[:, 0] - x[:, 1] - 0.5,
    ]
    for form in forms:
        assert extract_automaton(esn, [0.0, 1.0], 5, readout=form).minimised.isomorphic(PARITY)
    flip = Map(lambda x, u: x * (1 - 2 * u), n_units=1, n_inputs=1)
    for matrix in (np.array([[-1.0]]), np.array([-1.0]), np.array([[1.0], [-1.0]])):
        assert extract_automaton(flip, [0.0, 1.0], 5, readout=matrix, x0=[1.0]).minimised.isomorphic(PARITY)


def test_strings_are_walked_with_all_their_prefixes():
    strings = [(0, 1, 1), (0, 1), (1, 0, 0, 1)]
    found = extract(OneHot(PARITY), strings)
    assert found.n_strings == 7  # 0 01 011, 1 10 100 1001
    assert found.minimised.isomorphic(PARITY)


def test_groups_form_around_their_first_members_in_order():
    # states 0, 1, .. of a counter; a threshold of 2.5 takes 0-2, then 3-5 and so on, never chains them
    counter = Map(lambda x, u: x + u, n_units=1, n_inputs=1)
    found = extract_automaton(counter, [1.0], 9, readout=lambda x: x[:, 0] >= 0, threshold=2.5)
    assert_array_equal(found.states[:, 0], [0, 3, 6, 9])
    assert_array_equal(found.sizes, [3, 3, 3, 1])
    # first members lead to their own group (0 -> 1), the last of every full group to the next
    assert_array_equal(found.automaton.transitions[:3, 0], [0, 1, 2])
    assert found.transition_conflicts == pytest.approx(3 / 9)
    # nothing leads on from 9: driven once more it ends at 10, near the group of 9
    assert (found.automaton.transitions[3, 0], found.open_transitions) == (3, 0)


def test_a_transition_out_of_every_group_is_counted_as_open():
    counter = Map(lambda x, u: x + u, n_units=1, n_inputs=1)
    found = extract_automaton(counter, [1.0], 4, readout=lambda x: x[:, 0] >= 0, threshold=0.5)
    assert found.open_transitions == pytest.approx(1 / 5)
    assert found.automaton.transitions[4, 0] == 4


def test_the_threshold_is_scaled_once():
    rng = np.random.default_rng(0)
    esn = ESN.random(20, seed=1)
    x0, strings = rng.uniform(-1, 1, 20), all_strings(2, 6)
    found = extract_automaton(esn, [-1.0, 1.0], strings, readout=np.ones((1, 20)), x0=x0, tolerance=0.3)
    states = np.array([x0, *(esn.run(np.array(s) * 2.0 - 1, x0)[-1] for s in strings)])
    assert found.threshold == pytest.approx(0.3 * np.sqrt((states.std(axis=0) ** 2).sum()), rel=1e-12)
    # the greedy grouping, one state after the other
    firsts, sizes = [], []
    for x in states:
        near = [k for k, first in enumerate(firsts) if np.linalg.norm(x - first) < found.threshold]
        if near:
            sizes[near[0]] += 1
        else:
            firsts.append(x)
            sizes.append(1)
    assert_array_equal(found.sizes, sizes)
    np.testing.assert_allclose(found.states, firsts, atol=1e-14)  # products of batches may round differently


def test_a_network_that_forgets_is_caught_by_its_fidelity():
    leaky = Map(lambda x, u: 0.9 * x * (1 - 2 * u), n_units=1, n_inputs=1)
    odd = lambda x: x[:, 0] < -0.01  # noqa: E731  lost after some forty steps
    result = automaton_fidelity(PARITY, leaky, [0.0, 1.0], readout=odd, x0=[1.0], length=200, seed=1)
    assert result.per_step[:40].min() == 1
    assert result.per_step[60:].mean() == pytest.approx(0.5, abs=0.05)
    assert result.whole == 0
    again = automaton_fidelity(PARITY, leaky, [0.0, 1.0], readout=odd, x0=[1.0], length=200, seed=1)
    assert_array_equal(result.per_step, again.per_step)


def test_automata_are_made_of_given_states():
    esn = saturated_parity()
    even, odd, both = [0.0, 0.0], [1.0, 0.0], [1.0, 1.0]
    readout = Readout(np.array([[1.0, -1.0]]), np.array([-0.5]))
    made = automaton_from_states(esn, [0.0, 1.0], [odd, even, both], readout=readout, x0=[0.1, 0.0])
    assert made.minimised.isomorphic(PARITY)
    assert (made.automaton.start, made.threshold, made.open_transitions) == (1, 0.5, 0)
    # a symbol held for two steps changes the parity twice
    twice = automaton_from_states(esn, [0.0, 1.0], [odd, even, both], readout=readout, n_steps=2)
    assert minimise(twice.automaton).n_states == 1


def test_a_user_object_with_step_alone_is_enough():
    class Flip:
        n_units, n_inputs = 1, 1

        def step(self, x, u):
            return x * (1 - 2 * u)

    found = extract_automaton(Flip(), [0.0, 1.0], 4, readout=lambda x: x[:, 0] < 0, x0=[1.0])
    assert found.automaton.isomorphic(PARITY)


def test_automata_go_to_networkx():
    graph = tomita(4).to_networkx()
    assert isinstance(graph, nx.MultiDiGraph) and graph.graph["start"] == 0
    assert sorted((a, b, d["symbol"]) for a, b, d in graph.edges(data=True)) == sorted(
        (s, int(tomita(4).transitions[s, a]), a) for s, a in product(range(4), range(2))
    )
    assert [graph.nodes[s]["output"] for s in range(4)] == [1, 1, 1, 0]


def flip_args(**changed):
    given = {"readout": lambda x: x[:, 0] < 0, "x0": [1.0]} | changed
    return Map(lambda x, u: x * (1 - 2 * u), n_units=1, n_inputs=1), given


def extract_flip(inputs=(0.0, 1.0), strings=3, **changed):
    system, given = flip_args(**changed)
    return extract_automaton(system, inputs, strings, **given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Automaton([[0, 2]], [0]), "transitions must lie in 0..0"),
        (lambda: Automaton([[0, 0]], [0, 1]), "transitions must have shape"),
        (lambda: Automaton([[0.5, 0]], [0]), "transitions must hold integers"),
        (lambda: Automaton([[0, 0]], [0], 1), "start must lie in 0..0"),
        (lambda: PARITY.run([0, 2]), "string must hold symbols 0..1"),
        (lambda: PARITY.run([[0]]), "string must be a sequence"),
        (lambda: minimise([[0]]), "automaton must be an Automaton"),
        (lambda: all_strings(2, 40), "max_length must leave at most"),
        (lambda: extract_automaton(object(), [0.0], 3, readout=len), "without `n_units`"),
        (lambda: extract_automaton(Map(lambda x, u: x, 1), [0.0], 3, readout=len), "system must have inputs"),
        (lambda: extract_flip(inputs=np.eye(2)), "inputs must have shape"),
        (lambda: extract_flip(strings="0110"), "strings must be a length or a list"),
        (lambda: extract_flip(strings=[(0, 2)]), "string must hold symbols 0..1"),
        (lambda: extract_flip(strings=[()]), "strings must hold at least one symbol"),
        (lambda: extract_flip(readout="sign"), "readout must be a Readout"),
        (lambda: extract_flip(readout=lambda x: 1), "must return one row per state"),
        (lambda: extract_flip(readout=lambda x: x[:, 0] * np.nan), "must return finite"),
        (lambda: extract_flip(x0=[1.0, 2.0]), "x0 must have shape"),
        (lambda: extract_flip(tolerance=0.0), "tolerance must be above 0"),
        (lambda: automaton_from_states(flip_args()[0], [0.0], [[1.0], [1.0]], readout=len), "states must differ"),
        (lambda: automaton_from_states(flip_args()[0], [0.0], [[1.0, 2.0]], readout=len), "states must have shape"),
        (lambda: automaton_fidelity(PARITY, flip_args()[0], [0.0], readout=len, seed=0), "inputs must have 2 rows"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_results_draw_themselves():
    import matplotlib.pyplot as plt

    for automaton in (PARITY, tomita(7), Automaton([[0]], [1])):
        ax = automaton.plot()
        assert len(ax.patches) >= automaton.n_states
    system, given = flip_args()
    assert automaton_fidelity(PARITY, system, [0.0, 1.0], seed=0, **given).plot().get_xlabel()
    assert extract_flip().plot() is not None
    plt.close("all")


def test_equal_states_are_one_group_even_if_none_differ():
    still = Map(lambda x, u: 0 * x + 1, n_units=1, n_inputs=1)
    found = extract_automaton(still, [0.0, 1.0], 4, readout=constant, x0=[1.0])
    assert found.automaton.n_states == 1 and found.sizes.tolist() == [31]  # 2 + 4 + 8 + 16 strings and the empty one


def test_answers_that_are_no_numbers_are_refused():
    flip = Map(lambda x, u: x * (1 - 2 * u), n_units=1, n_inputs=1)
    for answer, error in ((np.nan, ValueError), ("a", TypeError)):
        with pytest.raises(error, match="must return"):
            extract_automaton(flip, [0.0, 1.0], 3, readout=lambda x, a=answer: np.full((len(x), 2), a), x0=[1.0])


def test_one_number_per_state_counts_as_one_only_above_zero():
    counter = Map(lambda x, u: u, n_units=1, n_inputs=1)
    found = extract_automaton(counter, [-1.0, 0.0, 1.0], 1, readout=lambda x: x[:, 0])
    assert [found.automaton.output([symbol]) for symbol in range(3)] == [0, 0, 1]
