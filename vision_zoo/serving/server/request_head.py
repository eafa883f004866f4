"""Request heads: size limits, checks and normalisation."""

from collections.abc import Iterable
from typing import Any

import httptools

from vision_zoo.serving.server.errors import RequestError

MAX_TARGET_BYTES = 8 * 2**10
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 2**10

_UPGRADE = (b"upgrade", b"http2-settings")


def target_too_large() -> RequestError:
    """The answer to a target of more than `MAX_TARGET_BYTES`."""
    return RequestError(414, f"the request's target has more than {MAX_TARGET_BYTES:,} bytes")


def headers_too_large() -> RequestError:
    """The answer to more than `MAX_HEADERS` headers, or more than `MAX_HEADER_BYTES` of them."""
    return RequestError(
        431, f"the request has more than {MAX_HEADERS} headers, or {MAX_HEADER_BYTES:,} bytes of them"
    )


def check_version(version: str) -> None:
    """Raises RequestError for versions of HTTP that are not understood (400)."""
    if version not in ("1.0", "1.1"):
        raise RequestError(400, "the HTTP version is not supported; expected HTTP/1.1")


def check_transfer_encoding(version: str, codings: bytes) -> None:
    """Check the codings that are applied to a body, as the header lists them.

    A body in another coding than chunks is not what its handler takes it for, nor ends where others think.

    Raises:
        RequestError: they are not `chunked` alone (501), or the version has none (400).
    """
    if version == "1.0":
        raise RequestError(400, "HTTP/1.0 has no transfer encodings; expected a content length")
    if codings.strip(b" \t").lower() != b"chunked":
        raise RequestError(501, "the transfer encoding is not supported; expected chunked")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Split a target in absolute form into the authority and the path with its query.

    It names the host, whatever the Host header says (RFC 9112, 3.2.2).

    Raises:
        RequestError: it names no host (400).
        httptools.HttpParserInvalidURLError: it is no URL.
    """
    url: Any = httptools.parse_url(target)  # whose parts may be None, whatever its annotations say
    if not url.host:
        raise RequestError(400, "the request's target is malformed; expected a path")
    host = b"[%s]" % url.host if b":" in url.host else url.host
    authority = host if url.port is None else b"%s:%d" % (host, url.port)
    return authority, (url.path or b"/") + (b"" if url.query is None else b"?" + url.query)


def without_upgrade(
    method: bytes, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Write a head again, without the offer to speak another protocol: RFC 9110 (7.8) lets a server ignore it.

    Args:
        method: of the request.
        target: of the request.
        version: such as `1.1`.
        headers: names in lower case, and values.
    """
    lines = [b"%s %s HTTP/%s" % (method, target, version.encode())]
    for name, value in headers:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            value = b", ".join(option for option in options if option.lower() not in _UPGRADE)  # noqa: PLW2901
        if name not in _UPGRADE and value:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])
