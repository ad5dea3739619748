"""Series out of files: tables of numbers as text, NumPy's own files, and the .ts files of classification archives."""

import csv
import math
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penstock.checks import as_int

__all__ = ["Table", "read_series", "read_ts"]

MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}  # compared in lower case


class Table(NamedTuple):
    """A table of T steps in d named columns.

    Attributes
    ----------
    values : array of float, shape (T, d)
        The numbers; a missing one is NaN.
    names : tuple of str, length d
        Name of every column.
    """

    values: np.ndarray
    names: tuple[str, ...]

    def __repr__(self):
        missing = int(np.isnan(self.values).sum())
        return f"Table({len(self.values)} steps of {', '.join(self.names)}; {missing} missing)"


def read_series(path, *, columns=None, delimiter=None, header=None, decimal=".", encoding="utf-8-sig") -> Table:
    r"""Read a series from a table of text (.csv, .txt, .dat, …), an .npy or an .npz file as `Table`.

    A row of the table is a step. Lines that begin with # and empty lines before the first row and after the last are
    left out. An empty cell, NA, N/A, NaN, null, None or ? is a missing value and becomes NaN; anything else that is
    not a finite number is an error that names line and column, as a gap closed in silence would shift time. Nothing
    is ever unpickled.

    Parameters
    ----------
    path : str or Path
        The file. An .npy file holds one array (T,) or (T, d), an .npz file one or more with the same T, which are put
        side by side; everything else is read as text.
    columns : sequence of str or int, optional
        Names or positions of the columns to read, in this order; for an .npz file names of its arrays. By default
        all, which must then be numbers: name those you want if others hold dates or remarks.
    delimiter : str, optional
        The character between cells, a blank for any white space; by default tab, semicolon, comma or blank, the first
        of them that splits the first rows.
    header : bool, optional
        Whether the first row names the columns; by default it does if it has words and no number.
    decimal : str
        Decimal mark of the numbers, "." or ",".
    encoding : str
        Of the text.

    Returns
    -------
    Table
        The values (T, d) and the names of the columns, their positions "0", "1", … where there is no header.

    Raises
    ------
    ValueError
        If a cell is not a number, rows differ in length, a column is not there, the file is damaged, or an argument is
        outside its range.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "weather.csv")
    >>> size = path.write_text("day;rain;wind\n2001-05-01;0,5;3\n2001-05-02;NA;4\n")
    >>> series = read_series(path, columns=["rain", "wind"], decimal=",")
    >>> series
    Table(2 steps of rain, wind; 1 missing)
    >>> series.values
    array([[0.5, 3. ],
           [nan, 4. ]])
    """
    path, columns = Path(path), [columns] if np.isscalar(columns) else columns
    if columns is not None and len(columns) == 0:
        raise ValueError("columns must name at least one column, got none")
    if path.suffix.lower() in (".npy", ".npz"):
        return _from_arrays(path, columns)
    if decimal not in (".", ",") or decimal == delimiter:
        raise ValueError(f'decimal must be "." or "," and not the delimiter, got {decimal!r}')
    if delimiter is not None and not (isinstance(delimiter, str) and len(delimiter) == 1):
        raise ValueError(f"delimiter must be one character, got {delimiter!r}; leave it out for cells parted by blanks")
    rows = _rows(path, delimiter, decimal, encoding)
    first = rows[0][1]
    names = tuple(map(str, range(len(first))))
    if _has_words_only(first, decimal) if header is None else header:
        names = tuple(cell or name for cell, name in zip(first, names, strict=True))
        del rows[0]
    if not rows:
        raise ValueError(f"{path} must hold a row of numbers, got a header only (header=False if it is none)")
    for line, cells in rows:
        if len(cells) != len(names):
            raise ValueError(f"{path}, line {line}: every row must have {len(names)} cells, got {len(cells)}")
    places = range(len(names)) if columns is None else [_place(path, column, names) for column in columns]
    values = [[_cell(path, line, names[p], cells[p], decimal) for p in places] for line, cells in rows]
    return Table(np.array(values).reshape(len(rows), len(places)), tuple(names[p] for p in places))


