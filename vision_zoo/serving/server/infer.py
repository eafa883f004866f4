"""`POST /v2/models/NAME/infer`."""

import functools
import time
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vision_zoo.serving.server import protocol
from vision_zoo.serving.server.body import read_body
from vision_zoo.serving.server.errors import responses
from vision_zoo.serving.server.json_numbers import SHORT_BYTES
from vision_zoo.serving.server.repository import VERSION
from vision_zoo.serving.server.service import find_session
from vision_zoo.serving.server.state import State, state_of

router = APIRouter()

_SMALL_ANSWER = 8192
"""Numbers that are written as JSON in a millisecond."""

_EXAMPLE = {
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [0] * 784}],
    "outputs": [{"name": "probabilities"}],
}
_ANSWER = {
    "model_name": "small_cnn-mnist",
    "model_version": VERSION,
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "data": [0.1] * 10}],
}
_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object", "required": ["inputs"]}, "example": _EXAMPLE},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
STATUSES = (401, 403, 404, 408, 413, 415, 504)


@router.post(
    "/v2/models/{model}/infer",
    tags=["infer"],
    openapi_extra=_OPENAPI,
    responses={200: {"content": {"application/json": {"example": _ANSWER}}}, **responses(*STATUSES)},
)
@router.post("/v2/models/{model}/versions/{version}/infer", include_in_schema=False)
async def infer(request: Request, model: str, version: str = VERSION) -> Response:
    """Run a model on uint8 images: JSON, or JSON followed by the tensor's bytes."""
    return await _answer(state_of(request), request, model, version)


class DirectInfer:
    """ASGI middleware that answers inference itself: FastAPI's routing takes longer than a small model.

    All else goes on to `app`, which has the same route for its documentation, below the root path of a proxy: a part of
    it finds out there where it is mounted.
    """

    path = "/v2/models/{model}/infer"

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        model = model_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if model is None:
            root_path = self._state.settings.root_path
            if root_path and scope["type"] == "http":
                scope["path"] = root_path + scope["path"]
                scope["root_path"] = root_path
            await self._app(scope, receive, send)
            return
        scope["route"] = self
        response = await _answer(self._state, Request(scope, receive), model, VERSION)
        await response(scope, receive, send)


def model_of(method: str, path: str) -> str | None:
    """The model whose inference a request asks for; None if it asks for something else."""
    parts = path.split("/")
    if method != "POST" or len(parts) != 5 or parts[1:3] != ["v2", "models"] or parts[4] != "infer":
        return None
    return parts[3]


async def _answer(state: State, request: Request, model: str, version: str) -> Response:
    session = find_session(state, model, version)
    settings = state.settings
    body = await read_body(request, max_bytes=settings.max_body_bytes, seconds=settings.read_seconds)
    header_length = request.headers.get(protocol.HEADER_LENGTH)
    parse = functools.partial(
        protocol.parse_infer_request, body, header_length, session.metadata, max_batch=settings.max_batch
    )
    began = time.perf_counter_ns()
    # What is wrong with a short request is said at once; a long one is read when its turn comes.
    is_short = protocol.json_length(body, header_length) <= SHORT_BYTES
    parsed = parse() if is_short else None
    parsing = time.perf_counter_ns() - began
    async with state.turn(request) as turn:
        if parsed is None:
            parsed = await turn.run(parse, kind="reading long JSON", units=len(body))
        prediction = await state.run_model(turn, session, parsed.images, before=parsing)
        began = time.perf_counter_ns()
        encode = functools.partial(
            protocol.encode_response, parsed, prediction, session.metadata, model=model, version=VERSION
        )
        is_small = len(parsed.images) * session.numbers <= _SMALL_ANSWER
        content, headers = encode() if is_small else await turn.run_in_thread(encode)
    nanoseconds = time.perf_counter_ns() - began
    state.statistics.encoded(session.name, images=len(parsed.images), nanoseconds=nanoseconds)
    return Response(content, headers=headers)
