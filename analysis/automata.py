"""Automata: extracted from the trajectories of a driven system, minimised, compared, and tested on long strings."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from numbers import Integral

import numpy as np

from penstock.checks import as_finite_array, as_int, as_positive_float, as_state, generators
from penstock.progress import track
from penstock.readout import Readout
from penstock.system import System, as_system
from penstock.threads import one_blas_thread

__all__ = [
    "Automaton",
    "AutomatonExtraction",
    "AutomatonFidelity",
    "all_strings",
    "automaton_fidelity",
    "automaton_from_states",
    "extract_automaton",
    "minimise",
]

MAX_STRINGS = 2**22


@dataclass(frozen=True, eq=False, repr=False)
class Automaton:
    """Make a deterministic finite automaton with an output in every state (a Moore machine).

    Parameters
    ----------
    transitions : array of int, shape (S, K)
        The state that follows every state on every symbol.
    outputs : array of int, shape (S,)
        Output of every state; for an acceptor 1 where it accepts, else 0.
    start : int
        First state.

    Raises
    ------
    ValueError, TypeError
        If a state lies outside 0..S-1 or the shapes differ.

    Examples
    --------
    Parity: the output is 1 after an odd number of ones.

    >>> from penstock.analysis import Automaton
    >>> parity = Automaton([[0, 1], [1, 0]], [0, 1])
    >>> parity.accepts([1, 0, 1, 1]), parity.run([1, 0, 1, 1]).tolist()
    (True, [0, 1, 1, 0, 1])
    """

    transitions: np.ndarray
    outputs: np.ndarray
    start: int = 0

    def __post_init__(self):
        transitions = _as_integers("transitions", self.transitions, 2)
        outputs = _as_integers("outputs", self.outputs, 1)
        S = transitions.shape[0]
        if 0 in transitions.shape or outputs.shape != (S,):
            raise ValueError(
                f"transitions must have shape (S, K) and outputs (S,), got {transitions.shape} and {outputs.shape}"
            )
        if transitions.min() < 0 or transitions.max() >= S:
            raise ValueError(f"transitions must lie in 0..{S - 1}, got {transitions.min()} to {transitions.max()}")
        start = as_int("start", self.start, 0)
        if start >= S:
            raise ValueError(f"start must lie in 0..{S - 1}, got {start}")
        for name, value in (("transitions", transitions), ("outputs", outputs), ("start", start)):
            object.__setattr__(self, name, value)

    @property
    def n_states(self) -> int:
        """Number of states S."""
        return self.transitions.shape[0]

    @property
    def n_symbols(self) -> int:
        """Size K of the alphabet."""
        return self.transitions.shape[1]

    def run(self, string) -> np.ndarray:
        """Return the states visited on a string of L symbols, the first included; shape (L + 1,)."""
        string = _as_string(string, self.n_symbols)
        states = np.empty(string.size + 1, np.int64)
        states[0] = self.start
        for t, symbol in enumerate(string):
            states[t + 1] = self.transitions[states[t], symbol]
        return states

    def output(self, string) -> int:
        """Return the output after the whole string."""
        return int(self.outputs[self.run(string)[-1]])

    def accepts(self, string) -> bool:
        """Return whether the output after the whole string is not 0."""
        return self.output(string) != 0

    def isomorphic(self, other: "Automaton") -> bool:
        """Return whether both have the same reachable states up to their numbers."""
        one, two = _canonical(self), _canonical(other)
        return np.array_equal(one.transitions, two.transitions) and np.array_equal(one.outputs, two.outputs)

    def equivalent(self, other: "Automaton") -> bool:
        """Return whether both give the same output on every string."""
        return minimise(self).isomorphic(minimise(other))

    def to_networkx(self):
        """Return a `networkx.MultiDiGraph`: edges carry `symbol`, nodes `output`, the graph `start`."""
        import networkx as nx

        graph = nx.MultiDiGraph(start=self.start)
        graph.add_nodes_from((state, {"output": int(y)}) for state, y in enumerate(self.outputs))
        for (state, symbol), target in np.ndenumerate(self.transitions):
            graph.add_edge(state, int(target), symbol=symbol)
        return graph

    def plot(self, ax=None):
        """Draw states as circles with their outputs, and transitions as arrows with their symbols."""
        from penstock.analysis.plots import plot_automaton

        return plot_automaton(self, ax)

    def __repr__(self):
        return f"Automaton(n_states={self.n_states}, n_symbols={self.n_symbols}, start={self.start})"


def minimise(automaton: Automaton) -> Automaton:
    """Return the smallest automaton with the same output on every string, by Hopcroft's partition refinement.

    States that cannot be reached are left out, equivalent ones merged, and the rest numbered in the order in which a
    breadth-first search from the start meets them, so that equal automata come out with equal arrays.

    Parameters
    ----------
    automaton : Automaton
        S states over K symbols; the time grows as K S ln S.

    Returns
    -------
    Automaton

    References
    ----------
    J. Hopcroft, An n log n algorithm for minimizing states in a finite automaton, in Theory of Machines and
    Computations (1971).

    Examples
    --------
    >>> from penstock.analysis import Automaton, minimise
    >>> minimise(Automaton([[2, 1], [3, 0], [0, 3], [1, 2]], [0, 1, 0, 1])).transitions.tolist()
    [[0, 1], [1, 0]]
    """
    if not isinstance(automaton, Automaton):
        raise TypeError(f"automaton must be an Automaton, got {automaton!r}")
    reachable = _canonical(automaton)
    block = _refine(reachable.transitions, reachable.outputs)
    _, first, block = np.unique(block, return_index=True, return_inverse=True)
    merged = Automaton(block.reshape(-1)[reachable.transitions[first]], reachable.outputs[first], int(block[0]))
    return _canonical(merged)


# Extraction


@dataclass(frozen=True, eq=False, repr=False)
class AutomatonExtraction:
    """Hold an automaton read off a driven system, and how far the system agrees with it.

    Attributes
    ----------
    automaton : Automaton
        Over all groups of states; see `minimised`.
    states : array, shape (S, n)
        The first member of every group.
    sizes : array of int, shape (S,)
        Members of every group.
    threshold : float
        Distance below which a state belongs to a first member, in the units of the state.
    transition_conflicts : float
        Fraction of the transitions of all members that lead to another group than the first member's.
    output_conflicts : float
        Fraction of the members whose output differs from the first member's.
    open_transitions : float
        Fraction of the S K transitions that no string took and that end outside every group: the nearest stands in.
    n_strings : int
        Strings, every prefix counted once.
    """

    automaton: Automaton
    states: np.ndarray
    sizes: np.ndarray
    threshold: float
    transition_conflicts: float
    output_conflicts: float
    open_transitions: float
    n_strings: int

    @property
    def minimised(self) -> Automaton:
        """The automaton after `minimise`."""
        return minimise(self.automaton)

    def plot(self, ax=None):
        """Draw the minimised automaton."""
        return self.minimised.plot(ax)

    def __repr__(self):
        lines = [
            f"AutomatonExtraction: {self.automaton.n_states} groups, {self.minimised.n_states} states when minimised",
            f"  strings    {self.n_strings} over {self.automaton.n_symbols} symbols, prefixes included",
            f"  threshold  {self.threshold:.3g} between a state and the first of its group",
            f"  conflicts  {self.transition_conflicts:.3g} of the transitions, {self.output_conflicts:.3g} of the "
            "outputs",
            f"  open       {self.open_transitions:.3g} of the transitions end outside every group",
        ]
        return "\n".join(lines)


def all_strings(n_symbols: int, max_length: int) -> list[tuple[int, ...]]:
    """Return all strings of 1 to `max_length` symbols, by length and then in lexicographic order.

    Parameters
    ----------
    n_symbols, max_length : int
        Size K of the alphabet, longest string.

    Returns
    -------
    list of tuples of int

    Examples
    --------
    >>> from penstock.analysis import all_strings
    >>> all_strings(2, 2)
    [(0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1)]
    """
    n_symbols, max_length = as_int("n_symbols", n_symbols), as_int("max_length", max_length)
    if n_symbols**max_length > MAX_STRINGS:
        raise ValueError(f"max_length must leave at most {MAX_STRINGS} strings, got {n_symbols}^{max_length}")
    symbols = range(n_symbols)
    return [string for length in range(1, max_length + 1) for string in product(symbols, repeat=length)]


@one_blas_thread
def extract_automaton(
    system: System,
    inputs,
    strings,
    *,
    readout: Readout | Callable | np.ndarray,
    x0=None,
    tolerance: float = 0.01,
    threshold: float | None = None,
    progress: bool = True,
) -> AutomatonExtraction:
    """Extract an automaton from the states that a driven system takes on strings of symbols.

    The states after all strings and all their prefixes are grouped greedily, the shortest first: a state joins the
    first group whose *first member* is nearer than the threshold, else it starts a group. A symbol leads from a group
    where it leads its first member, the output is that of the first member; where other members disagree, the
    result says how often. The threshold is `tolerance` times the norm of the vector of standard deviations of
    the states, scaled once.

    Parameters
    ----------
    system : System
        Any driven system.
    inputs : array, shape (K, m)
        The input that stands for every symbol; (K,) if the system has one input.
    strings : int or list of sequences of int
        The strings, or the longest length of all that there are.
    readout : Readout, array (k, n) or function
        What the system answers: ``readout(states)`` of states (B, n) gives integers or booleans (B,), or numbers (B, k)
        of which the largest wins, or one number per state, which counts as 1 if it is above 0. An array is the
        matrix of a linear readout. It sees the whole state.
    x0 : array, shape (n,), optional
        State before the first symbol, zero by default.
    tolerance : float
        See above.
    threshold : float, optional
        The threshold itself, in the units of the state, e.g. one for all epochs of a training; replaces `tolerance`.
    progress : bool
        Whether a bar appears when the strings take longer than two seconds.

    Returns
    -------
    AutomatonExtraction

    Raises
    ------
    ValueError, TypeError
        If the system has no inputs, or a symbol or a shape does not fit.
    FloatingPointError
        If a state stops being finite.

    References
    ----------
    L. van Rossem, A. Saxe, Algorithm development in neural networks: insights from the streaming parity task, ICML
    (2025), arXiv 2507.09897.

    Examples
    --------
    A unit whose sign flips with every one has two states:

    >>> import numpy as np
    >>> from penstock import Map
    >>> from penstock.analysis import extract_automaton
    >>> flip = Map(lambda x, u: x * (1 - 2 * u), n_units=1, n_inputs=1)
    >>> found = extract_automaton(flip, [0.0, 1.0], 5, readout=lambda x: x[:, 0] < 0, x0=[1.0])
    >>> found.automaton.n_states, found.automaton.accepts([1, 0, 1, 1])
    (2, True)
    """
    system = as_system(system)
    inputs = _as_alphabet(inputs, system)
    read = _as_readout(readout)
    tolerance = as_positive_float("tolerance", tolerance)
    threshold = None if threshold is None else as_positive_float("threshold", threshold)
    x0 = as_state(x0, system.n_units, None)
    parents, symbols = _prefix_tree(strings, len(inputs))
    states = _tree_states(system, inputs, x0, parents, symbols, progress)
    if threshold is None:
        threshold = tolerance * float(np.linalg.norm(states.std(axis=0)))
    group, first = _group(states, threshold)
    outputs = _decide(read, states)
    transitions, conflicts = _vote(group, first, parents, symbols, len(inputs))
    strays = _complete(transitions, system, inputs, states[first], threshold)
    return AutomatonExtraction(
        automaton=Automaton(transitions, outputs[first], 0),
        states=states[first],
        sizes=np.bincount(group),
        threshold=threshold,
        transition_conflicts=conflicts,
        output_conflicts=float((outputs != outputs[first][group]).mean()),
        open_transitions=strays / transitions.size,
        n_strings=len(states) - 1,
    )


@one_blas_thread
def automaton_from_states(
    system: System,
    inputs,
    states,
    *,
    readout: Readout | Callable | np.ndarray,
    x0=None,
    n_steps: int = 1,
) -> AutomatonExtraction:
    """Make an automaton of given states of a driven system, e.g. its stable fixed points, without any grouping.

    Every state is driven by every symbol for `n_steps` steps and taken to lead to the nearest of the states.

    Parameters
    ----------
    system : System
        Any driven system.
    inputs : array, shape (K, m) or (K,)
        The input that stands for every symbol.
    states : array, shape (S, n)
        The states, no two alike.
    readout : Readout, array (k, n) or function
        As in `extract_automaton`.
    x0 : array, shape (n,), optional
        The automaton starts in the state nearest to it; the first state by default.
    n_steps : int
        Steps for which a symbol is held.

    Returns
    -------
    AutomatonExtraction
        Its threshold is half the least distance of two states; `open_transitions` counts the ends farther away
        from every state, for which the nearest stands in.

    Examples
    --------
    >>> from penstock import Map
    >>> from penstock.analysis import automaton_from_states
    >>> flip = Map(lambda x, u: x * (1 - 2 * u), n_units=1, n_inputs=1)
    >>> found = automaton_from_states(flip, [0.0, 1.0], [[1.0], [-1.0]], readout=lambda x: x[:, 0] < 0)
    >>> found.automaton.transitions.tolist()
    [[0, 1], [1, 0]]
    """
    from scipy.spatial.distance import pdist  # here, because it is slow to import

    system = as_system(system)
    inputs = _as_alphabet(inputs, system)
    read = _as_readout(readout)
    n_steps = as_int("n_steps", n_steps)
    states = as_finite_array("states", states, ndim=2)
    if states.shape[0] < 1 or states.shape[1] != system.n_units:
        raise ValueError(f"states must have shape (S, {system.n_units}), got {states.shape}")
    threshold = float(pdist(states).min() / 2) if len(states) > 1 else float("inf")
    if threshold == 0:
        raise ValueError("states must differ from each other, got the same state twice")
    start = 0 if x0 is None else int(_nearest(states, as_state(x0, system.n_units, None)[None])[0][0])
    transitions = np.full((len(states), len(inputs)), -1)
    strays = _complete(transitions, system, inputs, states, threshold, n_steps)
    automaton = Automaton(transitions, _decide(read, states), start)
    ones = np.ones(len(states), int)
    return AutomatonExtraction(automaton, states, ones, threshold, 0.0, 0.0, strays / transitions.size, 0)


@dataclass(frozen=True, eq=False, repr=False)
class AutomatonFidelity:
    """Hold how often an automaton and the system it was taken from answer alike on fresh random strings.

    Attributes
    ----------
    agreement, standard_error : float
        Fraction of all steps with equal outputs, and its error from the spread over the strings.
    per_step : array, shape (length,)
        Fraction of the strings with equal outputs after t symbols.
    whole : float
        Fraction of the strings on which every output was equal.
    by_chance : float
        Agreement expected if both gave their outputs as often as they do, but independently.
    n_strings : int
        Number of strings.
    seed : int or SeedSequence
        Seed of the strings.
    """

    agreement: float
    standard_error: float
    per_step: np.ndarray
    whole: float
    by_chance: float
    n_strings: int
    seed: int | np.random.SeedSequence

    def plot(self, ax=None):
        """Draw the agreement over the length of the string."""
        from penstock.analysis.plots import plot_automaton_fidelity

        return plot_automaton_fidelity(self, ax)

    def __repr__(self):
        return (
            f"AutomatonFidelity: {self.agreement:.4g} ± {self.standard_error:.2g} of the outputs agree "
            f"({self.by_chance:.3g} by chance)\n  {self.n_strings} strings of {self.per_step.size} symbols, "
            f"{self.whole:.3g} of them agree throughout, seed {self.seed}"
        )


@one_blas_thread
def automaton_fidelity(
    automaton: Automaton,
    system: System,
    inputs,
    *,
    readout: Readout | Callable | np.ndarray,
    x0=None,
    length: int = 100,
    n_strings: int = 100,
    seed: int | np.random.SeedSequence,
) -> AutomatonFidelity:
    """Compare the outputs of an automaton and of a system on long random strings.

    Parameters
    ----------
    automaton : Automaton
        The automaton.
    system : System
        The system it stands for.
    inputs, readout, x0
        As in `extract_automaton`.
    length, n_strings : int
        Symbols of a string, drawn independently with equal probabilities, and number of strings.
    seed : int or SeedSequence
        Seed of the strings.

    Returns
    -------
    AutomatonFidelity

    Examples
    --------
    >>> from penstock import Map
    >>> from penstock.analysis import Automaton, automaton_fidelity
    >>> flip = Map(lambda x, u: x * (1 - 2 * u), n_units=1, n_inputs=1)
    >>> parity = Automaton([[0, 1], [1, 0]], [0, 1])
    >>> odd = lambda x: x[:, 0] < 0
    >>> automaton_fidelity(parity, flip, [0.0, 1.0], readout=odd, x0=[1.0], seed=0).agreement
    1.0
    """
    if not isinstance(automaton, Automaton):
        raise TypeError(f"automaton must be an Automaton, got {automaton!r}")
    system = as_system(system)
    inputs = _as_alphabet(inputs, system)
    read = _as_readout(readout)
    length, n_strings = as_int("length", length), as_int("n_strings", n_strings)
    if len(inputs) != automaton.n_symbols:
        raise ValueError(f"inputs must have {automaton.n_symbols} rows, one per symbol, got {len(inputs)}")
    (rng,) = generators(seed, 1)
    strings = rng.integers(len(inputs), size=(n_strings, length))
    x = system.run(inputs[strings], x0)
    answers = _decide(read, x.reshape(-1, system.n_units)).reshape(n_strings, length)
    expected = np.array([automaton.outputs[automaton.run(string)[1:]] for string in strings])
    same = answers == expected
    spread = same.mean(axis=1).std(ddof=1) if n_strings > 1 else np.nan
    return AutomatonFidelity(
        agreement=float(same.mean()),
        standard_error=float(spread / np.sqrt(n_strings)),
        per_step=same.mean(axis=0),
        whole=float(same.all(axis=1).mean()),
        by_chance=float(sum((answers == y).mean() * (expected == y).mean() for y in np.unique(expected))),
        n_strings=n_strings,
        seed=seed,
    )


# The parts of the extraction


def _as_integers(name, value, ndim) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind not in "iub":
        raise TypeError(f"{name} must hold integers, got dtype {value.dtype}")
    if value.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {value.shape}")
    value = value.astype(np.int64)
    value.flags.writeable = False
    return value


def _as_string(string, n_symbols) -> np.ndarray:
    string = np.asarray(string)
    if string.ndim != 1:
        raise ValueError(f"string must be a sequence of symbols, got shape {string.shape}")
    if string.size and (string.dtype.kind not in "iub" or string.min() < 0 or string.max() >= n_symbols):
        raise ValueError(f"string must hold symbols 0..{n_symbols - 1}, got {string.tolist()}")
    return string.astype(np.int64)


def _as_alphabet(inputs, system) -> np.ndarray:
    if system.n_inputs == 0:
        raise ValueError("system must have inputs that the symbols can stand for, got an autonomous one")
    inputs = as_finite_array("inputs", inputs, system.dtype, ndim=(1, 2))
    if inputs.ndim == 1 and system.n_inputs == 1:
        inputs = inputs[:, None]
    if inputs.ndim != 2 or inputs.shape[1] != system.n_inputs or not len(inputs):
        raise ValueError(f"inputs must have shape (K, {system.n_inputs}), one row per symbol, got {inputs.shape}")
    return inputs


def _as_readout(readout) -> Callable:
    if callable(readout):
        return readout
    W_out = np.asarray(readout)
    if W_out.dtype.kind not in "fiu":
        raise TypeError(f"readout must be a Readout, a matrix or a function of states, got {readout!r}")
    return Readout(np.atleast_2d(W_out), np.zeros(1 if W_out.ndim < 2 else len(W_out)))


def _decide(readout, states) -> np.ndarray:
    """Return one integer per state (B, n): labels as they are, one number by its sign, several by the largest."""
    y = np.asarray(readout(states))
    if y.ndim not in (1, 2) or y.shape[0] != len(states) or 0 in y.shape:
        raise ValueError(f"readout(states) must return one row per state, {len(states)} in all, got shape {y.shape}")
    if y.dtype.kind not in "fiub":
        raise TypeError(f"readout(states) must return real numbers, got dtype {y.dtype}")
    if not np.isfinite(y).all():
        raise ValueError("readout(states) must return finite numbers, got NaN or infinite ones")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2:
        return y.argmax(axis=1)
    if y.dtype.kind in "iub":
        return y.astype(np.int64)
    return (y > 0).astype(np.int64)


def _prefix_tree(strings, n_symbols) -> tuple[np.ndarray, np.ndarray]:
    """Return parent and last symbol of every prefix, the empty one first (parent -1), by length and then by order."""
    if isinstance(strings, Integral):
        strings = all_strings(n_symbols, int(strings))
    elif not isinstance(strings, Iterable) or isinstance(strings, str):
        raise TypeError(f"strings must be a length or a list of sequences of integers, got {strings!r}")
    prefixes: set[tuple[int, ...]] = {()}
    for string in strings:
        word = tuple(_as_string(string, n_symbols).tolist())
        while word not in prefixes:
            prefixes.add(word)
            word = word[:-1]
    if len(prefixes) == 1:
        raise ValueError("strings must hold at least one symbol, got none")
    ordered = sorted(prefixes, key=lambda word: (len(word), word))
    place = {word: k for k, word in enumerate(ordered)}
    parents = np.array([-1] + [place[word[:-1]] for word in ordered[1:]])
    return parents, np.array([-1] + [word[-1] for word in ordered[1:]])


def _tree_states(system, inputs, x0, parents, symbols, progress) -> np.ndarray:
    """Return the state after every prefix, one batch per length."""
    depth = np.zeros(len(parents), int)
    for k in range(1, len(parents)):
        depth[k] = depth[parents[k]] + 1
    states = np.empty((len(parents), system.n_units))
    states[0] = x0
    for level in track(range(1, depth[-1] + 1), int(depth[-1]), "automaton", progress):
        here = np.flatnonzero(depth == level)
        states[here] = system.run(inputs[symbols[here]][:, None, :], states[parents[here]])[:, 0]
    return states


def _group(states, threshold) -> tuple[np.ndarray, np.ndarray]:
    """Return the group of every state and the first member of every group.

    Pass by pass, which is the same as in sequence: the first state without a group lies in none of the earlier ones.
    """
    group = np.full(len(states), -1)
    first: list[int] = []
    left = np.arange(len(states))
    while left.size:
        distance = np.linalg.norm(states[left] - states[left[0]], axis=1)
        near = (distance < threshold) | (distance == 0)  # equal states belong together even if none differ
        group[left[near]] = len(first)
        first.append(left[0])
        left = left[~near]
    return group, np.array(first)


def _vote(group, first, parents, symbols, n_symbols) -> tuple[np.ndarray, float]:
    """Return transitions (S, K), -1 where no string took them, and the fraction of all that disagree with them.

    Nodes are sorted, so the first extension met is that of the first member, or of the next that was extended.
    """
    transitions = np.full((len(first), n_symbols), -1)
    sources, targets = group[parents[1:]], group[1:]
    for source, symbol, target in zip(sources, symbols[1:], targets, strict=True):
        if transitions[source, symbol] < 0:
            transitions[source, symbol] = target
    conflicts = float((transitions[sources, symbols[1:]] != targets).mean())
    return transitions, conflicts


def _complete(transitions, system, inputs, states, threshold, n_steps=1) -> int:
    """Fill transitions that are -1 by driving the states themselves; return how many end outside every group."""
    source, symbol = np.nonzero(transitions < 0)
    if not source.size:
        return 0
    u = np.repeat(inputs[symbol][:, None, :], n_steps, axis=1)
    ends = system.run(u, states[source])[:, -1]
    nearest, distance = _nearest(states, ends)
    transitions[source, symbol] = nearest
    return int((distance >= threshold).sum())


def _nearest(states, points) -> tuple[np.ndarray, np.ndarray]:
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(states).query(points)
    return nearest, distance


# Partition refinement


def _canonical(automaton) -> Automaton:
    """Return the reachable states in the order of a breadth-first search from the start."""
    order, place = [automaton.start], {automaton.start: 0}
    for state in order:
        for target in automaton.transitions[state].tolist():
            if target not in place:
                place[target] = len(order)
                order.append(target)
    number = np.full(automaton.n_states, -1)
    number[order] = np.arange(len(order))
    return Automaton(number[automaton.transitions[order]], automaton.outputs[order], 0)


def _refine(transitions, outputs) -> np.ndarray:
    """Return the block of every state in the coarsest partition that keeps outputs and transitions (Hopcroft)."""
    S, K = transitions.shape
    sources: list[list[list[int]]] = [[[] for _ in range(S)] for _ in range(K)]
    for (state, symbol), target in np.ndenumerate(transitions):
        sources[symbol][target].append(state)
    block = np.unique(outputs, return_inverse=True)[1].reshape(-1).tolist()
    members: list[set[int]] = [set() for _ in range(max(block) + 1)]
    for state, b in enumerate(block):
        members[b].add(state)
    waiting = {(b, symbol) for b in range(len(members)) for symbol in range(K)}
    while waiting:
        b, symbol = waiting.pop()
        hit: dict[int, set[int]] = {}
        for target in members[b]:
            for state in sources[symbol][target]:
                hit.setdefault(block[state], set()).add(state)
        for old, inside in hit.items():
            if len(inside) == len(members[old]):
                continue
            _split(old, inside, members, block, waiting, K)
    return np.array(block)


def _split(old, inside, members, block, waiting, n_symbols) -> None:
    """Move the states `inside` a block to a new one, and queue the smaller of the two where the old is not queued."""
    new = len(members)
    members[old] -= inside
    members.append(inside)
    for state in inside:
        block[state] = new
    for symbol in range(n_symbols):
        if (old, symbol) in waiting:
            waiting.add((new, symbol))
        else:
            smaller = new if len(inside) <= len(members[old]) else old
            waiting.add((smaller, symbol))
