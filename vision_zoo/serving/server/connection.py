"""A client connection: start of requests, responses without the application, and closing."""

import asyncio
import functools
from collections.abc import Callable, Iterable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from vision_zoo.serving.server.connection_limits import SPARE_CONNECTIONS, ConnectionLimits, Timeouts
from vision_zoo.serving.server.errors import REFUSAL, RequestError
from vision_zoo.serving.server.middleware import no_connection_left, refusal
from vision_zoo.serving.server.request_reader import BETWEEN, BODY, HEAD, RequestReader
from vision_zoo.serving.server.transport import TURNS, Answering, Turns

_LINGER_SECONDS = 1.0
_BODY_GRACE_SECONDS = 2.0
"""A late body is answered 408 by whoever reads it; the connection is closed where nobody does."""
_BODY_FOLLOWS_SECONDS = 0.01
"""Clients send a head and its short body apart: so long, the request is started only when it is complete."""
_PROBES = frozenset({"/v2/health/live", "/v2/health/ready"})
Inline = Callable[[Scope, bytes, Iterable[tuple[bytes, bytes]]], bytes | None]
_BEGINNING_OF_A_PROBE = b"GET /v2/health/"


class Connection(RequestReader):
    """One client's connection.

    Args:
        limits: of this and all other connections.
        turns: of the requests of all connections.
        refused: told the status and the message of an answer to what is no request.
        inline: answers some requests that have arrived, given their body and the server's headers; None for others.
    """

    def __init__(
        self,
        *arguments: Any,
        limits: ConnectionLimits,
        turns: Turns,
        refused: Callable[[int, str], None],
        inline: Inline | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._refused = refused
        self._turns = turns
        self._inline = inline
        self._unstarted: tuple[RequestResponseCycle, Any] | None = None
        self._start_late: asyncio.TimerHandle | None = None
        self._is_spare = self._stopping = self._closing = False
        self._first = self._is_new = True
        self._timeouts = Timeouts()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._socket = transport
        self._answering = Answering(transport, self._close_when_read)
        self.transport = cast(asyncio.Transport, self._answering)
        self._wait(self._limits.read_seconds)
        if len(self.connections) > self._limits.connections:
            connections = cast("set[Connection]", self.connections)
            if not self._limits.room.make(connections, self):
                self._is_spare = True
                if len(connections) > self._limits.connections + SPARE_CONNECTIONS:
                    self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        super().connection_lost(exc)
        # Nothing of this connection is kept for a request that is not answered yet, nor by a cycle of references.
        self._turns.leave(self)
        self.cycle = cast(Any, None)
        self.pipeline.clear()
        self._unstarted = None
        if self._start_late is not None:
            self._start_late.cancel()
            self._refused(499, "the client closed the connection")
        self._kept = memoryview(b"")
        self._answering.forget()

    def data_received(self, data: bytes) -> None:
        """Take what arrives. Where there are many connections, a new one is read in its turn, but for a probe."""
        is_new, self._is_new = self._is_new, False
        crowded = is_new and 2 * len(self.connections) > self._limits.connections
        if crowded and not data.startswith(_BEGINNING_OF_A_PROBE):
            self._kept = memoryview(data)
            self._flow.hold()
            self._turns.take(self.loop, self, self._begin)
            return
        super().data_received(data)

    def _begin(self) -> None:
        self._flow.release()
        self._feed_kept()

    # What the parser calls.

    def on_message_begin(self) -> None:
        if not self._first:
            self._wait(self._limits.read_seconds)
        self._first = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._reading is BODY:
            self.scope["state"][TURNS] = self._turns
            self._wait(self._limits.read_seconds + _BODY_GRACE_SECONDS)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._reading is not BETWEEN:  # but offers an upgrade
            return
        if self._closing:
            self._socket.close()
        elif self.cycle.response_complete:
            self._wait(self._limits.idle_seconds)
        else:
            self._timeouts.work()

    # What the answers call.

    def on_response_complete(self) -> None:
        """The next request's turn; without uvicorn's timer, which any byte would disarm."""
        self.server_state.total_requests += 1
        if self._closing:
            self._flow.release()
            return
        if self._stopping:
            self._close()
            return
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            self._take_turn()
            return
        self._flow.release()
        if self._refusal is not None:
            if self._reading is BODY:
                self._close_when_read()
            else:
                self._answer_refusal(*self._refusal)
            return
        if self._reading is BETWEEN:
            self._wait(self._limits.idle_seconds)
        if self._kept:
            self._feed_kept()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        is_probe = cycle.scope["path"] in _PROBES
        if self._is_spare and not is_probe:
            app = no_connection_left
        if self._is_spare or is_probe:
            super()._start_asgi_task(cycle, app)
        else:
            self._unstarted = cycle, app

    def _feed(self, view: memoryview) -> None:
        """Parse what has arrived, and take a turn for the request that has begun in it, if there is one."""
        super()._feed(view)
        self._take_turn()

    def _take_turn(self) -> None:
        missing = self._unstarted is not None and self._is_short_body_missing(self._unstarted[0])
        if self._inline is None or not missing:
            self._take_turn_now()
        elif self._start_late is None:
            self._flow.release()  # the request before may have paused it
            self._start_late = self.loop.call_later(_BODY_FOLLOWS_SECONDS, self._take_turn_now)

    def _take_turn_now(self) -> None:
        if self._start_late is not None:
            self._start_late.cancel()
            self._start_late = None
        if self._unstarted is not None:
            (cycle, app), self._unstarted = self._unstarted, None
            start = functools.partial(self._start, cycle, app)
            if not self._turns.take(self.loop, self, start) and cycle.more_body:
                self._flow.hold()

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not self._kept:
            self._flow.release()
        if not self._answer_inline(cycle):
            super()._start_asgi_task(cycle, app)

    def _answer_inline(self, cycle: RequestResponseCycle) -> bool:
        """Answer a request that is short, has arrived and is well, if that is possible at once."""
        is_open = not (self._stopping or self._closing or self._flow.write_paused)
        if self._inline is None or cycle.more_body or not cycle.keep_alive or not is_open:
            return False
        answer = self._inline(cast(Scope, cycle.scope), bytes(cycle.body), self.server_state.default_headers)
        if answer is None:
            return False
        cycle.response_started = cycle.response_complete = True
        self._answering.write(answer)
        self.on_response_complete()
        return True

    def _close_when_read(self) -> None:
        """Close; where a body is still arriving, only then: the answer would be lost with the connection's end."""
        if self._closing:
            return
        self._closing = True
        if self._reading is BODY:
            self._flow.release()
            self._socket.write_eof()
            if self._refusal is not None:  # nobody will know where the body ends
                self._wait(_LINGER_SECONDS)
        else:
            self._socket.close()

    def _refuse(self, reason: RequestError) -> None:
        """Answer what is no request, after the requests before it; nothing more is read.

        Where only the body is malformed there is a request: its handler answers, unless it has done so already.
        """
        self._refusal = (reason.status, reason.message)
        if self._reading is BODY:
            self.scope["state"][REFUSAL] = self._refusal
            if self._is_answering():
                self.cycle.message_event.set()
            else:
                self._close_when_read()
        elif not self._is_answering():
            self._answer_refusal(*self._refusal)

    def _answer_refusal(self, status: int, message: str) -> None:
        if self._closing:
            return
        self._closing = True
        self._socket.write(refusal(status, message, self.server_state.default_headers))
        self._socket.write_eof()
        self.flow.pause_reading()  # what else is sent need not be looked at
        self._wait(_LINGER_SECONDS)
        self._refused(status, message)

    # What the server calls.

    def shutdown(self) -> None:
        """Close when the request that has begun is answered; a stream that may never end is given a moment."""
        self._stopping = True
        if not self._is_answering():
            self._close()
            return
        self.cycle.keep_alive = False
        if self.cycle.response_started:
            soon = self.loop.time() + _LINGER_SECONDS
            self._timeouts.deadline = min(self._timeouts.deadline, soon)

    def sweep(self, now: float) -> int:
        """Close the connection if its client is too slow: the bytes that wait to be sent."""
        self._flow.unpace()
        unsent = self._socket.get_write_buffer_size()
        written, seconds = self._answering.written, self._limits.read_seconds
        if self._timeouts.reads_too_slowly(now, written=written, unsent=unsent, seconds=seconds):
            self.abort()
            return 0
        if now > self._timeouts.deadline:
            self._overdue(now)
        return unsent

    def abort(self) -> None:
        """Close at once, and forget what was not sent."""
        self._closing = True
        self.connections.discard(self)
        self._socket.abort()

    @property
    def stalled_since(self) -> float | None:
        """Since when the client keeps the server waiting, by sending or reading slowly; None if it does not."""
        if self._timeouts.unsent_since is not None:
            return self._timeouts.unsent_since
        return None if self._is_unread() else self._timeouts.waiting_since

    def _overdue(self, now: float) -> None:
        if self._closing:
            self.abort()
        elif self._is_unread():
            self._timeouts.deadline = now + self._limits.read_seconds
        elif self._reading is HEAD and not self._is_answering():
            seconds = self._limits.read_seconds
            self._refuse(RequestError(408, f"the request's head was not sent within {seconds:g} s"))
        else:
            self._close()

    def _close(self) -> None:
        """Close when all is sent, within a moment."""
        self._closing = True
        self._socket.close()
        self._wait(_LINGER_SECONDS)

    def _wait(self, seconds: float) -> None:
        """The client's turn, for so long."""
        self._timeouts.wait(self.loop.time(), seconds)
