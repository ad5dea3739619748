"""Save and load: one file of arrays with a readable header, from which nothing is ever run."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable
from math import prod
from uuid import uuid4

import numpy as np

from penstock.public_names import is_record
from penstock.store_tree import DTYPE, Decoder, Encoder

__all__ = ["load", "save"]

FORMAT = 1
HEADER = "header.json"
HEADER_LIMIT = 2**24
"""Bytes of the header at most: what is bigger belongs into arrays."""
EMPTY_LIMIT = 2**24
"""Longest side of an array without elements, whose size says nothing about the file."""
CHUNK = 2**20


def save(thing, path) -> None:
    """Write a system, readout, estimator, record or result to one file.

    The file is a zip archive of plain `.npy` arrays and a member `header.json`: format version, what the object is made
    of, and dtype, shape and SHA-256 of every array. ``numpy.load(path)["W"]`` reads an array without penstock. The same
    object gives the same bytes. The file takes its place at once when all of it is written: whatever goes wrong before
    leaves an older one as it was.

    Parameters
    ----------
    thing : System, Readout, estimator, record or result
        Anything of penstock that is made of arrays, numbers and penstock's own functions: of a spiking network its
        neurons, synapses and inputs, and what a run recorded; an estimator keeps what it has learned. Classes of your
        own must be dataclasses, or derive from `penstock.params.Parameters`.
    path : str or os.PathLike
        Where to write, exactly so: no suffix is added.

    Raises
    ------
    TypeError
        If a part cannot be stored, such as a function of yours (`Map`, `Flow`), a PyTorch module or a spiking `Network`
        as a whole; the message names it and what to do. Nothing is written then.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import penstock
    >>> from penstock.reservoirs import ESN
    >>> esn = ESN.random(50, leak=0.3, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.penstock")
    ...     penstock.save(esn, path)
    ...     again = penstock.load(path)
    ...     with np.load(path) as arrays:
    ...         W = arrays["W"]
    >>> again
    ESN(n_units=50, n_inputs=1, leak=0.3, activation=tanh, W=dense, float64)
    >>> bool((again.W == esn.W).all()), bool((W == esn.W).all())
    (True, True)
    """
    path = os.path.realpath(os.fsdecode(path))  # a link stays one
    if isinstance(thing, type):
        raise TypeError(f"thing must be a System, Readout, estimator or record, got the class {thing.__name__}")
    encoder = Encoder()
    tree = encoder.node(thing)
    if not (isinstance(tree, dict) and "type" in tree):
        raise TypeError(f"thing must be a System, Readout, estimator or record, got {thing!r:.200}")
    temporary = os.path.join(os.path.dirname(path), f".penstock-{uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                _write(archive, tree, encoder.arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def load(path, *, types: Iterable[type] = ()):
    """Return what `save` wrote, the same to the last bit.

    Nothing in the file is run or imported: it names classes and functions of penstock, which are looked up among the
    public ones, and their constructors check the arrays as always.

    Parameters
    ----------
    path : str or os.PathLike
        The file.
    types : iterable of classes, optional
        Classes of your own that the object is made of.

    Returns
    -------
    System, Readout, estimator, record or result

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not one of `save`, is truncated or altered, comes from a newer format, names a type that is
        unknown, or holds what a constructor does not take.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import os, tempfile
    >>> import penstock
    >>> @dataclass(frozen=True)
    ... class Decay(penstock.SystemDefaults):
    ...     rate: float
    ...     n_units, n_inputs = 1, 0
    ...     def step(self, x, u):
    ...         return self.rate * x
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "decay")
    ...     Decay(0.5).save(path)
    ...     penstock.load(path, types=[Decay])
    Decay(rate=0.5)
    """
    users, path = _by_name(types), os.fspath(path)
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive, os.fstat(file.fileno()).st_size, users)
        except MemoryError:
            raise
        except RecursionError:
            raise ValueError(f"cannot load {path!r}: its header is nested too deeply") from None
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"cannot load {path!r}: it was not written by penstock.save, or it is truncated or altered ({error})"
            ) from error
        except Exception as error:  # a damaged archive fails in many ways
            raise ValueError(f"cannot load {path!r}: {error}") from error


def _by_name(types) -> dict[str, type]:
    users: dict[str, type] = {}
    for kind in types:
        if not is_record(kind):
            raise TypeError(f"types must be dataclasses or derive from penstock.params.Parameters, got {kind!r}")
        if users.setdefault(kind.__name__, kind) is not kind:
            raise ValueError(f"types must differ in name, got two called {kind.__name__}")
    return users


def _version() -> str:
    import penstock

    return penstock.__version__


# --- there ----------------------------------------------------------------------------------------------------------


class _Hashed:
    """A file that takes the SHA-256 of what goes through it."""

    def __init__(self, file):
        self.file, self.sha256 = file, hashlib.sha256()

    def write(self, data):
        self.sha256.update(data)
        return self.file.write(data)

    def read(self, size: int = -1, /) -> bytes:
        data = self.file.read(size)
        self.sha256.update(data)
        return data

    def fill(self, buffer: memoryview):
        """Read exactly as many bytes as the buffer has."""
        for start in range(0, len(buffer), CHUNK):
            part = buffer[start : start + CHUNK]
            if self.file.readinto(part) != len(part):
                raise ValueError("it is truncated")
            self.sha256.update(part)


def _write(archive, tree, arrays):
    """Write the arrays, then the header, which knows their digests."""
    entries = {}
    for name, array in arrays.items():
        with archive.open(_member(f"{name}.npy", array.nbytes + 2**16), "w") as file:
            hashed = _Hashed(file)
            np.lib.format.write_array(hashed, array, version=(1, 0), allow_pickle=False)
        entries[name] = {**_shape_of(array), "sha256": hashed.sha256.hexdigest()}
    header = {"format": "penstock", "version": FORMAT, "penstock": _version(), "tree": tree, "arrays": entries}
    text = json.dumps(header, indent=1, allow_nan=False).encode("ascii")
    if len(text) > HEADER_LIMIT:
        raise TypeError(f"thing must have its long lists of numbers in arrays: they make {len(text)} bytes of header")
    with archive.open(_member(HEADER, len(text)), "w") as file:
        file.write(text)


def _member(name, size):
    """Return an entry without a date, the same on every system."""
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr, member.file_size = 3, 0o644 << 16, size  # the size chooses zip or zip64
    return member


def _shape_of(array) -> dict:
    order = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
    return {"dtype": array.dtype.str, "shape": list(array.shape), "fortran_order": order}


# --- and back -------------------------------------------------------------------------------------------------------


def _read(archive, file_size, users):
    members = _members(archive, file_size)
    header = _header(archive, members)
    entries = header["arrays"]
    if set(members) != {HEADER, *(f"{name}.npy" for name in entries)}:
        odd = sorted(set(members) ^ {HEADER, *(f"{name}.npy" for name in entries)})
        raise ValueError(f"its members are not those that its header lists: {', '.join(odd)[:200]}")
    left = {name: _checked_entry(name, entry, members) for name, entry in entries.items()}

    def array(name):
        if name not in left:
            raise ValueError(f"its header uses an array {name!r:.60} that is not listed, or uses it twice")
        return _read_array(archive, name, left.pop(name))

    complete = header["penstock"] == _version()
    if not (isinstance(header["tree"], dict) and "type" in header["tree"]):
        raise ValueError("its header describes no object")
    try:
        thing = Decoder(array, users, complete).value(header["tree"])
    except ValueError as error:
        if complete:
            raise
        raise ValueError(f"{error} (written by penstock {header['penstock']}, this is {_version()})") from error
    if left:
        raise ValueError(f"it holds arrays that belong to nothing: {', '.join(left)[:200]}")
    return thing


def _members(archive, file_size) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name, all of them stored as they are: no small file becomes a big one in memory."""
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename
        if name in members:
            raise ValueError(f"it has two members {name!r}")
        if name != HEADER and not re.fullmatch(r"[\w.]+\.npy", name, flags=re.ASCII):
            raise ValueError(f"it has a member {name!r:.100}, which penstock.save does not write")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ValueError(f"its member {name!r} must be stored without compression")
        members[name] = member
    if HEADER not in members:
        raise ValueError(f"it was not written by penstock.save: it has no {HEADER}")
    declared = sum(member.file_size for member in members.values())
    if declared > file_size or members[HEADER].file_size > HEADER_LIMIT:
        raise ValueError(f"its members declare {declared} bytes in a file of {file_size}, or a header that is too long")
    return members


