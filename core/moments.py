"""Centred sums of products over streamed rows: a Gram matrix of the features for every set of rows that counts."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy  # its parts load at first use

from penstock.checks import as_finite_array

__all__ = ["Moments", "Rows", "as_targets", "gather"]

LEAST_ROWS, CHUNK = 512, 2**18  # a chunk has so many rows, and so many numbers (2 MB), at least
PATTERN_BYTES = 2**30  # of Gram matrices, one per pattern of missing targets

Chunk = tuple[np.ndarray, np.ndarray, np.ndarray | None]


# The rows, cut anew into chunks of one size, so that sums do not depend on the blocks


class Rows:
    """Checked rows in chunks of a fixed size, as often as asked for; the sizes are known after the first block."""

    def __init__(self, blocks: Callable[[], Iterable[tuple]]):
        self.blocks = blocks
        self.n_features = self.n_outputs = self.n_rows = 0
        self.flat = False

    def __iter__(self) -> Iterator[Chunk]:
        """Yield X (r, N), Y (r, k), NaN where missing, and weights above 0 (r,) or None; all may be overwritten."""
        n_rows = filled = 0
        for block in self._checked():
            if not n_rows:
                size = max(LEAST_ROWS, CHUNK // (self.n_features + self.n_outputs))
                buffers = np.empty((size, self.n_features)), np.empty((size, self.n_outputs)), np.empty(size)
            start, end = 0, len(block[0])
            while start < end:
                stop = min(end, start + size - filled)
                for buffer, rows in zip(buffers, block, strict=True):
                    buffer[filled : filled + stop - start] = rows[start:stop] if np.ndim(rows) else rows
                n_rows, filled, start = n_rows + stop - start, filled + stop - start, stop
                if filled == size:
                    yield _cleaned(n_rows - filled, *buffers)
                    filled = 0
        if filled:
            yield _cleaned(n_rows - filled, *(buffer[:filled] for buffer in buffers))
        if self.n_rows not in (0, n_rows):
            raise ValueError(
                f"blocks() must yield the same rows whenever it is called, got {self.n_rows}, then {n_rows}; "
                "let it return a fresh iterator"
            )
        self.n_rows = n_rows

    def _checked(self):
        """Yield blocks of matching shapes, each with weights or the number 1."""
        for block in self.blocks():
            if not isinstance(block, tuple) or len(block) not in (2, 3):
                raise TypeError(f"blocks() must yield tuples (X, Y, weights), got {type(block).__name__}")
            X, Y, weight = (*block, None)[:3]
            X, Y = _as_real("X", X), _as_real("Y", Y)
            if X.ndim != 2 or X.shape[1] == 0:
                raise ValueError(f"X must have shape (T, n_features), got {X.shape}")
            flat = Y.ndim == 1
            Y, weight = as_targets(Y, weight, len(X))
            if not self.n_features:
                self.n_features, self.n_outputs, self.flat = X.shape[1], Y.shape[1], flat
            if (X.shape[1], Y.shape[1]) != (self.n_features, self.n_outputs):
                raise ValueError(
                    f"blocks must all have {self.n_features} features and {self.n_outputs} outputs as the first, "
                    f"got {X.shape[1]} and {Y.shape[1]}"
                )
            yield X, Y, 1.0 if weight is None else weight


def as_targets(Y, weight, n_rows: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return targets (T, k), NaN where missing, and weights (T,) of at least 0 or None."""
    Y = _as_real("Y", Y)
    if Y.ndim not in (1, 2) or len(Y) != n_rows or Y.shape[1:] == (0,):
        raise ValueError(f"Y must have shape ({n_rows},) or ({n_rows}, n_outputs) to match X, got {Y.shape}")
    if weight is not None:
        weight = as_finite_array("sample_weight", weight, ndim=1)
        if weight.shape != (n_rows,):
            raise ValueError(f"sample_weight must have shape ({n_rows},) to match X, got {weight.shape}")
        if weight.min(initial=0.0) < 0:
            raise ValueError(f"sample_weight must be at least 0, got {weight.min()}")
    return Y[:, None] if Y.ndim == 1 else Y, weight


def _as_real(name, value) -> np.ndarray:
    if value is None:
        raise ValueError(f"{name} must be given, got None")
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def _cleaned(start, X, Y, weight) -> Chunk:
    """Return the rows that count, once every number is known to be finite."""
    if not np.isfinite(X.sum()):
        _raise_not_finite("X", X, start)
    if np.isinf(Y).any():
        _raise_not_finite("Y", np.where(np.isnan(Y), 0.0, Y), start)
    if (weight == 1.0).all():
        return X, Y, None
    counted = weight > 0
    return (X, Y, weight) if counted.all() else (X[counted], Y[counted], weight[counted])


def _raise_not_finite(name, array, start) -> None:
    where = np.argwhere(~np.isfinite(array))
    if len(where):
        row, column = (int(i) for i in where[0])
        raise ValueError(f"{name} must be finite, got {array[row, column]} at index {(start + row, column)}")


# The sums


