"""One BLAS thread: sums split over threads round differently, and small matrices only wait for the second."""

from functools import wraps
from threading import Lock
from typing import Any

__all__ = ["one_blas_thread"]


def one_blas_thread(function):
    """Decorate a function so that the linear algebra inside runs on one thread: same seed, same bits."""

    @wraps(function)
    def alone(*args, **kwargs):
        with _LIMIT:
            return function(*args, **kwargs)

    return alone


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
