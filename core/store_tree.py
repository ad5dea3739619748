"""What stands in a saved file: an object as a tree of JSON values and arrays by name, there and back.

Numbers, texts, lists and None stand for themselves. Everything else is a JSON object whose first key says what it is:

===========  =========================================================================================================
first key    value
===========  =========================================================================================================
float        "nan", "inf" or "-inf"
tuple        list of the parts
dict         JSON object with the values
pairs        a dict whose keys are tuples of texts: list of [list of texts, value]
slice        [start, stop, step]
scalar       bytes of a NumPy number in hexadecimal; beside it `dtype`
dtype        text of a NumPy dtype
scalar type  name of a NumPy number type, or of float, int or bool: what is given as ``dtype=np.float32``
array        name of the array
csr          [rows, columns] of a sparse matrix; beside it the names `data`, `indices` and `indptr`
seed         entropy of a SeedSequence; beside it `spawn_key`, `pool_size` and `n_children_spawned`
name         a public function or class of penstock, or a constructor ``Class.method``
partial      the function; beside it `args` and `keywords`
type         public class of penstock (with dots) or class of the user's; beside it `fields` and `learned`
sklearn      class of sklearn.linear_model; beside it `fields` and `learned`
same         number of an object that the tree has made before, counted from 0 as each is finished
===========  =========================================================================================================
"""

import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields, is_dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from penstock.adapters import Flow, Map
from penstock.adaptive import AdaptiveFlow
from penstock.public_names import (
    find,
    is_learned_name,
    is_named_tuple,
    is_record,
    linear_model,
    may_hold,
    public_name,
)
from penstock.system import _Given
from penstock.torch_cell import TorchCell

__all__ = ["DTYPE", "Decoder", "Encoder"]

DEEPEST = 100
DTYPE = re.compile(r"[<>|][biufcUS][1-9]\d{0,6}")
SCALAR_TYPES: dict[str, type] = {
    **{kind.__name__: kind for kind in (float, int, bool)},
    **{f"numpy.{name}": getattr(np, name) for name in ("float64", "float32", "int64", "int32", "bool_")},
}
REBUILD = "save its arrays with numpy.savez and build it again from them"
NOT_FINITE = {name: float(name) for name in ("nan", "inf", "-inf")}
NOT_OURS = {
    Map: f"its rule is a function of yours; {REBUILD}",
    Flow: f"its rule is a function of yours; {REBUILD}",
    AdaptiveFlow: f"its rule is a function of yours; {REBUILD}",
    TorchCell: "it is a PyTorch module; take penstock.reservoirs.rnn_from_torch(module), or save its state_dict()",
}
"""Systems made of code that is not penstock's."""


def _text(where):
    return ".".join(map(str, where)) or "the object"


# --- there ----------------------------------------------------------------------------------------------------------


