"""Reading a request's body within limits: bytes, time, what it grows to when it is decompressed, and the sum of all."""

import asyncio
import contextlib
import zlib
from collections.abc import Iterator
from typing import cast

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from vision_zoo.serving.server.errors import RequestError

BODIES_BYTES = 96 * 2**20
"""All bodies that are read, wait or are worked on may take so much memory together."""

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_INLINE_BYTES = 256 * 2**10
"""More than so many bytes are joined or decompressed in threads, not on the event loop."""


class MemoryBudget:
    """Bytes that all requests share; for one event loop."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.taken = 0

    def take(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            RequestError: there are not so many left (503).
        """
        if self.taken + size > self._max_bytes:
            raise RequestError(
                503,
                "the server holds as many requests as fit its memory; try again later",
                {"Retry-After": "1", "Connection": "close"},
            )
        self.taken += size

    def give_back(self, size: int) -> None:
        """Count `size` bytes less."""
        self.taken -= size

    @contextlib.contextmanager
    def lent_to(self, scope: Scope) -> Iterator[None]:
        """Let a request's body take of the budget; all of it is given back when the request ends."""
        held = _Held(self)
        scope["state"]["body"] = held
        try:
            yield
        finally:
            held.give_back(held.size)


class _Held:
    """What one request has taken of the budget."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size = 0

    def take(self, size: int) -> None:
        self._budget.take(size)
        self.size += size

    def give_back(self, size: int) -> None:
        self._budget.give_back(size)
        self.size -= size


async def read_body(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """The whole body, decompressed; else as `read_parts`."""
    parts = await read_parts(request, max_bytes=max_bytes, seconds=seconds)
    if sum(map(len, parts)) <= _INLINE_BYTES:
        return b"".join(parts)
    return await asyncio.to_thread(b"".join, parts)  # which leaves the interpreter's lock to others


async def read_parts(request: Request, *, max_bytes: int, seconds: float) -> list[bytes]:
    """The body, decompressed, in parts. It counts against the `MemoryBudget` until the request ends.

    Raises:
        RequestError: it is larger than `max_bytes` (413), in an encoding that is not understood (415), damaged
            (400), was not sent within `seconds` (408), or the budget is used up (503).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _WINDOW_BITS:
        raise RequestError(
            415, f"content encoding {encoding[:40]!r} is not understood; expected gzip or deflate"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    held = cast(_Held, request.scope["state"]["body"])
    try:
        async with asyncio.timeout(seconds):
            parts = await _collect(request, max_bytes, held)
    except TimeoutError as error:
        raise RequestError(
            408, f"the body was not sent within {seconds:g} s", {"Connection": "close"}
        ) from error
    except ClientDisconnect as error:
        raise RequestError(499, "the client closed the connection") from error
    if encoding == "identity":
        return parts
    size = held.size
    content = await _decompressed(parts, _WINDOW_BITS[encoding], max_bytes, held)
    held.give_back(size)
    return content


async def _collect(request: Request, max_bytes: int, held: _Held) -> list[bytes]:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        held.take(len(part))
        parts.append(part)
    return parts


async def _decompressed(parts: list[bytes], window_bits: int, max_bytes: int, held: _Held) -> list[bytes]:
    decompressor = zlib.decompressobj(window_bits)
    content: list[bytes] = []
    size = 0
    try:
        for compressed in parts:
            rest = compressed
            while rest and not decompressor.eof:
                # A little at a time: a bomb never fills the memory, and the budget is asked first.
                step = min(_INLINE_BYTES, max_bytes + 1 - size)
                held.take(step)
                if size > _INLINE_BYTES:
                    part = await asyncio.to_thread(decompressor.decompress, rest, step)
                else:
                    part = decompressor.decompress(rest, step)
                held.give_back(step - len(part))
                rest = decompressor.unconsumed_tail
                content.append(part)
                size += len(part)
                if size > max_bytes:
                    raise _too_large(max_bytes)
    except zlib.error as error:
        raise RequestError(400, "the body is not what its content encoding says") from error
    if not decompressor.eof:
        raise RequestError(400, "the compressed body is incomplete")
    return content


def _too_large(max_bytes: int) -> RequestError:
    # What is still on its way is not read: the connection cannot be used again.
    return RequestError(413, f"the body has more than {max_bytes:,} bytes", {"Connection": "close"})
