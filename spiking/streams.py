"""Streams: what a source or drive hands out during one run, stretch of steps by stretch of steps.

``take(k0, k1)`` returns the spikes (steps, ids), or the values (k1 - k0, n) or (k1 - k0, 1), of steps k0 <= k < k1.
Random streams draw in blocks whose size does not depend on the stretches, so that neither do the numbers.
"""

from functools import cached_property

import numpy as np
import scipy
from numba import njit

from penstock.spiking.bernoulli import successes

__all__ = ["BinomialSums", "OrnsteinUhlenbeck", "PoissonSpikes", "Ramp", "Replay", "Table"]


class InOrder:
    """A stream of random numbers: stretches of steps are taken one after the other."""

    _next = 0

    def _move(self, k0, k1):
        if k0 != self._next or k1 < k0:
            raise ValueError(f"steps must be taken in order, from {self._next} on, got {k0} to {k1}")
        self._next = k1


class Replay:
    """Given spikes, sorted by step."""

    def __init__(self, steps, ids):
        self.steps, self.ids = steps, ids

    def take(self, k0, k1):
        """Return the spikes of steps k0 <= k < k1."""
        here = slice(*np.searchsorted(self.steps, [k0, k1]))
        return self.steps[here], self.ids[here]


class PoissonSpikes(InOrder):
    """Bernoulli(p) spikes, drawn in blocks of a fixed number of steps and cut to what is asked for.

    Units are put together by octaves of their largest p: in an octave all units spike with the largest of all, found by
    geometric gaps, and a spike of unit i is kept with probability p_i / p. Probabilities (T, n) or (T, 1) change every
    ``bins[0]`` steps; `window` is the first step and the one after the last, or None.
    """

    def __init__(self, p, n, rng, *, window, bins=(1, 0)):
        self.rng, (self.end, self.last), self.bins = rng, window, bins
        self.p = np.broadcast_to(p, (len(p), n))
        least, most = (np.broadcast_to(end, n) for end in (p.min(axis=0), p.max(axis=0)))
        octave = np.frexp(most)[1]
        members = [np.flatnonzero((octave == o) & (most > 0)) for o in np.unique(octave)]
        self.octaves = [(ids, most[ids].max(), least[ids].min()) for ids in members if ids.size]
        self.size = int(np.clip(_BLOCK / max(most.sum(), 1e-300), 1, _BLOCK))
        self.rest = np.empty(0, np.int64), np.empty(0, np.uint32)

    def take(self, k0, k1):
        """Return the spikes of steps k0 <= k < k1."""
        self._move(k0, k1)
        blocks = [self.rest]
        while self.octaves and self.end < (k1 if self.last is None else min(k1, self.last)):
            blocks.append(self._block())
        steps, ids = (np.concatenate(part) for part in zip(*blocks, strict=True))
        cut = np.searchsorted(steps, k1)
        self.rest = steps[cut:].copy(), ids[cut:].copy()
        return steps[:cut], ids[:cut]

    def _block(self):
        steps, ids = (np.concatenate(part) for part in zip(*map(self._spikes, self.octaves), strict=True))
        self.end += self.size
        if len(self.octaves) > 1:
            order = np.lexsort((ids, steps))
            steps, ids = steps[order], ids[order]
        stop = steps.size if self.last is None else np.searchsorted(steps, self.last)
        return steps[:stop], ids[:stop].astype(np.uint32)

    def _spikes(self, octave):
        units, most, least = octave
        steps, ids = np.divmod(successes(self.rng, self.size * units.size, most), units.size)
        steps, ids = steps + self.end, units[ids]
        if least < most:
            every, shift = self.bins
            row = np.minimum((steps + shift) // every, len(self.p) - 1)
            kept = self.rng.random(ids.size) * most < self.p[row, ids]
            steps, ids = steps[kept], ids[kept]
        return steps, ids


class Table:
    """rows[k] from steps[k] to steps[k + 1]; 0 before steps[0] and from step `end` on, if there is one."""

    def __init__(self, steps, rows, end=np.inf):
        self.steps, self.rows, self.end = steps, rows, end

    def take(self, k0, k1):
        """Return the current of steps k0 <= k < k1."""
        k = np.arange(k0, k1)
        at = np.searchsorted(self.steps, k, side="right") - 1
        current = self.rows[np.maximum(at, 0)]
        current[(at < 0) | (k >= self.end)] = 0.0
        return current


class Ramp:
    """A straight line from step `start` to step `stop`, 0 before and its last value after."""

    def __init__(self, start, stop, initial, final):
        self.start, self.stop, self.ends = start, stop, (initial, final)

    def take(self, k0, k1):
        """Return the current of steps k0 <= k < k1."""
        steps = np.arange(k0, k1)[:, None]
        part = np.clip((steps - self.start) / (self.stop - self.start), 0.0, 1.0)
        initial, final = self.ends
        return np.where(steps < self.start, 0.0, initial * (1 - part) + final * part)


class OrnsteinUhlenbeck(InOrder):
    """Independent Ornstein-Uhlenbeck processes (n,), exact on the grid and stationary from their first value on."""

    def __init__(self, mean, sigma, decay, kick, rng):
        self.mean, self.decay, self.kick, self.rng = mean, decay, kick, rng
        self.x = np.zeros(mean.size)
        self.scale_of_first = sigma

    def take(self, k0, k1):
        """Return the current of steps k0 <= k < k1."""
        self._move(k0, k1)
        noise = self.rng.standard_normal((k1 - k0, self.mean.size))
        n_first = 1 if k0 == 0 else 0
        noise[:n_first] *= self.scale_of_first
        noise[n_first:] *= self.kick
        _relax(self.x, self.decay, noise)
        noise += self.mean
        return noise


class BinomialSums(InOrder):
    """Weights (n,) times binomial counts of laws (n, 2), number of trials and probability."""

    def __init__(self, laws, weight, rng):
        self.laws, self.weight, self.rng = laws, weight, rng

    def take(self, k0, k1):
        """Return the summed weights that arrive in steps k0 <= k < k1."""
        self._move(k0, k1)
        sums = self.rng.random((k1 - k0, self.weight.size))
        _invert(self._tables, self.weight, sums)
        return sums

    @cached_property
    def _tables(self):
        laws, which = np.unique(self.laws, axis=0, return_inverse=True)
        return which.ravel().astype(np.uint32), *_count_tables(laws[:, 0].astype(np.int64), laws[:, 1])


def _count_tables(n, p):
    """Return lowest counts (D,), cumulative laws (D, W) from there on, and first guesses (D, G) of D binomial laws.

    Counts beyond mean ± (9 SD + 30) have less than 2^-53 of the mass (Bernstein's inequality). Guess g is the count for
    the draw g / G: where no step of the cumulative law lies in its cell of [0, 1), it is the count for the whole cell.
    """
    mean, reach = n * p, 9 * np.sqrt(n * p * (1 - p)) + 30
    lowest = np.maximum(np.floor(mean - reach), 0).astype(np.int64)
    width = int((np.minimum(np.ceil(mean + reach), n) - lowest).max()) + 1
    counts = lowest[:, None] + np.arange(width)
    n = n[:, None]
    below = np.where(counts < n, scipy.special.bdtr(np.minimum(counts, n).astype(np.float64), n, p[:, None]), 1.0)
    cumulative = np.maximum.accumulate(below, axis=1)
    cumulative[:, -1] = 1.0
    cumulative = np.ascontiguousarray(cumulative[:, : int((cumulative < 1).sum(axis=1).max()) + 1])
    cells = int(np.clip(2**15 // len(p), 32, 2**12))  # so that the guesses of many laws stay in the cache
    guesses = np.stack([np.searchsorted(row, np.arange(cells) / cells, side="right") for row in cumulative])
    return lowest, cumulative, guesses.astype(np.uint32)


_BLOCK = 2**14  # spikes drawn at once, and the largest number of steps


# Kernels


@njit(cache=True, nogil=True, error_model="numpy")
def _relax(x, decay, noise):
    """Replace the kicks `noise` (T, n) by the states after them; x (n,) is the last state."""
    for t in range(noise.shape[0]):
        for i in range(x.size):
            x[i] = x[i] * decay[i] + noise[t, i]
            noise[t, i] = x[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(tables, weight, u):
    """Replace uniform draws u (T, n) by weight times the counts with these cumulative probabilities."""
    which, lowest, cumulative, guesses = tables
    cells = guesses.shape[1]
    for t in range(u.shape[0]):
        for i in range(u.shape[1]):
            law, value = which[i], u[t, i]
            count = guesses[law, np.uint32(value * cells)]
            while cumulative[law, count] <= value:
                count += np.uint32(1)
            u[t, i] = weight[i] * (lowest[law] + count)
