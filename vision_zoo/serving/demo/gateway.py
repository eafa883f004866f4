"""Filter in front of Gradio: only the page's own files and events, no references to other files.

Gradio has far more paths than the page needs, and opens any file that a request names. Uploads and downloads are
answered here, and every event is written anew from what has been checked.
"""

import gc
import re
from pathlib import Path

import anyio
import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_zoo.serving.demo.events import PageEvents
from vision_zoo.serving.demo.sessions import Sessions, write_message, write_result
from vision_zoo.serving.demo.upload_form import UploadForm
from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.body import read_body, stream_body
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.repository import give_back_memory

_API = "/gradio_api"
_PAGE_HEADERS = {
    b"content-security-policy": b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    b"connect-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    b"base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    b"referrer-policy": b"same-origin",
    b"x-content-type-options": b"nosniff",
}
_FILE_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_FORWARDED = re.compile(
    rf"/?|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/(assets|static|svelte)/.*|{_API}/(info/?|app_id/?)"
)
_HEARTBEAT = re.compile(rf"{_API}/heartbeat/([\w-]{{1,64}})")
_RESULT = re.compile(rf"{_API}/call/\w+/([0-9a-f]{{32}})")
_CALL = re.compile(rf"{_API}/call/(\w+)/?")
_MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".avif": "image/avif",
}
_LARGEST_EVENT = 256 * 1024
_LOOSE_BYTES = 4 * 2**20
"""Events of so many bytes are left in memory at most: Gradio leaves some in cycles, and all in pieces."""


class Gateway:
    """ASGI application in front of `app`, Gradio's; `read_seconds` is a client's time to send a request."""

    def __init__(
        self,
        app: ASGIApp,
        events: PageEvents,
        sessions: Sessions,
        files: PageFiles,
        *,
        max_body_bytes: int,
        read_seconds: float,
    ) -> None:
        self._app = app
        self._events = events
        self._sessions = sessions
        self._files = files
        self._max_body_bytes = max_body_bytes
        self._read_seconds = read_seconds
        self._loose_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            response = await self._answer(scope, receive, send)
        except RequestError as error:
            # Gradio's script shows `detail`, everybody else reads `error`.
            body = orjson.dumps({"error": error.message, "detail": error.message})
            response = Response(body, error.status, error.headers, "application/json")
        if response is not None:
            await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """The response; None if Gradio has sent one."""
        request = Request(scope, receive)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] in ("GET", "HEAD"):
            return await self._get(request, path, send)
        if scope["method"] != "POST":
            raise RequestError(405, "this path does not take that method", {"Allow": "GET, HEAD, POST"})
        if path.rstrip("/") == f"{_API}/upload":
            return await self._upload(request)
        call = _CALL.fullmatch(path)
        if path.rstrip("/") == f"{_API}/queue/join" or call is not None:
            client = _client(scope)
            body = await read_body(request, max_bytes=_LARGEST_EVENT, seconds=self._read_seconds)
            event, session = self._events.checked(body, client=client, name=None if call is None else call[1])
            async with self._sessions.asking(session):
                self._sessions.make_room(session)
                await self._app(_with_body(scope, event), _replayed(event, receive), send)
            await self._tidy(len(event))
            return None
        raise _nothing()

    async def _tidy(self, taken: int) -> None:
        """Free the memory of events that were answered, from time to time."""
        self._loose_bytes += taken
        if self._loose_bytes > _LOOSE_BYTES:
            self._loose_bytes = 0
            gc.collect()
            await anyio.to_thread.run_sync(give_back_memory)

    async def _get(self, request: Request, path: str, send: Send) -> Response | None:
        scope, receive = request.scope, request.receive
        if path.startswith(f"{_API}/file="):
            return self._file(path.removeprefix(f"{_API}/file="))
        if path == f"{_API}/upload_progress":
            # An upload is read before it is answered, so that its progress is told at its end.
            return PlainTextResponse('data: {"msg":"done"}\n\n', media_type="text/event-stream")
        if _FORWARDED.fullmatch(path):
            # Queries can name states that were saved as files.
            plain = {**scope, "query_string": b""}
            await self._app(plain, receive, _with_headers(send) if path in ("", "/") else send)
            return None
        if heartbeat := _HEARTBEAT.fullmatch(path):
            async with self._sessions.alive(heartbeat[1]):
                await self._app(scope, receive, send)
            return None
        if path == f"{_API}/queue/data":
            session, write = request.query_params.get("session_hash", ""), write_message
        elif result := _RESULT.fullmatch(path):
            session, write = self._sessions.of_event(result[1]), write_result
        else:
            raise _nothing()
        if not self._sessions.expects(session):
            raise RequestError(404, "this event is not known; it was answered already, or never asked for")
        page = "text/event-stream" in request.headers.get("accept", "")
        async with self._sessions.reading(session, write, page=page) as answers:
            await StreamingResponse(answers, media_type="text/event-stream")(scope, receive, send)
        return None

    def _file(self, path: str) -> Response:
        if not self._files.knows(path):
            raise _nothing()
        kind = _MEDIA_TYPES.get(Path(path).suffix)
        if kind is None:
            return FileResponse(
                path, media_type="application/octet-stream", headers=_FILE_HEADERS, filename="picture"
            )
        return FileResponse(path, media_type=kind, headers=_FILE_HEADERS)

    async def _upload(self, request: Request) -> Response:
        form = UploadForm(request.headers.get("content-type", ""), self._files, _client(request.scope))

        async def keep(part: bytes) -> None:
            await anyio.to_thread.run_sync(form.write, part)

        try:
            await stream_body(request, keep, max_bytes=self._max_body_bytes, seconds=self._read_seconds)
            paths = form.finish()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(form.discard)
            raise
        return Response(orjson.dumps(paths), media_type="application/json")


def _client(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _nothing() -> RequestError:
    return RequestError(404, "there is nothing at this path")


def _with_body(scope: Scope, body: bytes) -> Scope:
    kept = [(name, value) for name, value in scope["headers"] if name not in _OF_THE_BODY]
    about = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return {**scope, "headers": kept + about}


_OF_THE_BODY = frozenset({b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` of a request whose body is another now."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_PAGE_HEADERS.items()]
        await send(message)

    return send_with_headers
