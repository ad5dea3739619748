"""Symbolic dynamics: trajectories as strings of symbols, their transitions, forbidden words and entropies in nats."""

from dataclasses import dataclass
from itertools import pairwise, permutations
from math import factorial
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numba import njit

from penstock.checks import as_finite_array, as_finite_float, as_int
from penstock.threads import one_blas_thread

__all__ = [
    "BlockEntropies",
    "ForbiddenWords",
    "LempelZiv",
    "PermutationEntropy",
    "SymbolSequence",
    "SymbolicDynamics",
    "bin_symbols",
    "block_entropies",
    "forbidden_words",
    "lempel_ziv_complexity",
    "ordinal_patterns",
    "permutation_entropy",
    "sign_patterns",
    "symbolic_dynamics",
    "symbolic_words",
    "topological_entropy",
]

N_BLOCKS = 10  # of the jackknife
MAX_WORDS = 2**22  # that can be listed


@dataclass(frozen=True, eq=False, repr=False)
class SymbolSequence:
    """Hold a string of symbols and what each symbol stands for.

    Attributes
    ----------
    symbols : array of int, shape (T,)
        Between 0 and K - 1.
    labels : array, shape (K, …)
        What every symbol stands for, one row each: signs, the bounds of a bin, ranks, or the symbols of a word.
    what : str
        How the symbols were made.
    """

    symbols: np.ndarray
    labels: np.ndarray
    what: str

    @property
    def n_symbols(self) -> int:
        """Size K of the alphabet."""
        return len(self.labels)

    def counts(self) -> np.ndarray:
        """Return how often every symbol occurs; shape (K,)."""
        return np.bincount(self.symbols, minlength=self.n_symbols)

    def __len__(self):
        return self.symbols.size

    def __repr__(self):
        seen = np.count_nonzero(self.counts())
        return f"SymbolSequence: {len(self)} steps, {seen} of {self.n_symbols} symbols seen; {self.what}"


# Making symbols


def sign_patterns(states, units=None, *, threshold: float = 0.0) -> SymbolSequence:
    """Code every state by which of the chosen units exceed a threshold: the linear region of a ReLU network.

    Parameters
    ----------
    states : array, shape (T, n)
        States of a run.
    units : slice or list of int, optional
        The units that count, e.g. ``slice(-P, None)`` for the P ReLU units of an almost-linear network; all by default.
    threshold : float
        A unit counts as on if it is above.

    Returns
    -------
    SymbolSequence
        The alphabet are the patterns that occur, ordered as binary numbers with the first unit as the highest bit;
        labels (K, P) of 0 and 1.

    Examples
    --------
    >>> from penstock.analysis import sign_patterns
    >>> code = sign_patterns([[1.0, -2.0], [3.0, 4.0], [0.5, -1.0]])
    >>> code.symbols.tolist(), code.labels.tolist()
    ([0, 1, 0], [[1, 0], [1, 1]])
    """
    states = as_finite_array("states", states, ndim=2)
    chosen = states if units is None else states[:, units]
    if chosen.ndim != 2 or 0 in chosen.shape:
        raise ValueError(f"units must choose columns of states {states.shape}, at least one, got {units!r}")
    bits = (chosen > as_finite_float("threshold", threshold)).astype(np.uint8)
    labels, symbols = np.unique(bits, axis=0, return_inverse=True)
    return SymbolSequence(symbols.reshape(-1), labels, f"signs of {bits.shape[1]} units")


def bin_symbols(series, edges) -> SymbolSequence:
    """Code every value by the bin it falls into.

    Parameters
    ----------
    series : array, shape (T,)
        Values.
    edges : array, shape (K - 1,)
        Increasing bounds between the K bins, the outer two of which are open: ``np.quantile(series, [0.5])`` for two
        equally likely symbols. A value on a bound belongs to the bin above.

    Returns
    -------
    SymbolSequence
        Labels (K, 2) are the lower and the upper bound of every bin.

    Examples
    --------
    >>> from penstock.analysis import bin_symbols
    >>> bin_symbols([0.1, 0.7, 0.5], [0.5]).symbols.tolist()
    [0, 1, 1]
    """
    series = as_finite_array("series", series, ndim=1)
    edges = as_finite_array("edges", edges, ndim=1)
    if not edges.size or (np.diff(edges) <= 0).any():
        raise ValueError(f"edges must be strictly increasing numbers, at least one, got {edges.tolist()}")
    bounds = np.concatenate([[-np.inf], edges, [np.inf]])
    labels = np.column_stack([bounds[:-1], bounds[1:]])
    return SymbolSequence(np.searchsorted(edges, series, side="right"), labels, f"{len(labels)} bins")