def _header(archive, members) -> dict:
    text = archive.read(members[HEADER])
    header = json.loads(text.decode("ascii"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    if not isinstance(header, dict) or header.get("format") != "penstock" or type(header.get("version")) is not int:
        raise ValueError(f"its {HEADER} is not penstock's")
    by = header.get("penstock")
    if header["version"] > FORMAT:
        raise ValueError(
            f"it has format version {header['version']} and was written by penstock {by!s:.40}; penstock {_version()} "
            f"reads up to version {FORMAT}: install penstock {by!s:.40} or later"
        )
    keys = {"format": str, "version": int, "penstock": str, "tree": dict, "arrays": dict}
    if header["version"] < 1 or {key: type(part) for key, part in header.items()} != keys:
        raise ValueError(f"its {HEADER} must have {', '.join(keys)}, got {', '.join(header)[:200]}")
    return header


def _unique(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"its {HEADER} has a key twice")
    return result


def _refuse_constant(name):
    raise ValueError(f"its {HEADER} holds {name}, which is no JSON")


def _checked_entry(name, entry, members) -> dict:
    """Return what the header says of an array, if it can be true of its member; nothing is allocated before."""
    keys = {"dtype": str, "shape": list, "fortran_order": bool, "sha256": str}
    if not isinstance(entry, dict) or {key: type(part) for key, part in entry.items()} != keys:
        raise ValueError(f"array {name!r} must have {', '.join(keys)} in the header")
    if not DTYPE.fullmatch(entry["dtype"]):
        raise ValueError(f"array {name!r} must hold numbers or texts, got dtype {entry['dtype']!r:.60}")
    shape = entry["shape"]
    if len(shape) > 32 or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"array {name!r} must have a shape of at most 32 sides, got {shape!r:.200}")
    size = prod(shape) * np.dtype(entry["dtype"]).itemsize
    overhead = members[f"{name}.npy"].file_size - size
    if not 0 < overhead < 2**16 or (size == 0 and max(shape) > EMPTY_LIMIT):
        raise ValueError(f"array {name!r} cannot have shape {shape} and dtype {entry['dtype']} in its member")
    return entry


def _read_array(archive, name, entry):
    with archive.open(f"{name}.npy") as file:
        hashed = _Hashed(file)
        if np.lib.format.read_magic(hashed) != (1, 0):
            raise ValueError(f"array {name!r} must be of the npy format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(hashed)
        if (dtype.str, list(shape), fortran) != (entry["dtype"], entry["shape"], entry["fortran_order"]):
            raise ValueError(f"array {name!r} is not of the dtype, shape and order that the header says")
        array = np.empty(shape, dtype, order="F" if fortran else "C")
        hashed.fill(array.reshape(-1, order="A").view(np.uint8).data)
        if hashed.sha256.hexdigest() != entry["sha256"] or file.read(1):
            raise ValueError(f"array {name!r} was altered: its SHA-256 is not that of the header")
    return array