class Encoder:
    """Turn objects into nodes of the tree, and collect their arrays under names made of the path to them."""

    def __init__(self):
        self.arrays: dict[str, np.ndarray] = {}
        self._numbers: dict[int, int] = {}  # of the objects in the tree, by id

    def node(self, value, where: tuple = ()):
        """Return the node of the value at a path."""
        if len(where) > DEEPEST:
            raise TypeError(
                f"{_text(where[:4])}… must be nested at most {DEEPEST} deep to be stored: does it hold itself?"
            )
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind in _ENCODERS:
            return _ENCODERS[kind](self, value, where)
        if isinstance(value, np.generic):
            return {"scalar": value.tobytes().hex(), "dtype": _dtype(value.dtype, where)}
        if isinstance(value, np.dtype):
            return {"dtype": _dtype(value, where)}
        if inspect.isclass(value) or (callable(value) and not is_record(kind) and not hasattr(value, "n_units")):
            return self._function(value, where)
        return self._object(value._system if kind is _Given else value, where)  # `as_system` will wrap it again

    def _array(self, array, where) -> str:
        """Keep an array, and return the name it got."""
        _dtype(array.dtype, where)
        plain = ".".join(re.sub(r"\W", "_", str(part), flags=re.ASCII)[:80] or "_" for part in where)
        name, number = plain, 2
        while name in self.arrays:
            name, number = f"{plain}_{number}", number + 1
        self.arrays[name] = array
        return name

    def _row(self, values: Iterable, where):
        return [self.node(part, (*where, i)) for i, part in enumerate(values)]

    def _each(self, values: dict, where):
        for key in values:
            if type(key) is not str:
                raise TypeError(
                    f"{_text(where)} must have texts, or tuples of them, for keys to be stored, got {key!r}"
                )
        return {key: self.node(part, (*where, key)) for key, part in values.items()}

    def _dict(self, values: dict, where):
        if not values or not all(type(key) is tuple and all(type(text) is str for text in key) for key in values):
            return {"dict": self._each(values, where)}
        return {"pairs": [[list(key), self.node(part, (*where, "_".join(key)))] for key, part in values.items()]}

    def _csr(self, matrix, where):
        stored = int(matrix.indptr[-1])
        parts = {"data": matrix.data[:stored], "indices": matrix.indices[:stored], "indptr": matrix.indptr}
        names = {key: self._array(part, (*where, key)) for key, part in parts.items()}
        return {"csr": [int(side) for side in matrix.shape], **names}

    def _seed(self, seed, where):
        entropy, spawn_key = self.node(seed.entropy, (*where, "entropy")), [int(key) for key in seed.spawn_key]
        counts = {"pool_size": int(seed.pool_size), "n_children_spawned": int(seed.n_children_spawned)}
        return {"seed": entropy, "spawn_key": spawn_key, **counts}

    def _partial(self, value, where):
        args, keywords = self._row(value.args, where), self._each(value.keywords, where)
        return {"partial": self.node(value.func, where), "args": args, "keywords": keywords}

    def _function(self, value, where):
        for name, kind in SCALAR_TYPES.items():
            if value is kind:
                return {"scalar type": name}
        public = public_name(value)
        if public is None:
            raise TypeError(
                f"{_text(where)} must be a public function or class of penstock to be stored, got {value!r}; "
                + _remedy(value, REBUILD)
            )
        return {"name": public}

    def _object(self, value, where):
        if id(value) in self._numbers:
            return {"same": self._numbers[id(value)]}
        named = self._type(type(value), where)
        given, learned = _state(value, where)
        node = {**named, "fields": self._each(given, where), "learned": self._each(learned, where)}
        for name, part in given.items():
            if not may_hold(type(value), part):
                raise TypeError(
                    f"{_text((*where, name))} must be an object or an activation to be stored in a "
                    f"{type(value).__name__}, got the function {part!r}"
                )
        self._numbers[id(value)] = len(self._numbers)
        return node

    def _type(self, kind, where):
        """Return the class as a node: a public one by its full name, a user's by its plain name."""
        for other, remedy in NOT_OURS.items():
            if issubclass(kind, other):
                raise TypeError(f"{_text(where)} is a {kind.__name__} and cannot be stored: {remedy}")
        package = kind.__module__.partition(".")[0]
        if package == "sklearn":
            if kind != linear_model(kind.__name__):
                raise TypeError(
                    f"{_text(where)} is scikit-learn's {kind.__name__} and cannot be stored: of scikit-learn only the "
                    "classes of sklearn.linear_model can"
                )
            return {"sklearn": kind.__name__}
        name = public_name(kind) if is_record(kind) else None
        private = package == "penstock" and hasattr(sys.modules.get(kind.__module__), kind.__name__)
        if name is None and (private or not is_record(kind)):
            ours = "save the records that it is made of or that it returns, and build it again from them"
            yours = "classes of yours must be dataclasses, or derive from penstock.params.Parameters"
            remedy = ours if package == "penstock" else _remedy(kind, yours)
            raise TypeError(f"{_text(where)} is a {kind.__name__} and cannot be stored: {remedy}")
        return {"type": name or kind.__name__}


def _remedy(thing, usual) -> str:
    module = getattr(thing if inspect.isclass(thing) else type(thing), "__module__", "") or ""
    return NOT_OURS[TorchCell] if module.partition(".")[0] == "torch" or hasattr(thing, "state_dict") else usual


def _dtype(dtype, where) -> str:
    if not DTYPE.fullmatch(dtype.str):
        raise TypeError(
            f"{_text(where)} must hold numbers or texts to be stored, got dtype {dtype}; "
            "convert it, with .astype(float) or .astype(str) for example"
        )
    return dtype.str


def _state(value, where) -> tuple[dict, dict]:
    """Return the arguments of the constructor, and what the object has learned since."""
    kind = type(value)
    if is_named_tuple(kind):
        return value._asdict(), {}
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value) if f.init}, {}
    given = value.get_params(deep=False)
    fresh, learned = vars(kind(**given)), {}
    for name, part in vars(value).items():
        if name in given or isinstance(inspect.getattr_static(kind, name, None), cached_property):
            continue
        if is_learned_name(kind, name):
            learned[name] = part
        elif name not in fresh:
            raise TypeError(
                f"{_text((*where, name))} cannot be stored: it is neither an argument of {kind.__name__} nor "
                "something learned, whose name ends in an underscore"
            )
    return given, learned