def ordinal_patterns(series, order: int, *, delay: int = 1) -> SymbolSequence:
    """Code every window of a series by the order of its values.

    The window at t is x_t, x_{t+delay}, …, `order` values; equal values count as rising in time.

    Parameters
    ----------
    series : array, shape (T,)
        Values.
    order : int
        Values in a window, 2 to 8.
    delay : int
        Steps between them.

    Returns
    -------
    SymbolSequence
        T - (order - 1) delay symbols; all order! patterns are the alphabet, in lexicographic order, and labels
        (order!, order) their ranks: (0, 1, 2) is rising.

    Examples
    --------
    >>> from penstock.analysis import ordinal_patterns
    >>> code = ordinal_patterns([4, 7, 9, 10, 6, 11, 3], 3)
    >>> code.labels[code.symbols].tolist()
    [[0, 1, 2], [0, 1, 2], [1, 2, 0], [1, 0, 2], [1, 2, 0]]
    """
    series = as_finite_array("series", series, ndim=1)
    order, delay = as_int("order", order, 2), as_int("delay", delay)
    if order > 8:
        raise ValueError(f"order must be at most 8 (8! = 40320 patterns), got {order}")
    length = series.size - (order - 1) * delay
    if length < 1:
        raise ValueError(f"series must have more than (order - 1) delay = {(order - 1) * delay} values")
    symbols = np.zeros(length, np.int64)
    columns = [series[k * delay : k * delay + length] for k in range(order)]
    for k, column in enumerate(columns):  # the Lehmer code: how many later values are lower
        lower = sum(((later < column).astype(np.int64) for later in columns[k + 1 :]), np.zeros(length, np.int64))
        symbols += lower * factorial(order - 1 - k)
    return SymbolSequence(symbols, _permutations(order), f"order of {order} values, delay {delay}")


def symbolic_words(symbols, length: int) -> SymbolSequence:
    """Code every window of `length` symbols as one symbol: the words that occur.

    Parameters
    ----------
    symbols : SymbolSequence or array of int, shape (T,)
        The sequence.
    length : int
        Symbols in a word.

    Returns
    -------
    SymbolSequence
        T - length + 1 symbols; labels (K, length) are the words, in lexicographic order.

    Examples
    --------
    >>> from penstock.analysis import symbolic_words
    >>> words = symbolic_words([0, 1, 0, 1, 1], 2)
    >>> words.labels[words.symbols].tolist()
    [[0, 1], [1, 0], [0, 1], [1, 1]]
    """
    symbols, _ = _as_symbols(symbols)
    length = as_int("length", length)
    if length > symbols.size:
        raise ValueError(f"length must be at most the {symbols.size} symbols there are, got {length}")
    first = np.arange(symbols.size)
    for keys in _each_word_length(symbols, length):
        _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    labels = np.stack([symbols[first + k] for k in range(length)], axis=1)
    return SymbolSequence(codes.reshape(-1), labels, f"words of {length} symbols")


# Transitions


