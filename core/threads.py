"""Threads: one for linear algebra, whose sums would round differently, as many as there are cores for whole tasks."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from threading import Lock, get_ident, local
from typing import Any

from penstock.checks import as_int

__all__ = ["in_threads", "one_blas_thread", "thread_count", "use_threads"]


def one_blas_thread(function):
    """Decorate a function so that the linear algebra inside runs on one thread: same seed, same bits."""

    @wraps(function)
    def alone(*args, **kwargs):
        with _LIMIT:
            return function(*args, **kwargs)

    return alone


def thread_count() -> int:
    """Return how many threads a computation may use: results are the same bits with any number.

    It is the number given to `use_threads`, by this Python thread or else by another, else the environment variable
    NUMBA_NUM_THREADS, else the number of cores that this process may run on. Inside `in_threads` it is 1.
    """
    if getattr(_INSIDE, "busy", False):
        return 1
    chosen = list(_CHOSEN)  # another thread may add to it meanwhile
    own = [choice for choice in chosen if choice.thread == get_ident()]
    return (own or chosen)[-1].n_threads if chosen else _default_count()


@contextmanager
def use_threads(n_threads):
    """Let everything in a ``with`` block use at most `n_threads` threads; results do not depend on it.

    It holds for the process, except where another Python thread has made its own choice.

    Raises
    ------
    ValueError, TypeError
        If `n_threads` is not an integer of at least 1.

    Examples
    --------
    >>> with use_threads(1):
    ...     thread_count()
    1
    """
    choice = _Choice(as_int("n_threads", n_threads))
    _CHOSEN.append(choice)
    try:
        yield
    finally:
        _CHOSEN.remove(choice)  # not always the last: blocks of threads and generators overlap


def in_threads(function, parts: Iterable[tuple]) -> Iterator:
    """Yield ``function(*part) for part in parts`` in their order, computed in up to `thread_count` threads.

    It pays for kernels that release the interpreter (``nogil=True``). The first error of a part is raised.
    """
    parts = list(parts)
    n_threads = min(thread_count(), len(parts))
    if n_threads < 2:
        yield from (function(*part) for part in parts)
        return
    with _LIMIT, ThreadPoolExecutor(n_threads, initializer=_enter) as pool:
        yield from pool.map(lambda part: function(*part), parts)


class _Choice:
    """A number of threads, and who chose it; equal to itself only."""

    def __init__(self, n_threads):
        self.n_threads, self.thread = n_threads, get_ident()


_CHOSEN: list[_Choice] = []
_INSIDE = local()


def _enter():
    _INSIDE.busy = True


def _default_count() -> int:
    given = os.environ.get("NUMBA_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(int(given), cores)) if given.isdecimal() else cores


class _OneThread:
    """Hold the limit, which is the process's, from the first caller in to the last one out."""

    def __init__(self):
        self.lock, self.callers = Lock(), 0
        self.controller: Any = None  # made at first use, when the libraries are loaded
        self.limit: Any = None

    def __enter__(self):
        with self.lock:
            if self.controller is None:
                import scipy.linalg  # noqa: F401  loads the BLAS that kernels use, which the controller must see
                from threadpoolctl import ThreadpoolController

                self.controller = ThreadpoolController().select(user_api="blas")
            if self.callers == 0:
                self.limit = self.controller.limit(limits=1)
            self.callers += 1

    def __exit__(self, *error):
        with self.lock:
            self.callers -= 1
            if self.callers == 0:
                self._release()  # newer threadpoolctl obeys the thread that set the limit, which may not be this one
                self.limit.restore_original_limits()
                self._release()

    def _release(self):
        for library in self.controller.lib_controllers:
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)


_LIMIT = _OneThread()
