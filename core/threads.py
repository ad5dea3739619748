"""One BLAS thread: sums split over threads round differently, and small matrices only wait for the second."""

from functools import cache, wraps

__all__ = ["one_blas_thread"]


def one_blas_thread(function):
    """Decorate a function so that the linear algebra inside runs on one thread: same seed, same bits.

    The limit is the process's. Where several Python threads overlap, threadpoolctl lets the first one set it.
    """

    @wraps(function)
    def alone(*args, **kwargs):
        with _controller().limit(limits=1):
            return function(*args, **kwargs)

    return alone


@cache
def _controller():
    import scipy.linalg  # noqa: F401  loads the BLAS that kernels use, which the controller must see
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
