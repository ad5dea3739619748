"""Sweeps: a function at every point of a grid, each result on disk at once, resumed where it was interrupted."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, product, repeat
from typing import Any

import numpy as np

from penstock.checks import as_int
from penstock.progress import track
from penstock.sweep_code import agreed, function_name, ingredients, python_version, summary
from penstock.sweep_results import Sweep, identity
from penstock.sweep_store import Store
from penstock.sweep_tasks import Task, as_name, check_signature, make_tasks
from penstock.sweep_values import decode, encode

__all__ = ["as_folder", "as_sweep", "is_open", "load_sweep", "sweep", "tell_of_failures", "where_it_stands"]


def sweep(
    function: Callable[..., Any],
    grid: Mapping[str, Sequence] | Sequence[Mapping[str, Any]],
    *,
    repeats: int = 1,
    store,
    seed: int = 0,
    n_jobs: int | None = None,
    backend=None,
    retry_failed: bool = False,
    accept_changes: bool = False,
    progress: bool = True,
) -> Sweep:
    """Evaluate a function at every point of a grid, several times each, and keep every result at once.

    Call it again after an interruption, a crash or a power cut, and it goes on from where it was: what is recorded is
    not computed again. So do a longer grid and more repeats. Several processes, on several machines if the folder is
    shared, may run the same sweep and share the work.

    Parameters
    ----------
    function : callable
        ``function(**point)``, with ``seed=`` (an int below 2**63) if it has a parameter of that name. It returns a
        number, or a dict of numbers, bools, strings, None and arrays.
    grid : dict or sequence of dicts
        The values of each parameter, all combinations of which are the points, the last parameter varying fastest; or
        the points. Values are numbers, strings, bools, None, small arrays, functions and classes that a module holds,
        such as ``penstock.weights.ring``, and tuples of those. Seeds and records of 1 and 1.0 differ.
    repeats : int, optional
        Evaluations of each point, each with its own seed.
    store : str or os.PathLike or None
        Folder of the records, made if need be; None keeps nothing.
    seed : int, optional
        The seed of a task is a hash of this, the values of its point and the repeat: the rest of the grid and the order
        of the work change nothing.
    n_jobs : int, optional
        Processes; 1 computes in this one. By default what `joblib.parallel_config` says, else one for each core. In
        parallel, each task has one thread.
    backend : optional
        Any backend of joblib, such as "threading" or "dask", but "multiprocessing", which waits for ever for a worker
        that died; by default what `joblib.parallel_config` says, else "loky".
    retry_failed : bool, optional
        Whether tasks whose record is an error run again.
    accept_changes : bool, optional
        Whether records of an earlier version of the function count.
    progress : bool, optional
        Whether to show a bar.

    Returns
    -------
    Sweep
        The records in the order of the grid, and tables and plots of them.

    Raises
    ------
    TypeError
        If a value or a result cannot be stored, or the function does not take the parameters.
    ValueError
        If the store is of another function, version of it, seed or parameters.
    OSError
        If the store cannot be written to: before the work, or when the disk is full.

    Warns
    -----
    UserWarning
        If tasks failed, the grid is another one than before, or a record is damaged.

    Notes
    -----
    An exception of the function is recorded and the sweep goes on. If a worker process dies, a new one runs the
    task again; if it dies three times, at last with this task alone, that is recorded as the error.

    What is recorded survives the death of every process at once. A crash of the machine may take the records of the
    last half minute (while tasks follow each other within milliseconds, or the disk is slow), most often none.

    Of the function its instructions are compared, with the plain values that it takes from outside (numbers, texts,
    arrays, and lists and dicts of them unless they were empty: those are there to be filled) and the functions of its
    own module that it calls. Other objects, and code of other modules, are not.

    Without file locks (Windows, some network file systems) two processes may compute the same task, of which one record
    counts.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from penstock.sweep import load_sweep, sweep
    >>> def mean_of_noise(scale, n, seed):
    ...     return scale * np.random.default_rng(seed).standard_normal(n).mean()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = sweep(mean_of_noise, {"scale": [1, 2], "n": [10, 1000]}, repeats=3, store=folder, n_jobs=1)
    ...     again = load_sweep(folder)
    >>> len(again), again.missing, again.parameters
    (12, 0, {'scale': (1, 2), 'n': (10, 1000)})
    >>> bool((again.mean("value") == first.mean("value")).all())
    True
    """
    from penstock.sweep_run import check_backend, run_tasks  # joblib is slow to import

    points, given = _as_points(grid)
    names = tuple(points[0])
    check_signature(function, names)
    repeats, seed = as_int("repeats", repeats), as_int("seed", seed, minimum=0)
    check_options(n_jobs, retry_failed=retry_failed, accept_changes=accept_changes, progress=progress)
    check_backend(backend)
    tasks = _all_tasks(points, repeats, seed)
    parts = ingredients(function)
    manifest = {
        "kind": "sweep",
        "function": function_name(function),
        "code": parts,
        "python": python_version(),
        "parameters": sorted(names),
        "seed": seed,
        "repeats": repeats,
        "grid": given,
    }
    with Store(as_folder(store)) as kept:
        old = kept.settle(lambda old: agreed(old, manifest, accept_changes, kept.folder))
        if old and (old["grid"], old["repeats"]) != (given, repeats):
            _tell_of_grid(kept, tasks)
        open_tasks = [task for task in tasks if is_open(kept.records.get(task.key), retry_failed)]
        news = run_tasks(function, open_tasks, kept, fingerprint=summary(parts), n_jobs=n_jobs, backend=backend)
        try:
            done = chain(repeat("", len(tasks) - len(open_tasks)), news)
            for _ in track(done, len(tasks), manifest["function"], progress):
                pass
        except KeyboardInterrupt:
            raise KeyboardInterrupt(where_it_stands(kept, tasks, len(tasks))) from None
        finally:
            news.close()
        result = as_sweep(kept, manifest, tasks)
    if result.failures:
        tell_of_failures(result)
    return result


def load_sweep(store) -> Sweep:
    """Return what the store of a sweep holds, finished or not.

    Parameters
    ----------
    store : str or os.PathLike
        The folder.

    Raises
    ------
    FileNotFoundError
        If there is no sweep in it.
    ValueError
        If it was written by something else.
    """
    folder = as_folder(store)
    if folder is None:
        raise TypeError("store must be a folder, got None")
    if not os.path.isfile(os.path.join(folder, "sweep.json")):
        raise FileNotFoundError(f"store must be the folder of a sweep, got {os.fspath(folder)!r}: it has no sweep.json")
    kept = Store(folder, readonly=True)
    manifest = kept.read_manifest()
    if manifest is None or manifest.get("kind") not in ("sweep", "search"):
        raise ValueError(f"store must be the folder of a sweep, got {os.fspath(folder)!r}")
    points, _ = _as_points(_decoded(manifest["grid"]))
    return as_sweep(kept, manifest, _all_tasks(points, manifest["repeats"], manifest["seed"]))


# --- what is to be done ---------------------------------------------------------------------------------------------


def check_options(n_jobs, **flags) -> None:
    """Raise unless n_jobs is None or a number but 0, and every flag is a bool."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise TypeError(f"{name} must be True or False, got {flag!r}")
    if n_jobs is not None and as_int("n_jobs", n_jobs, minimum=-(2**31)) == 0:
        raise ValueError("n_jobs must be at least 1, or -1 for all cores, got 0")


