"""What a sweep found: records, tables and plots."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from penstock.sweep_values import canonical, encode, to_text

__all__ = ["Sweep", "identity", "mean_and_error", "shown"]

TABLES = 'needs pandas and xarray: pip install "penstock[tables]"'


@dataclass(frozen=True, repr=False, eq=False)
class Sweep:
    """Hold the records of a sweep, in the order of its grid.

    Attributes
    ----------
    function : str
        Module and name of the function.
    grid : dict or tuple of dicts
        The values of each parameter, or the points.
    repeats, seed : int
        As given to `sweep`.
    store : str or None
        The folder of the records.
    records : list of dict
        A record for each finished task: ``point`` (dict), ``repeat``, ``seed``, ``status`` ("ok" or "error"),
        ``result`` (dict, a single number is called "value"), ``error`` (dict of type, message and traceback),
        ``seconds``, ``time``, ``host``, ``pid``, ``versions``, ``function`` (hash of its code) and ``key``.
    """

    function: str
    grid: Mapping[str, tuple] | tuple[Mapping[str, Any], ...]
    repeats: int
    seed: int
    store: str | None
    records: list[dict[str, Any]] = field(repr=False)

    def __len__(self):
        return len(self.records)

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The records of tasks that failed."""
        return [record for record in self.records if record["status"] != "ok"]

    @property
    def missing(self) -> int:
        """How many tasks have no record yet."""
        return self._n_points * self.repeats - len(self.records)

    @property
    def parameters(self) -> dict[str, tuple]:
        """The values of each parameter, in the order of the grid."""
        if isinstance(self.grid, Mapping):
            return dict(self.grid)
        return {name: _unlike([point[name] for point in self.grid]) for name in self.grid[0]}

    @property
    def values(self) -> tuple[str, ...]:
        """The names of the results."""
        return tuple(dict.fromkeys(name for record in self.records for name in record["result"] or ()))

    def select(self, **values) -> "Sweep":
        """Return the part of the sweep at these values of parameters, which are no longer parameters.

        Raises
        ------
        ValueError
            If there is no such parameter or value.
        """
        for name, value in values.items():
            if name not in self.parameters:
                raise ValueError(f"select takes {', '.join(self.parameters)}, got {name!r}")
            if identity(value) not in map(identity, self.parameters[name]):
                raise ValueError(f"{name} must be one of {_listed(self.parameters[name])}, got {value!r}")
        if len(values) == len(self.parameters):
            raise ValueError("select must leave at least one parameter: a single point is in .records")
        texts = {name: identity(value) for name, value in values.items()}
        records = [
            {**record, "point": _without(record["point"], texts)}
            for record in self.records
            if all(identity(record["point"][name]) == text for name, text in texts.items())
        ]
        if isinstance(self.grid, Mapping):
            return replace(self, grid=_without(self.grid, texts), records=records)
        inside = [p for p in self.grid if all(identity(p[name]) == text for name, text in texts.items())]
        return replace(self, grid=tuple(_without(point, texts) for point in inside), records=records)

    def mean(self, value: str) -> np.ndarray:
        """Return the mean of a result over the repeats, NaN where there is none: an axis for each parameter."""
        return self._statistics(value)[0]

    def standard_error(self, value: str) -> np.ndarray:
        """Return the standard error of that mean, NaN where there are fewer than two repeats."""
        return self._statistics(value)[1]

    def to_pandas(self):
        """Return a DataFrame with a row for each record: parameters, repeat, seed, results, seconds and status."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(f"to_pandas {TABLES}") from error
        columns: dict[str, list] = {name: [r["point"][name] for r in self.records] for name in self.parameters}
        columns |= {name: [r[name] for r in self.records] for name in ("repeat", "seed")}
        for name in self.values:
            columns[name] = [_or_nan(r["result"], name) for r in self.records]
        columns |= {name: [r[name] for r in self.records] for name in ("seconds", "status")}
        return pandas.DataFrame({name: pandas.Series(_column(cells)) for name, cells in columns.items()})

    def to_xarray(self):
        """Return a Dataset of the results: dimensions are the parameters, repeat and the axes of arrays.

        What is missing is NaN (None for texts); shorter arrays are filled up with it. A sweep over a list of points has
        the dimension `point` instead of the parameters, which are its coordinates.
        """
        try:
            import xarray
        except ImportError as error:
            raise ImportError(f"to_xarray {TABLES}") from error
        dims, coordinates = self._dimensions()
        variables = {}
        for name in self.values:
            array = self._array(name)
            variables[name] = ([*dims, *(f"{name}_{i}" for i in range(array.ndim - len(dims)))], array)
        attributes = {"function": self.function, "seed": self.seed, "store": self.store or ""}
        return xarray.Dataset(variables, coordinates, attributes)

    def plot(self, value: str | None = None, ax=None):
        """Draw the mean of a result over one parameter, with standard errors, or over two as a map; return the axes.

        Parameters with a single value are left out. `value` may be omitted if there is one result.

        Raises
        ------
        ValueError
            If more than two parameters vary: `select` values of the others first.
        """
        from penstock.plots import plot_sweep

        return plot_sweep(self, self._one_value(value), ax)

    def __repr__(self):
        sizes = " x ".join(f"{name} {len(values)}" for name, values in self.parameters.items())
        if not isinstance(self.grid, Mapping):
            sizes = f"{self._n_points} points of {', '.join(self.parameters)}"
        failed = len(self.failures)
        lines = [
            f"Sweep of {self.function}: {sizes} x repeats {self.repeats}, seed {self.seed}",
            f"{len(self) - failed} done, {failed} failed, {self.missing} missing"
            + (f", in {self.store!r}" if self.store else ""),
        ]
        lines += [f"{name}: {text}" for name in self.values if (text := self._summary(name))]
        return "\n".join(lines)

    # --- arrays over the grid ---------------------------------------------------------------------------------------

    @property
    def _n_points(self) -> int:
        if isinstance(self.grid, Mapping):
            return int(np.prod([len(values) for values in self.grid.values()], dtype=object))
        return len(self.grid)

    @property
    def _shape(self) -> tuple[int, ...]:
        if isinstance(self.grid, Mapping):
            return tuple(len(values) for values in self.grid.values())
        return (len(self.grid),)

    def _dimensions(self):
        repeats = ("repeat", np.arange(self.repeats))
        if isinstance(self.grid, Mapping):
            coordinates = {name: (name, _labels(values)) for name, values in self.grid.items()}
            return [*self.grid, "repeat"], {**coordinates, "repeat": repeats}
        coordinates = {name: ("point", _labels([p[name] for p in self.grid])) for name in self.parameters}
        return ["point", "repeat"], {**coordinates, "repeat": repeats}

    def _places(self) -> list[tuple[int, ...]]:
        """Return the index of each record in an array over the grid and the repeats."""
        if not isinstance(self.grid, Mapping):
            at = {canonical(dict(point)): i for i, point in enumerate(self.grid)}
            return [(at[canonical(record["point"])], record["repeat"]) for record in self.records]
        index = {name: {identity(value): i for i, value in enumerate(values)} for name, values in self.grid.items()}
        return [
            (*(at[identity(record["point"][name])] for name, at in index.items()), record["repeat"])
            for record in self.records
        ]

    def _array(self, name) -> np.ndarray:
        """Return a result as an array over the grid, the repeats and its own axes."""
        found = [
            (place, np.asarray(record["result"][name]))
            for place, record in zip(self._places(), self.records, strict=True)
            if record["result"] is not None and record["result"].get(name) is not None
        ]
        shape = (*self._shape, self.repeats)
        if len({cell.ndim for _, cell in found}) > 1:
            raise ValueError(f"the result {name!r} must have the same number of dimensions everywhere for an array")
        longest = tuple(map(max, zip(*(cell.shape for _, cell in found), strict=True))) if found else ()
        complete = len(found) == np.prod(shape) and all(cell.shape == longest for _, cell in found)
        array = np.full((*shape, *longest), *_filling([cell.dtype for _, cell in found], complete))
        for place, cell in found:
            index: tuple[Any, ...] = (*place, *map(slice, cell.shape))
            array[index] = cell
        return array

    def _one_value(self, value) -> str:
        if value is None and len(self.values) == 1:
            return self.values[0]
        if value not in self.values:
            raise ValueError(f"value must be one of {_listed(self.values)}, got {value!r}")
        return value

    def _statistics(self, value):
        array = self._array(self._one_value(value))
        if array.ndim != len(self._shape) + 1 or array.dtype.kind not in "biuf":
            raise ValueError(
                f"value must be a result that is one real number, got {value!r}: an array, text or complex"
            )
        return mean_and_error(array.astype(np.float64))

    def _summary(self, name) -> str:
        numbers = [record["result"].get(name) for record in self.records if record["result"]]
        numbers = [n for n in numbers if isinstance(n, float) or (isinstance(n, int) and abs(n) < 2**1023)]
        if not numbers:
            return ""
        mean, error = mean_and_error(np.asarray(numbers, np.float64))
        return f"{mean:.4g} ± {error:.2g} over all" if len(numbers) > 1 else f"{mean:.4g}"


def mean_and_error(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard error over the last axis, of what is not NaN."""
    there = ~np.isnan(array)
    count = there.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = np.where(there, array, 0).sum(axis=-1) / count
        squares = np.where(there, (array - mean[..., None]) ** 2, 0).sum(axis=-1)
        return mean, np.sqrt(squares / (count - 1) / count)


