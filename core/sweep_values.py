"""Parameter values and results as exact JSON text: the identity of a task, and what stands in the files of a sweep.

None, bools, ints of at most 64 bits, finite floats (the shortest text that gives the same bits), texts and lists stand
for themselves. Everything else is a JSON object whose first key says what it is:

=======  ===================================================================================
key      value
=======  ===================================================================================
float    "nan", "inf" or "-inf"
int      hexadecimal digits of a longer int
complex  [real part, imaginary part]
bytes    base64
tuple    list of the parts
array    base64 of the bytes, little-endian, C order; beside it `dtype` and `shape`
name     module and name of a function or class, which is read back as a `Name`: never called
=======  ===================================================================================

1, 1.0 and True are three values, 0.0 and -0.0 two, every NaN is one. NumPy's numbers are Python's.
"""

import base64
import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from penstock.public_names import public_name

__all__ = ["Name", "canonical", "decode", "encode", "from_text", "to_text"]

DEEPEST = 20
LARGEST_VALUE = 2**16
"""Bytes of an array that may be a parameter's value, which is written with every record."""
KINDS = re.compile(r"\|b1|<[iu][1248]|\|[iu]1|<f[248]|<c(8|16)|[<|][SU]\d{1,6}")
NOT_FINITE = {name: float(name) for name in ("nan", "inf", "-inf")}


class Name(str):
    """The stored name of a function or class that was a parameter's value."""

    __slots__ = ()


def to_text(tree) -> str:
    """Return a tree of JSON values as text without spaces, its keys in order: equal trees have equal texts."""
    return _WRITE(tree)


def from_text(text: str) -> Any:
    """Return the tree of a text of `to_text`."""
    return _READ(text)


def canonical(point: dict) -> str:
    """Return the text that is the identity of a point: {name: value}, in the order of the names.

    Raises
    ------
    TypeError
        If a value has no exact text; the message names the parameter and what to do.
    """
    return to_text({name: encode(value, name) for name, value in point.items()})


def encode(value, where: str, *, results: bool = False) -> Any:
    """Return the JSON tree of a parameter's value, or of a result; `where` names it in errors."""
    if value is None or type(value) in (bool, str):
        return value
    if type(value) in _ENCODERS:
        return _ENCODERS[type(value)](value)
    if isinstance(value, np.ndarray) and value.ndim:
        return _array(value, where, results)
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufcSU":
        number = value.item()
        if type(number) is not type(value):  # there is no Python number of more than 64 bits
            return encode(number, where, results=results)
    if results:
        raise TypeError(
            f"the result {where} must be a number, bool, string, None or NumPy array, got {_described(value)}: "
            "return the numbers that you need of it, a list as numpy.asarray(list)"
        )
    if type(value) in (list, tuple):
        return _row(value, where)
    return {"name": _stable_name(value, where)}


def decode(tree) -> Any:
    """Return the value of a tree of `encode`; nothing named in it is imported or called."""
    if isinstance(tree, list):
        return [decode(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return _decode_array(**tree)
    [(kind, content)] = tree.items()
    return _DECODERS[kind](content)


_ENCODERS: dict[type, Callable[[Any], Any]] = {
    int: lambda value: value if -(2**63) <= value < 2**63 else {"int": hex(value)},
    float: lambda value: value if math.isfinite(value) else {"float": str(value)},
    complex: lambda value: {"complex": [_ENCODERS[float](value.real), _ENCODERS[float](value.imag)]},
    bytes: lambda value: {"bytes": base64.b64encode(value).decode("ascii")},
    Name: lambda value: {"name": str(value)},
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": NOT_FINITE.__getitem__,
    "complex": lambda parts: complex(*map(decode, parts)),
    "bytes": lambda text: base64.b64decode(text, validate=True),
    "tuple": lambda parts: tuple(map(decode, parts)),
    "name": Name,
}


def _row(value, where):
    if where.count("[") > DEEPEST:
        raise TypeError(f"{where.partition('[')[0]} must be nested at most {DEEPEST} deep")
    parts = [encode(part, f"{where}[{i}]") for i, part in enumerate(value)]
    return parts if type(value) is list else {"tuple": parts}


def _array(value, where, results):
    array = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
    if not KINDS.fullmatch(array.dtype.str) or type(value) not in (np.ndarray, np.memmap):
        raise TypeError(f"{where} must be a plain NumPy array of numbers, bools or texts, got {_described(value)}")
    if not results and array.nbytes > LARGEST_VALUE:
        raise TypeError(
            f"{where} must be an array of at most {LARGEST_VALUE} bytes, got {array.nbytes}: give a name or a number "
            "instead, and load or make the array inside the function"
        )
    text = base64.b64encode(array.tobytes()).decode("ascii")
    return {"array": text, "dtype": array.dtype.str, "shape": list(array.shape)}


def _decode_array(array, dtype, shape):
    if not KINDS.fullmatch(dtype):
        raise ValueError(f"an array cannot have dtype {dtype!r:.40}")
    data = np.frombuffer(bytearray(base64.b64decode(array, validate=True)), dtype)
    return data.reshape(shape)


def _stable_name(value, where):
    """Return ``module.qualname`` of a function or class if that name leads back to it."""
    name = public_name(value) if callable(value) else None
    module = getattr(value, "__module__", None)
    qualname = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if name is None and isinstance(module, str) and isinstance(qualname, str) and module != "__main__":
        found: Any = sys.modules.get(module)
        for part in qualname.split("."):
            found = getattr(found, part, None)
        name = f"{module}.{qualname}" if found is not None and found == value else None
    if name is None:
        raise TypeError(
            f"{where} must be a number, string, bool, None, a tuple or small array of those, or a function or class "
            f"that a module holds under its name, got {_described(value)}: give a string or a number, and choose or "
            "make the object inside the function"
        )
    return name


def _described(value):
    dtype = f" of dtype {value.dtype}" if isinstance(getattr(value, "dtype", None), np.dtype) else ""
    text = repr(value)
    return f"{type(value).__module__}.{type(value).__qualname__}{dtype} ({text[:60]}{'…' * (len(text) > 60)})"


def _refuse_constant(name):
    raise ValueError(f"it holds {name}, which is no JSON")


_WRITE = json.JSONEncoder(separators=(",", ":"), sort_keys=True, allow_nan=False).encode
_READ = json.JSONDecoder(parse_constant=_refuse_constant).decode
