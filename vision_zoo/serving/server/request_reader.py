"""Read the requests of a connection, with limits on their size and number."""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.json_numbers import SHORT_BYTES
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
from vision_zoo.serving.server.transport import Flow

BETWEEN, HEAD, BODY = "between", "head", "body"
"""What of a request is read next; `BETWEEN` two of them, nothing has come."""

_STEP = 1024
"""Bytes that are parsed at a time, where they may hold more than one request."""
_LINE_STEP = 16 * 2**10
"""Where no line ends in them, and so no request: with each part, the parser copies what it has of a header."""
_SMALL_BYTES, _SMALL_READS = 1024, 16
"""A request that comes in more than so many smaller pieces is read no oftener than connections are swept."""
_MAX_HEAD_BYTES = MAX_TARGET_BYTES + MAX_HEADER_BYTES + 2**10


class RequestReader(HttpToolsProtocol):
    """uvicorn's protocol with limits that are checked where the bytes arrive, before there is a request.

    A subclass answers what is refused: nothing is read after it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reading = BETWEEN
        self._refusal: tuple[int, str] | None = None
        self._kept = memoryview(b"")  # requests that arrived before the one ahead of them was answered
        self._upgrading = False
        self._codings: bytes | None = None  # of the transfer encoding
        self._head_bytes = 0  # also those that the parser has not yet told of
        self._header_bytes = 0
        self._remaining: int | None = None  # of a body of known length
        self._small_reads = 0  # of one request

    def reads_body(self) -> bool:
        """Whether the next bytes belong to a body."""
        return self._reading is BODY

    def _refuse(self, reason: RequestError) -> None:
        """Set `_refusal`, and answer it."""
        raise NotImplementedError

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _is_unread(self) -> bool:
        """Whether a body is late because the server does not read it."""
        return self._reading is BODY and self._flow.waits_for_answer

    def _is_short_body_missing(self, cycle: RequestResponseCycle) -> bool:
        """Whether inference waits for the rest of a short body, which comes without a word from the server."""
        if not (cycle.more_body and cycle.keep_alive and cycle.scope["path"].endswith("/infer")):
            return False
        length = None if self._remaining is None else len(cycle.body) + self._remaining
        return length is not None and length <= SHORT_BYTES and not self.expect_100_continue

    # What asyncio calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = self._flow = Flow(transport)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        self._small_reads += len(data) < _SMALL_BYTES
        if self._kept:
            self._kept = memoryview(bytes(self._kept) + data)
        else:
            self._feed(memoryview(data))
        if self._small_reads > _SMALL_READS:
            self._flow.pace()

    def _feed_kept(self) -> None:
        """Go on with what was kept."""
        kept, self._kept = self._kept, memoryview(b"")
        self._feed(kept)

    def _feed(self, view: memoryview) -> None:
        while view and self._refusal is None:
            if self._reading is BETWEEN and self._is_answering():
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
            if self._reading is HEAD:
                self._head_bytes += len(part)
                if self._head_bytes > _MAX_HEAD_BYTES and self._refusal is None:
                    self._refuse(headers_too_large())

    def _next_size(self, view: memoryview) -> int:
        """How much to parse: not more than this request has, as far as that is known."""
        if self._reading is BODY:
            return self._remaining or _STEP
        head = bytes(view[:_STEP])
        end = head.find(b"\r\n\r\n")
        if end >= 0:
            return end + 4
        return _STEP if b"\n" in head or b"\n" in bytes(view[:_LINE_STEP]) else _LINE_STEP

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._reading = HEAD
        self._head_bytes = self._header_bytes = 0
        self._codings = None
        self._remaining = None
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_TARGET_BYTES:
            raise target_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) >= MAX_HEADERS:
            raise headers_too_large()
        if self._reading is BODY:
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
        super().on_headers_complete()
        self._reading = BODY
        self._header_bytes = 0  # its trailers are counted for themselves

    def on_body(self, body: bytes) -> None:
        if self._remaining is not None:
            self._remaining -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        super().on_message_complete()
        self._reading = BETWEEN
        self._small_reads = 0

    def _reason(self, error: httptools.HttpParserError) -> RequestError:
        if isinstance(error.__context__, RequestError):  # raised by one of the methods above
            return error.__context__
        if self._reading is BODY:
            return RequestError(400, "the body's chunks are malformed")
        return RequestError(400, "this is not an HTTP/1.1 request")

    def _without_upgrade(self) -> bytes:
        """The head again, as if nothing had been offered."""
        self._upgrading = False
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(RequestError(405, "this server is not a proxy"))
            return b""
        head = without_upgrade(method, self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return head
