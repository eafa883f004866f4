"""`POST /v2/models/NAME/infer`."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vision_zoo.serving.server import protocol
from vision_zoo.serving.server.body import read_body
from vision_zoo.serving.server.repository import VERSION
from vision_zoo.serving.server.service import find_session
from vision_zoo.serving.server.state import State, state_of

router = APIRouter()

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
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {"application/json": {"example": {"error": "one line that says what was expected"}}},
    }
    for status, text in {
        400: "The request does not fit the model.",
        401: "The API key is missing or wrong.",
        404: "There is no such model.",
        408: "The body was not sent in time.",
        413: "The body is too large.",
        415: "The content encoding or type is not understood.",
        422: "The image cannot be used.",
        503: "The server is busy, or the model cannot be loaded.",
        504: "The deadline passed.",
    }.items()
}


@router.post(
    "/v2/models/{model}/infer",
    tags=["infer"],
    openapi_extra=_OPENAPI,
    responses={200: {"content": {"application/json": {"example": _ANSWER}}}, **RESPONSES},
)
@router.post("/v2/models/{model}/versions/{version}/infer", include_in_schema=False)
async def infer(request: Request, model: str, version: str = VERSION) -> Response:
    """Run a model on uint8 images: JSON, or JSON followed by the tensor's bytes."""
    return await _answer(state_of(request), request, model, version)


class DirectInfer:
    """ASGI middleware that answers inference itself: FastAPI's routing takes longer than a small model.

    What it does not know by sight goes on to `app`, which has the same route for its documentation.
    """

    path = "/v2/models/{model}/infer"

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        parts = scope["path"].split("/") if scope["type"] == "http" and scope["method"] == "POST" else []
        if len(parts) != 5 or parts[1:3] != ["v2", "models"] or parts[4] != "infer":
            await self._app(scope, receive, send)
            return
        scope["route"] = self
        response = await _answer(self._state, Request(scope, receive), parts[3], VERSION)
        await response(scope, receive, send)


async def _answer(state: State, request: Request, model: str, version: str) -> Response:
    session = find_session(state, model, version)
    settings = state.settings
    body = await read_body(request, max_bytes=settings.max_body_bytes, seconds=settings.read_seconds)
    parsed = protocol.parse_infer_request(
        body, request.headers.get(protocol.HEADER_LENGTH), session.metadata, max_batch=settings.max_batch
    )
    prediction = await state.predict(request, session, parsed.images)
    content, headers = protocol.encode_response(
        parsed, prediction, session.metadata, model=model, version=VERSION
    )
    return Response(content, headers=headers)