def read_ts(path) -> tuple[list[np.ndarray], np.ndarray]:
    r"""Read the labelled series of a .ts file of the UCR/UEA archive as a list of (T_i, d) and the labels (n,).

    After a header of lines @name value and the line @data, every line is one series: its channels separated by
    colons, the numbers of each by commas, the label at the end. ? and NaN are missing values.

    Parameters
    ----------
    path : str or Path
        The file; series with time stamps are not read.

    Returns
    -------
    series : list of arrays of float, shapes (T_i, d)
        Steps first, other than in the file.
    labels : array of str, shape (n,)
        As they are written; empty strings if the file has neither classes nor targets.

    Raises
    ------
    ValueError
        If a line is not as described; the message names it.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp(), "two.ts")
    >>> size = path.write_text("@classLabel true rise fall\n@data\n1,2,3:0,0,0:rise\n2,1:0,?:fall\n")
    >>> series, labels = read_ts(path)
    >>> series[1], labels
    (array([[ 2.,  0.],
           [ 1., nan]]), array(['rise', 'fall'], dtype='<U4'))
    """
    numbered = enumerate(map(str.strip, _text(path, "utf-8-sig").splitlines()), start=1)
    lines = iter([(number, line) for number, line in numbered if line and not line.startswith("#")])
    header: dict[str, list[str]] = {}
    for _, line in lines:
        if line.lower() == "@data":
            break
        key, _, value = line.lower().partition(" ")
        header[key] = value.split()
    if header.get("@timestamps") == ["true"]:
        raise ValueError(f"{path} must hold series without time stamps, got @timeStamps true")
    labelled = ["true"] in (header.get("@classlabel", [])[:1], header.get("@targetlabel", [])[:1])
    pairs = [_channels(f"{path}, line {number}", line, labelled) for number, line in lines]
    if not pairs:
        raise ValueError(f"{path} must hold a line @data and series after it, got none")
    n_channels = pairs[0][0].shape[1]
    for number, (series, _) in enumerate(pairs):
        if series.shape[1] != n_channels:
            raise ValueError(f"{path}: series {number} must have {n_channels} channels, got {series.shape[1]}")
    return [series for series, _ in pairs], np.array([label for _, label in pairs])


def _channels(where, line, labelled):
    """Return the series (T, d) and the label of one line of a .ts file."""
    *channels, label = line.split(":") if labelled else [*line.split(":"), ""]
    try:
        columns = [[_number(cell, ".") for cell in channel.split(",")] for channel in channels]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if len({len(column) for column in columns}) != 1:
        raise ValueError(f"{where}: channels must be there and have one length, got {[len(c) for c in columns]}")
    return np.array(columns).T.copy(), label.strip()


def _text(path, encoding):
    """Return the text of a file."""
    try:
        return Path(path).read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in {encoding}, got {error}; say its encoding") from None


def _rows(path, delimiter, decimal, encoding):
    """Return the rows that are not remarks as pairs (number of the line, cells)."""
    lines = [line.strip(" \r") for line in _text(path, encoding).split("\n")]
    kept = [(number, line) for number, line in enumerate(lines, start=1) if not line.startswith("#")]
    filled = [place for place, (_, line) in enumerate(kept) if line]
    if not filled:
        raise ValueError(f"{path} must hold at least one row, got none")
    kept = kept[filled[0] : filled[-1] + 1]
    if delimiter is None:
        delimiter = _delimiter([line for _, line in kept[:2]], decimal)
    return [(number, _checked_cells(f"{path}, line {number}", line, delimiter)) for number, line in kept]


def _delimiter(lines, decimal):
    """Return the first mark that splits the lines into one number of cells, at least two; else tab."""
    for mark in ("\t", ";", ",", " "):
        counts = {len(_cells(line, mark)) for line in lines}
        if mark != decimal and len(counts) == 1 and counts != {1}:
            return mark
    return "\t"