_ENCODERS: dict[type, Callable] = {
    float: lambda encoder, value, where: value if math.isfinite(value) else {"float": repr(value)},
    list: Encoder._row,
    tuple: lambda encoder, value, where: {"tuple": encoder._row(value, where)},
    dict: Encoder._dict,
    slice: lambda encoder, value, where: {"slice": encoder._row((value.start, value.stop, value.step), where)},
    np.ndarray: lambda encoder, value, where: {"array": encoder._array(value, where)},
    csr_array: Encoder._csr,
    np.random.SeedSequence: Encoder._seed,
    partial: Encoder._partial,
}


# --- and back -------------------------------------------------------------------------------------------------------


class Decoder:
    """Make the object of a tree again.

    `array(name)` gives each array, once; `users` are the classes of the user by name; `complete` says that every field
    must be there, as it is not in files of an older penstock whose classes had fewer.
    """

    def __init__(self, array: Callable[[str], np.ndarray], users: dict[str, type], complete: bool):
        self._array, self._users, self._complete = array, users, complete
        self._made: list = []

    def value(self, node, where: tuple = ()):
        """Return what the node at a path stands for."""
        if len(where) > DEEPEST:
            raise ValueError(f"its header is nested more than {DEEPEST} deep")
        if node is None or type(node) in (bool, int, float, str):
            return node
        if type(node) is list:
            return self._row(node, where)
        kind = next(iter(node), None)
        decode, beside = _DECODERS.get(kind, (None, ()))
        if decode is None or set(node) != {kind, *beside}:
            raise ValueError(f"{_text(where)} is of an unknown kind: {', '.join(map(repr, node))}")
        return decode(self, node, where)

    def _row(self, nodes: list, where):
        return [self.value(part, (*where, i)) for i, part in enumerate(_as(list, nodes, where))]

    def _each(self, nodes: dict, where):
        return {key: self.value(part, (*where, key)) for key, part in _as(dict, nodes, where).items()}

    def _pairs(self, node, where):
        made: dict[tuple[str, ...], Any] = {}
        for pair in _as(list, node["pairs"], where):
            texts = pair[0] if type(pair) is list and len(pair) == 2 else None
            if type(texts) is not list or not all(type(text) is str for text in texts) or tuple(texts) in made:
                raise ValueError(f"{_text(where)} must be pairs of a list of texts, each another, and a value")
            made[tuple(texts)] = self.value(pair[1], (*where, "_".join(texts)))
        return made

    def _csr(self, node, where):
        rows, columns = (_as(int, side, where) for side in _as(list, node["csr"], where))
        data, indices, indptr = (self._array(node[key]) for key in ("data", "indices", "indptr"))
        vectors = all(part.ndim == 1 for part in (data, indices, indptr)) and len(indptr) == rows + 1 and columns >= 0
        whole = all(part.dtype in (np.int32, np.int64) for part in (indices, indptr))
        if not vectors or not whole or indptr[0] != 0 or not len(data) == len(indices) == indptr[-1]:
            raise ValueError(f"{_text(where)} is no sparse matrix: its parts do not fit each other")
        if (np.diff(indptr) < 0).any() or (indices < 0).any() or (indices >= columns).any():
            raise ValueError(f"{_text(where)} is no sparse matrix: its indices must be sorted by row and in range")
        matrix = csr_array((rows, columns), dtype=data.dtype)
        matrix.data, matrix.indices, matrix.indptr = data, indices, indptr  # as they are: the constructor may convert
        return matrix

    def _seed(self, node, where):
        entropy, pool_size = self.value(node["seed"], (*where, "entropy")), _as(int, node["pool_size"], where)
        if pool_size > 1024:
            raise ValueError(f"{_text(where)} must have a pool_size of at most 1024, got {pool_size}")
        spawn_key, count = tuple(_as(list, node["spawn_key"], where)), _as(int, node["n_children_spawned"], where)
        return np.random.SeedSequence(entropy, spawn_key=spawn_key, pool_size=pool_size, n_children_spawned=count)

    def _partial(self, node, where):
        args, keywords = self._row(node["args"], where), self._each(node["keywords"], where)
        function = self.value(node["partial"], where)
        if not callable(function):
            raise ValueError(f"{_text(where)} must be a function, got {function!r}")
        return partial(function, *args, **keywords)

    def _same(self, node, where):
        number = _as(int, node["same"], where)
        if not 0 <= number < len(self._made):
            raise ValueError(f"{_text(where)} refers to object {number} of {len(self._made)}")
        return self._made[number]

    def _penstock(self, node, where):
        name = _as(str, node["type"], where)
        if "." in name:
            kind = find(name)
            if not is_record(kind) or issubclass(kind, tuple(NOT_OURS)):
                raise ValueError(f"{_text(where)} is of type {name!r}, which cannot be stored")
        elif name in self._users:
            kind = self._users[name]
        else:
            raise ValueError(f"{_text(where)} is of unknown type {name!r}: if the class is yours, pass types=[{name}]")
        return self._make(kind, node, where)

    def _make(self, kind, node, where):
        """Call the constructor, so that all its checks run, and give the object what it had learned."""
        given = self._each(node["fields"], where)
        learned = self._each(node["learned"], where)
        _check_fields(kind, given, self._complete, where)
        for name, part in given.items():
            if not may_hold(kind, part):
                raise ValueError(
                    f"{_text((*where, name))}: a file may not give {kind.__name__} a function, got {part!r:.200}"
                )
        try:
            made = kind(**given)
            left = set(made.get_params(deep=False)) - set(given) if hasattr(made, "get_params") else ()
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"{_text(where)}: {kind.__name__} does not take what the file holds: {error}") from error
        if self._complete and left:
            raise ValueError(f"{_text(where)}: {kind.__name__} needs {', '.join(sorted(left))}, missing in the file")
        for name, part in learned.items():
            if not hasattr(made, "get_params") or not is_learned_name(kind, name):
                raise ValueError(f"{_text(where)}: {kind.__name__} does not learn {name!r}")
            setattr(made, name, part)
        self._made.append(made)
        return made