def as_folder(store):
    """Return a store as it is given: a folder or None."""
    if store is not None and not isinstance(store, str | os.PathLike):
        raise TypeError(f"store must be a folder, or None to keep nothing, got {store!r}")
    if store == "":
        raise ValueError("store must be a folder, or None to keep nothing, got ''")
    return store


def _as_points(grid) -> tuple[list[dict[str, Any]], Any]:
    """Return all points, and the grid as JSON."""
    if isinstance(grid, Mapping):
        if not grid:
            raise ValueError("grid must name at least one parameter, got none")
        values = {as_name("grid", name): _as_values(name, given) for name, given in grid.items()}
        points = [dict(zip(values, point, strict=True)) for point in product(*values.values())]
        return points, {name: [encode(value, name) for value in given] for name, given in values.items()}
    if isinstance(grid, str) or not isinstance(grid, Sequence) or not all(isinstance(p, Mapping) for p in grid):
        raise TypeError(f"grid must be a dict of the values of each parameter, or a list of points, got {grid!r:.100}")
    if not grid:
        raise ValueError("grid must have at least one point, got none")
    points = [{as_name("grid", name): value for name, value in point.items()} for point in grid]
    for point in points:
        if set(point) != set(points[0]) or not point:
            raise ValueError(f"grid must have points with the same parameters, got {list(points[0])} and {list(point)}")
    trees = [{name: encode(point[name], name) for name in points[0]} for point in points]
    if len({tuple(identity(point[name]) for name in points[0]) for point in points}) < len(points):
        raise ValueError("grid must have points that differ, got one twice: repeats= evaluates a point several times")
    return [{name: point[name] for name in points[0]} for point in points], trees


