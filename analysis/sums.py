"""Sums of products of states and targets: one pass over the states, in coordinates that are well conditioned."""

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice, pairwise
from operator import sub
from typing import Any, NamedTuple

import numpy as np
import scipy  # its parts load at first use

from penstock.chunks import fast_blocks
from penstock.progress import track

__all__ = ["EPS", "Plan", "Sums", "Whitening", "mirror", "observed_rows", "segment_sums", "stream"]

EPS = float(np.finfo(np.float64).eps)
STILL = 1e-3  # of the largest spread of a unit


class Plan(NamedTuple):
    """Sizes of one measurement."""

    protocol: Any  # a complete `Protocol`
    delays: np.ndarray
    n_units: int
    edges: np.ndarray  # rows where the segments begin and end, counted from the first recorded step
    discard: int
    size: int  # rows per block
    cut: float
    span: int  # rows whose products are added at a time, at most


class Sums(NamedTuple):
    """Moments of coordinates q (N,) and targets y (J,) over n steps; sums over disjoint steps add up.

    Of `gram` (N, N) only the upper triangle counts, in Fortran order; `cross` (N, J) is in C order.
    """

    n: int
    q: np.ndarray
    gram: np.ndarray
    cross: np.ndarray
    y: np.ndarray
    power: np.ndarray

    @classmethod
    def zeros(cls, n_units, n_targets):
        """Return the sums over no steps."""
        gram, cross = np.zeros((n_units, n_units), order="F"), np.zeros((n_units, n_targets))
        return cls(0, np.zeros(n_units), gram, cross, np.zeros(n_targets), np.zeros(n_targets))

    def plus(self, other):
        """Return the sums over the steps of both; these arrays are overwritten."""
        return Sums(self.n + other.n, *(np.add(a, b, out=a) for a, b in zip(self[1:], other[1:], strict=True)))

    def minus(self, other):
        """Return the sums over the steps that are not those of `other`."""
        return Sums(*map(sub, self, other))

    def stored(self, dtype):
        """Return a copy with the two large ones in another precision."""
        return self._replace(gram=self.gram.astype(dtype), cross=self.cross.astype(dtype))

    def projected(self, basis):
        """Return the sums in the coordinates ``basis.T @ q``."""
        gram = np.asfortranarray(basis.T @ self.full_gram() @ basis)
        return self._replace(q=basis.T @ self.q, gram=gram, cross=basis.T @ self.cross)

    def full_gram(self):
        """Return `gram` itself with its lower triangle filled."""
        return mirror(self.gram)

    def spread(self):
        """Return the sums (N,) of squared deviations of the coordinates from their means."""
        return self.gram.diagonal() - self.q**2 / self.n

    def centred(self):
        """Return the sums of products of deviations from the means: gram, cross, power; arrays are overwritten."""
        power = self.power - self.y**2 / self.n
        if not self.cross.size:
            return self.gram, self.cross, power
        symmetric, general = scipy.linalg.get_blas_funcs(("syr", "ger"), (self.gram,))
        gram = symmetric(-1 / self.n, self.q, a=self.gram, overwrite_a=True)
        cross = general(-1 / self.n, self.y, self.q, a=self.cross.T, overwrite_a=True).T
        return gram, cross, power


def mirror(gram) -> np.ndarray:
    """Fill the lower triangle from the upper one in place, and return it."""
    for start in range(0, len(gram), 64):  # at a time, so that no second matrix is made
        stop = min(start + 64, len(gram))
        corner = gram[start:stop, start:stop]
        corner[...] = np.triu(corner) + np.triu(corner, 1).T
        gram[stop:, start:stop] = gram[start:stop, stop:].T
    return gram


