"""Sequence tasks for training and taking apart recurrent networks: batches drawn from a seed by exact rules."""

from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from penstock.checks import as_finite_float, as_fraction, as_int, as_positive_float, generators

__all__ = [
    "Sequences",
    "adding",
    "copy_memory",
    "delayed_match",
    "flip_flop",
    "integration",
    "n_back",
    "parity",
    "sequence_memory",
]


class Sequences(NamedTuple):
    """A batch of input series, the targets of the same steps, and the steps at which a target is asked for.

    Attributes
    ----------
    inputs : array, shape (B, T, m)
        What is fed in.
    targets : array, shape (B, T, k)
        What is asked for at the same step.
    mask : array of bool, shape (B, T)
        Where the target counts: fit and score ``outputs[mask]`` against ``targets[mask]``.
    """

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray

    def __repr__(self):
        asked = f"{self.mask.sum()} of {self.mask.size} steps"
        return f"Sequences(inputs {self.inputs.shape}, targets {self.targets.shape}, asked at {asked})"


def flip_flop(n_bits=3, *, n_steps=100, n_series=128, p_pulse=0.1, seed) -> Sequences:
    """Draw the flip-flop task: remember the sign of the last pulse of every channel; return `Sequences`.

    At every step every channel receives +1 or -1, each with probability p_pulse / 2, else 0; the target is the last
    pulse of the channel, that of the same step included. At the first step every channel has a pulse, so that the
    target is always +1 or -1. A network that has learned it holds 2^n_bits stable states.

    Parameters
    ----------
    n_bits : int
        Number of channels m = k.
    n_steps, n_series : int
        Length T and number B of the series.
    p_pulse : float
        Probability of a pulse, in (0, 1].
    seed : int
        Draws the pulses.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    Sussillo and Barak (2013), Opening the black box, Neural Computation 25, for the task.

    Examples
    --------
    >>> task = flip_flop(3, n_steps=50, n_series=4, seed=0)
    >>> task
    Sequences(inputs (4, 50, 3), targets (4, 50, 3), asked at 200 of 200 steps)
    >>> bool((task.targets[task.inputs != 0] == task.inputs[task.inputs != 0]).all())
    True
    """
    n_bits, p_pulse = as_int("n_bits", n_bits), as_fraction("p_pulse", p_pulse)
    shape = (*_sizes(n_series, n_steps), n_bits)
    rng = _generator(seed)
    pulses = rng.random(shape) < p_pulse
    pulses[:, 0] = True
    inputs = np.where(pulses, rng.choice([-1.0, 1.0], shape), 0.0)
    last = np.maximum.accumulate(np.where(pulses, np.arange(n_steps)[:, None], 0), axis=1)
    return _asked_always(inputs, np.take_along_axis(inputs, last, axis=1))


def parity(n_steps=50, *, n_series=128, window=None, seed) -> Sequences:
    """Draw the streaming parity task: is the number of ones odd? Return `Sequences`.

    Inputs b_t are 0 or 1 with probability 1/2 each; the target is (b_0 + ... + b_t) mod 2, or with a window of N bits
    (b_{t-N+1} + ... + b_t) mod 2, asked for from the N-th step on (0 before). Without a window the smallest automaton
    that solves it has two states.

    Parameters
    ----------
    n_steps, n_series : int
        Length T and number B of the series.
    window : int, optional
        N; by default all bits so far count.
    seed : int
        Draws the bits.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    van Rossem and Saxe (2025), ICML, for streaming parity; Khajehabdollahi et al. (2024), ICLR, for N-parity, there
    asked for at the last step only and with another probability of ones in every series.

    Examples
    --------
    >>> task = parity(6, n_series=1, seed=1)
    >>> task.inputs[0, :, 0].astype(int), task.targets[0, :, 0].astype(int)
    (array([0, 1, 1, 0, 1, 1]), array([0, 1, 0, 0, 1, 0]))
    """
    shape = (*_sizes(n_series, n_steps), 1)
    bits = _generator(seed).integers(0, 2, shape)
    ones = bits.cumsum(axis=1)
    if window is None:
        return _asked_always(bits.astype(float), ones % 2.0)
    if as_int("window", window) > n_steps:
        raise ValueError(f"window must be at most n_steps={n_steps}, got {window}")
    ones[:, window:] -= ones[:, :-window].copy()
    return _asked_from(bits.astype(float), ones % 2.0, window - 1)


