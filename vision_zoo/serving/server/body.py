"""Read request bodies within limits: size, time, decompressed size, and total memory."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import cast

from starlette.requests import Request
from starlette.types import Scope

from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.transport import TURNS, Turns

BODIES_BYTES = 96 * 2**20
"""All bodies that are read, wait or are worked on may take so much memory together."""

Take = Callable[[bytes], Awaitable[None]]

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
                "the server's memory for requests is full; try again later",
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
        RequestError: as `stream_body`, or the budget is used up (503).
    """
    held = _held(request)
    parts: list[bytes] = []

    async def keep(part: bytes) -> None:
        held.take(len(part))
        parts.append(part)

    await stream_body(request, keep, max_bytes=max_bytes, seconds=seconds)
    return parts


async def stream_body(request: Request, take: Take, *, max_bytes: int, seconds: float) -> None:
    """Hand the body, decompressed, to `take`, part by part as it arrives.

    Args:
        request: whose body is not read yet.
        take: called with at most a few hundred KiB at a time. What it takes does not count as the client's time.
        max_bytes: of the body, before and after decompression.
        seconds: that the client may take to send it.

    Raises:
        RequestError: it is larger than `max_bytes` (413), in an encoding that is not understood (415), damaged
            (400), was not sent within `seconds` (408), the client is gone (499), or there is no memory for a part (503).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _WINDOW_BITS:
        raise RequestError(
            415, f"content encoding {encoding[:40]!r} is not supported; expected gzip or deflate"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    inflater = None
    if encoding != "identity":
        inflater = _Inflater(_WINDOW_BITS[encoding], max_bytes, _held(request))
    received = 0
    async with contextlib.aclosing(_received(request, seconds)) as parts:
        async for part in parts:
            received += len(part)
            if received > max_bytes:
                raise _too_large(max_bytes)
            if inflater is None:
                await take(part)
            else:
                await inflater.inflate(part, take)
    if inflater is not None and not inflater.ended:
        raise RequestError(400, "the compressed body is incomplete")


async def _received(request: Request, seconds: float) -> AsyncGenerator[bytes, None]:
    """The parts of the body that are not empty. The time between them is the caller's."""
    left = seconds
    loop = asyncio.get_running_loop()
    is_complete = False
    while not is_complete:
        started = loop.time()
        try:
            async with asyncio.timeout(left):
                message = await request.receive()
        except TimeoutError as error:
            turns: Turns | None = request.scope["state"].get(TURNS)
            if turns is not None:  # a thousand that began together are late together
                await turns.come()
            raise RequestError(
                408, f"the body was not sent within {seconds:g} s", {"Connection": "close"}
            ) from error
        if message["type"] == "http.disconnect":
            raise RequestError(499, "the client closed the connection")
        left -= loop.time() - started
        is_complete = not message.get("more_body", False)
        if part := message.get("body", b""):
            yield part


class _Inflater:
    """Decompresses a little at a time: a bomb never fills the memory, and the budget is asked first."""

    def __init__(self, window_bits: int, max_bytes: int, held: _Held) -> None:
        self._decompressor = zlib.decompressobj(window_bits)
        self._max_bytes = max_bytes
        self._held = held
        self._size = 0

    @property
    def ended(self) -> bool:
        return self._decompressor.eof

    async def inflate(self, compressed: bytes, take: Take) -> None:
        rest = compressed
        while rest and not self._decompressor.eof:
            step = min(_INLINE_BYTES, self._max_bytes + 1 - self._size)
            self._held.take(step)
            part = await self._decompressed(rest, step)
            self._held.give_back(step)
            rest = self._decompressor.unconsumed_tail
            self._size += len(part)
            if self._size > self._max_bytes:
                raise _too_large(self._max_bytes)
            if part:
                await take(part)

    async def _decompressed(self, compressed: bytes, step: int) -> bytes:
        try:
            if self._size > _INLINE_BYTES:
                return await asyncio.to_thread(self._decompressor.decompress, compressed, step)
            return self._decompressor.decompress(compressed, step)
        except zlib.error as error:
            raise RequestError(400, "the body does not match its content encoding") from error


def _held(request: Request) -> _Held:
    return cast(_Held, request.scope["state"]["body"])


def _too_large(max_bytes: int) -> RequestError:
    # What is still on its way is not read: the connection cannot be used again.
    return RequestError(413, f"the body has more than {max_bytes:,} bytes", {"Connection": "close"})
