"""Drawing the edges of random connectors in place, with little memory besides the edges themselves."""

import copy

import numpy as np
from numba import njit

from penstock.spiking.edges import Edges

__all__ = ["by_columns", "by_rows", "by_sources", "rewired_ring"]


def by_rows(draw, shape, per_chunk, room) -> Edges:
    """Build the edges from ``draw(start, stop)``, the sorted positions of synapses in the matrix of those rows.

    Targets are written into one array of `room` places, which grows if need be: besides it there is never more than
    one chunk.
    """
    n_pre, n_post, diagonal = shape
    indptr, targets = np.zeros(n_pre + 1, np.uint64), np.empty(room, np.uint32)
    for start in range(0, n_pre, per_chunk):
        stop, used = min(start + per_chunk, n_pre), int(indptr[start])
        row, target = np.divmod(draw(start, stop), n_post)
        if diagonal is not None:
            kept = target != row + (start + diagonal)
            row, target = row[kept], target[kept]
        if used + target.size > targets.size:
            targets.resize((used + target.size) * 5 // 4, refcheck=False)
        targets[used : used + target.size] = target
        indptr[start + 1 : stop + 1] = used + np.cumsum(np.bincount(row, minlength=stop - start))
    targets.resize(int(indptr[-1]), refcheck=False)
    return Edges(indptr, targets)


def by_columns(rng, degrees, n_pre, diagonal, repeated) -> Edges:
    """Build the edges that give each target its `degrees` of sources; sources of one target differ if not `repeated`.

    All sources are drawn twice, from the same random numbers: first to count the synapses of every source, then to put
    each in its place. So the edge list is never held in any other order, and rows come out sorted.
    """
    own = np.full(degrees.size, n_pre) if diagonal is None else np.arange(degrees.size) - diagonal
    indptr, sources = np.zeros(n_pre + 1, np.uint64), np.empty(degrees.max(initial=0), np.uint32)
    columns = degrees, own, repeated, sources
    _draw_columns(copy.deepcopy(rng), columns, indptr[1:], np.zeros(n_pre, np.uint32), np.empty(0, np.uint32))
    np.cumsum(indptr, out=indptr)
    targets = np.empty(int(indptr[-1]), np.uint32)
    _draw_columns(rng, columns, indptr[:-1].copy(), np.zeros(n_pre, np.uint32), targets)
    return Edges(indptr, targets)


def by_sources(rng, own, n_post, k) -> Edges:
    """Build the edges that give each source `k` distinct targets other than its `own` (n_pre,)."""
    targets = np.empty((own.size, k), np.uint32)
    _draw_rows(rng, n_post, own, targets, np.zeros(n_post, np.uint32))
    return _regular(targets)


def rewired_ring(rng, n, k, rewiring) -> Edges:
    """Build the edges of a ring of n neurons with `k` targets each, moved with probability `rewiring`."""
    targets = np.empty((n, k), np.uint32)
    _rewire(rng, rewiring, targets, np.zeros(n, np.uint32))
    return _regular(targets)


def _regular(targets) -> Edges:
    """Return the edges of targets (n_pre, k)."""
    targets.sort(axis=1)
    return Edges(np.arange(len(targets) + 1, dtype=np.uint64) * np.uint64(targets.shape[1]), targets.ravel())


# Kernels. `rng.random() * n` is below n for every n up to 2^52, and uniform on 0..n - 1 up to n / 2^53.


@njit(cache=True, nogil=True, error_model="numpy")
def _choose(rng, n, own, stamp, mark, out):
    """Fill `out` with distinct numbers below n other than `own`; `mark` (n,) holds no `stamp` before."""
    free = n
    if 0 <= own < n:
        mark[np.uint32(own)] = stamp
        free -= 1
    excluded = 2 * out.size > free  # then it is quicker to draw those to leave out
    left = free - out.size if excluded else out.size
    while left > 0:
        candidate = np.uint32(rng.random() * n)
        if mark[candidate] != stamp:
            mark[candidate] = stamp
            left -= 1
            if not excluded:
                out[np.uint32(left)] = candidate
    if excluded:
        for rest in range(np.uint32(n)):
            if mark[rest] != stamp:
                out[np.uint32(left)] = rest
                left += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_columns(rng, columns, places, mark, targets):
    """Draw the sources of every target j, count them in `places` (n_pre,), and write j at targets[places[source]]."""
    degrees, own, repeated, sources = columns
    n = mark.size
    for j in range(degrees.size):
        if repeated:
            skip = own[j] if 0 <= own[j] < n else n
            for k in range(degrees[j]):
                source = np.uint32(rng.random() * (n - (skip < n)))
                sources[k] = source + np.uint32(source >= skip)
        else:
            _choose(rng, n, own[j], np.uint32(j + 1), mark, sources)
        for k in range(degrees[j]):
            source = sources[k]
            if targets.size:
                targets[places[source]] = np.uint32(j)
            places[source] += np.uint64(1)


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_rows(rng, n, own, targets, mark):
    """Fill each row of `targets` with distinct numbers below n other than its `own`."""
    for i in range(targets.shape[0]):
        _choose(rng, n, own[i], np.uint32(i + 1), mark, targets[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _rewire(rng, rewiring, targets, mark):
    """Fill each row of `targets` (n, k) with its ring neighbours, each moved with probability `rewiring`."""
    n, k = targets.shape
    for i in range(n):
        stamp, kept = np.uint32(i + 1), 0
        mark[i] = stamp
        for d in range(-(k // 2), k // 2 + 1):
            if d != 0 and rng.random() >= rewiring:
                neighbour = np.uint32((i + d + n) % n)
                mark[neighbour] = stamp
                targets[i, kept] = neighbour
                kept += 1
        while kept < k:
            candidate = np.uint32(rng.random() * n)
            if mark[candidate] != stamp:
                mark[candidate] = stamp
                targets[i, kept] = candidate
                kept += 1