def integration(n_steps=100, *, n_series=128, decay=1.0, scale=1.0, seed) -> Sequences:
    """Draw the task of integrating white noise; return `Sequences`.

    u_t ~ N(0, scale^2); y_t = sum_{k=0}^{t} decay^k u_{t-k}, so decay 1 asks for a perfect integrator.

    Parameters
    ----------
    n_steps, n_series : int
        Length T and number B of the series.
    decay : float
        Factor per step, in (0, 1].
    scale : float
        Standard deviation of the noise.
    seed : int
        Draws the noise.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    Bordelon, Cotler, Pehlevan and Zavatone-Veth (2025), Dynamically learning to integrate in recurrent neural
    networks.

    Examples
    --------
    >>> task = integration(20, n_series=2, seed=0)
    >>> bool(np.allclose(task.targets[:, -1], task.inputs.sum(axis=1)))
    True
    """
    decay, scale = as_fraction("decay", decay), as_positive_float("scale", scale)
    u = scale * _generator(seed).standard_normal((*_sizes(n_series, n_steps), 1))
    return _asked_always(u, lfilter([1.0], [1.0, -decay], u, axis=1))


def adding(n_steps=100, *, n_series=128, seed) -> Sequences:
    """Draw the adding problem: the sum of the two marked numbers; return `Sequences`.

    Channel 0 holds u_t ~ U(0, 1), channel 1 a marker: 1 at one step of the first half and one of the second, else 0.
    The target is the sum of the numbers marked so far, asked for at the last step. Always answering 1 has a mean
    squared error of 1/6.

    Parameters
    ----------
    n_steps, n_series : int
        Length T, at least 2, and number B of the series.
    seed : int
        Draws numbers and markers.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    Hochreiter and Schmidhuber (1997), Long short-term memory, Neural Computation 9; the halves as in Le, Jaitly and
    Hinton (2015), arXiv 1504.00941.

    Examples
    --------
    >>> u, marker = adding(10, n_series=1, seed=0).inputs[0].T
    >>> int(marker.sum()), int(marker[:5].sum())
    (2, 1)
    """
    n_series, n_steps = _sizes(n_series, n_steps, shortest=2)
    rng, half, each = _generator(seed), n_steps // 2, np.arange(n_series)
    inputs = np.zeros((n_series, n_steps, 2))
    inputs[..., 0] = rng.random((n_series, n_steps))
    inputs[each, rng.integers(0, half, n_series), 1] = 1.0
    inputs[each, rng.integers(half, n_steps, n_series), 1] = 1.0
    return _asked_from(inputs, inputs.prod(axis=2, keepdims=True).cumsum(axis=1), n_steps - 1)