@dataclass(frozen=True, eq=False, repr=False)
class SymbolicDynamics:
    """Hold the transitions between symbols and the two entropies of their graph.

    Attributes
    ----------
    counts : sparse array of int, shape (K, K)
        How often symbol j followed symbol i.
    stationary : array, shape (K,)
        Stationary distribution of the chain on the strongly connected symbols visited most, 0 elsewhere.
    entropy_rate, standard_error : float
        -sum pi_i P_ij ln P_ij of that chain, in nats per step, and its jackknife error over ten blocks of steps.
    topological_entropy : float
        ln of the spectral radius of the 0/1 matrix of the transitions seen, in nats per step: never below the rate.
    visited : float
        Fraction of the steps spent among the symbols of `stationary`.
    what : str
        How the symbols were made.
    """

    counts: sp.csr_array
    stationary: np.ndarray
    entropy_rate: float
    standard_error: float
    topological_entropy: float
    visited: float
    what: str

    @property
    def n_symbols(self) -> int:
        """Size K of the alphabet."""
        return self.counts.shape[0]

    @property
    def transition_matrix(self) -> np.ndarray:
        """P_ij, the fraction of the steps from i that led to j; rows of symbols never left are 0; shape (K, K)."""
        counts = self.counts.toarray()
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def to_networkx(self):
        """Return a `networkx.DiGraph` of the transitions seen, edges with `count` and `probability`."""
        import networkx as nx

        graph = nx.DiGraph()
        graph.add_nodes_from(range(self.n_symbols))
        steps = self.counts.sum(axis=1)
        entries = self.counts.tocoo()
        for i, j, n in zip(*(a.tolist() for a in (entries.row, entries.col, entries.data)), strict=True):
            graph.add_edge(i, j, count=n, probability=n / int(steps[i]))
        return graph

    def plot(self, ax=None):
        """Draw the matrix of transition probabilities."""
        from penstock.analysis.plots import plot_transition_matrix

        return plot_transition_matrix(self, ax)

    def __repr__(self):
        seen, steps = self.counts.nnz, int(self.counts.sum())
        lines = [
            f"SymbolicDynamics: {self.n_symbols} symbols, {seen} of {self.n_symbols**2} transitions in {steps} steps",
            f"  entropy rate         {self.entropy_rate:.4g} ± {self.standard_error:.2g} nats per step (Markov)",
            f"  topological entropy  {self.topological_entropy:.4g} nats per step",
            f"  recurrent            {np.count_nonzero(self.stationary)} symbols, {self.visited:.3g} of the steps",
            f"  symbols              {self.what}",
        ]
        return "\n".join(lines)


@one_blas_thread
def symbolic_dynamics(symbols) -> SymbolicDynamics:
    """Count the transitions of a symbol sequence and compute its Markov and its topological entropy.

    h = -sum_ij pi_i P_ij ln P_ij with the stationary pi, at most ln rho(A) with A_ij = 1 where i was ever followed by
    j. Both describe the chain with a memory of one symbol; pass ``symbolic_words(symbols, L)`` for a memory of L.

    Parameters
    ----------
    symbols : SymbolSequence or array of int, shape (T,)
        At least two symbols.

    Returns
    -------
    SymbolicDynamics

    Raises
    ------
    ValueError, TypeError
        If the symbols are no integers of at least 0, or too few.

    Examples
    --------
    A fair coin:

    >>> import numpy as np
    >>> from penstock.analysis import symbolic_dynamics
    >>> coin = symbolic_dynamics(np.random.default_rng(0).integers(2, size=10_000))
    >>> round(coin.topological_entropy, 4), round(coin.entropy_rate, 4)
    (0.6931, 0.6931)
    """
    what = symbols.what if isinstance(symbols, SymbolSequence) else "given"
    symbols, n_symbols = _as_symbols(symbols)
    if symbols.size < 2:
        raise ValueError(f"symbols must be at least 2, got {symbols.size}")
    edges = np.linspace(0, symbols.size - 1, N_BLOCKS + 1).astype(int)
    blocks = [_count_transitions(symbols[a : b + 1], n_symbols) for a, b in pairwise(edges)]
    counts = sp.csr_array(sum(blocks[1:], blocks[0]))
    rate, stationary = _markov_entropy(counts)
    replicates = [_markov_entropy(counts - block)[0] for block in blocks] if symbols.size > 2 * N_BLOCKS else [np.nan]
    return SymbolicDynamics(
        counts=counts,
        stationary=stationary,
        entropy_rate=rate,
        standard_error=_jackknife(replicates),
        topological_entropy=topological_entropy(counts),
        visited=float(np.isin(symbols, np.flatnonzero(stationary)).mean()),
        what=what,
    )


