"""Search of hyper-parameters by Optuna, every evaluation a record of the same store as a sweep's."""

import logging
import math
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from numbers import Real
from typing import Any

import numpy as np

from penstock.checks import as_int
from penstock.progress import track
from penstock.search_space import as_space, import_optuna
from penstock.sweep import as_folder, as_sweep, check_options, is_open, tell_of_failures, where_it_stands
from penstock.sweep_code import agreed, function_name, ingredients, python_version, summary
from penstock.sweep_results import Sweep
from penstock.sweep_store import Store
from penstock.sweep_tasks import Task, check_signature, make_tasks
from penstock.sweep_values import encode, to_text

__all__ = ["Search", "search"]

SETTLED = ("repeats", "value", "maximise", "batch", "space", "sampler")
"""What, beside seed, parameters and function, must not change from one call to the next on a store."""
LARGEST_SEED = 2**32 - 1
"""What Optuna's samplers take."""


@dataclass(frozen=True, repr=False, eq=False)
class Search:
    """Hold all trials of a search, the best of them, and Optuna's study.

    Attributes
    ----------
    study : optuna.study.Study
        The trials as Optuna holds them, for its own plots: ``optuna.visualization.matplotlib``.
    trials : list of list of dict
        The records of every trial, one for each repeat; those of a point that was tried twice stand there twice.
    evaluations : Sweep
        The points that were tried, each once, as a sweep: its tables have a row for each record.
    maximise : bool
        Whether the greatest value is the best.
    value : str
        The name of the result that was searched by.
    """

    study: Any
    trials: list[list[dict[str, Any]]]
    evaluations: Sweep
    maximise: bool
    value: str

    @property
    def best(self) -> dict[str, Any]:
        """The point with the best value.

        Raises
        ------
        ValueError
            If all trials failed.
        """
        return dict(self._best_trial().params)

    @property
    def best_value(self) -> float:
        """The best value: the mean over the repeats of that point."""
        return float(self._best_trial().value)

    @property
    def values(self) -> np.ndarray:
        """The value of every trial, NaN for one that failed, shape (n_trials,)."""
        return np.array([np.nan if trial.value is None else trial.value for trial in self.study.trials])

    @property
    def best_values(self) -> np.ndarray:
        """The best value up to every trial, NaN before the first that did not fail, shape (n_trials,)."""
        return (np.fmax if self.maximise else np.fmin).accumulate(self.values)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of all trials, in their order."""
        return list(chain.from_iterable(self.trials))

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The records of evaluations that raised an error."""
        return self.evaluations.failures

    def to_pandas(self):
        """Return a DataFrame with a row for each record: the trial, then the columns of `Sweep.to_pandas`."""
        table = replace(self.evaluations, records=self.records).to_pandas()
        table.insert(0, "trial", np.repeat(np.arange(len(self.trials)), self.evaluations.repeats))
        return table

    def plot(self, ax=None):
        """Draw the value of every trial and the best so far; return the axes."""
        from penstock.plots import plot_search

        return plot_search(self, ax)

    def __len__(self):
        return len(self.trials)

    def __repr__(self):
        failed = int(np.isnan(self.values).sum())
        aim = "greatest" if self.maximise else "least"
        lines = [
            f"Search of {self.evaluations.function} for the {aim} {self.value}: {len(self)} trials, {failed} failed"
        ]
        if failed < len(self):
            number = self._best_trial().number
            point = ", ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in self.best.items())
            lines.append(f"best {self.best_value:.6g} at {point} (trial {number})")
        if self.evaluations.store:
            lines.append(f"in {self.evaluations.store!r}")
        return "\n".join(lines)

    def _best_trial(self):
        if np.isnan(self.values).all():
            raise ValueError(f"all {len(self)} trials failed: .failures has the errors")
        return self.study.best_trial


