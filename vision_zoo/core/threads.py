"""Work on several cores by threads, for functions that spend their time in libraries that release Python's lock."""

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from vision_zoo.core.environment import usable_cores

if TYPE_CHECKING:
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Results that each thread may be ahead of whoever takes them."""


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    is_long: Callable[[Item], bool] = lambda _: True,
) -> Iterator[Result]:
    """`function` of each item in their order, by a thread a core; `items` are taken as they are needed.

    Items that are not `is_long` are worked on by the caller: threads that take turns with Python's lock take longer.
    What `function` raises is raised where its result would come; then nothing more is begun.
    """
    threads = usable_cores()
    if threads == 1:
        yield from map(function, items)
        return
    # Here, since it costs every start of a command some milliseconds.
    from concurrent.futures import ThreadPoolExecutor

    running: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            if len(running) == _AHEAD * threads:
                yield running.popleft().result()
            if is_long(item):
                running.append(pool.submit(function, item))
                continue
            while running:
                yield running.popleft().result()
            yield function(item)
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_parts(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """The items in parts of `size`, the last one of what is left."""
    remaining = iter(items)
    while part := tuple(islice(remaining, size)):
        yield part


class _Filters:
    """The filters of warnings, which are the same for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ignoring = 0
        self._former = warnings.catch_warnings()

    def ignore(self) -> None:
        with self._lock:
            if not self._ignoring:
                self._former = warnings.catch_warnings()
                self._former.__enter__()
                warnings.simplefilter("ignore")
            self._ignoring += 1

    def restore(self) -> None:
        with self._lock:
            self._ignoring -= 1
            if not self._ignoring:
                self._former.__exit__(None, None, None)


_FILTERS = _Filters()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore warnings until no thread wants it; with `warnings.catch_warnings` one may restore what another has set."""
    _FILTERS.ignore()
    try:
        yield
    finally:
        _FILTERS.restore()
