"""File a kernel's compiled code on disk under the meaning of the user's functions it was compiled for.

Numba identifies a function passed to a kernel by a number drawn anew in every process, so such kernels are compiled
again in every process, and every time leave a file that is never read. Here the number, and the name of the file, are a
hash of all that the functions mean: bytecode, constants, defaults, closures, globals, options, and those of every
jitted function they call. What is hashed is also frozen: the kernel is compiled from copies, which later changes cannot
reach. A function that reads anything that cannot be hashed is not pinned, but compiled once per process: slower, never
wrong.
"""

import builtins
import dis
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba import jit
from numba.core.registry import CPUDispatcher

try:  # private names of Numba: without them every process compiles for itself
    from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
except ImportError:
    FunctionCache = IndexDataCacheFile = NullCache = None  # type: ignore[assignment, misc]

__all__ = ["specialise"]

LARGEST_ARRAY = 10**6
"""Bytes up to which Numba freezes a global array; it reads larger ones anew, and cannot cache the function."""

OWN_SOURCES = ("matvec.py", "pinning.py", "rules.py", "vmath.py")
"""Our own files that a kernel of this package, or a user's function, may take compiled functions from."""

KEPT_FILES = 200
"""Specialised kernels kept on disk; those used longest ago go first."""

LIBRARIES = ("builtins", "cmath", "math", "numba", "numpy", "operator")
"""Modules whose functions Numba knows by name, so that a name and a version say what they mean."""


class _UnknownMeaning(Exception):
    """Something a function reads cannot be hashed."""


def specialise(kernel: Any, *functions: Any) -> Callable:
    """Return `kernel` with its first arguments, jitted functions, bound; compiled code is kept on disk if it can be.

    Call the result at once: attributes of modules are hashed now, but read when the kernel is compiled.
    """
    try:
        if FunctionCache is None:
            raise _UnknownMeaning("this Numba hides its cache")
        frozen = [_freeze_function(function, ()) for function in functions]
    except _UnknownMeaning:
        return partial(kernel, *functions)
    digest = _digest(_sources(), kernel.py_func.__qualname__, *(text for text, _ in frozen))
    try:
        entry = _entry(kernel, digest)
        return partial(entry, *(_pinned(text, function) for text, function in frozen))
    except (AttributeError, AssertionError, TypeError, RuntimeError, OSError):  # no hook, or nowhere to write
        return partial(kernel, *functions)


# Meaning: every value becomes a text that determines it, and a copy that nobody else holds


def _digest(*parts) -> str:
    """Hash parts, each with its length before it, so that no two lists of parts run together to the same text."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        hasher.update(b"%d:" % len(data) + data)
    return hasher.hexdigest()


@lru_cache(maxsize=1)
def _sources() -> str:
    """Hash our own sources that kernels are compiled from, and the versions that decide what they compile to."""
    files = (Path(__file__).with_name(name).read_bytes() for name in OWN_SOURCES)
    return _digest(sys.version, np.__version__, numba.__version__, *files)


def _freeze(value, callers) -> tuple[str, Any]:
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return _digest(kind.__name__, repr(value)), value
    if isinstance(value, np.ndarray) and kind is np.ndarray:
        return _freeze_array(value)
    if isinstance(value, np.generic) and not value.dtype.hasobject:
        return _digest("scalar", value.dtype.str, value.tobytes()), value
    if kind is tuple:
        parts = [_freeze(part, callers) for part in value]
        return _digest("tuple", *(text for text, _ in parts)), tuple(part for _, part in parts)
    if isinstance(value, CPUDispatcher):
        return _freeze_function(value, callers)
    return _name_of_library(value), value


def _freeze_array(value) -> tuple[str, np.ndarray]:
    if value.dtype.kind not in "biufc" or value.nbytes > LARGEST_ARRAY:
        raise _UnknownMeaning(f"an array of {value.nbytes} bytes of {value.dtype}")
    copy = value.copy(order="K")
    layout = f"{copy.flags.c_contiguous}{copy.flags.f_contiguous}"
    return _digest("array", copy.dtype.str, copy.shape, layout, copy.tobytes()), copy


def _name_of_library(value) -> str:
    """Name a function or type of a library whose version is hashed; a user's own may not be known by name."""
    name = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    if isinstance(value, np.ufunc):
        if getattr(np, name, None) is value:
            return _digest("ufunc", name)
    elif isinstance(value, BuiltinFunctionType | FunctionType | type) or callable(value):
        home = getattr(value, "__module__", None) or ""
        module: Any = sys.modules.get(home)
        if home.split(".")[0] in LIBRARIES and getattr(module, name, None) is value:
            return _digest("library", home, name)
    raise _UnknownMeaning(f"{value!r}")