def _filling(dtypes, complete):
    """Return the value for what is missing, and a dtype that holds it."""
    kinds = {dtype.kind for dtype in dtypes}
    if not dtypes:
        return np.nan, np.float64
    if len(kinds) > 1 and kinds & set("USb"):
        return None, object
    if complete:
        return 0, np.result_type(*dtypes)
    if kinds & set("US"):
        return None, object
    return np.nan, np.result_type(*dtypes, np.float32 if kinds == {"f"} else np.float64)


def _labels(values) -> np.ndarray:
    """Return coordinates: numbers, bools or texts as they are, anything else as text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} or kinds == {bool} or kinds == {str}:
        return np.asarray(values)
    return np.asarray([shown(value) for value in values])


def shown(value) -> str:
    """Return the text of a parameter's value for labels."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).rpartition(".")[2] if type(value).__name__ == "Name" else str(value)


def _column(cells):
    column = np.empty(len(cells), dtype=object)
    column[:] = cells if all(np.ndim(cell) == 0 for cell in cells) else None
    if column.size and all(np.ndim(cell) == 0 for cell in cells):
        return cells
    for i, cell in enumerate(cells):
        column[i] = cell
    return column


def _or_nan(result, name):
    return np.nan if result is None else result.get(name, np.nan)


def identity(value) -> Any:
    """Return what equal values of a parameter share: 1 and 1.0 are equal here, as tables cannot tell them apart."""
    plain = isinstance(value, bool | int | float | np.generic) and value == value
    return value if plain else to_text(encode(value, "value"))


def _unlike(values) -> tuple:
    return tuple({identity(value): value for value in values}.values())


def _without(values, names) -> dict:
    return {name: value for name, value in values.items() if name not in names}


def _listed(values) -> str:
    return ", ".join(map(repr, values)) or "(there is none)"
