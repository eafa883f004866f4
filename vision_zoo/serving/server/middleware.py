"""Middleware around every request: id, authentication, JSON errors, metrics and a log line."""

import asyncio
import hmac
import itertools
import json
import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_zoo.serving.server import logs
from vision_zoo.serving.server.body import MemoryBudget
from vision_zoo.serving.server.browsers import READ_HEADERS, SECURITY_HEADERS, BrowserRules
from vision_zoo.serving.server.errors import REFUSAL, RequestError
from vision_zoo.serving.server.metrics import Metrics

if TYPE_CHECKING:
    from vision_zoo.serving.demo.login import Login

_LOG = logging.getLogger("vision_zoo.server")
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Probes of a load balancer carry no key, and learn nothing but that there is a server."""


class RequestContext:
    """ASGI middleware: request ids, key, metrics and log of every request.

    Args:
        app: answers what is let through.
        metrics: count every answer.
        api_key: required everywhere but by probes; None requires none.
        login: asks for it at the page.
        bodies: memory that the bodies of all requests share.
        browsers: which hosts are answered for, and which pages may ask.
        root_path: that a proxy has put before every path, whether or not it removes it.
        stopping: set when the server is told to stop.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        api_key: str | None,
        login: "Login | None" = None,
        bodies: MemoryBudget,
        browsers: BrowserRules,
        root_path: str = "",
        stopping: asyncio.Event,
    ) -> None:
        self.stopping = stopping
        self._app = app
        self._metrics = metrics
        self._key = None if api_key is None else api_key.encode()
        self._login = login
        self._bodies = bodies
        self._browsers = browsers
        self.cors_headers = browsers.cors_headers
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers, repeated = _read_headers(scope["headers"])
        identifier = self.identifier(headers)
        scope.setdefault("state", {})["arrived"] = time.monotonic()
        scope["path"] = self.path(scope)
        extra = [(b"x-request-id", identifier.encode()), *self.cors_headers(headers)]
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
                if b"origin" in headers:  # a library's page has other ideas of who may read it
                    own = [pair for pair in own if not pair[0].lower().startswith(b"access-control-")]
                given = {name.lower() for name, _ in own}
                secure = [pair for pair in SECURITY_HEADERS if pair[0] not in given]
                message["headers"] = [*own, *extra, *secure]
            await send(message)

        failure: RequestError | None = None
        try:
            self._let_in(scope, headers, repeated)
            if _PREFLIGHT in headers and b"origin" in headers and scope["method"] == "OPTIONS":
                extra.extend(self._browsers.preflight(headers))
                await Response(status_code=204)(scope, receive, send_with_headers)
            else:
                await self._answer(scope, headers, _receiver(scope, receive), send_with_headers)
        except RequestError as error:
            # Not the error itself: with its traceback it would be a cycle, and keep a body until that is collected.
            failure = RequestError(error.status, error.message, error.headers)
        except asyncio.CancelledError:
            failure = RequestError(503, "the server is shutting down", {"Connection": "close"})
        except Exception:  # noqa: BLE001  (the last resort: an answer instead of a broken connection)
            _LOG.exception("unforeseen error", extra={"request_id": identifier})
            failure = UNFORESEEN
        try:
            if failure is not None and not status:
                # A client that does not read its answer must not hold up a server that stops.
                async with asyncio.timeout(_ERROR_SECONDS):
                    await send_error(send_with_headers, failure)
        except TimeoutError:
            pass
        finally:
            message = None if failure is None else failure.message
            self.record(scope, identifier, status, time.perf_counter() - started, message)

    def path(self, scope: Scope) -> str:
        """The path that routes know, whether or not the proxy has taken its prefix away."""
        path: str = scope["path"]
        if self._root_path and (path == self._root_path or path.startswith(f"{self._root_path}/")):
            return path[len(self._root_path) :] or "/"
        return path

    def identifier(self, headers: Mapping[bytes, bytes]) -> str:
        """The client's own, or a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and _ID.fullmatch(given):
            return given.decode()
        return f"{_PROCESS}{next(_NUMBERS):016x}"

    def admits(self, scope: Scope, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request, none of whose headers is there twice, may be made."""
        try:
            self._let_in(scope, headers, None)
            self._check_key(path, headers)
        except RequestError:
            return False
        return True

    async def _answer(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        with self._bodies.lent_to(scope):
            if self._login is None or not await self._login.answers(scope, receive, send):
                self._check_key(scope["path"], headers)
                await self._app(scope, receive, send)

    def _let_in(self, scope: Scope, headers: Mapping[bytes, bytes], repeated: bytes | None) -> None:
        """Raises RequestError for requests that may not be made."""
        _check_framing(scope)
        if repeated is not None:
            raise RequestError(400, f"the request has more than one {repeated.decode()} header")
        self._browsers.check_host(headers, scope["http_version"])
        self._browsers.check_origin(scope["method"], headers)

    def refused(self, status: int, message: str) -> None:
        """Count and log an answer to what was no request."""
        self._metrics.answered("other", "other", status, 0.0)
        if _LOG.isEnabledFor(logging.INFO):
            logs.access(status, message)

    def _check_key(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        if self._key is None or path in _OPEN_PATHS:
            return
        if self._login is not None and self._login.admits(path, headers):
            return
        given = headers.get(b"x-api-key", b"")
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given = token.strip()
        if not hmac.compare_digest(given, self._key):
            raise RequestError(401, "the API key is missing or wrong", {"WWW-Authenticate": "Bearer"})

    def record(
        self, scope: Scope, identifier: str, status: int, seconds: float, failure: str | None = None
    ) -> None:
        """Count and log an answer; `status` 0 for one that has not begun."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"]
        self._metrics.answered(route, method if method in _METHODS else "other", status or 500, seconds)
        if 0 < status < 400 and not _LOG.isEnabledFor(logging.DEBUG) and route in _QUIET_ROUTES:
            return
        if _LOG.isEnabledFor(logging.INFO):
            logs.access(
                status or 500,
                failure,
                request_id=identifier,
                method=method,
                path=scope["path"],
                milliseconds=round(1e3 * seconds, 3),
            )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_QUIET_ROUTES = frozenset({"/v2/health/live", "/v2/health/ready", "/metrics"})
_PREFLIGHT = b"access-control-request-method"
_PROCESS = secrets.token_hex(8)
_NUMBERS = itertools.count()
_READ_HEADERS = frozenset({b"x-request-id", b"x-api-key", b"authorization", b"cookie"}) | READ_HEADERS
_ERROR_SECONDS = 5.0
_ONCE = frozenset({b"host", b"origin"})
UNFORESEEN = RequestError(500, "the server failed; see its log")


class HeadAsGet:
    """ASGI middleware that answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})  # also where the body never ends

        routed = {**scope, "method": "GET"}
        await self._app(routed, receive, send_head)
        scope["route"] = routed.get("route")