def search(
    function: Callable[..., Any],
    space: Mapping[str, Any],
    *,
    n_trials: int,
    store=None,
    seed: int = 0,
    repeats: int = 1,
    value: str | None = None,
    maximise: bool = False,
    sampler: Callable[..., Any] | None = None,
    batch: int = 8,
    n_jobs: int | None = None,
    backend=None,
    retry_failed: bool = False,
    accept_changes: bool = False,
    progress: bool = True,
) -> Search:
    """Search the parameters at which a function has its least value, by Optuna, and keep every evaluation at once.

    Call it again after an interruption and it goes on from where it was: the sampler, seeded, asks for the same points
    again, and those that are recorded are not computed again. So does a search with more trials. The trials depend on
    `seed` and `batch`, never on `n_jobs`, `backend` or the order in which evaluations finish.

    Parameters
    ----------
    function : callable
        ``function(**point)``, with ``seed=`` if it has a parameter of that name, as in `sweep`. It returns a number,
        or a dict of results one of which is `value`.
    space : dict
        For each parameter a pair ``(low, high)`` of floats, a list of choices (numbers, strings, bools, None), or a
        distribution of Optuna: ``optuna.distributions.FloatDistribution(1e-3, 1, log=True)``.
    n_trials : int
        How many points to try, those of earlier calls included.
    store : str or os.PathLike, optional
        Folder of the records, made if need be, which `load_sweep` reads too; by default nothing is kept.
    seed : int, optional
        Seed, below 2**32, of the sampler and of the evaluations, as in `sweep`: a point that is tried twice is
        evaluated once.
    repeats : int, optional
        Evaluations of each point, each with its own seed. The value of a trial is their mean.
    value : str, optional
        The result to search by, if the function returns several.
    maximise : bool, optional
        Whether to search the greatest value.
    sampler : callable, optional
        ``sampler(seed=seed)`` returns Optuna's sampler: a class such as ``optuna.samplers.RandomSampler``, or
        ``functools.partial(optuna.samplers.TPESampler, n_startup_trials=20)``. By default ``TPESampler``. Samplers
        that enumerate (``GridSampler``) are no use here: `sweep` does that.
    batch : int, optional
        Points that are asked for at a time, before any of their values is known. In parallel, more processes than this
        have nothing to do; in small batches the sampler knows more.
    n_jobs, backend, retry_failed, accept_changes, progress : optional
        As in `sweep`.

    Returns
    -------
    Search
        The best point and value, all records, and Optuna's study.

    Raises
    ------
    ImportError
        If Optuna is not installed.
    TypeError, ValueError
        If an argument is of no use, the function returns no number, or the store is of another search or sweep.
    OSError
        If the store cannot be written to.

    Warns
    -----
    UserWarning
        If evaluations raised errors, or the store is of another version of Optuna, which may ask for other points.

    Notes
    -----
    A trial of which an evaluation raises an error, or whose value is not finite, has failed: Optuna is told so.

    References
    ----------
    T. Akiba, S. Sano, T. Yanase, T. Ohta, M. Koyama, Optuna: a next-generation hyperparameter optimization framework,
    KDD (2019). J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, Algorithms for hyper-parameter optimization, NIPS (2011),
    for the sampler.

    Examples
    --------
    >>> import penstock
    >>> def bowl(x, y):
    ...     return (x - 1) ** 2 + (y + 2) ** 2
    >>> found = penstock.search(bowl, {"x": (-5, 5), "y": (-5, 5)}, n_trials=64, n_jobs=1)  # doctest: +SKIP
    >>> found.best_value < 0.1 and abs(found.best["x"] - 1) < 0.2  # doctest: +SKIP
    True
    """
    from penstock.sweep_run import run_tasks  # joblib is slow to import

    optuna = import_optuna()
    distributions = as_space(space)
    check_signature(function, tuple(distributions))
    n_trials, batch, repeats = as_int("n_trials", n_trials), as_int("batch", batch), as_int("repeats", repeats)
    seed = as_int("seed", seed, minimum=0)
    if seed > LARGEST_SEED:
        raise ValueError(f"seed must be at most {LARGEST_SEED}, got {seed}")
    flags = {"maximise": maximise, "retry_failed": retry_failed, "accept_changes": accept_changes, "progress": progress}
    check_options(n_jobs, **flags)
    made = _seeded(sampler, seed, optuna)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"value must be the name of a result, got {value!r}")
    parts = ingredients(function)
    manifest = {
        "kind": "search",
        "function": function_name(function),
        "code": parts,
        "python": python_version(),
        "parameters": sorted(distributions),
        "seed": seed,
        "repeats": repeats,
        "value": value,
        "maximise": maximise,
        "batch": batch,
        "space": {name: optuna.distributions.distribution_to_json(law) for name, law in distributions.items()},
        "sampler": _sampler_text(sampler),
        "optuna": optuna.__version__,
    }
    run = partial(run_tasks, function, fingerprint=summary(parts), n_jobs=n_jobs, backend=backend)
    with Store(as_folder(store)) as kept, _quiet(optuna):
        _tell_of_version(kept, optuna.__version__)
        study = optuna.create_study(direction="maximize" if maximise else "minimize", sampler=made)
        trials = _Trials(study, distributions, kept, manifest, run, retry_failed, accept_changes)
        try:
            for _ in track(trials.all(n_trials), n_trials, f"search of {manifest['function']}", progress):
                pass
        except KeyboardInterrupt:
            known = chain.from_iterable(trials.tasks)
            raise KeyboardInterrupt(where_it_stands(kept, known, n_trials * repeats)) from None
        result = trials.result()
    if result.failures:
        tell_of_failures(result.evaluations)
    return result


