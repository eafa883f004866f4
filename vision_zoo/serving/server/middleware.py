"""Around every request: its id, the key, its errors as JSON, metrics and a line in the log."""

import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_zoo.serving.server import logs
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.metrics import Metrics

REQUEST_ID = "X-Request-ID"

_LOG = logging.getLogger("vision_zoo.server")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Probes of a load balancer carry no key, and learn nothing but that there is a server."""


class RequestContext:
    """ASGI middleware; without an `api_key` none is asked for."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, api_key: str | None) -> None:
        self._app = app
        self._metrics = metrics
        self._key = None if api_key is None else api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name: value for name, value in scope["headers"] if name in _READ_HEADERS}
        identifier = _identifier(headers)
        scope.setdefault("state", {})["arrived"] = time.monotonic()
        status = 500
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", identifier.encode())]
            await send(message)

        failure: str | None = None
        try:
            self._check_key(scope["path"], headers)
            await self._app(scope, receive, send_with_id)
        except RequestError as error:
            failure = error.message
            if not answered:
                await send_error(send_with_id, error)
        except Exception:  # noqa: BLE001  (the last resort: an answer instead of a broken connection)
            _LOG.exception("unforeseen error", extra={"request_id": identifier})
            failure = "unforeseen error"
            if not answered:
                await send_error(send_with_id, RequestError(500, "the server failed; its log says why"))
        finally:
            self._record(scope, identifier, status, time.perf_counter() - started, failure)

    def _check_key(self, path: str, headers: dict[bytes, bytes]) -> None:
        if self._key is None or path in _OPEN_PATHS:
            return
        given = headers.get(b"x-api-key", b"")
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given = token.strip()
        if not hmac.compare_digest(given, self._key):
            raise RequestError(401, "the API key is missing or wrong", {"WWW-Authenticate": "Bearer"})

    def _record(
        self, scope: Scope, identifier: str, status: int, seconds: float, failure: str | None
    ) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.answered(
            route, scope["method"] if scope["method"] in _METHODS else "other", status, seconds
        )
        if status < 400 and not _LOG.isEnabledFor(logging.DEBUG) and route in _QUIET_ROUTES:
            return
        if _LOG.isEnabledFor(logging.INFO):
            logs.access(
                request_id=identifier,
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(1e3 * seconds, 3),
                **({} if failure is None else {"error": failure}),
            )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_QUIET_ROUTES = frozenset({"/v2/health/live", "/v2/health/ready", "/metrics"})
_READ_HEADERS = frozenset({b"x-request-id", b"x-api-key", b"authorization"})


def _identifier(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id", b"").decode("latin-1")
    return given if _ID.fullmatch(given) else uuid.uuid4().hex


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