def _freeze_function(function, callers) -> tuple[str, CPUDispatcher]:
    """Hash a jitted function, and return an uncached copy over frozen globals and closure."""
    if not isinstance(function, CPUDispatcher) or function in callers:
        raise _UnknownMeaning(f"{function!r} is not jitted, or calls itself")
    rule, callers = function.py_func, (*callers, function)
    if _is_ours(rule):
        return _digest("penstock", rule.__module__, rule.__qualname__), function
    options = _freeze_options(function)
    if rule.__kwdefaults__ or function.locals:
        raise _UnknownMeaning(f"keyword defaults or types of locals of {function!r}")
    closure = dict(zip(rule.__code__.co_freevars, rule.__closure__ or (), strict=True))
    outer = {name: cell.cell_contents for name, cell in closure.items()}
    texts = [rule.__module__, rule.__qualname__, options, *_describe_code(rule.__code__)]
    frozen: dict[str, Any] = {}
    for name, steps in _names_read(rule.__code__):
        source = outer if name in outer else rule.__globals__
        if name not in source:
            source = vars(builtins)
        if name not in source:
            raise _UnknownMeaning(f"{name} is not defined")
        text, frozen[name] = _freeze_read(source[name], steps, callers)
        texts += [name, *steps, text]
    defaults, arguments = _freeze(rule.__defaults__, callers)
    return _digest(*texts, defaults), _copy(function, outer, frozen, arguments)


def _is_ours(rule) -> bool:
    file = Path(rule.__code__.co_filename)
    return file.parent == Path(__file__).parent and file.name in OWN_SOURCES


def _freeze_options(function) -> str:
    """Hash the options of jit, which change rounding and error handling."""
    parts = []
    for name, value in sorted(function.targetoptions.items()):
        if isinstance(value, set | frozenset):
            value = tuple(sorted(value))
        parts += [name, _freeze(value, ())[0]]
    return _digest(*parts)


def _copy(function, outer, frozen, defaults) -> CPUDispatcher:
    rule = function.py_func
    namespace = {"__builtins__": builtins, "__name__": rule.__module__}
    namespace.update((name, value) for name, value in frozen.items() if name not in outer)
    cells = tuple(CellType(frozen.get(name)) for name in rule.__code__.co_freevars)
    copy = FunctionType(rule.__code__, namespace, rule.__name__, defaults, cells)
    copy.__module__, copy.__qualname__ = rule.__module__, rule.__qualname__
    return jit(**function.targetoptions)(copy)


def _freeze_read(value, steps, callers) -> tuple[str, Any]:
    """Freeze a global or cell; of a module, what is read from it: the module itself stays."""
    if not isinstance(value, ModuleType):
        return _freeze(value, callers)
    part: Any = value
    for step in steps:
        if not isinstance(part, ModuleType):
            break
        part = getattr(part, step, _UnknownMeaning)
    if isinstance(part, ModuleType) or part is _UnknownMeaning:
        raise _UnknownMeaning(f"the module {value.__name__}, or an attribute it lacks")
    if isinstance(part, CPUDispatcher) and not isinstance(part._cache, NullCache):
        raise _UnknownMeaning(f"{part!r}, whose own cache does not notice edits elsewhere")
    return _digest(value.__name__, _freeze(part, callers)[0]), value


