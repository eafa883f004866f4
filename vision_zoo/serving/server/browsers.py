"""Protection against hostile web pages: allowed hosts, allowed origins, and security headers.

A page of any origin can send requests to a server on its reader's machine. It cannot choose their Host and Origin
headers: a name that was rebound to this machine shows in Host, a foreign page in Origin.
"""

import functools
import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping

from vision_zoo.core.errors import UsageError
from vision_zoo.serving.server.errors import RequestError

ANY = "*"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READ_HEADERS = frozenset(
    {
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"access-control-request-method",
        b"access-control-request-private-network",
    }
)

_HOST = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@,]+")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5})?)?")
_DEFAULT_PORTS = {"http": 80, "https": 443}

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (
        b"content-security-policy",
        (
            b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
            b"img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; "
            b"connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; "
            b"form-action 'self'; frame-ancestors 'self'"
        ),
    ),
)
"""For every answer that has no stricter or wider ones of its own; the API's page is partly inline."""

_PREFLIGHT_HEADERS = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, X-API-Key, X-Request-ID",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSED = (b"access-control-expose-headers", b"Inference-Header-Content-Length, Retry-After, X-Request-ID")

Headers = list[tuple[bytes, bytes]]


class BrowserRules:
    """The rules of one server.

    Args:
        host: the address that it listens on.
        any_address: answer for every address: a page has a name and cannot be rebound to one without.
        allow_hosts: names to answer for besides `host` and this machine's; `*.example.org` for subdomains, `*` for any.
        cors_origins: whose pages may send requests and read the answers; `*` for any.

    Raises:
        UsageError: a name or an origin is none.
    """

    def __init__(
        self,
        *,
        host: str,
        any_address: bool = False,
        allow_hosts: Iterable[str] = (),
        cors_origins: Iterable[str] = (),
    ) -> None:
        names = {_checked_host(name) for name in allow_hosts}
        self._any_host = ANY in names
        self._any_address = any_address
        own = {socket.gethostname().lower()} if any_address else set()
        self._names = names | own | {"localhost", host.lower()}
        self._domains = tuple(name[1:] for name in names if name.startswith("*."))
        self._origins = frozenset(_checked_origin(origin) for origin in cors_origins)
        self._is_allowed = functools.lru_cache(maxsize=256)(self._is_allowed_name)

    def check_host(self, headers: Mapping[bytes, bytes], http_version: str) -> None:
        """Raise RequestError for a request that names no host (400), or another than this server's (421)."""
        given = headers.get(b"host")
        if given is None:
            if http_version == "1.0":
                return
            raise RequestError(400, "the request has no Host header")
        allowed = self._is_allowed(given)
        if allowed is None:
            raise RequestError(400, "the Host header is malformed; expected a name and a port")
        if not allowed:
            name = (_split(given) or ("", 0))[0][:100]
            raise RequestError(
                421,
                f"this server does not accept requests for the host {name!r}; to allow them, start it with "
                f"--allow-host {name}",
            )

    def check_origin(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise RequestError (403) for a request that a foreign page sends."""
        if method in SAFE_METHODS:
            return
        origin = headers.get(b"origin")
        if origin is None:
            if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
                raise RequestError(403, "a page of another site may not send requests to this server")
        elif not self._is_same_origin(origin, headers.get(b"host", b"")) and not self._is_named(origin):
            raise _foreign(origin)

    def preflight(self, headers: Mapping[bytes, bytes]) -> Headers:
        """The headers, besides `cors_headers`, that allow a page to send a request; RequestError (403) if it may not."""
        if not self._is_named(headers[b"origin"]):
            raise _foreign(headers[b"origin"])
        answer = [*_PREFLIGHT_HEADERS]
        if b"access-control-request-private-network" in headers:
            answer.append((b"access-control-allow-private-network", b"true"))
        return answer

    def cors_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """The headers that let a page read the answer."""
        if not self._origins:
            return []
        if ANY in self._origins:
            return [(b"access-control-allow-origin", b"*"), _EXPOSED]
        origin = headers.get(b"origin")
        if origin is None or not self._is_named(origin):
            return [(b"vary", b"Origin")]
        return [(b"access-control-allow-origin", origin), _EXPOSED, (b"vary", b"Origin")]

    def _is_named(self, origin: bytes) -> bool:
        return ANY in self._origins or origin.decode("latin-1").lower() in self._origins

    def _is_same_origin(self, origin: bytes, host: bytes) -> bool:
        # The scheme is left out: a proxy in front may speak TLS.
        scheme, _, authority = origin.decode("latin-1").partition("://")
        port = _DEFAULT_PORTS.get(scheme.lower())
        own = _split(host)
        if port is None or own is None:
            return False
        return _split(authority.encode("latin-1"), port) == (own[0], own[1] or port)

    def _is_allowed_name(self, given: bytes) -> bool | None:
        """Whether the server answers for a Host header; None if it is malformed."""
        split = _split(given)
        if split is None:
            return None
        name = split[0].strip("[]").removesuffix(".")
        address = address_of(name)
        if address is None:
            return self._any_host or name in self._names or name.endswith(self._domains)
        return self._any_host or self._any_address or address.is_loopback or name in self._names


def address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that `name` is, if it is one."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _split(authority: bytes, default_port: int | None = None) -> tuple[str, int | None] | None:
    """A name and a port; None if `authority` is malformed."""
    found = _AUTHORITY.fullmatch(authority.decode("latin-1").lower())
    if found is None or (found[2] and int(found[2]) > 65535):
        return None
    return found[1], int(found[2]) if found[2] else default_port


def _foreign(origin: bytes) -> RequestError:
    shown = origin.decode("latin-1")[:200]
    return RequestError(
        403,
        f"a page of {shown!r} may not send requests to this server; to allow it, start the server with --cors-origin "
        f"{shown}",
    )


def _checked_host(name: str) -> str:
    lowered = name.lower().strip("[]").removesuffix(".")
    try:
        lowered = (
            lowered.encode("ascii" if address_of(lowered) else "idna").decode() if lowered != ANY else ANY
        )
    except UnicodeError:
        lowered = ""
    if lowered != ANY and address_of(lowered) is None and not _HOST.fullmatch(lowered):
        raise UsageError(
            f"--allow-host {name!r} is not a host name; expected a name, a pattern such as *.example.org, "
            "an address, or *"
        )
    return lowered


def _checked_origin(origin: str) -> str:
    if origin not in (ANY, "null") and not _ORIGIN.fullmatch(origin.lower()):
        raise UsageError(
            f"--cors-origin {origin!r} is not an origin; expected for example https://example.org:8443, "
            "without a path, or *"
        )
    return origin.lower()
