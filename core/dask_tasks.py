"""Independent tasks on a Dask cluster, through joblib's choice of backend but Dask's own client.

joblib's Dask backend tells nobody when Dask gives a task up, because it lost a worker every time: the caller would wait
for ever. Dask's client reports such a task as failed, like any other.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

__all__ = ["active_client", "run_on_dask"]

TASKS_PER_CORE = 8  # under way at a time: cores never wait, a growing cluster sees that there is more to do
LEAST_TASKS = 64


def active_client(backend=None) -> Any:
    """Return the Dask client of a joblib backend, by default the active one; None if that is not Dask.

    Raises
    ------
    ImportError
        If Dask is not installed.
    ValueError
        If Dask is asked for and there is no client.
    """
    if backend is None:
        from joblib.parallel import get_active_backend

        backend, _ = get_active_backend()
    if backend != "dask":
        return backend.client if type(backend).__name__ == "DaskDistributedBackend" else None
    try:
        from distributed import get_client
    except ImportError as error:
        raise ImportError('the backend "dask" needs Dask: pip install "penstock[dask]"') from error
    try:
        return get_client()
    except ValueError:
        raise ValueError(
            'backend must have a cluster to be "dask", got none: first make one, such as '
            "client = distributed.Client() for this machine"
        ) from None


def run_on_dask(client, call: Callable[..., Any], tasks: Iterable[tuple]) -> Iterator[tuple[tuple, Any, Any]]:
    """Yield ``(task, call(*task), None)`` of every task as it finishes, ``(task, None, error)`` of one that failed.

    Dask runs a task anew if its worker is lost, by default three times; then the task has failed. What is under way is
    cancelled if the caller stops.
    """
    from distributed import as_completed

    tasks = iter(tasks)
    under_way: dict[Any, tuple] = {}
    finished = as_completed(with_results=True, raise_errors=False, loop=client.loop)

    def submit(count):
        for task in islice(tasks, count):
            future = client.submit(call, *task, pure=False)
            under_way[future] = task
            finished.add(future)

    try:
        submit(_window(client))
        for future, result in finished:
            if future.status not in ("finished", "error"):
                raise RuntimeError(f"Dask gave up the tasks under way ({future.status}): is the cluster still there?")
            task, failed = under_way.pop(future), future.status == "error"
            future.release()
            submit(max(0, _window(client) - len(under_way)))  # a cluster shrinks, too
            yield (task, None, result[1]) if failed else (task, result, None)
    finally:
        client.cancel(list(under_way), force=True)


def _window(client) -> int:
    return max(LEAST_TASKS, TASKS_PER_CORE * sum(client.ncores().values()))
