"""`POST /v1/classify/MODEL`: an image file in, labels out."""

import asyncio
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.types import Message

from vision_zoo.errors import VisionZooError
from vision_zoo.preprocess import open_image, prepare
from vision_zoo.serving.server.body import read_body
from vision_zoo.serving.server.errors import RequestError, as_request_error
from vision_zoo.serving.server.infer import RESPONSES
from vision_zoo.serving.server.service import find_session
from vision_zoo.serving.server.state import state_of
from vision_zoo.serving.session import Session

router = APIRouter()

FILE_FIELD = "file"
_DEFAULT_TOP = 5
_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {FILE_FIELD: {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}
_EXAMPLE = {
    "model": "small_cnn-mnist",
    "label": "3",
    "probabilities": [{"label": "3", "probability": 0.98}, {"label": "5", "probability": 0.01}],
}


@router.post(
    "/v1/classify/{model}",
    tags=["classify"],
    openapi_extra=_OPENAPI,
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}, **RESPONSES},
)
async def classify(request: Request, model: str, top: int = _DEFAULT_TOP) -> dict[str, Any]:
    """Classify an image file: PNG, JPEG, WebP, BMP, GIF, TIFF or PPM, as the body or as the form field `file`."""
    if top < 1:
        raise RequestError(400, f"top {top} is out of range; expected 1 or more")
    state = state_of(request)
    session = find_session(state, model)
    settings = state.settings
    body = await read_body(request, max_bytes=settings.max_body_bytes, seconds=settings.read_seconds)
    content = await _file(request, body)
    # Decoding a large picture takes far longer than classifying it: not on the event loop.
    pixels = await asyncio.to_thread(_pixels, content, session)
    prediction = await state.predict(request, session, pixels)
    probabilities = prediction.probabilities[0]
    order = (-probabilities).argsort(kind="stable")[:top]
    ranked = [
        {"label": session.metadata.labels[index], "probability": float(probabilities[index])}
        for index in order
    ]
    return {"model": model, "label": ranked[0]["label"], "probabilities": ranked}


async def _file(request: Request, body: bytes) -> bytes:
    """The image's bytes, out of the form where the body is one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return body

    async def replay() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        async with Request(request.scope, replay).form(max_files=1, max_fields=1) as form:
            upload = form.get(FILE_FIELD)
            if not isinstance(upload, UploadFile):
                raise RequestError(400, f"the form has no file; expected it in the field {FILE_FIELD!r}")
            return await upload.read()
    except (MultiPartException, ValueError) as error:
        raise RequestError(
            400, "the form is malformed; expected multipart/form-data with one file"
        ) from error


def _pixels(content: bytes, session: Session) -> NDArray[np.uint8]:
    try:
        return prepare(open_image(content), session.metadata.input)[None]
    except VisionZooError as error:
        raise as_request_error(error) from error
