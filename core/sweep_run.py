"""Run tasks in this process, in others or on a cluster, and record each the moment its result arrives."""

import os
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain, islice
from typing import Any

from joblib import Parallel, delayed, parallel_config
from joblib.parallel import ParallelBackendBase, get_active_backend

from penstock.dask_tasks import active_client, run_on_dask
from penstock.sweep_store import Store
from penstock.sweep_tasks import Task, as_record, run_tasks_here, takes_seed

__all__ = ["check_backend", "run_tasks"]

DEATHS = 3
"""Lost workers after which a task has failed; the last of them it had for itself."""
GROUP_SECONDS, LARGEST_GROUP = 0.05, 64
"""Tasks that are quicker travel in groups."""
SHORTEST_WAIT, LONGEST_WAIT = 0.02, 0.5
"""Seconds between two looks at what another process is still computing."""
PARENT_SECONDS = 1.0
"""Seconds between two looks of a worker at whether its parent is still there."""


def check_backend(backend) -> None:
    """Raise unless tasks can run on this backend of joblib, or on the active one if it is None.

    Raises
    ------
    TypeError
        If it is none.
    ValueError
        If joblib does not know it, it has no cluster, or it would wait for ever for a worker that died.
    """
    if backend is not None and not isinstance(backend, str | ParallelBackendBase):
        raise TypeError(f"backend must be the name of a backend of joblib, got {backend!r}")
    if active_client(backend) is not None:
        return
    with nullcontext() if backend is None else parallel_config(backend=backend):
        chosen, _ = get_active_backend()
    if type(chosen).__name__ == "MultiprocessingBackend":
        raise ValueError(
            'backend must not be "multiprocessing", which waits for ever for a worker that died: use "loky"'
        )


def run_tasks(
    function: Callable[..., Any],
    tasks: Iterable[Task],
    store: Store,
    *,
    fingerprint: str = "",
    n_jobs: int | None = 1,
    backend: Any = None,
) -> Generator[str, None, None]:
    """Compute tasks and record them in a store; yield the key of each one as soon as its record is there.

    What another process of the same store computes meanwhile is not computed here, but waited for. Exceptions of the
    function are recorded. Close the iterator to stop.

    Parameters
    ----------
    function : callable
        ``function(**point)``, with ``seed=`` if it has that parameter.
    tasks : iterable of Task
        What to compute, whether or not there are records already.
    store : Store
        Where to.
    fingerprint : str, optional
        What stands as ``function`` in the records.
    n_jobs, backend : optional
        As in `sweep`.

    Raises
    ------
    TypeError
        If a result cannot be stored.
    OSError
        If a record cannot be written.
    """
    check_backend(backend)
    pool = _Pool(partial(run_tasks_here, function), takes_seed(function), n_jobs, backend)
    work = _Work(store, fingerprint, {task.key: task for task in tasks})
    wait = SHORTEST_WAIT
    while work.pending:
        before = len(work.pending)
        with work:
            yield from work.round(pool)
        yield from work.done_elsewhere()
        if len(work.pending) < before or work.suspects():
            wait = SHORTEST_WAIT
        elif work.pending:  # all that is left is being computed elsewhere
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)


class _WorkersLost(Exception):
    """Worker processes died, computing some of the tasks that were sent."""


@dataclass
class _Work:
    """What is still to be done, and how often each task lost its worker."""

    store: Store
    fingerprint: str
    pending: dict[str, Task]
    sent: dict[str, Task] = field(default_factory=dict)
    deaths: Counter = field(default_factory=Counter)
    attempts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self.attempts = {key: self.store.attempts.get(key, 0) for key in self.pending}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for key in self.sent:
            self.store.release(key)
        self.sent.clear()

    def suspects(self) -> list[Task]:
        """Return the tasks that lost so many workers that each must be tried alone."""
        return [self.pending[key] for key, count in self.deaths.items() if count >= DEATHS - 1 and key in self.pending]

    def round(self, pool) -> Iterator[str]:
        """Compute everything that nobody else does, up to the end or the next loss of workers."""
        suspects = self.suspects()[:1]
        tasks = self._claimed(suspects or list(self.pending.values()))
        try:
            for task, outcome in pool.outcomes(tasks, careful=bool(self.deaths)):
                if isinstance(outcome, str):  # Dask lost several workers over it: next it is tried alone
                    self.deaths[task.key] = max(self.deaths[task.key] + 1, DEATHS - 1)
                    reason = outcome
                else:
                    self._record(task, outcome)
                    yield task.key
                yield from self._news()
        except _WorkersLost as lost:
            self.deaths.update(list(self.sent))
            reason = str(lost)
        for task in suspects:
            if self.deaths[task.key] >= DEATHS and task.key in self.sent:
                self._record(task, _given_up(reason))
                yield task.key

    def done_elsewhere(self) -> Iterator[str]:
        """Read what other processes have recorded, and yield the keys of it."""
        self.store.refresh()
        self.store.news.clear()
        for key in [key for key, task in self.pending.items() if not self._is_open(task)]:
            del self.pending[key]
            yield key

    def _news(self) -> Iterator[str]:
        while self.store.news:
            key = self.store.news.popleft()
            if key in self.pending and key not in self.sent:
                del self.pending[key]
                yield key

    def _claimed(self, tasks) -> Iterator[Task]:
        for task in tasks:
            if self._is_open(task) and self.store.claim(task.key):
                self.store.refresh()
                if self._is_open(task):
                    self.sent[task.key] = task
                    yield task
                else:
                    self.store.release(task.key)

    def _is_open(self, task) -> bool:
        return task.key in self.pending and self.store.attempts.get(task.key, 0) == self.attempts[task.key]

    def _record(self, task, outcome):
        if outcome["status"] == "unstorable":
            kind = ValueError if outcome["error"]["type"] == "ValueError" else TypeError
            raise kind(f"{outcome['error']['message']} (at {_shown(task)})")
        self.store.add(as_record(task, outcome, self.fingerprint))
        self.store.release(task.key)
        del self.sent[task.key], self.pending[task.key]