def copy_memory(delay=100, *, length=10, n_symbols=8, n_series=128, seed) -> Sequences:
    """Draw the copy-memory task: repeat a sequence after a fixed delay; return `Sequences`.

    Symbols 0 ... K - 1 are drawn uniformly, K is the blank and K + 1 the go signal, all one-hot. Input: `length`
    symbols, delay - 1 blanks, go, `length` blanks. Target, of K + 1 symbols: length + delay blanks, then the sequence
    in order, for whose steps it is asked.

    Parameters
    ----------
    delay : int
        Steps between the end of the sequence and the first step of its recall.
    length : int
        Length of the sequence; T = 2 length + delay.
    n_symbols : int
        K.
    n_series : int
        Number B of the series.
    seed : int
        Draws the sequences.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    References
    ----------
    Arjovsky, Shah and Bengio (2016), Unitary evolution recurrent neural networks, ICML, for this layout.

    Examples
    --------
    >>> task = copy_memory(3, length=2, n_symbols=4, n_series=1, seed=0)
    >>> task.inputs[0].argmax(axis=1), task.targets[0].argmax(axis=1)
    (array([3, 3, 4, 4, 5, 4, 4]), array([4, 4, 4, 4, 4, 3, 3]))
    """
    delay, length, n_symbols = as_int("delay", delay), as_int("length", length), as_int("n_symbols", n_symbols)
    n_series, n_steps = _sizes(n_series, 2 * length + delay)
    start = length + delay
    fed, asked = np.full((2, n_series, n_steps), n_symbols)
    fed[:, :length] = asked[:, start:] = _generator(seed).integers(0, n_symbols, (n_series, length))
    fed[:, start - 1] = n_symbols + 1
    return _asked_from(_one_hot(fed, n_symbols + 2), _one_hot(asked, n_symbols + 1), start)


def sequence_memory(length=5, *, n_symbols=2, max_delay=20, n_series=128, seed) -> Sequences:
    """Draw the task of repeating a sequence when told to, after a delay that differs; return `Sequences`.

    Inputs have one channel per symbol and one for the cue. A one-hot sequence of `length` symbols, drawn uniformly,
    is followed by nothing for d steps, d uniform in 0 ... max_delay, by the cue, and by nothing to the end. The
    target is the sequence, one-hot, from the step of the cue on, where it is asked for, and 0 elsewhere.

    Parameters
    ----------
    length : int
        Length of the sequence; T = 2 length + max_delay.
    n_symbols : int
        Number of symbols k; m = k + 1.
    max_delay : int
        Longest delay.
    n_series : int
        Number B of the series.
    seed : int
        Draws sequences and delays.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    Examples
    --------
    >>> task = sequence_memory(2, max_delay=3, n_series=1, seed=4)
    >>> task.inputs[0].T.astype(int)
    array([[1, 0, 0, 0, 0, 0, 0],
           [0, 1, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 1, 0, 0]])
    >>> task.targets[0].T.astype(int)
    array([[0, 0, 0, 0, 1, 0, 0],
           [0, 0, 0, 0, 0, 1, 0]])
    """
    length, n_symbols = as_int("length", length), as_int("n_symbols", n_symbols)
    max_delay = as_int("max_delay", max_delay, minimum=0)
    n_series, n_steps = _sizes(n_series, 2 * length + max_delay)
    rng, each = _generator(seed), np.arange(n_series)
    sequence = _one_hot(rng.integers(0, n_symbols, (n_series, length)), n_symbols)
    recall = length + rng.integers(0, max_delay + 1, n_series)[:, None] + np.arange(length)
    inputs, targets = np.zeros((n_series, n_steps, n_symbols + 1)), np.zeros((n_series, n_steps, n_symbols))
    inputs[:, :length, :n_symbols] = sequence
    inputs[each, recall[:, 0], n_symbols] = 1.0
    targets[each[:, None], recall] = sequence
    return Sequences(inputs, targets, targets.max(axis=2) > 0)


