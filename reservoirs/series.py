"""What estimators take: one series, a stack of equal ones, a list of unequal ones; and how states are streamed."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from penstock.checks import as_finite_array
from penstock.chunks import fast_blocks
from penstock.progress import track

__all__ = ["Scaling", "Series", "as_series", "block_size", "state_blocks"]

BLOCK_ELEMENTS = 2**20
"""State values held at a time."""
BATCH = 64
"""Series run together: then every step is one matrix product."""


class Series(NamedTuple):
    """One or more series, each of shape (T, d), and what they came in."""

    parts: list[np.ndarray]
    kind: type | None  # None for one series, np.ndarray for a stack, list for a list
    flat: bool  # whether a series was 1-D

    @property
    def n_channels(self) -> int:
        """Channels d of every series."""
        return self.parts[0].shape[1]

    def like(self, parts, flat):
        """Return other parts (T, k) in the same container; with `flat` a single channel loses its axis."""
        parts = [part[:, 0] for part in parts] if flat and parts[0].shape[1] == 1 else parts
        if self.kind is None:
            return parts[0]
        return np.stack(parts) if self.kind is np.ndarray else parts


def as_series(name, value, *, missing=False) -> Series:
    """Return series of one width: from (T,), (T, d), (n, T, d), or a list of arrays (T,) or (T, d).

    With `missing`, NaN is allowed.
    """
    if value is None:
        raise ValueError(f"{name} must be given, got None")
    if isinstance(value, list | tuple) and len(value) == 0:
        raise ValueError(f"{name} must hold at least one series, got an empty list")
    several = isinstance(value, list | tuple) and all(np.ndim(part) > 0 and hasattr(part, "shape") for part in value)
    if several:
        parts = [_as_array(f"{name}[{i}]", part, missing, (1, 2)) for i, part in enumerate(value)]
    else:
        whole = _as_array(name, value, missing, (1, 2, 3))
        parts = list(whole) if whole.ndim == 3 else [whole]
        if not parts:
            raise ValueError(f"{name} must hold at least one series, got shape {whole.shape}")
    kind = list if several else np.ndarray if whole.ndim == 3 else None
    flat = parts[0].ndim == 1
    parts = [part[:, None] if part.ndim == 1 else part for part in parts]
    for i, part in enumerate(parts):
        where = name if kind is None else f"{name}[{i}]"
        if part.shape[1] != parts[0].shape[1]:
            raise ValueError(
                f"{where} must have {parts[0].shape[1]} channels like the first series, got {part.shape[1]}"
            )
        if len(part) == 0 or part.shape[1] == 0:
            raise ValueError(f"{where} must have at least one step and one channel, got shape {part.shape}")
    return Series(parts, kind, flat)


def _as_array(name, value, missing, ndim):
    if not missing:
        return as_finite_array(name, value, ndim=ndim)
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    value = np.array(value, np.float64)
    gaps = np.isnan(value)
    value = as_finite_array(name, np.where(gaps, 0.0, value), ndim=ndim)
    return np.where(gaps, np.nan, value)


class Scaling(NamedTuple):
    """Standardisation learned from training data: (x - center) / scale for every channel."""

    center: np.ndarray  # (d,)
    scale: np.ndarray  # (d,)

    @classmethod
    def of(cls, parts):
        """Return the scaling that gives zero mean and unit variance; constant channels are only centred."""
        whole = np.concatenate(parts)
        center = np.nanmean(whole, axis=0)
        scale = np.nanstd(whole, axis=0)
        return cls(center, np.where(scale > 1e-12 * np.maximum(np.abs(center), 1e-300), scale, 1.0))

    @classmethod
    def none(cls, n_channels):
        """Return the scaling that leaves everything as it is."""
        return cls(np.zeros(n_channels), np.ones(n_channels))

    def __call__(self, x):
        """Return x (…, d) standardised."""
        return (x - self.center) / self.scale

    def undo(self, x):
        """Return standardised numbers in the units of the user."""
        return x * self.scale + self.center


def state_blocks(system, drives, what="states", progress=False) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (series, first step, states) piece by piece, in order; short series run together."""
    size = max(256, BLOCK_ELEMENTS // system.n_units)
    groups = list(_groups(drives, size))
    total = sum(-(-len(group[0]) // size) if len(group) == 1 else len(group) for _, group in groups)
    pieces = _pieces(system, groups, size)
    yield next(pieces)  # kernels may compile meanwhile, which no bar should count
    yield from track(pieces, total - 1, what, progress)


def block_size(system, drive) -> int:
    """Return the number of steps of a drive (T, m) or (B, T, m) whose states fit into a block."""
    return max(8, BLOCK_ELEMENTS // (system.n_units * (len(drive) if drive.ndim == 3 else 1)))


def _pieces(system, groups, size):
    alone = sum(len(group) for _, group in groups) == 1
    for first, group in groups:
        if len(group) == 1:
            start, blocks = 0, fast_blocks(system, group[0], size)
            for states in blocks if alone else _named(blocks, first):
                yield first, start, states
                start += len(states)
        else:
            for i, states in enumerate(_together(system, group, first), start=first):
                yield i, 0, states


def _together(system, drives, first):
    """Return the states of every drive, run as one batch with zeros at the ends of the shorter ones."""
    padded = np.zeros((len(drives), max(map(len, drives)), system.n_inputs))
    for row, drive in zip(padded, drives, strict=True):
        row[: len(drive)] = drive
    try:
        batch = system.run(padded)
    except FloatingPointError:  # perhaps behind an end only
        return _named((system.run(drive) for drive in drives), first, step=1)
    return [states[: len(drive)] for drive, states in zip(drives, batch, strict=True)]


def _named(runs, first, step=0):
    """Yield states; where they diverge, say in which series."""
    number = first
    try:
        for states in runs:
            yield states
            number += step
    except FloatingPointError as error:
        raise FloatingPointError(f"{error} (in series {number})") from None


def _groups(drives, size) -> Iterator[tuple[int, list]]:
    """Yield consecutive series that fit into one block together, with the number of the first."""
    group: list[np.ndarray] = []
    first = longest = 0
    for i, drive in enumerate(drives):
        longest = max(longest, len(drive))
        if group and (len(group) == BATCH or longest * (len(group) + 1) > size):
            yield first, group
            first, group, longest = i, [], len(drive)
        group.append(drive)
    yield first, group
