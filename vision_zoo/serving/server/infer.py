"""`POST /v2/models/NAME/infer`."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from vision_zoo.serving.server import protocol
from vision_zoo.serving.server.body import read_body
from vision_zoo.serving.server.repository import VERSION
from vision_zoo.serving.server.service import find_session
from vision_zoo.serving.server.state import state_of

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
    state = state_of(request)
    session = find_session(request, model, version)
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