def _as_values(name, given) -> list:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Sequence | np.ndarray):
        raise TypeError(f"grid[{name!r}] must be a list of values, got {given!r:.100}")
    values = list(given)
    if not values:
        raise ValueError(f"grid[{name!r}] must have at least one value, got none")
    seen: dict[Any, Any] = {}
    for value in values:
        encode(value, f"grid[{name!r}]")
        equal = identity(value)
        if equal in seen:  # 1 and 1.0 too, which no table could tell apart
            raise ValueError(f"grid[{name!r}] must have values that differ, got {seen[equal]!r} and {value!r}")
        seen[equal] = value
    return values


def _all_tasks(points, repeats, seed) -> list[Task]:
    return [task for point in points for task in make_tasks(point, range(repeats), seed)]


def _decoded(grid):
    if isinstance(grid, list):
        return [{name: decode(tree) for name, tree in point.items()} for point in grid]
    return {name: [decode(tree) for tree in trees] for name, trees in grid.items()}


def is_open(record, retry_failed) -> bool:
    """Whether a task with this record, or None, is to be computed."""
    return record is None or (retry_failed and record["status"] != "ok")


# --- what is there --------------------------------------------------------------------------------------------------


def _tell_of_grid(kept, tasks):
    keys = {task.key for task in tasks}
    inside = sum(key in keys for key in kept.records)
    warnings.warn(
        f"the grid is another one than before: {inside} of its {len(tasks)} tasks are recorded already, "
        f"{len(kept.records) - inside} records outside of it are left alone",
        stacklevel=3,
    )


def where_it_stands(kept, tasks, count) -> str:
    """Return what to say of an interrupted sweep or search of `count` tasks, of which these are known."""
    done = len({task.key for task in tasks} & kept.records.keys())
    if kept.folder is None:
        return f"stopped after {done} of {count} tasks; without a store they are lost"
    return f"stopped: {done} of {count} tasks are safe in {str(kept.folder)!r}; the same call goes on from there"


def tell_of_failures(result):
    """Warn that tasks failed, and say why the first did."""
    first = result.failures[0]
    where = ", ".join(f"{name}={value!r}" for name, value in first["point"].items())
    warnings.warn(
        f"{len(result.failures)} of {len(result)} tasks failed, the first at {where}: {first['error']['type']}: "
        f"{first['error']['message']:.200}; .failures has them all, retry_failed=True runs them again",
        stacklevel=3,
    )


def as_sweep(kept, manifest, tasks) -> Sweep:
    """Return the records of tasks that a store holds as a result."""
    grid = _decoded(manifest["grid"])
    return Sweep(
        function=manifest["function"],
        grid=tuple(grid) if isinstance(grid, list) else {name: tuple(values) for name, values in grid.items()},
        repeats=manifest["repeats"],
        seed=manifest["seed"],
        store=None if kept.folder is None else str(kept.folder),
        records=[kept.records[task.key] for task in tasks if task.key in kept.records],
    )