def _read_headers(given: Iterable[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], bytes | None]:
    """The headers that are looked at here, and one that is there twice although it may not."""
    headers: dict[bytes, bytes] = {}
    repeated = None
    for name, value in given:
        if name in _READ_HEADERS:
            if name in headers and name in _ONCE:
                repeated = name
            headers[name] = value
    return headers, repeated


def _receiver(scope: Scope, receive: Receive) -> Receive:
    """`receive`, which raises RequestError where the body turns out to be malformed."""

    async def receive_well_formed() -> Message:
        message = await receive()
        _check_framing(scope)
        return message

    return receive_well_formed


def _check_framing(scope: Scope) -> None:
    """Raises RequestError where the connection has found that the body is malformed."""
    if REFUSAL in scope["state"]:
        status, message = scope["state"][REFUSAL]
        raise RequestError(status, message, {"Connection": "close"})


async def send_error(send: Send, error: RequestError) -> None:
    """Answer with the protocol's JSON error object."""
    body = json.dumps({"error": error.message}).encode()
    headers: Iterable[tuple[bytes, bytes]] = (
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in error.headers.items()),
    )
    await send({"type": "http.response.start", "status": error.status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def no_connection_left(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The application of connections that are too many."""
    headers = {"Connection": "close", "Retry-After": "1"}
    await send_error(send, RequestError(503, "the server has no free connection; try again later", headers))


def refusal(status: int, message: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole response to what is no request, with the server's own `headers`."""
    body = json.dumps({"error": message}).encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode(),
        *(name + b": " + value for name, value in headers),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"x-content-type-options: nosniff",
        b"connection: close",
    ]
    return b"\r\n".join([*lines, b"", body])