def _as(kind, value, where):
    if type(value) is not kind:
        raise ValueError(f"{_text(where)} must be a JSON {kind.__name__} in the header, got {value!r:.60}")
    return value


def _among(choices: dict, name, where):
    if type(name) is not str or name not in choices:
        raise ValueError(f"{_text(where)} must be one of {', '.join(choices)}, got {name!r:.60}")
    return choices[name]


def _as_dtype(text, where) -> np.dtype:
    if type(text) is not str or not DTYPE.fullmatch(text):
        raise ValueError(f"{_text(where)} must be the dtype of numbers or texts, got {text!r:.60}")
    return np.dtype(text)


def _as_scalar(node, where):
    dtype, raw = _as_dtype(node["dtype"], where), bytes.fromhex(_as(str, node["scalar"], where))
    if len(raw) != dtype.itemsize:
        raise ValueError(f"{_text(where)} must have {dtype.itemsize} bytes, got {len(raw)}")
    return np.frombuffer(raw, dtype)[0]


def _as_linear_model(name, where) -> type:
    kind = linear_model(_as(str, name, where))
    if kind is None:
        raise ValueError(f"{_text(where)}: {name!r} is no class of this sklearn.linear_model")
    return kind


def _as_slice(decoder, node, where):
    parts = decoder._row(node["slice"], where)
    if len(parts) != 3:
        raise ValueError(f"{_text(where)} must be a slice of 3 parts, got {len(parts)}")
    return slice(*parts)


def _check_fields(kind, given, complete, where):
    """Raise if the file has other fields than the class; a file of an older penstock may lack those with a default."""
    if is_dataclass(kind):
        known = {f.name: f.default is MISSING and f.default_factory is MISSING for f in fields(kind) if f.init}
    elif is_named_tuple(kind):
        known = {name: name not in kind._field_defaults for name in kind._fields}
    else:
        return
    for name in given:
        if name not in known:
            raise ValueError(f"{_text(where)}: {kind.__name__} has no field {name!r}")
    for name, required in known.items():
        if name not in given and (required or complete):
            raise ValueError(f"{_text(where)}: {kind.__name__} needs the field {name!r}, missing in the file")


_DECODERS: dict[Any, tuple[Callable, tuple[str, ...]]] = {
    "float": (lambda decoder, node, where: _among(NOT_FINITE, node["float"], where), ()),
    "tuple": (lambda decoder, node, where: tuple(decoder._row(node["tuple"], where)), ()),
    "dict": (lambda decoder, node, where: decoder._each(node["dict"], where), ()),
    "pairs": (Decoder._pairs, ()),
    "slice": (_as_slice, ()),
    "scalar": (lambda decoder, node, where: _as_scalar(node, where), ("dtype",)),
    "dtype": (lambda decoder, node, where: _as_dtype(node["dtype"], where), ()),
    "scalar type": (lambda decoder, node, where: _among(SCALAR_TYPES, node["scalar type"], where), ()),
    "array": (lambda decoder, node, where: decoder._array(node["array"]), ()),
    "csr": (Decoder._csr, ("data", "indices", "indptr")),
    "seed": (Decoder._seed, ("spawn_key", "pool_size", "n_children_spawned")),
    "name": (lambda decoder, node, where: find(_as(str, node["name"], where)), ()),
    "partial": (Decoder._partial, ("args", "keywords")),
    "type": (Decoder._penstock, ("fields", "learned")),
    "sklearn": (
        lambda decoder, node, where: decoder._make(_as_linear_model(node["sklearn"], where), node, where),
        ("fields", "learned"),
    ),
    "same": (Decoder._same, ()),
}