def delayed_match(delay=10, *, n_symbols=2, n_series=128, seed) -> Sequences:
    """Draw the delayed match to sample: is the second symbol the first one? Return `Sequences`.

    A one-hot sample at step 0, nothing for `delay` steps, a one-hot test at the last step, where the target, 1 if
    they match and else 0, is asked for. They match with probability 1/2; else the test is uniform among the others.

    Parameters
    ----------
    delay : int
        Empty steps between sample and test; T = delay + 2.
    n_symbols : int
        Number of symbols m, at least 2.
    n_series : int
        Number B of the series.
    seed : int
        Draws the symbols.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    Examples
    --------
    >>> task = delayed_match(1, n_series=1, seed=1)
    >>> task.inputs[0].T.astype(int), task.targets[0, :, 0]
    (array([[1, 0, 0],
           [0, 0, 1]]), array([0., 0., 0.]))
    """
    delay, n_symbols = as_int("delay", delay, minimum=0), as_int("n_symbols", n_symbols, minimum=2)
    n_series, n_steps = _sizes(n_series, delay + 2)
    symbols, match = _matching(_generator(seed), 2, 1, n_symbols, 0.5, n_series)
    inputs, targets = np.zeros((n_series, n_steps, n_symbols)), np.zeros((n_series, n_steps, 1))
    inputs[:, [0, -1]] = _one_hot(symbols, n_symbols)
    targets[:, -1, 0] = match[:, 1]
    return _asked_from(inputs, targets, n_steps - 1)


def n_back(n=2, *, n_steps=50, n_symbols=2, p_match=0.5, n_series=128, seed) -> Sequences:
    """Draw the n-back task: is this symbol the one of n steps ago? Return `Sequences`.

    One-hot symbols s_t; the target, asked for from step n on, is 1 if s_t = s_{t-n} and else 0 (0 before). The first
    n symbols are uniform, then s_t = s_{t-n} with probability p_match and else uniform among the others.

    Parameters
    ----------
    n : int
        How many steps back.
    n_steps, n_series : int
        Length T, above n, and number B of the series.
    n_symbols : int
        Number of symbols m, at least 2. With two and the default `p_match` all symbols are independent.
    p_match : float
        Probability of a match, in (0, 1).
    seed : int
        Draws the symbols.

    Raises
    ------
    ValueError, TypeError
        If an argument is outside its range.

    Examples
    --------
    >>> task = n_back(2, n_steps=8, n_series=1, seed=2)
    >>> task.inputs[0].argmax(axis=1), task.targets[0, :, 0].astype(int)
    (array([0, 1, 0, 0, 1, 1, 0, 1]), array([0, 0, 1, 0, 0, 0, 0, 1]))
    """
    n, n_symbols = as_int("n", n), as_int("n_symbols", n_symbols, minimum=2)
    if not 0 < as_finite_float("p_match", p_match) < 1:
        raise ValueError(f"p_match must lie in (0, 1), got {p_match}")
    n_series, n_steps = _sizes(n_series, n_steps, shortest=n + 1)
    symbols, match = _matching(_generator(seed), n_steps, n, n_symbols, p_match, n_series)
    return _asked_from(_one_hot(symbols, n_symbols), match[..., None] * 1.0, n)


def _generator(seed):
    (rng,) = generators(seed, 1)
    return rng


def _sizes(n_series, n_steps, shortest=1):
    return as_int("n_series", n_series), as_int("n_steps", n_steps, minimum=shortest)


def _one_hot(symbols, n_symbols):
    return np.eye(n_symbols)[symbols]


def _matching(rng, n_steps, n, n_symbols, p_match, n_series):
    """Return symbols (B, T) that equal those n steps before with probability p_match, and where they do."""
    symbols = rng.integers(0, n_symbols, (n_series, n_steps))
    match = rng.random((n_series, n_steps)) < p_match
    match[:, :n] = False
    other = rng.integers(1, n_symbols, (n_series, n_steps))  # added modulo n_symbols: any symbol but the same
    for t in range(n, n_steps):
        symbols[:, t] = np.where(match[:, t], symbols[:, t - n], (symbols[:, t - n] + other[:, t]) % n_symbols)
    return symbols, match


def _asked_always(inputs, targets):
    return _asked_from(inputs, targets, 0)


def _asked_from(inputs, targets, step):
    mask = np.zeros(inputs.shape[:2], bool)
    mask[:, step:] = True
    return Sequences(inputs, targets, mask)