def _describe_code(code: CodeType) -> Iterator:
    """Yield what a code object computes, with all code nested in it; not where it stands."""
    yield from (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags)
    yield from (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    yield getattr(code, "co_exceptiontable", b"")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield _digest("code", *_describe_code(constant))
        else:
            yield _digest(_describe_constant(constant))


def _describe_constant(constant) -> str:
    if isinstance(constant, tuple | frozenset):
        parts = [_describe_constant(part) for part in constant]
        return _digest(type(constant).__name__, *(sorted(parts) if isinstance(constant, frozenset) else parts))
    return _digest(type(constant).__name__, repr(constant))


def _names_read(code: CodeType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every global or free name that code reads, with the attributes read from it in a row."""
    instructions = [one for one in dis.get_instructions(code) if one.opname not in ("CACHE", "EXTENDED_ARG")]
    for i, one in enumerate(instructions):
        if one.opname.startswith(("IMPORT_", "STORE_GLOBAL", "LOAD_NAME", "STORE_NAME", "DELETE_")):
            raise _UnknownMeaning(f"{one.opname} in {code.co_name}")
        if one.opname == "LOAD_GLOBAL" or (one.argval in code.co_freevars and one.opname.startswith("LOAD_")):
            yield one.argval, _attributes(instructions[i + 1 :])
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            own = code.co_cellvars
            yield from ((name, steps) for name, steps in _names_read(constant) if name not in own)


def _attributes(following) -> tuple[str, ...]:
    steps = []
    for one in following:
        if one.opname not in ("LOAD_ATTR", "LOAD_METHOD"):
            break
        steps.append(one.argval)
    return tuple(steps)


# Filing


def _pinned(text, function) -> CPUDispatcher:
    """Return the one function of this meaning in this process, whose number is the same in every process."""
    name = _digest(_sources(), text)
    known = CPUDispatcher._memo.get(name)
    if known is not None:
        return known
    if _is_ours(function.py_func):
        function = jit(**function.targetoptions)(function.py_func)
    function._set_uuid(name)
    return function


@lru_cache(maxsize=KEPT_FILES)
def _entry(kernel, digest) -> CPUDispatcher:
    entry = jit(**kernel.targetoptions)(kernel.py_func)
    entry._cache = _RuleCache(kernel.py_func, digest)
    return entry


if FunctionCache is not None:

    class _RuleCache(FunctionCache):
        """Numba's cache of one function, in files of one meaning: no file of another is ever opened."""

        def __init__(self, py_func, digest):
            super().__init__(py_func)
            self._stem = f"{py_func.__name__}-rule-"
            self._cache_file = IndexDataCacheFile(
                cache_path=self._cache_path,
                filename_base=f"{self._stem}{digest}",
                source_stamp=self._impl.locator.get_source_stamp(),
            )

        def load_overload(self, sig, target_context):
            """Load what was compiled for a signature, and mark the file as used."""
            try:
                loaded = super().load_overload(sig, target_context)
                if loaded is not None:
                    os.utime(self._cache_file._index_path)
                return loaded
            except Exception:  # a torn, foreign or unreadable file means compiling again, never failing
                return None

        def save_overload(self, sig, data):
            """Keep what was compiled, and remove the files used longest ago."""
            try:
                super().save_overload(sig, data)
                self._prune()
            except Exception:  # a full disk, or a type that cannot be stored: this process has its code all the same
                return

        def _prune(self):
            indices = sorted(Path(self._cache_path).glob(f"{self._stem}*.nbi"), key=_last_used, reverse=True)
            for index in indices[KEPT_FILES:]:
                for file in index.parent.glob(f"{index.stem}.*"):
                    file.unlink(missing_ok=True)


def _last_used(file) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # another process removed it
        return 0.0
