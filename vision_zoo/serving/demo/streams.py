"""Limits on open streams, per session and in total."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vision_zoo.serving.server.errors import RequestError

_OF_ONE = 32
_OF_ALL = 1024


class Streams:
    """Streams of one kind that are open; for one event loop."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def count(self, session: str) -> int:
        return self._open.get(session, 0)

    @contextmanager
    def opened(self, session: str) -> Iterator[None]:
        """Count a stream as long as it is open; RequestError if the session has too many (429), or all together (503)."""
        retry = {"Retry-After": "1"}
        if self.count(session) >= _OF_ONE:
            raise RequestError(429, "this session has too many streams open; close some first", retry)
        if self._open.total() >= _OF_ALL:
            raise RequestError(503, "the server has too many streams open; try again later", retry)
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
