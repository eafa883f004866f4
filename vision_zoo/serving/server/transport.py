"""Transport between the event loop and a connection: bounded reads, counted responses, turns."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

TURNS = "turns"
"""Where a request's state has those of its server."""

_READ_BYTES = 64 * 2**10
_HEAD_BYTES = 16 * 2**10
"""Read at a time where a head is expected: most of a body is read when its request's turn has come."""
_STARTS_A_ROUND = 4


class Reader(asyncio.BufferedProtocol):
    """Hands a connection what arrives, in pieces of bounded size: else one client's fill the memory.

    Args:
        connection: that reads.
        reads_body: whether it is reading a body now.
    """

    _buffer = memoryview(bytearray(_READ_BYTES))  # one for all: what is in it is copied at once

    _head_buffer = _buffer[:_HEAD_BYTES]

    def __init__(self, connection: asyncio.Protocol, reads_body: Callable[[], bool]) -> None:
        self._connection = connection
        self._reads_body = reads_body
        self.connection_made = connection.connection_made  # type: ignore[method-assign]
        self.connection_lost = connection.connection_lost  # type: ignore[method-assign]
        self.pause_writing = connection.pause_writing  # type: ignore[method-assign]
        self.resume_writing = connection.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._buffer if self._reads_body() else self._head_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._connection.data_received(bytes(self._buffer[:nbytes]))


class Flow(FlowControl):
    """Reads on only when the answer, the connection and the pace all allow it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._paused = False  # by an answer that has not read what is there
        self._held = False  # by requests that are to be answered first
        self._paced = False

    @property
    def waits_for_answer(self) -> bool:
        """Whether nothing is read because an answer has not read what is there."""
        return self._paused

    def pause_reading(self) -> None:
        self._paused = True
        super().pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        self._read_on()

    def hold(self) -> None:
        """Read nothing more until `release`."""
        self._held = True
        super().pause_reading()

    def release(self) -> None:
        """Read on, whatever an answer asked for."""
        self._held = self._paused = False
        self._read_on()

    def pace(self) -> None:
        """Read nothing more until `unpace`: what comes in small pieces is then read at once."""
        self._paced = True
        super().pause_reading()

    def unpace(self) -> None:
        self._paced = False
        self._read_on()

    def _read_on(self) -> None:
        if not (self._paused or self._held or self._paced):
            super().resume_reading()


class Answering:
    """The part of a transport that answers use: it counts the bytes, and closes when the request was read."""

    __slots__ = ("_transport", "_write", "close", "written")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self._write = transport.write
        self.close = close
        self.written = 0

    def write(self, content: bytes) -> None:
        self.written += len(content)
        self._write(content)

    def forget(self) -> None:
        """Let go of the connection: else there is a cycle, whose memory is freed late."""
        self.close = _do_nothing

    def is_closing(self) -> bool:
        return self._transport.is_closing()


def _do_nothing() -> None:
    pass


class Turns:
    """Starts or ends a few requests in each round of the event loop: many cheap ones must not delay a probe's answer."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[object, Callable[[], None]] = OrderedDict()
        self._started = 0
        self._scheduled = False

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    def take(self, loop: asyncio.AbstractEventLoop, owner: object, start: Callable[[], None]) -> bool:
        """Call `start` now, or when those before it have been called; `owner` waits for one call at a time.

        Returns:
            whether it has been called.
        """
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._next_round, loop)
        if self._started < _STARTS_A_ROUND and not self._waiting:
            self._started += 1
            start()
            return True
        self._waiting[owner] = start
        return False

    async def come(self) -> None:
        """Wait for a turn."""
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self.take(loop, turn, lambda: None if turn.done() else turn.set_result(None))
        try:
            await turn
        finally:
            self.leave(turn)

    def leave(self, owner: object) -> None:
        """Nobody wants the owner's call any more."""
        self._waiting.pop(owner, None)

    def _next_round(self, loop: asyncio.AbstractEventLoop) -> None:
        self._started = min(_STARTS_A_ROUND, len(self._waiting))
        for _ in range(self._started):
            _, start = self._waiting.popitem(last=False)
            start()
        self._scheduled = self._started > 0
        if self._scheduled:
            loop.call_soon(self._next_round, loop)
