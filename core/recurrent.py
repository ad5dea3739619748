"""The recurrent matrix of a system: read it, replace it, keep some units only. What pruning works with."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from penstock.checks import as_matrix

__all__: list[str] = []


def recurrent_matrix(system):
    """Return the field W (N, N) of a frozen record, N the number of observed units.

    Raises
    ------
    TypeError
        If the system has no such field, or a model says why its W is not all of its recurrence.
    """
    name = type(system).__name__
    W: Any = getattr(system, "W", None)
    if system._no_recurrent_matrix:
        raise TypeError(f"{name} has no recurrent matrix to replace: {system._no_recurrent_matrix}")
    if "W" not in field_names(system):
        raise TypeError(
            f"{name} has no recurrent matrix: it has no field W (N, N); a class of your own may define "
            "recurrent_matrix(), with_recurrent(W) and keep_units(units)"
        )
    n_observed = len(range(system.n_units)[system.observed])
    if np.shape(W) != (n_observed, n_observed):
        raise TypeError(f"{name} has no recurrent matrix: its W has shape {np.shape(W)} for {n_observed} units")
    return W


def with_recurrent(system, W):
    """Return the record with another W of the same shape; see `SystemDefaults.with_recurrent`."""
    old = system.recurrent_matrix()
    W = as_matrix("W", W, old.shape, old.dtype)
    if system._synapse_fields and _pattern(W).astype(np.int8).maximum(_pattern(old)).nnz > _pattern(old).nnz:
        raise ValueError(
            f"W must have synapses only where {type(system).__name__} has them now, since "
            f"{', '.join(system._synapse_fields)} are not known for others"
        )
    changed = replace(system, W=W)
    return changed if system.start is None else changed.starting_at(system.start)


def keep_units(system, units, **changes):
    """Return the record of some units, with other changes if any; see `SystemDefaults.keep_units`.

    Arrays with N rows lose those of the other units, matrices (N, N) their columns too. What belongs to the inputs
    (names that end in ``_in`` have columns for them, names that begin with ``input_`` are theirs) stays.
    """
    n = system.recurrent_matrix().shape[0]
    units = as_units("units", units, n)
    parts = {field.name: getattr(system, field.name) for field in fields(system) if field.init}
    kept = {name: sliced(part, units, n, name.endswith("_in")) for name, part in parts.items() if _is_per_unit(name)}
    try:
        smaller = replace(system, **(kept | changes))
    except ValueError as error:
        raise ValueError(f"{len(units)} of {n} units do not make {type(system).__name__}: {error}") from None
    if system.start is None or len(system.start) % n:
        return smaller
    return smaller.starting_at(system.start.reshape(-1, n)[:, units].ravel())  # states of several numbers per unit


def as_units(name: str, units, n_units: int) -> np.ndarray:
    """Return units given by number or by a mask (n_units,) as increasing numbers, at least one of them."""
    if isinstance(units, Iterable) and not isinstance(units, str | np.ndarray):
        units = list(units)
    array = np.asarray(units)
    if array.dtype == bool:
        if array.shape != (n_units,):
            raise ValueError(f"{name} must be a mask of shape ({n_units},) or unit numbers, got shape {array.shape}")
        array = np.flatnonzero(array)
    if array.size == 0:
        raise ValueError(f"{name} must name at least one unit, got none")
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"{name} must be a one-dimensional array of unit numbers or a mask, got {units!r}")
    if array.min() < 0 or array.max() >= n_units:
        raise ValueError(f"{name} must lie in 0 … {n_units - 1}, got {array.min()} to {array.max()}")
    numbers = np.unique(array)
    if numbers.size < array.size:
        raise ValueError(f"{name} must name every unit once, got {array.size - numbers.size} repeated")
    return numbers.astype(np.int64)


def field_names(system) -> set[str]:
    """Return the names of the fields of a record, none of any other object."""
    return {field.name for field in fields(system)} if is_dataclass(system) else set()


def sliced(part, units, n_units: int, rows_only: bool = False):
    """Return the rows of an array (n_units, …) that belong to `units`, of a matrix (n_units, n_units) columns too."""
    if not (isinstance(part, np.ndarray) or sp.issparse(part)) or part.ndim == 0 or part.shape[0] != n_units:
        return part
    part = part[units]
    return part[:, units] if part.ndim == 2 and part.shape[1] == n_units and not rows_only else part


def _is_per_unit(name):
    return not name.startswith("input_")


def _pattern(W):
    """Return where W is not zero as a CSR array of ones."""
    pattern = sp.csr_array(W != 0)
    return pattern.astype(np.int8)
