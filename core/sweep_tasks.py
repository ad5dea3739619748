"""A task: a point of a grid and a repeat, with its key and its seed; and how one is run, wherever that is."""

import hashlib
import inspect
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from penstock.sweep_values import decode, encode, to_text
from penstock.threads import one_blas_thread, use_threads

__all__ = ["Task", "as_name", "as_record", "check_signature", "described", "make_tasks", "run_tasks_here", "takes_seed"]

COLUMNS = ("repeat", "seed", "seconds", "status")
"""Columns of the table that no parameter and no result may be called by."""
LONGEST = 20000
"""Characters of a traceback that are kept."""


class Task(NamedTuple):
    """One evaluation of a function: the values of its parameters, the repeat, the key of its record and its seed."""

    key: str
    point: dict[str, Any]
    repeat: int
    seed: int


def as_name(what: str, name, *taken: str) -> str:
    """Return the name of a parameter, a key of a grid or space (`what`), which is no column of a table."""
    if not isinstance(name, str) or not name.isidentifier():
        raise TypeError(f"{what} must have names of parameters as keys, got {name!r}")
    if name in (*COLUMNS, *taken):
        remedy = "each repeat has its own; repeats= says how many" if name == "seed" else "it is a column of the table"
        raise ValueError(f"{what} must not have a parameter {name!r}: {remedy}")
    return name


def make_tasks(point: Mapping[str, Any], repeats: range, seed: int) -> list[Task]:
    """Return the tasks of a point, one for each repeat.

    Key and seed are hashes of the exact values, the repeat and (the seed only) the seed of the sweep: whatever else is
    in the grid, and whatever runs first.

    Raises
    ------
    TypeError
        If a value cannot be stored; the message names the parameter.
    """
    trees = {name: encode(value, name) for name, value in point.items()}
    values = {name: _argument(value, name) for name, value in point.items()}
    tasks = []
    for repeat in repeats:
        text = f"{to_text(trees)} repeat {repeat}"
        key, drawn = (hashlib.sha256(t.encode()) for t in (text, f"{text} seed {seed}"))
        tasks.append(Task(key.hexdigest()[:32], values, repeat, int.from_bytes(drawn.digest()[:8], "little") >> 1))
    return tasks


def takes_seed(function) -> bool:
    """Whether a function has a parameter called `seed`, which no `functools.partial` has given it."""
    if isinstance(function, partial) and "seed" in function.keywords:
        return False
    try:
        return "seed" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # written in C
        return False


def check_signature(function, names) -> None:
    """Raise TypeError unless the function takes parameters of these names, all by name."""
    if not callable(function):
        raise TypeError(f"function must be a function of the parameters by name, got {function!r}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    given = {**dict.fromkeys(names), **({"seed": 0} if takes_seed(function) else {})}
    try:
        signature.bind(**given)
    except TypeError as error:
        raise TypeError(f"function must take the parameters {', '.join(names)} by name: {error}") from None


def run_tasks_here(function: Callable[..., Any], tasks: list[Task], alone: bool, seeded: bool) -> list[dict[str, Any]]:
    """Return what came of each task: status "ok" with the result, "error", or "unstorable" and why.

    With `alone` everything that penstock computes in it uses one thread, as other tasks run beside it.
    """
    return [_run(function, task, alone, seeded) for task in tasks]


def as_record(task: Task, outcome: Mapping[str, Any], fingerprint: str) -> dict[str, Any]:
    """Return the record of a task, complete in itself."""
    point = {name: decode(encode(value, name)) for name, value in task.point.items()}
    mine = {"key": task.key, "point": point, "repeat": task.repeat, "seed": task.seed, "function": fingerprint}
    return {**mine, **outcome}


def _argument(value, name):
    """Return a value as it will be read from the file, so that no task sees another one; but functions themselves."""
    if callable(value):
        return value
    if type(value) in (list, tuple):
        return type(value)(_argument(part, name) for part in value)
    return decode(encode(value, name))


def _run(function, task, alone, seeded):
    arguments = {name: deepcopy(v) if isinstance(v, np.ndarray | list | tuple) else v for name, v in task.point.items()}
    if seeded:
        arguments["seed"] = task.seed
    outcome: dict[str, Any] = {"status": "ok", "result": None, "error": None}
    result, error, seconds = _call(function, arguments, alone)
    if error is not None:
        outcome |= {"status": "error", "error": described(error)}
    else:
        try:
            outcome["result"] = _as_result(result, task.point)
        except (TypeError, ValueError) as unfit:
            outcome |= {"status": "unstorable", "error": {"type": type(unfit).__name__, "message": str(unfit)}}
    return outcome | {
        "seconds": seconds,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **_place(os.getpid()),
    }


@one_blas_thread
def _call(function, arguments, alone):
    """Return result, error and seconds; with one BLAS thread, as its sums must not depend on where it runs."""
    with use_threads(1) if alone else nullcontext():
        start = time.perf_counter()
        try:
            result, error = function(**arguments), None
        except (Exception, SystemExit) as raised:
            result, error = None, raised
        return result, error, time.perf_counter() - start


def described(error: BaseException) -> dict[str, str]:
    """Return type, message and traceback of an error, as texts."""
    trace = error.__traceback__
    if trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next  # the frame that every task has
    text = "".join(traceback.format_exception(type(error), error, trace))
    return {"type": type(error).__name__, "message": _message(error), "traceback": text[-LONGEST:]}


def _message(error):
    try:
        return str(error)[:LONGEST]
    except Exception:  # a class of the user's
        return "(its message cannot be made)"


def _as_result(result, point):
    """Return {name: value} of a result, all of it storable."""
    if not isinstance(result, Mapping):
        result = {"value": result}
    for name in result:
        if type(name) is not str or not name:
            raise TypeError(f"the names of the results must be strings, got {name!r}")
        if name in point or name in COLUMNS:
            raise ValueError(f"no result may be called {name!r}, as a parameter or column of the table is")
    return {name: decode(encode(value, repr(name), results=True)) for name, value in result.items()}


@cache
def _place(pid):
    """Return where and with what this process computes."""
    import penstock

    versions = {"python": sys.version.split()[0], "numpy": np.__version__, "penstock": penstock.__version__}
    return {"host": socket.gethostname(), "pid": pid, "versions": versions}