@one_blas_thread
def topological_entropy(transitions) -> float:
    """Return ln of the spectral radius of the graph of allowed transitions, in nats per step.

    It is the growth rate of the number of allowed words, 0 if all is periodic and -inf if every path ends.

    Parameters
    ----------
    transitions : array or sparse array, shape (K, K)
        Anything but 0 where j may follow i.

    Returns
    -------
    float

    Examples
    --------
    The golden-mean shift forbids two ones in a row:

    >>> from math import exp
    >>> from penstock.analysis import topological_entropy
    >>> round(exp(topological_entropy([[1, 1], [1, 0]])), 6)
    1.618034
    """
    if not sp.issparse(transitions):
        transitions = as_finite_array("transitions", transitions, ndim=2)
    allowed = sp.csr_array(transitions, dtype=float)
    if allowed.shape[0] != allowed.shape[1] or not allowed.shape[0]:
        raise ValueError(f"transitions must be a square matrix, got shape {allowed.shape}")
    allowed.eliminate_zeros()
    allowed.data[:] = 1.0
    count, labels = _strong_components(allowed)
    members = [np.flatnonzero(labels == c) for c in range(count)] if count > 1 else [np.arange(allowed.shape[0])]
    radius = max((_perron_root(allowed[part][:, part]) for part in members), default=0.0)
    return float(np.log(radius)) if radius else float("-inf")


class ForbiddenWords(NamedTuple):
    """Hold the words of one length that never occur.

    Attributes
    ----------
    words : array of int, shape (F, length)
        The words, in lexicographic order.
    minimal : array of bool, shape (F,)
        Whether the word occurs but for its first and but for its last symbol, so that nothing shorter forbids it.
    expected : array, shape (F,)
        How often the word would occur if its symbols were independent: a word is only telling if this is large.
    """

    words: np.ndarray
    minimal: np.ndarray
    expected: np.ndarray


def forbidden_words(symbols, length: int) -> ForbiddenWords:
    """List the words of `length` symbols, all of which occur, that never occur themselves.

    Parameters
    ----------
    symbols : SymbolSequence or array of int, shape (T,)
        The sequence.
    length : int
        Symbols in a word, at least 2.

    Returns
    -------
    ForbiddenWords

    Raises
    ------
    ValueError, TypeError
        If there are too many words to list, or too few symbols.

    Examples
    --------
    >>> from penstock.analysis import forbidden_words
    >>> forbidden_words([0, 1, 0, 0, 1, 0], 2).words.tolist()
    [[1, 1]]
    """
    length = as_int("length", length, 2)
    seen = symbolic_words(symbols, length).labels
    symbols, _ = _as_symbols(symbols)
    alphabet, counts = np.unique(symbols, return_counts=True)
    k = alphabet.size
    if k**length > MAX_WORDS:
        raise ValueError(f"length must leave at most {MAX_WORDS} words over {k} symbols, got {length}; take it shorter")
    weights = k ** np.arange(length - 1, -1, -1)
    missing = np.ones(k**length, bool)
    missing[np.searchsorted(alphabet, seen) @ weights] = False
    ranks = np.flatnonzero(missing)[:, None] // weights % k
    shorter = np.zeros(k ** (length - 1), bool)
    shorter[np.searchsorted(alphabet, symbolic_words(symbols, length - 1).labels) @ weights[1:]] = True
    minimal = shorter[ranks[:, 1:] @ weights[1:]] & shorter[ranks[:, :-1] @ weights[1:]]
    expected = (symbols.size - length + 1) * np.prod((counts / symbols.size)[ranks], axis=1)
    return ForbiddenWords(alphabet[ranks], minimal, expected)


# Entropies


