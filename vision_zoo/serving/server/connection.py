"""An HTTP/1.1 connection with limits: how much a client may send, and how slowly it may send and read.

uvicorn's protocol does the HTTP. What is added here is checked where the bytes arrive, before there is a request.
"""

import asyncio
import functools
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from vision_zoo.serving.server.connection_limits import (
    SPARE_CONNECTIONS,
    ConnectionLimits,
    Timeouts,
    make_room,
)
from vision_zoo.serving.server.errors import REFUSAL, RequestError
from vision_zoo.serving.server.middleware import send_error
from vision_zoo.serving.server.request_head import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_TARGET_BYTES,
    check_transfer_encoding,
    check_version,
    headers_too_large,
    split_target,
    target_too_large,
    without_upgrade,
)
from vision_zoo.serving.server.transport import Answering, Flow, Turns

_LINGER_SECONDS = 1.0
_BODY_GRACE_SECONDS = 2.0
"""A late body is answered 408 by whoever reads it; the connection is closed where nobody does."""
_PROBES = frozenset({"/v2/health/live", "/v2/health/ready"})
_STEP = 1024
"""Bytes that are parsed at a time, where they may hold more than one request."""

_BETWEEN, _HEAD, _BODY = "between", "head", "body"


class Connection(HttpToolsProtocol):
    """One client's connection.

    Args:
        limits: of this and all other connections.
        turns: of the requests of all connections.
        refused: told the status and the message of an answer to what is no request.
    """

    def __init__(
        self,
        *arguments: Any,
        limits: ConnectionLimits,
        turns: Turns,
        refused: Callable[[int, str], None],
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._limits = limits
        self._refused = refused
        self._turns = turns
        self._refusal: tuple[int, str] | None = None
        self._is_spare = False
        self._stopping = False
        self._closing = False
        self._reading = _BETWEEN
        self._kept = memoryview(b"")  # requests that arrived before the one ahead of them was answered
        self._upgrading = False
        self._codings: bytes | None = None  # of the transfer encoding
        self._head_bytes = 0
        self._remaining: int | None = None  # of a body of known length
        self._first = True
        self._timeouts = Timeouts()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = Flow(transport)
        self._socket = transport
        self._answering = Answering(transport, self._close_when_read)
        self.transport = cast(asyncio.Transport, self._answering)
        self._wait(self._limits.read_seconds)
        if len(self.connections) > self._limits.connections:
            others = cast("set[Connection]", self.connections) - {self}
            if not make_room(others, max(1, self._limits.connections // 32)):
                self._is_spare = True
                if len(self.connections) > self._limits.connections + SPARE_CONNECTIONS:
                    self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        super().connection_lost(exc)
        # Nothing of this connection is kept for a request that is not answered yet, nor by a cycle of references.
        self._turns.leave(self)
        self.cycle = cast(Any, None)
        self.pipeline.clear()
        self._kept = memoryview(b"")
        self._answering.forget()

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        if self._kept:
            self._kept = memoryview(bytes(self._kept) + data)
        else:
            self._feed(memoryview(data))

    def _feed(self, view: memoryview) -> None:
        while view and self._refusal is None:
            if self._reading is _BETWEEN and self._is_answering():
                self._kept = view
                self._flow.hold()
                return
            size = self._next_size(view)
            part, view = view[:size], view[size:]
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade as upgrade:
                view = memoryview(self._without_upgrade() + bytes(part[upgrade.args[0] :]) + bytes(view))
            except httptools.HttpParserError as error:
                self._refuse(self._reason(error))
            if self._reading is _HEAD:
                self._head_bytes += len(part)  # also what the parser has not yet told of
                if self._head_bytes > 2 * (MAX_HEADER_BYTES + MAX_TARGET_BYTES):
                    self._refuse(headers_too_large())

    def _next_size(self, view: memoryview) -> int:
        """How much to parse: not more than this request has, as far as that is known."""
        if self._reading is _BODY:
            return self._remaining or _STEP
        end = bytes(view[:_STEP]).find(b"\r\n\r\n")
        return _STEP if end < 0 else end + 4

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._reading = _HEAD
        self._head_bytes = 0
        self._codings = None
        self._remaining = None
        if not self._first:
            self._wait(self._limits.read_seconds)
        self._first = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_TARGET_BYTES:
            raise target_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > MAX_HEADER_BYTES or len(self.headers) >= MAX_HEADERS:
            raise headers_too_large()
        if self._reading is _BODY:
            return  # a trailer, which must not pass for a header
        name = name.lower()
        if name == b"content-length":
            self._remaining = int(value[:20])
        elif name == b"transfer-encoding":
            self._codings = value if self._codings is None else self._codings + b"," + value
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        check_version(version)
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        if self._codings is not None:
            check_transfer_encoding(version, self._codings)
        if not self.url.startswith(b"/"):
            authority, self.url = split_target(self.url)
            self.headers[:] = [(name, value) for name, value in self.headers if name != b"host"]
            self.headers.append((b"host", authority))
        self._wait(self._limits.read_seconds + _BODY_GRACE_SECONDS)
        super().on_headers_complete()
        self._reading = _BODY
        self._head_bytes = 0

    def on_body(self, body: bytes) -> None:
        if self._remaining is not None:
            self._remaining -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        super().on_message_complete()
        self._reading = _BETWEEN
        if self._closing:
            self._socket.close()
        elif self.cycle.response_complete:
            self._wait(self._limits.idle_seconds)
        else:
            self._timeouts.work()

    def _reason(self, error: httptools.HttpParserError) -> RequestError:
        if isinstance(error.__context__, RequestError):  # raised by one of the methods above
            return error.__context__
        if self._reading is _BODY:
            return RequestError(400, "the body's chunks are malformed")
        return RequestError(400, "this is no HTTP/1.1 request")

    def _without_upgrade(self) -> bytes:
        """The head again, as if nothing had been offered."""
        self._upgrading = False
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(RequestError(405, "this server is no proxy"))
            return b""
        head = without_upgrade(method, self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return head

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
            return
        self._flow.release()
        if self._refusal is not None:
            if self._reading is _BODY:
                self._close_when_read()
            else:
                self._answer_refusal(*self._refusal)
            return
        if self._reading is _BETWEEN:
            self._wait(self._limits.idle_seconds)
        if self._kept:
            kept, self._kept = self._kept, memoryview(b"")
            self._feed(kept)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        is_probe = cycle.scope["path"] in _PROBES
        if self._is_spare and not is_probe:
            app = _no_connection_left
        start = functools.partial(super()._start_asgi_task, cycle, app)
        if self._is_spare or is_probe:
            start()
        else:
            self._turns.take(self.loop, self, start)

    def _close_when_read(self) -> None:
        """Close; where a body is still arriving, only then: the answer would be lost with the connection's end."""
        if self._closing:
            return
        self._closing = True
        if self._reading is _BODY:
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
        if self._reading is _BODY:
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
        body = json.dumps({"error": message}).encode()
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(),
            *(name + b": " + value for name, value in self.server_state.default_headers),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"x-content-type-options: nosniff",
            b"connection: close",
        ]
        self._closing = True
        self._socket.write(b"\r\n".join([*lines, b"", body]))
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
        """Since when the client keeps the server waiting, by sending or reading slowly; None where it does not."""
        if self._timeouts.unsent_since is not None:
            return self._timeouts.unsent_since
        return None if self._is_unread() else self._timeouts.waiting_since

    def _overdue(self, now: float) -> None:
        if self._closing:
            self.abort()
        elif self._is_unread():
            self._timeouts.deadline = now + self._limits.read_seconds
        elif self._reading is _HEAD and not self._is_answering():
            seconds = self._limits.read_seconds
            self._refuse(RequestError(408, f"the request's head was not sent within {seconds:g} s"))
        else:
            self._close()

    def _close(self) -> None:
        """Close when all is sent, within a moment."""
        self._closing = True
        self._socket.close()
        self._wait(_LINGER_SECONDS)

    def _is_unread(self) -> bool:
        """Whether a body is late because the server does not read it."""
        return self._reading is _BODY and self.flow.read_paused

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _wait(self, seconds: float) -> None:
        """The client's turn, for so long."""
        self._timeouts.wait(self.loop.time(), seconds)


async def _no_connection_left(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = {"Connection": "close", "Retry-After": "1"}
    await send_error(send, RequestError(503, "the server has no connection left; try again later", headers))
