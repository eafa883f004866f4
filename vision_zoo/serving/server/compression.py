"""Gzip compression of responses."""

import asyncio
import functools
import gzip
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALLEST_BYTES = 1000
_SHORTEST_LENGTH = len(str(SMALLEST_BYTES))
_INLINE_BYTES = 32 * 2**10
"""More is compressed in a thread: this much takes a millisecond."""
_LEVEL = 4
_MAX_THREADS = 2
_TYPES = (b"application/json", b"text/", b"application/javascript", b"image/svg+xml")


class Compression:
    """ASGI middleware that compresses text of known length; streams are left alone.

    While the threads are busy, large answers are sent as they are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _accepts_gzip(scope["headers"]):
            await self._app(scope, receive, send)
            return
        held: Message | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_text(message):
                held = message
                return
            if held is not None:
                start, held = held, None
                message = await self._compressed(start, message)
                await send(start)
            await send(message)

        await self._app(scope, receive, send_compressed)

    async def _compressed(self, start: Message, message: Message) -> Message:
        """The body's message, compressed if that pays; `start` says so then."""
        body = message.get("body", b"")
        if message.get("more_body", False) or len(body) < SMALLEST_BYTES:
            return message
        if len(body) <= _INLINE_BYTES:
            content = gzip.compress(body, _LEVEL, mtime=0)
        elif self._busy < _MAX_THREADS:
            self._busy += 1
            try:
                content = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
            finally:
                self._busy -= 1
        else:
            content = body
        start["headers"] = [*start["headers"], (b"vary", b"Accept-Encoding")]
        if len(content) >= len(body):
            return message
        start["headers"] = [
            *((name, value) for name, value in start["headers"] if name != b"content-length"),
            (b"content-encoding", b"gzip"),
            (b"content-length", str(len(content)).encode()),
        ]
        return {**message, "body": content}


def _is_text(start: Message) -> bool:
    """Whether an answer is text that may be compressed, and not known to be short."""
    kind = b""
    for name, value in start.get("headers", ()):
        if name == b"content-encoding" or (name == b"cache-control" and b"no-transform" in value):
            return False
        if name == b"content-length" and len(value) < _SHORTEST_LENGTH:
            return False
        if name == b"content-type":
            kind = value
    return start["status"] == 200 and kind.startswith(_TYPES) and not kind.startswith(b"text/event-stream")


def _accepts_gzip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether gzip is among the accepted encodings, and not with a weight of 0 (RFC 9110, 12.5.3)."""
    values = [value for name, value in headers if name == b"accept-encoding"]
    return bool(values) and _offers_gzip(b",".join(values))


@functools.lru_cache(maxsize=64)
def _offers_gzip(value: bytes) -> bool:
    weights: dict[bytes, bool] = {}
    for offer in value.lower().split(b","):
        coding, _, weight = offer.partition(b";")
        quantity = weight.strip().removeprefix(b"q=").strip()
        weights[coding.strip()] = not (quantity and not quantity.strip(b"0."))
    return weights.get(b"gzip", weights.get(b"x-gzip", weights.get(b"*", False)))
