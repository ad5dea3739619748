"""Which classes and functions of penstock a saved file may name, and nothing else."""

import inspect
import sys
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any

from penstock.params import Parameters

__all__ = ["find", "is_learned_name", "is_named_tuple", "is_record", "linear_model", "may_hold", "public_name"]

TYPES_ONLY = ("penstock", "penstock.reservoirs.series", "penstock.spiking")
"""Modules of whose `__all__` a file may name the classes; of the functions only the activations."""

ROOMS = (*TYPES_ONLY, "penstock.reservoirs", "penstock.weights", "penstock.scaling", "penstock.metrics")
"""All modules of whose `__all__` it may name something. The functions of the last four read and write no files."""


def find(name: str) -> Any:
    """Return the class, the function or the constructor ``Class.method`` of a public name; nothing is called.

    Raises
    ------
    ValueError
        If there is no such name, or a file may not use it.
    """
    room = max((room for room in ROOMS if name.startswith(f"{room}.")), key=len, default=None)
    first, _, method = name[len(room or "") + 1 :].partition(".")
    module = import_module(room) if room else None
    thing = getattr(module, first) if first in getattr(module, "__all__", ()) else None
    if method:
        made_by = None if method.startswith("_") else inspect.getattr_static(thing, method, None)
        thing = getattr(thing, method) if isinstance(made_by, classmethod | staticmethod) else None
    harmless = room not in TYPES_ONLY or _is_arithmetic(thing)
    if not inspect.isclass(thing) and not (callable(thing) and harmless):
        raise ValueError(f"{name!r} is no public type or function of this penstock that a file may name")
    return thing


def public_name(thing) -> str | None:
    """Return the name by which `find` gives a class, function or constructor, None if there is none."""
    owner, name = getattr(thing, "__self__", None), getattr(thing, "__name__", "")
    last = f"{owner.__name__}.{name}" if inspect.isclass(owner) else getattr(thing, "__qualname__", name)
    for room in ROOMS:
        try:
            if room in sys.modules and find(f"{room}.{last}") == thing:
                return f"{room}.{last}"
        except ValueError:
            continue
    return None


def linear_model(name: str) -> type | None:
    """Return the class of sklearn.linear_model of that name, None if there is none."""
    try:
        models = import_module("sklearn.linear_model")
    except ImportError:
        raise ValueError(f"its readout is scikit-learn's {name}: install scikit-learn") from None
    kind = getattr(models, name) if name in models.__all__ else None
    return kind if inspect.isclass(kind) else None


def may_hold(kind, value) -> bool:
    """Whether a file may give a class this argument: penstock's dataclasses call functions when they are made.

    `ClosedLoop` tries its readout, for one. So what a file gives them may be called only if it is an activation, a
    solver of liquid cells, or an object such as `Readout`; recipes and estimators, which call nothing before `fit`,
    may hold any public function.
    """
    calls = is_dataclass(kind) and kind.__module__.partition(".")[0] == "penstock"
    return not calls or not callable(value) or is_record(type(value)) or _is_arithmetic(value)


def _is_arithmetic(thing) -> bool:
    """Whether a function only computes numbers from its arguments: activations, heads and solvers of liquid cells."""
    arithmetic = ("penstock.vmath", "penstock.reservoirs.heads", "penstock.reservoirs.solvers")
    return getattr(thing, "__module__", None) in arithmetic


def is_record(kind) -> bool:
    """Whether objects of a class are stored by their fields: dataclasses, named tuples, those with hyper-parameters."""
    return inspect.isclass(kind) and (is_dataclass(kind) or issubclass(kind, Parameters) or is_named_tuple(kind))


def is_named_tuple(kind) -> bool:
    """Whether a class is one of named tuples."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def is_learned_name(kind, name) -> bool:
    """Whether a learned attribute of a class may have this name: public, with an underscore at its end."""
    fits = name.isidentifier() and name.endswith("_") and not name.startswith("_")
    return fits and inspect.getattr_static(kind, name, None) is None
