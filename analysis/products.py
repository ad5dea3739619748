"""Products of orthonormal polynomials of past inputs: which there are, and their values block by block."""

from functools import cache
from itertools import chain, combinations, permutations
from math import comb
from typing import NamedTuple

import numpy as np
from numba import njit

__all__ = ["ProductTargets", "Products", "count_products", "first_shell", "partitions", "shell"]

GROUP = 128  # products made and multiplied at a time, so that they stay in the cache


class Products(NamedTuple):
    """P products of at most S factors phi_degree(u_channel, t - delay); unused factors have degree 0 and delay -1."""

    degrees: np.ndarray  # (P, S)
    delays: np.ndarray  # (P, S)
    channels: np.ndarray  # (P, S)

    @property
    def total_degrees(self):
        """Sum of the degrees of every product, (P,)."""
        return self.degrees.sum(axis=1)

    @property
    def longest_delays(self):
        """Longest delay of every product, (P,)."""
        return self.delays.max(axis=1, initial=-1)

    def take(self, index):
        """Return the products at `index`."""
        return Products(*(field[index] for field in self))

    @staticmethod
    def joined(parts, n_factors):
        """Return all products of a list of `Products`."""
        none = (np.empty((0, n_factors), np.intp),) * 3
        return Products(*map(np.concatenate, zip(none, *parts, strict=True)))


@cache
def partitions(degree: int, largest: int) -> tuple[tuple[int, ...], ...]:
    """Return the ways to write `degree` as a sum of parts of at most `largest`, fewest parts first."""
    if degree == 0:
        return ((),)
    first = range(min(degree, largest), 0, -1)
    found = [(part, *rest) for part in first for rest in partitions(degree - part, part)]
    return tuple(sorted(found, key=len))


@cache
def _arrangements(pattern):
    """Return the distinct orders of the degrees of a pattern."""
    return tuple(sorted(set(permutations(pattern)), reverse=True))


def first_shell(pattern, n_channels) -> int:
    """Return the shortest longest delay at which the pattern has a product."""
    return -(-len(pattern) // n_channels) - 1


def count_products(pattern, delay, n_channels) -> int:
    """Return how many products of the pattern have exactly this longest delay."""
    n = len(pattern)
    return len(_arrangements(pattern)) * (comb((delay + 1) * n_channels, n) - comb(delay * n_channels, n))


def shell(pattern, delay, n_channels, n_factors) -> Products:
    """Return the products over distinct past inputs whose degrees are `pattern` and whose longest delay is `delay`."""
    n = len(pattern)
    inputs = range(delay * n_channels, (delay + 1) * n_channels)
    sets = ((*rest, last) for last in inputs for rest in combinations(range(last), n - 1))
    chosen = np.fromiter(chain.from_iterable(sets), np.intp).reshape(-1, n)
    orders = _arrangements(pattern)
    degrees = np.repeat(np.array(orders, np.intp), len(chosen), axis=0)
    delays, channels = np.divmod(np.tile(chosen, (len(orders), 1)), n_channels)
    unused = ((0, 0), (0, n_factors - n))
    return Products(
        np.pad(degrees, unused), np.pad(delays, unused, constant_values=-1), np.pad(channels, unused, constant_values=0)
    )


class ProductTargets:
    """Give products of polynomials of an input series as targets to the streamed regression."""

    def __init__(self, polynomials, products, plan, subspace=None):
        """Take degrees 1..D of the inputs, (D, T, m), the `Products`, and the `Plan` and space of the regression."""
        self.table = polynomials.transpose(0, 2, 1).reshape(-1, polynomials.shape[1])
        self.rows = (products.degrees - 1) * polynomials.shape[2] + products.channels
        self.delays = products.delays
        self.n_factors = (products.degrees > 0).sum(axis=1)
        self.discard, self.subspace = plan.discard, subspace
        self.buffer = np.empty(GROUP * plan.size)
        self.count = len(self.rows)
        self.sums = np.zeros((3, self.count))
        self.totals = np.zeros((3, self.count))

    @property
    def null_levels(self):
        """R^2 that a target reaches by chance, (J,): the leverage of the steps, weighted with its power there.

        States are far out where inputs are extreme, and so are products of the inputs: the mean leverage, rank / T,
        would be too little for high degrees.
        """
        return self.totals[2] / self.totals[1]

    def add_products(self, q, start, cross):
        """Return ``cross + q @ y`` with the targets y (rows, J) from row `start` on; cross is overwritten."""
        leverages = self.subspace.leverages(q) if self.count else None
        for first in range(0, self.count, GROUP):
            group = slice(first, min(first + GROUP, self.count))
            shape = (group.stop - first, q.shape[1])
            y = self.buffer[: shape[0] * shape[1]].reshape(shape)
            factors = self.rows[group], self.delays[group], self.n_factors[group]
            _fill_products(self.table, *factors, start + self.discard, leverages, y, self.sums[:, group])
            cross[:, group] += q @ y.T
        return cross

    def end_segment(self):
        """Return the sums (J,) of y and of y^2 over the segment that has just been added."""
        sums, self.sums = self.sums, np.zeros_like(self.sums)
        self.totals += sums
        return sums[:2]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _fill_products(table, rows, delays, n_factors, start, leverages, out, sums):
    """Write every product y from step `start` on, one row of `out` each; add up y, y^2 and leverage times y^2."""
    for j in range(out.shape[0]):
        y = out[j]
        factor = table[rows[j, 0]][start - delays[j, 0] :]
        for i in range(y.size):
            y[i] = factor[i]
        for f in range(1, n_factors[j]):
            factor = table[rows[j, f]][start - delays[j, f] :]
            for i in range(y.size):
                y[i] *= factor[i]
        total = power = weighted = 0.0
        for i in range(y.size):
            total += y[i]
            power += y[i] * y[i]
            weighted += leverages[i] * (y[i] * y[i])
        sums[0, j] += total
        sums[1, j] += power
        sums[2, j] += weighted
