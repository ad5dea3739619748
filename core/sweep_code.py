"""What a function is made of, its compiled code and the plain values it uses, so that a changed one is noticed."""

import dis
import hashlib
import inspect
import os
import sys
from functools import cached_property, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from penstock.sweep_values import encode, to_text

__all__ = ["agreed", "function_name", "ingredients", "python_version", "summary"]

SHOWN = 60
"""Characters of a value that are shown as they are; of a longer one the hash."""
EMPTY = ("[]", "{}")
"""What is there to be filled: no change if it is."""


def function_name(function) -> str:
    """Return module and name of a function, the name of the script for what was defined there."""
    while isinstance(function, partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    if module == "__main__":
        script = getattr(sys.modules["__main__"], "__file__", None)
        module = os.path.splitext(os.path.basename(script))[0] if script else "__main__"
    return f"{module}.{getattr(function, '__qualname__', None) or type(function).__qualname__}"


def ingredients(function) -> dict[str, str]:
    """Return the parts of a function by name: hash of its code, and the values it takes from outside of it.

    The code is its instructions with their constants: not comments, docstrings, annotations or line numbers. From
    outside come defaults, captured and global variables and attributes with plain values, and other functions of the
    same module, whose parts are listed too. Code of other modules does not count.

    Examples
    --------
    >>> radius = 0.9
    >>> def f(x, power=2):
    ...     "Scale the power of a number."
    ...     return radius * x**power
    >>> sorted(ingredients(f))
    ['code of f', 'default of power in f', 'variable radius']
    """
    parts: dict[str, str] = {}
    _add(parts, function, None)
    return parts


def summary(parts: dict[str, str]) -> str:
    """Return one hash of all parts."""
    return _hash(to_text(parts))


def python_version() -> str:
    """Return the version of Python that instructions depend on."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def agreed(old, new, accept_changes, folder):
    """Return the manifest to write, if the old one is of the same sweep but for its grid.

    Raises
    ------
    ValueError
        If it is not; the message says what differs.
    """
    if old is None:
        return _signed(new)
    where = f"store {str(folder)!r}"
    if old.get("kind") != new["kind"]:
        raise ValueError(f"{where} holds no {new['kind']} but a {old.get('kind')}: choose another store")
    for key in ("parameters", "seed"):
        if old[key] != new[key]:
            raise ValueError(
                f"{where} is of a {new['kind']} with {key} {old[key]}, got {new[key]}: choose another store"
            )
    if not accept_changes:
        _compare(old, new, where)
    keep = {key: value for key, value in old.items() if key not in ("format", "version")}
    changed = {key: new[key] for key in ("repeats", "grid")}
    if accept_changes:
        changed |= {key: new[key] for key in ("function", "code", "python")}
    return keep | changed


def _signed(manifest):
    import penstock

    return {"penstock": penstock.__version__, **manifest}


def _compare(old, new, where):
    remedy = "choose another store, or accept_changes=True to keep the records"
    before, now = old["code"], new["code"]
    if before == now:
        return
    if old["python"] != new["python"]:
        raise ValueError(
            f"{where} is of Python {old['python']}, this is {new['python']}: whether {new['function']} is the same "
            f"cannot be told; {remedy}"
        )
    changes = [f"{name} is new" for name in now if name not in before]
    changes += [f"{name} is gone" for name in before if name not in now]
    for name in sorted(set(before) & set(now)):
        if before[name] != now[name] and before[name] not in EMPTY:
            shown = f" from {before[name]} to {now[name]}" if not name.startswith("code of") else ""
            changes.append(f"{name} has changed{shown}")
    if changes:
        raise ValueError(f"{where} is of another version of {old['function']}: {'; '.join(changes)}; {remedy}")


def _add(parts, thing, module):
    """Add the parts of a callable; of `module` only, unless that is None."""
    while hasattr(thing, "py_func") or isinstance(thing, partial | MethodType):
        if isinstance(thing, partial):
            _add_values(parts, "argument", {**dict(enumerate(thing.args)), **thing.keywords})
            thing = thing.func
        else:
            _add_attributes(parts, getattr(thing, "__self__", None))
            thing = thing.py_func if hasattr(thing, "py_func") else thing.__func__  # compiled by Numba, or a method
    if not isinstance(thing, FunctionType):
        called = inspect.getattr_static(type(thing), "__call__", None)
        if module is None and isinstance(called, FunctionType) and not isinstance(thing, type):
            _add_attributes(parts, thing)
            _add(parts, called, None)
        elif module is None:
            parts[f"name {function_name(thing)}"] = "built in" if isinstance(thing, BuiltinFunctionType) else "given"
        return
    name = f"code of {thing.__qualname__.replace('<locals>.', '')}"
    if name in parts or (module is not None and thing.__module__ != module):
        return
    parts[name] = _hash(_code_text(thing.__code__))
    _add_outside(parts, thing)


def _add_outside(parts, function):
    defaults = {name: p.default for name, p in inspect.signature(function, follow_wrapped=False).parameters.items()}
    given = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
    _add_values(
        parts, "default of", {f"{name} in {function.__qualname__.rpartition('.')[2]}": given[name] for name in given}
    )
    outside = {}
    for name in sorted(_globals_of(function.__code__)):
        if name in function.__globals__:
            outside[name] = function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            outside[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    _add_values(parts, "variable", outside)
    for value in outside.values():
        if callable(value):
            _add(parts, value, function.__module__)


def _add_attributes(parts, thing):
    """Add what an object holds, but for what it has only worked out."""
    if thing is not None and not isinstance(thing, type):
        held = getattr(thing, "__dict__", {})
        worked_out = {n for n in held if isinstance(inspect.getattr_static(type(thing), n, None), cached_property)}
        _add_values(parts, "attribute", {name: held[name] for name in held if name not in worked_out})


def _add_values(parts, what, values):
    for name, value in values.items():
        if callable(value):
            continue
        try:
            text = _value_text(value)
        except (TypeError, ValueError, RecursionError):  # an object: what it is made of is not compared
            continue
        parts[f"{what} {name}"] = text if len(text) <= SHOWN else _hash(text)


def _value_text(value) -> str:
    if type(value) is np.ndarray and value.dtype.kind != "O":
        content = hashlib.sha256(value.tobytes()).hexdigest()[:16]
        return f"array {value.dtype.str} {value.shape} {content}"
    if type(value) is dict:
        return f"{{{', '.join(sorted(f'{_value_text(key)}: {_value_text(part)}' for key, part in value.items()))}}}"
    if type(value) in (list, tuple):
        parts = ", ".join(map(_value_text, value))
        return f"[{parts}]" if type(value) is list else f"({parts})"
    return to_text(encode(value, "value"))


def _globals_of(code) -> set[str]:
    """Return the global names that a code only reads."""
    read, written = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read.add(instruction.argval)
        elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            written.add(instruction.argval)
        elif isinstance(instruction.argval, CodeType):
            read |= _globals_of(instruction.argval)
    return read - written


def _code_text(code) -> str:
    lines = [
        repr(
            (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_varnames, code.co_flags & 0xFF)
        )
    ]
    for instruction in dis.get_instructions(code):
        value: Any = instruction.argval
        lines.append(f"{instruction.opname} {_code_text(value) if isinstance(value, CodeType) else _constant(value)}")
    return "\n".join(lines)


def _constant(value) -> str:
    """Return a text of a constant that is the same in every process."""
    if isinstance(value, tuple):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, frozenset):  # whose order depends on the process
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    return f"{type(value).__name__} {value!r}"


def _hash(text) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
