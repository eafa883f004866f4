"""Reading a request's body within limits: bytes, time, and what it grows to when it is decompressed."""

import asyncio
import zlib

from starlette.requests import ClientDisconnect, Request

from vision_zoo.serving.server.errors import RequestError

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


async def read_body(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """The whole body, decompressed.

    Raises:
        RequestError: it is larger than `max_bytes` (413), in an encoding that is not understood (415), damaged
            (400), or was not sent within `seconds` (408).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and encoding not in _WINDOW_BITS:
        raise RequestError(
            415, f"content encoding {encoding[:40]!r} is not understood; expected gzip or deflate"
        )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)
    try:
        async with asyncio.timeout(seconds):
            body = await _collect(request, max_bytes)
    except TimeoutError as error:
        raise RequestError(
            408, f"the body was not sent within {seconds:g} s", {"Connection": "close"}
        ) from error
    except ClientDisconnect as error:
        raise RequestError(499, "the client closed the connection") from error
    return body if encoding == "identity" else _decompress(body, _WINDOW_BITS[encoding], max_bytes)


async def _collect(request: Request, max_bytes: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
    return b"".join(parts)


def _decompress(body: bytes, window_bits: int, max_bytes: int) -> bytes:
    decompressor = zlib.decompressobj(window_bits)
    try:
        # One byte more than is allowed tells a bomb without filling the memory.
        content = decompressor.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise RequestError(400, "the body is not what its content encoding says") from error
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    if not decompressor.eof:
        raise RequestError(400, "the compressed body is incomplete")
    return content


def _too_large(max_bytes: int) -> RequestError:
    # What is still on its way is not read: the connection cannot be used again.
    return RequestError(413, f"the body has more than {max_bytes:,} bytes", {"Connection": "close"})
