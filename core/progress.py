"""A progress bar that shows itself only when the wait is long."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["track"]

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int, what: str, progress: bool = True) -> Iterator[Item]:
    """Yield `items`, with a tqdm bar named `what` once two seconds have passed."""
    if not progress:
        yield from items
        return
    from tqdm.auto import tqdm

    yield from tqdm(items, total=total, desc=what, delay=2.0, leave=False)