@dataclass
class _Trials:
    """The trials of a search: asked for in batches, evaluated, told in the order in which they were asked for."""

    study: Any
    distributions: dict[str, Any]
    kept: Store
    manifest: dict[str, Any]
    run: Callable[..., Generator[str, None, None]]
    retry_failed: bool
    accept_changes: bool
    tasks: list[list[Task]] = field(default_factory=list)
    grid: dict[str, dict] = field(default_factory=dict)  # of each point that was tried, its JSON
    settled: set[str] = field(default_factory=set)  # keys that need not be computed again

    def all(self, n_trials) -> Iterator[int]:
        """Make all trials, yielding the number of each."""
        batch = self.manifest["batch"]
        ordered = dict(sorted(self.distributions.items()))  # Optuna draws in this order, the user's means nothing
        for start in range(0, n_trials, batch):
            some = [self.study.ask(ordered) for _ in range(min(batch, n_trials - start))]
            for trial in some:
                point = {name: trial.params[name] for name in self.distributions}
                self.tasks.append(make_tasks(point, range(self.manifest["repeats"]), self.manifest["seed"]))
                tree = {name: encode(value, name) for name, value in point.items()}
                self.grid.setdefault(to_text(tree), tree)
            self.kept.settle(self._agreed)
            self.evaluate([task for tasks in self.tasks[start:] for task in tasks])
            for trial in some:
                self.tell(trial)
                yield trial.number

    def _agreed(self, old):
        """Return the manifest with the points that were asked for, after those of earlier calls, which it compares."""
        first = len(self.tasks) <= self.manifest["batch"]  # whether the function returns a `value` is not known yet
        new = self.manifest | ({"value": None} if first else {})
        if old is not None and old.get("kind") == "search":
            for key in SETTLED:
                if old[key] != self.manifest[key] and not (key == "value" and None in (old[key], self.manifest[key])):
                    raise ValueError(
                        f"store {str(self.kept.folder)!r} is of a search with {key} {old[key]!r}, got "
                        f"{self.manifest[key]!r}: choose another store"
                    )
            self.grid = {to_text(tree): tree for tree in old["grid"]} | self.grid
            old = old | {"value": old["value"] or new["value"]}
        return agreed(old, new | {"grid": list(self.grid.values())}, self.accept_changes, self.kept.folder)

    def evaluate(self, tasks):
        """Compute the tasks that have no record, each once."""
        wanted = {task.key: task for task in tasks if task.key not in self.settled}
        self.settled |= set(wanted)
        todo = [task for task in wanted.values() if is_open(self.kept.records.get(task.key), self.retry_failed)]
        with closing(self.run(todo, self.kept)) as keys:
            for _ in keys:
                pass

    def tell(self, trial):
        """Tell the mean over the repeats, or that the trial failed."""
        from optuna.trial import TrialState

        records = [self.kept.records[task.key] for task in self.tasks[trial.number]]
        results = [record["result"] for record in records if record["status"] == "ok"]
        values = [_number(result, self.manifest["value"]) for result in results]
        if len(values) == len(records) and all(map(math.isfinite, values)):
            self.study.tell(trial, math.fsum(values) / len(values))
        else:
            self.study.tell(trial, state=TrialState.FAIL)

    def result(self) -> Search:
        """Return what was found."""
        used = {to_text({n: encode(v, n) for n, v in tasks[0].point.items()}): tasks for tasks in self.tasks}
        manifest = {**self.manifest, "grid": [self.grid[text] for text in used]}
        evaluations = as_sweep(self.kept, manifest, list(chain.from_iterable(used.values())))
        name = self.manifest["value"] or (evaluations.values or ("value",))[0]
        trials = [[self.kept.records[task.key] for task in tasks] for tasks in self.tasks]
        return Search(self.study, trials, evaluations, self.manifest["maximise"], name)


def _number(result, name) -> float:
    """Return the result to search by."""
    if "trial" in result:
        raise ValueError("no result may be called 'trial', as a column of the table is")
    if name is None and len(result) > 1:
        raise ValueError(f"value must be the result to search by, one of {', '.join(map(repr, result))}, got None")
    if name is not None and name not in result:
        raise ValueError(f"value must be one of the results {', '.join(map(repr, result))}, got {name!r}")
    (number,) = result.values() if name is None else (result[name],)
    if isinstance(number, bool) or not isinstance(number, Real):
        raise TypeError(f"function must return a number to search by, got {number!r}")
    return float(number)


def _tell_of_version(kept, version):
    old = kept.read_manifest() or {}
    if old.get("optuna", version) != version:
        warnings.warn(
            f"store is of a search by Optuna {old['optuna']}, this is {version}: it may ask for other points, which "
            "are computed anew",
            stacklevel=3,
        )


def _seeded(sampler, seed, optuna):
    """Return a new sampler of Optuna."""
    if sampler is not None and not callable(sampler):
        raise TypeError(
            "sampler must be a class of optuna.samplers or a function of seed=, such as functools.partial("
            f"optuna.samplers.TPESampler, n_startup_trials=20), so that it can be seeded anew, got {sampler!r}"
        )
    made = (optuna.samplers.TPESampler if sampler is None else sampler)(seed=seed)
    if not isinstance(made, optuna.samplers.BaseSampler):
        raise TypeError(f"sampler must return a sampler of Optuna, got {made!r}")
    return made


def _sampler_text(sampler) -> list[str] | None:
    """Return what tells one sampler from another, in any process."""
    return None if sampler is None else [function_name(sampler), summary(ingredients(sampler))]


@contextmanager
def _quiet(optuna) -> Iterator[None]:
    """Keep Optuna's running commentary, not its warnings, out of a block; put its level back afterwards."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