def _given_up(reason):
    text = f"its worker process died {DEATHS} times, at last with this task alone: {reason}"
    return {"status": "error", "result": None, "error": {"type": "WorkerLost", "message": text, "traceback": ""}}


def _shown(task):
    return ", ".join(f"{name}={value!r}" for name, value in task.point.items())


@dataclass
class _Pool:
    """Where tasks are computed: the chosen or active backend of joblib."""

    call: Callable[..., Any]
    seeded: bool
    n_jobs: int | None
    backend: Any
    seconds: float | None = None  # of a task, lately

    def outcomes(self, tasks: Iterator[Task], *, careful: bool) -> Iterator[tuple[Task, dict | str]]:
        """Yield what came of each task as it comes, or how its worker was lost.

        `tasks` is asked for more only as workers get free; if `careful`, only as many are sent as there are workers.
        """
        first = next(tasks, None)
        if first is None:
            return
        tasks = chain([first], tasks)
        client = active_client(self.backend)
        if client is not None:
            yield from self._on_dask(client, self._groups(tasks, quick=not careful))
            return
        with nullcontext() if self.backend is None else parallel_config(backend=self.backend):
            chosen, given = get_active_backend()
        n_jobs = self.n_jobs if self.n_jobs is not None else -1 if given is None else given
        width = chosen.effective_n_jobs(n_jobs)
        groups = self._groups(tasks, quick=width > 1 and not careful)
        settings = {"n_jobs": n_jobs, "backend": self.backend, "batch_size": 1, "max_nbytes": None}
        if chosen.supports_return_generator:
            ahead = "n_jobs" if careful else "2*n_jobs"
            parallel = Parallel(**settings, pre_dispatch=ahead, return_as="generator_unordered")
            yield from self._by_joblib(parallel, groups, width > 1)
        else:  # a backend that returns everything at its end: the end comes often
            while some := list(islice(groups, width)):
                yield from self._by_joblib(Parallel(**settings), some, width > 1)

    def _groups(self, tasks, quick) -> Iterator[list[Task]]:
        while True:
            size = int(GROUP_SECONDS / max(self.seconds, 1e-6)) if quick and self.seconds is not None else 1
            group = list(islice(tasks, min(max(size, 1), LARGEST_GROUP)))
            if not group:
                return
            yield group

    def _by_joblib(self, parallel, groups, alone):
        results: Any = None
        try:
            results = parallel(
                delayed(_with_tasks)(self.call, group, alone, self.seeded, os.getpid()) for group in groups
            )
            for group, outcomes in results:
                yield from self._timed(group, outcomes)
        except Exception as error:
            if type(error).__name__ != "TerminatedWorkerError":
                raise
            raise _WorkersLost(str(error).partition("\n")[0]) from None
        finally:
            if hasattr(results, "close"):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # joblib's about results that nobody took
                    results.close()

    def _on_dask(self, client, groups):
        results = run_on_dask(client, self.call, ((group, True, self.seeded) for group in groups))
        for (group, _, _), outcomes, error in results:
            if error is None:
                yield from self._timed(group, outcomes)
            elif type(error).__name__ == "KilledWorker":
                yield from ((task, str(error)) for task in group)
            else:
                raise error

    def _timed(self, group, outcomes):
        now = sum(outcome["seconds"] for outcome in outcomes) / len(group)
        self.seconds = now if self.seconds is None else 0.8 * self.seconds + 0.2 * now
        yield from zip(group, outcomes, strict=True)


def _with_tasks(call, group, alone, seeded, parent):
    if os.getppid() == parent:
        _end_with(parent)
    return group, call(group, alone, seeded)


@cache
def _end_with(parent):
    """End this worker when its parent is gone: nobody takes its results any more, and others may be computing them."""

    def watch():
        while os.getppid() == parent:  # which does not change on Windows
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