@dataclass(frozen=True, eq=False, repr=False)
class BlockEntropies:
    """Hold the entropies of words of growing length.

    Attributes
    ----------
    lengths : array of int, shape (L,)
        1, 2, …
    entropies, standard_errors : array, shape (L,)
        H_l with the Miller-Madow correction, in nats, and their jackknife errors over ten blocks of the sequence.
    plug_in : array, shape (L,)
        Uncorrected, which is biased down by about (words - 1) / 2n.
    n_words : array of int, shape (L,)
        Distinct words seen.
    n_steps : int
        Length of the sequence.
    """

    lengths: np.ndarray
    entropies: np.ndarray
    standard_errors: np.ndarray
    plug_in: np.ndarray
    n_words: np.ndarray
    n_steps: int

    @property
    def rates(self) -> np.ndarray:
        """h_l = H_l - H_{l-1} with H_0 = 0, in nats per step; falls to the entropy rate; shape (L,)."""
        return np.diff(self.entropies, prepend=0.0)

    @property
    def sampled(self) -> np.ndarray:
        """Lengths at which every word seen was seen ten times on average: beyond, do not trust; bool, shape (L,)."""
        return 10 * self.n_words <= self.n_steps - self.lengths + 1

    @property
    def entropy_rate(self) -> float:
        """h_l at the longest length that is sampled well enough; nan if none is."""
        return float(self.rates[self.sampled][-1]) if self.sampled.any() else float("nan")

    @property
    def excess_entropy(self) -> float:
        """H_l - l h_l at that length, in nats: what the past tells of the future; nan if none is sampled."""
        if not self.sampled.any():
            return float("nan")
        return float(self.entropies[self.sampled][-1] - self.lengths[self.sampled][-1] * self.entropy_rate)

    def plot(self, ax=None):
        """Draw H_l and h_l over the word length, hollow where there are too few samples."""
        from penstock.analysis.plots import plot_block_entropies

        return plot_block_entropies(self, ax)

    def __repr__(self):
        good = int(self.sampled.sum())
        lines = [
            f"BlockEntropies: {self.n_steps} steps, words of 1..{self.lengths[-1]} symbols, Miller-Madow corrected",
            f"  sampled       up to length {good}" + " (too few steps for the others)" * (good < len(self.lengths)),
            f"  entropy rate  {self.entropy_rate:.4g} nats per step (H_{good} - H_{good - 1})"
            if good
            else "  entropy rate  unknown: not even single symbols are sampled ten times each",
        ]
        return "\n".join(lines)


def block_entropies(symbols, max_length: int) -> BlockEntropies:
    """Compute the entropies of the words of 1 to `max_length` symbols, and from them the entropy rate.

    H_l = -sum_w p_w ln p_w + (K_l - 1) / 2n with K_l the number of distinct words seen among n (Miller and Madow).

    Parameters
    ----------
    symbols : SymbolSequence or array of int, shape (T,)
        The sequence.
    max_length : int
        Longest word.

    Returns
    -------
    BlockEntropies

    References
    ----------
    G. A. Miller, Note on the bias of information estimates, in Information Theory in Psychology (1955).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import block_entropies
    >>> coin = block_entropies(np.random.default_rng(0).integers(2, size=20_000), 5)
    >>> coin.rates.round(2).tolist()
    [0.69, 0.69, 0.69, 0.69, 0.69]
    """
    symbols, _ = _as_symbols(symbols)
    max_length = as_int("max_length", max_length)
    if symbols.size < 2 * max(max_length, N_BLOCKS):
        raise ValueError(f"symbols must be at least {2 * max(max_length, N_BLOCKS)}, got {symbols.size}")
    rows = []
    for keys in _each_word_length(symbols, max_length):
        codes = np.unique(keys, return_inverse=True)[1].reshape(-1)
        counts = np.bincount(codes)
        rows.append((_miller_madow(counts), _entropy_error(codes, counts), _entropy(counts), counts.size))
    entropies, errors, plug_in, n_words = (np.array(column) for column in zip(*rows, strict=True))
    return BlockEntropies(np.arange(1, max_length + 1), entropies, errors, plug_in, n_words, symbols.size)


@dataclass(frozen=True, eq=False, repr=False)
class PermutationEntropy:
    """Hold the entropy of the ordinal patterns of a series.

    Attributes
    ----------
    entropy, standard_error : float
        In nats, Miller-Madow corrected but never above ln order!, and its jackknife error over ten blocks.
    normalised : float
        Divided by ln order!: 1 for independent values, 0 for a monotone series.
    counts : array of int, shape (order!,)
        How often every pattern occurs, in lexicographic order.
    order, delay : int
        Values in a pattern, and steps between them.
    """

    entropy: float
    standard_error: float
    normalised: float
    counts: np.ndarray
    order: int
    delay: int

    @property
    def n_missing(self) -> int:
        """Patterns that never occur."""
        return int((self.counts == 0).sum())

    def plot(self, ax=None):
        """Draw the frequency of every pattern."""
        from penstock.analysis.plots import plot_permutation_entropy

        return plot_permutation_entropy(self, ax)

    def __repr__(self):
        return (
            f"PermutationEntropy: {self.entropy:.4g} ± {self.standard_error:.2g} nats, {self.normalised:.4g} of the "
            f"maximum\n  order {self.order}, delay {self.delay}, {int(self.counts.sum())} patterns, "
            f"{self.n_missing} of {self.counts.size} never seen"
        )