def _checked_cells(where, line, delimiter):
    """Return the cells of a line that must be sound."""
    if not line:
        raise ValueError(f"{where}: a row must not be empty; write NaN for a step without values")
    try:
        return _cells(line, delimiter, strict=True)
    except csv.Error as error:
        raise ValueError(f"{where}: {error}") from None


def _cells(line, delimiter, strict=False):
    """Return the cells of a line."""
    if delimiter == " ":
        return line.split()
    rows = csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=strict)
    return [cell.strip() for row in rows for cell in row]


def _number(cell, decimal):
    """Return the number in a cell, NaN if it is missing."""
    foreign = "_" in cell or (decimal == "," and "." in cell)  # Python reads 1_000; a thousand may be 1.000
    try:
        value = math.nan if foreign else float(cell.replace(decimal, "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) and cell.strip().lower() not in MISSING:
        raise ValueError(f"a cell must be a finite number, got {cell!r}")
    return value


def _cell(path, line, name, cell, decimal):
    """Return the number in a cell of a table."""
    try:
        return _number(cell, decimal)
    except ValueError as error:
        remedy = "write NaN if it is missing, name the columns to read with columns=, or see delimiter, header, decimal"
        raise ValueError(f"{path}, line {line}, column {name!r}: {error}; {remedy}") from None


def _has_words_only(cells, decimal):
    """Say whether a row is a header: no numbers, no missing values but empty ones, and letters in all the others."""
    return any(cells) and all(not cell or _is_word(cell, decimal) for cell in cells)


def _is_word(cell, decimal):
    """Say whether a cell holds letters and is no value."""
    try:
        _number(cell, decimal)
    except ValueError:
        return any(map(str.isalpha, cell))
    return False


def _place(path, column, names):
    """Return the position of a column that was asked for by name or position."""
    if not isinstance(column, str):
        column = as_int("columns", column, minimum=0)
        if column < len(names):
            return column
    elif names.count(column) == 1:
        return names.index(column)
    how_often = f"{names.count(column)} of that name" if column in names else "none"
    raise ValueError(f"{path}: columns must name one of {', '.join(names)} each, got {column!r}: {how_often}")


def _from_arrays(path, columns):
    """Return the series in a file of NumPy arrays, those of an .npz file side by side."""
    with path.open("rb") as file:
        with _sound(path):
            loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            values = _numbers(f"{path}: the array", loaded)
            names = tuple(map(str, range(values.shape[1])))
            places = range(len(names)) if columns is None else [_place(path, column, names) for column in columns]
            return Table(values[:, places], tuple(names[p] for p in places))
        files = tuple(loaded.files)
        chosen = files if columns is None else [files[_place(path, column, files)] for column in columns]
        with _sound(path):
            arrays = {name: loaded[name] for name in chosen}
    return _side_by_side(path, {name: _numbers(f"{path}: array {name!r}", array) for name, array in arrays.items()})


@contextmanager
def _sound(path):
    """Name the file if it is damaged or holds what must be unpickled."""
    try:
        yield
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} must be a whole file of np.save or np.savez with numbers only: {error}") from None


def _side_by_side(path, blocks):
    """Return named blocks of columns (T, d_i) as one series."""
    if len({len(block) for block in blocks.values()}) != 1:
        sizes = ", ".join(f"{name} {len(block)}" for name, block in blocks.items()) or "none"
        raise ValueError(f"{path}: arrays must have one length, got {sizes}; name those to read with columns=")
    names: list[str] = []
    for name, block in blocks.items():
        width = block.shape[1]
        names += [name] if width == 1 else [f"{name}_{place}" for place in range(width)]
    return Table(np.hstack(list(blocks.values())), tuple(names))


def _numbers(where, array):
    """Return an array as (T, d) numbers, finite or missing."""
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"{where} must hold real numbers (T,) or (T, d), got {array.dtype} of shape {array.shape}")
    values = array.astype(np.float64).reshape(len(array), -1)
    infinite = np.isinf(values).any(axis=1)
    if infinite.any():
        raise ValueError(f"{where} must be finite or NaN, got an infinite value at step {infinite.argmax()}")
    return values
