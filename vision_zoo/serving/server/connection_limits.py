"""Limits on the number of connections and on waiting for clients."""

import asyncio
import heapq
import operator
from collections.abc import Hashable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

MAX_UNSENT_BYTES = 64 * 2**20
"""Answers of all connections that wait in memory for their clients to read them."""

SPARE_CONNECTIONS = 16
"""Beyond the limit, for probes: a server that is busy must not be taken for one that is dead."""
SWEEP_SECONDS = 0.25
_SWEPT_AT_ONCE = 32

_SLOWEST_BYTES_PER_SECOND = 1024
_NEVER = float("inf")


class Timeouts:
    """Since when one client keeps the server waiting, and until when it may. Seconds of the event loop's clock."""

    def __init__(self) -> None:
        self.deadline = _NEVER
        self.waiting_since: float | None = None  # on the client to send; None while the server works
        self.unsent_since: float | None = None
        self._taken = 0

    def wait(self, now: float, seconds: float) -> None:
        """It is the client's turn, for so long."""
        self.waiting_since = now
        self.deadline = now + seconds

    def work(self) -> None:
        """It is the server's turn."""
        self.deadline, self.waiting_since = _NEVER, None

    def reads_too_slowly(self, now: float, *, written: int, unsent: int, seconds: float) -> bool:
        """Whether the client has taken next to nothing of its answers for so long.

        Args:
            now: the time.
            written: bytes of answers so far.
            unsent: of them, those that wait to be sent.
            seconds: that a client is given to take a part of them.
        """
        if not unsent:
            self.unsent_since = None
        elif self.unsent_since is None:
            self.unsent_since, self._taken = now, written - unsent
        elif now - self.unsent_since > seconds:
            taken = written - unsent
            if taken - self._taken < _SLOWEST_BYTES_PER_SECOND * (now - self.unsent_since):
                return True
            self.unsent_since, self._taken = now, taken
        return False


class Limited(Hashable, Protocol):
    """A connection, as far as its limits are concerned."""

    @property
    def stalled_since(self) -> float | None:
        """Since when the client keeps the server waiting; None if it does not."""

    def abort(self) -> None:
        """Close at once."""


class Room:
    """Makes room for new connections at the expense of those whose clients keep the server waiting longest."""

    def __init__(self) -> None:
        self._candidates: list[tuple[float, Limited]] = []  # those that wait longest come last
        self._calls_until_search = 0

    def make(self, connections: Set[Limited], newest: Limited) -> bool:
        """Close one of the connections but the newest: whether there was one whose client keeps the server waiting.

        Looking through all of them finds enough for many calls, or is not repeated for as many: with thousands of new
        connections a second, it would cost most.
        """
        if self._close_one(connections):
            return True
        if self._calls_until_search > 0:
            self._calls_until_search -= 1
            return False
        at_once = max(1, len(connections) // 4)
        stalled = [
            (since, connection)
            for connection in connections
            if (since := connection.stalled_since) is not None and connection is not newest
        ]
        self._candidates = heapq.nsmallest(at_once, stalled, key=operator.itemgetter(0))[::-1]
        if len(self._candidates) < at_once:
            self._calls_until_search = at_once
        return self._close_one(connections)

    def _close_one(self, connections: Set[Limited]) -> bool:
        while self._candidates:
            since, connection = self._candidates.pop()
            if connection in connections and connection.stalled_since == since:
                connection.abort()
                return True
        return False


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits of the connections of one process.

    Args:
        connections: open at once. When there are more, those whose clients keep the server waiting longest are closed.
        read_seconds: for a request's head, again for its body, and for a client to read a part of its answer; three
            times as long may pass between two requests.
        room: of all connections.
    """

    connections: int
    read_seconds: float
    room: Room = field(default_factory=Room)

    @property
    def idle_seconds(self) -> float:
        """Between two requests."""
        return 3 * self.read_seconds


async def sweep(connections: Iterable[Any]) -> None:
    """Look after slow clients, for ever. `connections` is uvicorn's set."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        now = loop.time()
        unsent = {}
        for number, connection in enumerate(list(connections)):
            unsent[connection] = connection.sweep(now)
            if number % _SWEPT_AT_ONCE == _SWEPT_AT_ONCE - 1:
                await asyncio.sleep(0)  # for probes
        excess = sum(unsent.values()) - MAX_UNSENT_BYTES
        for connection in sorted(unsent, key=lambda one: one.stalled_since or now) if excess > 0 else ():
            if excess > 0 and unsent[connection]:
                excess -= unsent[connection]
                connection.abort()