def permutation_entropy(series, order: int, *, delay: int = 1) -> PermutationEntropy:
    """Compute the entropy of the ordinal patterns of a series.

    Parameters
    ----------
    series : array, shape (T,)
        Values; see `ordinal_patterns` for ties.
    order : int
        Values in a pattern, 2 to 8; there should be many more steps than order! patterns.
    delay : int
        Steps between them.

    Returns
    -------
    PermutationEntropy

    References
    ----------
    C. Bandt, B. Pompe, Permutation entropy: a natural complexity measure for time series, Phys. Rev. Lett. 88, 174102
    (2002).

    Examples
    --------
    >>> import numpy as np
    >>> from penstock.analysis import permutation_entropy
    >>> noise = permutation_entropy(np.random.default_rng(0).standard_normal(10_000), 3)
    >>> round(noise.normalised, 2), permutation_entropy(np.arange(50.0), 3).entropy
    (1.0, 0.0)
    """
    code = ordinal_patterns(series, order, delay=delay)
    counts = code.counts()
    largest = float(np.log(counts.size))
    entropy = min(_miller_madow(counts), largest)
    error = _entropy_error(code.symbols, counts)
    return PermutationEntropy(entropy, error, entropy / largest, counts, int(order), int(delay))


class LempelZiv(NamedTuple):
    """Hold the Lempel-Ziv complexity of a sequence.

    Attributes
    ----------
    n_phrases : int
        Phrases c of the exhaustive history.
    entropy_rate : float
        c ln(n) / n in nats per step, which tends to the entropy rate from above, slowly.
    n_steps : int
        Length n of the sequence.
    """

    n_phrases: int
    entropy_rate: float
    n_steps: int


def lempel_ziv_complexity(symbols) -> LempelZiv:
    """Count the phrases into which a sequence falls if each is the shortest that has not occurred before (LZ76).

    The time grows with the square of the length in the worst case.

    Parameters
    ----------
    symbols : SymbolSequence or array of int, shape (n,)
        The sequence.

    Returns
    -------
    LempelZiv

    References
    ----------
    A. Lempel, J. Ziv, On the complexity of finite sequences, IEEE Trans. Inf. Theory 22, 75 (1976).
    F. Kaspar, H. G. Schuster, Phys. Rev. A 36, 842 (1987).

    Examples
    --------
    The example of Lempel and Ziv, 0|001|10|100|1000|101:

    >>> from penstock.analysis import lempel_ziv_complexity
    >>> lempel_ziv_complexity([int(s) for s in "0001101001000101"]).n_phrases
    6
    """
    symbols, _ = _as_symbols(symbols)
    n, phrases = symbols.size, int(_count_phrases(symbols))
    return LempelZiv(phrases, phrases * float(np.log(n)) / n, n)


# What they share


def _as_symbols(symbols) -> tuple[np.ndarray, int]:
    """Return the symbols as integers, and the size of the alphabet."""
    if isinstance(symbols, SymbolSequence):
        return symbols.symbols, symbols.n_symbols
    symbols = np.asarray(symbols)
    if symbols.dtype.kind not in "iub":
        raise TypeError(f"symbols must be integers, got dtype {symbols.dtype}; see bin_symbols or sign_patterns")
    if symbols.ndim != 1 or not symbols.size:
        raise ValueError(f"symbols must be one sequence of shape (T,), got shape {symbols.shape}")
    symbols = symbols.astype(np.int64)
    if symbols.min() < 0 or symbols.max() >= 2**20:
        raise ValueError(
            f"symbols must lie between 0 and 2^20, got {symbols.min()} to {symbols.max()}; "
            "number them with np.unique(symbols, return_inverse=True)[1]"
        )
    return symbols, int(symbols.max()) + 1