def observed_rows(system, u, plan, what, progress) -> Iterator[np.ndarray]:
    """Yield the observed states of the recorded steps, block by block, under a progress bar named `what`."""
    end = 0
    for block in track(fast_blocks(system, u, plan.size), -(-len(u) // plan.size), what, progress):
        end += len(block)
        rows = block[max(0, len(block) - (end - plan.discard)) :, system.observed]
        if len(rows):
            yield rows


def stream(rows, targets, plan) -> tuple["Whitening", Iterator[Sums]]:
    """Whiten on the first rows; return this and the sums of segment after segment, of those rows too."""
    count = max(2 * plan.n_units, 200)
    head = deque(_take(rows, count))
    whitening = _whiten(head, count, plan)
    return whitening, segment_sums(chain(_drained(head), rows), whitening, targets, plan)


def _take(rows, count) -> Iterator[np.ndarray]:
    for block in rows:
        yield np.array(block, dtype=np.float64)
        count -= len(block)
        if count <= 0:
            return


def _drained(blocks) -> Iterator[np.ndarray]:
    """Yield blocks that are forgotten one by one."""
    while blocks:
        yield blocks.popleft()


class Whitening(NamedTuple):
    """States [order] are mean + q @ factor with q of about unit covariance, whose Gram matrix loses no digits."""

    mean: np.ndarray
    factor: np.ndarray
    order: np.ndarray | slice
    floor: float  # deviations of a state below it are rounding, or too small to be told by the plan's cut

    def coordinates(self, states):
        """Return q transposed, (N, rows), in the place of the states (rows, N), whose units are in `order`.

        Substitution, unlike the inverse of the factor, is backward stable.
        """
        states -= self.mean
        return scipy.linalg.blas.dtrsm(1.0, self.factor, states.T, trans_a=True, overwrite_b=True)


def _whiten(blocks, count, plan) -> Whitening:
    """QR of the first rows, on top of a small multiple of the identity that keeps still directions within range.

    Units that are all but still in these rows, such as neurons that will only fire later, come last and keep their
    scale: measured by their present spread, what they do later would be huge and swamp the coordinates after them.
    """
    n_rows, n_units = min(count, sum(map(len, blocks))), plan.n_units
    stacked = np.zeros((n_rows + n_units, n_units), order="F")
    head = stacked[:n_rows]
    np.concatenate(list(_first(blocks, n_rows)), out=head)
    size, mean = np.linalg.norm(_norms(head)), head.mean(axis=0)
    head -= mean
    spread = _norms(head)
    floor = max(plan.cut * np.linalg.norm(spread), n_units * EPS * size) or 1.0
    still = spread <= STILL * spread.max(initial=0.0)
    order: np.ndarray | slice = slice(None)
    if still.any():
        order = np.argsort(-spread, kind="stable")
        head[...] = head[:, order]
    np.fill_diagonal(stacked[n_rows:], np.where(still, spread.max(initial=0.0) or 1.0, floor)[order])
    scipy.linalg.lapack.dgeqrf(stacked, lwork=64 * n_units, overwrite_a=True)
    factor = np.array(stacked[:n_units], order="F")
    for column in range(n_units):
        factor[column + 1 :, column] = 0.0  # there the reflections were
    factor /= np.sqrt(n_rows)
    return Whitening(mean[order], factor, order, floor / np.sqrt(n_rows))


def _first(blocks, count) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block[:count]
        count -= len(block[:count])


def _norms(states) -> np.ndarray:
    """Return the norm of every column, without a copy of all of them."""
    return np.array([np.linalg.norm(column) for column in states.T])


def segment_sums(rows, whitening, targets, plan) -> Iterator[Sums]:
    """Yield the sums of every segment; the caller may overwrite them, and the next ones do so with gram and cross."""
    parts = [-(-(stop - start) // plan.span) for start, stop in pairwise(plan.edges)]
    inner = [np.linspace(*ends, n + 1).astype(int)[:-1] for ends, n in zip(pairwise(plan.edges), parts, strict=True)]
    spans = _spans(rows, whitening.order, np.append(np.concatenate(inner), plan.edges[-1]), plan)
    sums = Sums.zeros(plan.n_units, targets.count)
    for (start, stop), n in zip(pairwise(plan.edges), parts, strict=True):
        sums.gram[...], sums.cross[...] = 0.0, 0.0
        first, q_sum = int(start), np.zeros(plan.n_units)
        for states in islice(spans, int(n)):
            q = whitening.coordinates(states)
            scipy.linalg.blas.dsyrk(1.0, q, beta=1.0, c=sums.gram, overwrite_c=True)
            targets.add_products(q, first, sums.cross)
            q_sum += q.sum(axis=1)
            first += q.shape[1]
        if not np.isfinite(sums.gram.diagonal()).all():
            raise FloatingPointError("the state diverged: a sum over its steps is not finite")
        y, power = targets.end_segment()
        yield sums._replace(n=int(stop - start), q=q_sum, y=y, power=power)
    next(spans, None)  # so that a progress bar ends here


def _spans(rows, order, edges, plan) -> Iterator[np.ndarray]:
    """Yield the rows anew, with their units in `order`, between one edge and the next; each may be overwritten.

    So that sums do not depend on the blocks in which the states come.
    """
    buffer = np.empty((np.diff(edges).max(), plan.n_units))
    sizes = iter(np.diff(edges))
    filled, size = 0, next(sizes)
    for block in rows:
        start = 0
        while start < len(block):
            stop = min(len(block), start + size - filled)
            buffer[filled : filled + stop - start] = block[start:stop, order]
            filled, start = filled + stop - start, stop
            if filled == size:
                yield buffer[:size]
                filled, size = 0, next(sizes, 0)