class Moments:
    """Weighted means of rows and targets, and sums of products of deviations from them, in which nothing cancels.

    Attributes
    ----------
    count : int
        Rows.
    weight : float
        Sum of their weights.
    mean_x, mean_y : array, shapes (N,) and (k,)
        Weighted means.
    gram : array, shape (N, N)
        Sums of products of the features: the upper triangle alone, in Fortran order, where BLAS adds in place.
    cross, power : array, shapes (N, k) and (k,)
        Sums of products with the targets, and of squares of the targets; exactly 0 for constants, as in `gram`.
    """

    def __init__(self, n_features: int, n_outputs: int):
        self.count, self.weight = 0, 0.0
        self.mean_x, self.mean_y = np.zeros(n_features), np.zeros(n_outputs)
        self.gram = np.zeros((n_features, n_features), order="F")
        self.cross, self.power = np.zeros((n_features, n_outputs)), np.zeros(n_outputs)

    def add(self, X, Y, weight) -> None:
        """Add rows, which are overwritten."""
        total = float(len(X)) if weight is None else weight.sum()
        first_x, first_y = X[0].copy(), Y[0].copy()
        X -= first_x  # so that constants leave exact zeros, and means keep their digits
        Y -= first_y
        mean_x = X.mean(axis=0) if weight is None else weight @ X / total
        mean_y = Y.mean(axis=0) if weight is None else weight @ Y / total
        self._widen(len(X), total, first_x + mean_x, first_y + mean_y)
        X -= mean_x
        Y -= mean_y
        if weight is not None:
            root = np.sqrt(weight)[:, None]
            X *= root
            Y *= root
        self.gram = scipy.linalg.blas.dsyrk(1.0, X.T, beta=1.0, c=self.gram, overwrite_c=True)
        self.cross += X.T @ Y
        self.power += np.einsum("ij,ij->j", Y, Y)

    def join(self, other: "Moments", outputs) -> None:
        """Add the sums over other rows, of some of their outputs."""
        self._widen(other.count, other.weight, other.mean_x, other.mean_y[outputs])
        self.gram += other.gram
        self.cross += other.cross[:, outputs]
        self.power += other.power[outputs]

    def _widen(self, count, weight, mean_x, mean_y):
        """Move to the means of both parts, and add the products of the distances between them."""
        total = self.weight + weight
        dx, dy, between = mean_x - self.mean_x, mean_y - self.mean_y, self.weight * weight / total
        self.gram = scipy.linalg.blas.dsyr(between, dx, a=self.gram, overwrite_a=True)
        self.cross += between * np.outer(dx, dy)
        self.power += between * dy**2
        self.mean_x += weight / total * dx
        self.mean_y += weight / total * dy
        self.count, self.weight = self.count + count, total


def gather(rows: Rows) -> Iterator[tuple[np.ndarray, Moments]]:
    """Yield outputs (g,) that are there in the same rows, and the sums over these; together they are all outputs."""
    parts = _by_pattern(rows)
    if rows.n_rows < 2:
        raise ValueError(f"X must have 2 rows or more, got {rows.n_rows}")
    members: dict[tuple, list[int]] = {}
    for output in range(rows.n_outputs):
        keys = tuple(key for key, (outputs, _) in parts.items() if output in outputs)
        members.setdefault(keys, []).append(output)
    for keys, outputs in members.items():
        count = sum(parts[key][1].count for key in keys)
        if count < 2:
            raise ValueError(
                "Y must hold 2 values or more in every output, neither NaN nor of a sample_weight that is zero, "
                f"got {count} in output {outputs[0]}"
            )
    for keys, outputs in members.items():
        if len(keys) == 1 and len(outputs) == len(parts[keys[0]][0]):
            yield np.array(outputs), parts[keys[0]][1]
            continue
        moments = Moments(rows.n_features, len(outputs))
        for key in keys:
            present, part = parts[key]
            moments.join(part, np.searchsorted(present, outputs))
        yield np.array(outputs), moments


def _by_pattern(rows) -> dict[bytes, tuple[np.ndarray, Moments]]:
    """Return, for every set of outputs that some rows have, these outputs and the sums over such rows."""
    parts: dict[bytes, tuple[np.ndarray, Moments]] = {}
    for X, Y, weight in rows:
        for outputs, own in _patterns(~np.isnan(Y)):
            key = outputs.tobytes()
            if key not in parts:
                _check_memory(len(parts) + 1, rows.n_features)
                parts[key] = outputs, Moments(rows.n_features, len(outputs))
            if own is None:
                parts[key][1].add(X, Y, weight)
            else:
                parts[key][1].add(X[own], Y[np.ix_(own, outputs)], None if weight is None else weight[own])
    return parts


def _patterns(valid) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Yield every set of outputs present, and the rows that have it, None for all."""
    if valid.all():
        if len(valid):
            yield np.arange(valid.shape[1]), None
        return
    patterns, which = np.unique(np.packbits(valid, axis=1), axis=0, return_inverse=True)
    for i in range(len(patterns)):
        own = np.flatnonzero(which.ravel() == i)
        outputs = np.flatnonzero(valid[own[0]])
        if outputs.size:
            yield outputs, own


def _check_memory(n_patterns, n_features):
    limit = max(64, PATTERN_BYTES // (8 * n_features**2))
    if n_patterns > limit:
        raise ValueError(
            f"Y may be NaN in at most {limit} different sets of outputs with {n_features} features, got more: each "
            "needs a Gram matrix of its own; fit the outputs one at a time"
        )