def _each_word_length(symbols, max_length):
    """Yield integer keys of the words of every length up to the longest; equal keys are equal words, in their order."""
    _, letters = np.unique(symbols, return_inverse=True)
    letters = letters.reshape(-1)
    size = int(letters.max()) + 1
    keys = letters
    for length in range(1, max_length + 1):
        if length > 1:  # ranks of the shorter words stay below T, so that the keys never overflow
            ranks = np.unique(keys, return_inverse=True)[1].reshape(-1)
            keys = ranks[:-1] * size + letters[length - 1 :]
        yield keys


def _permutations(order) -> np.ndarray:
    return np.array(list(permutations(range(order))), np.int8)


def _count_transitions(symbols, n_symbols):
    ones = np.ones(symbols.size - 1, np.int64)
    return sp.coo_array((ones, (symbols[:-1], symbols[1:])), shape=(n_symbols, n_symbols)).tocsr()


def _strong_components(matrix):
    from scipy.sparse.csgraph import connected_components

    return connected_components(matrix, directed=True, connection="strong")


def _markov_entropy(counts) -> tuple[float, np.ndarray]:
    """Entropy rate and stationary distribution of the chain on the strong component left most often."""
    counts.eliminate_zeros()
    _, labels = _strong_components(counts)
    within = np.bincount(labels, weights=counts.sum(axis=1))
    part = np.flatnonzero(labels == within.argmax())
    inside = sp.csr_array(counts[part][:, part], dtype=float)
    stationary = np.zeros(counts.shape[0])
    if inside.nnz == 0:  # a path that never comes back
        stationary[part[0]] = 1.0
        return 0.0, stationary
    P = inside.copy()
    P.data /= np.repeat(inside.sum(axis=1), np.diff(inside.indptr))
    pi = _stationary(P)
    stationary[part] = pi
    terms = P.copy()
    terms.data = -P.data * np.log(P.data)
    return float(pi @ terms.sum(axis=1)), stationary


def _stationary(P) -> np.ndarray:
    """Solve pi = pi P for an irreducible chain, with pi_0 = 1 first, then normalised."""
    from scipy.sparse.linalg import spsolve

    if P.shape[0] == 1:
        return np.ones(1)
    rest = sp.csc_array(sp.eye_array(P.shape[0] - 1) - P[1:, 1:].T)
    pi = np.concatenate([[1.0], np.atleast_1d(spsolve(rest, P[[0], 1:].toarray().ravel()))])
    return pi / pi.sum()


def _perron_root(matrix) -> float:
    """Spectral radius of an irreducible matrix of zeros and ones, which is 1 or more but for a lone symbol."""
    n = matrix.shape[0]
    if n == 1:
        return float(matrix[[0], [0]].sum())
    if n <= 500:
        return max(1.0, float(np.linalg.eigvals(matrix.toarray()).real.max()))
    from scipy.sparse.linalg import eigs

    return max(1.0, float(eigs(matrix, k=1, which="LR", v0=np.ones(n), return_eigenvectors=False)[0].real))


def _entropy(counts) -> float:
    counts = counts[counts > 0]
    p = counts / counts.sum()
    return float(-(p * np.log(p)).sum()) + 0.0


def _miller_madow(counts) -> float:
    return _entropy(counts) + float((np.count_nonzero(counts) - 1) / (2 * counts.sum()))


def _entropy_error(codes, counts) -> float:
    """Jackknife error of an entropy over contiguous blocks, which respects that neighbouring words overlap."""
    if codes.size < 2 * N_BLOCKS:
        return float("nan")
    parts = np.array_split(codes, N_BLOCKS)
    return _jackknife([_miller_madow(counts - np.bincount(part, minlength=counts.size)) for part in parts])


def _jackknife(replicates) -> float:
    return float(np.sqrt((len(replicates) - 1) * np.var(replicates))) if len(replicates) > 1 else float("nan")


@njit(cache=True, nogil=True, error_model="numpy")
def _count_phrases(s):
    """Number of phrases of the exhaustive history: each as long as a copy that begins earlier, and one symbol more."""
    n, start, phrases = s.size, 0, 0
    while start < n:
        longest = 0
        for i in range(start):
            k = 0
            while start + k < n and s[i + k] == s[start + k]:
                k += 1
            longest = max(longest, k)
            if start + k == n:
                break
        start += longest + 1
        phrases += 1
    return phrases
