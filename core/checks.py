"""Checks on what users pass in: each returns the clean value or raises an error that teaches."""

from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp

__all__ = [
    "as_finite_array",
    "as_finite_float",
    "as_fraction",
    "as_inputs",
    "as_int",
    "as_matrix",
    "as_non_negative_float",
    "as_positive_float",
    "as_state",
    "as_vector",
    "float_type",
    "generators",
    "seed_sequence",
]


def as_int(name: str, value, minimum: int = 1) -> int:
    """Return `value` as an int of at least `minimum`."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {value}")
    return int(value)


def as_finite_float(name: str, value) -> float:
    """Return `value` as a finite float."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not np.isfinite(float(value)):
        raise ValueError(f"{name} must be finite, got {value}")
    return float(value)


def as_positive_float(name: str, value) -> float:
    """Return `value` as a finite float above 0."""
    value = as_finite_float(name, value)
    if value <= 0:
        raise ValueError(f"{name} must be above 0, got {value}")
    return value


def as_non_negative_float(name: str, value) -> float:
    """Return `value` as a finite float of at least 0."""
    value = as_finite_float(name, value)
    if value < 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return value


def as_fraction(name: str, value) -> float:
    """Return `value` as a float in (0, 1]."""
    value = as_finite_float(name, value)
    if not 0 < value <= 1:
        raise ValueError(f"{name} must lie in (0, 1], got {value}")
    return value


def as_finite_array(name: str, value, dtype=np.float64, ndim: int | tuple[int, ...] | None = None) -> np.ndarray:
    """Return `value` as a finite C-ordered array of `dtype`, of one of the allowed numbers of dimensions."""
    array = _as_real(name, value)
    if sp.issparse(array):
        raise TypeError(f"{name} must be a dense array, got a sparse one; give {name}.toarray()")
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and array.ndim not in allowed:
        raise ValueError(f"{name} must have {' or '.join(map(str, allowed))} dimensions, got shape {array.shape}")
    array = np.asarray(array, dtype=dtype, order="C")
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at index {where}")
    return array


def as_matrix(name: str, value, shape: tuple[int | None, int | None], dtype, order="C"):
    """Return `value` as a read-only finite matrix: an array of that order, or a CSR array if it was sparse.

    `None` in `shape` leaves that side free. The result never shares memory with `value`.
    """
    value = _as_real(name, value)
    if sp.issparse(value):
        matrix = sp.csr_array(value, dtype=dtype, copy=True)
        matrix.sum_duplicates()
        parts = [matrix.data, matrix.indices, matrix.indptr]
    else:
        matrix = np.array(value, dtype=dtype, order=order)
        parts = [matrix]
    if matrix.ndim != 2 or any(want not in (None, got) for want, got in zip(shape, matrix.shape, strict=True)):
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(f"{name} must have shape ({wanted}), got {matrix.shape}")
    if not np.isfinite(parts[0]).all():
        raise ValueError(f"{name} must be finite, got NaN or infinite entries")
    for part in parts:
        part.flags.writeable = False
    return matrix


def as_vector(name: str, value, size: int, dtype=np.float64) -> np.ndarray:
    """Return a number or an array (size,) as a read-only array (size,)."""
    value = as_finite_array(name, value, dtype, ndim=(0, 1))
    if value.ndim and value.shape != (size,):
        raise ValueError(f"{name} must be a number or have shape ({size},), got {value.shape}")
    value = np.array(np.broadcast_to(value, size))
    value.flags.writeable = False
    return value


def float_type(array):
    """Return float32 for an array of that type, float64 for anything else."""
    return np.float32 if getattr(array, "dtype", None) == np.float32 else np.float64


def _as_real(name, value):
    """Return `value` as an array, or as it is if it is sparse, if it holds real numbers."""
    if hasattr(value, "adj"):
        raise TypeError(f"{name} must be an array, got a graph; make one with penstock.weights.from_graph")
    if not sp.issparse(value):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} must be a regular array: {error}") from None
    if value.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    return value


def as_inputs(u, n_inputs: int, dtype=np.float64) -> np.ndarray:
    """Return inputs of shape (T, m) or (B, T, m); one channel may be 1-D, an autonomous system takes a step count."""
    if n_inputs == 0 and isinstance(u, Integral) and not isinstance(u, bool):
        return np.empty((as_int("u", u, minimum=0), 0), dtype)
    if n_inputs == 0 and np.ndim(u) == 0:
        raise TypeError(f"u must be a number of steps for a system without inputs, got {u!r}")
    u = as_finite_array("u", u, dtype)
    if u.ndim == 1 and n_inputs == 1:
        u = u[:, None]
    if u.ndim not in (2, 3) or u.shape[-1] != n_inputs:
        one = " or (T,)" if n_inputs == 1 else ""
        count = " or be a number of steps" if n_inputs == 0 else ""
        raise ValueError(f"u must have shape (T, {n_inputs}){one} or (B, T, {n_inputs}){count}, got {u.shape}")
    return u


def as_state(x0, n_units: int, batch: int | None, dtype=np.float64) -> np.ndarray:
    """Return a fresh initial state, zero if `x0` is None: (n,), or (B, n) for a batch of B series."""
    shape = (n_units,) if batch is None else (batch, n_units)
    if x0 is None:
        return np.zeros(shape, dtype)
    x0 = as_finite_array("x0", x0, dtype)
    if x0.shape != (n_units,) and x0.shape != shape:
        raise ValueError(f"x0 must have shape ({n_units},){'' if batch is None else f' or {shape}'}, got {x0.shape}")
    return np.array(np.broadcast_to(x0, shape), order="C")


def seed_sequence(seed) -> np.random.SeedSequence:
    """Return a fresh seed sequence from a non-negative int or another seed sequence; the same seed gives the same."""
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    if seed is None:
        raise TypeError("seed must be a non-negative integer, got None: choose one, so that the result can be repeated")
    return np.random.SeedSequence(as_int("seed", seed, minimum=0))


def generators(seed, count: int) -> list[np.random.Generator]:
    """Return `count` independent generators spawned from `seed`, so that one part's draws never shift another's."""
    return [np.random.default_rng(child) for child in seed_sequence(seed).spawn(count)]
