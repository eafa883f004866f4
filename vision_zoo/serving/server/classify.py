"""`POST /v1/classify/MODEL`: image files in, labels out."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from vision_zoo.core.errors import ImageError, UsageError
from vision_zoo.serving.server.admission import Turn
from vision_zoo.serving.server.body import read_parts
from vision_zoo.serving.server.decoders import Answer
from vision_zoo.serving.server.decoding import Probed, decode_files, probe_files
from vision_zoo.serving.server.errors import RequestError, responses
from vision_zoo.serving.server.infer import STATUSES
from vision_zoo.serving.server.service import find_session
from vision_zoo.serving.server.state import State, state_of
from vision_zoo.serving.server.uploads import FILE_FIELD, Upload, read_upload
from vision_zoo.serving.session import Session
from vision_zoo.serving.uncertainty import Uncertainty, require_coverage, uncertainties

router = APIRouter()

_DEFAULT_TOP = 5
_SMALL_BODY_BYTES = 3 * 2**19
_INLINE_BODY_BYTES = 2**16
_INLINE_FILES = 4
_INLINE_PIXELS = 2**12
_FILE = {"type": "string", "format": "binary"}
_BASE64 = {
    "type": "string",
    "format": "byte",
    "description": "Base64 of an image file, or a data: URL of it.",
}
_OPENAPI: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": _FILE},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {FILE_FIELD: {"type": "array", "items": _FILE, "minItems": 1}},
                }
            },
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"type": "object", "required": ["image"], "properties": {"image": _BASE64}},
                        {
                            "type": "object",
                            "required": ["images"],
                            "properties": {"images": {"type": "array", "items": _BASE64, "minItems": 1}},
                        },
                    ]
                }
            },
        },
    }
}
_RESULT = {
    "label": "3",
    "probabilities": [{"label": "3", "probability": 0.98}, {"label": "5", "probability": 0.01}],
}
_EXAMPLES = {
    "one image": {"value": {"model": "small_cnn-mnist", **_RESULT}},
    "several images": {
        "value": {
            "model": "small_cnn-mnist",
            "results": [_RESULT, {"error": "the image is blank; expected a digit"}],
        }
    },
}


@router.post(
    "/v1/classify/{model}",
    tags=["classify"],
    openapi_extra=_OPENAPI,
    responses={200: {"content": {"application/json": {"examples": _EXAMPLES}}}, **responses(422, *STATUSES)},
)
async def classify(
    request: Request, model: str, top: int = _DEFAULT_TOP, coverage: float | None = None
) -> Response:
    """Classify image files: PNG, JPEG, WebP, BMP, GIF, TIFF, PPM or AVIF.

    Send one as the body, one or several as the form field `file`, or base64 in JSON: `image` for one, `images` for a
    list. Several files, and a list always, are answered by `results` in the same order: an image that cannot be used
    is an entry with an `error`, and the status is 422 only where none can.

    With `coverage` (0.9, 0.95 or 0.99), for calibrated models, an answer also has `set`: labels with the true one among
    them at that rate. Its `label` is `unknown` for an image unlike those that the model knows.
    """
    if top < 1:
        raise RequestError(400, f"top {top} is out of range; expected 1 or more")
    state = state_of(request)
    session = find_session(state, model)
    try:
        require_coverage(session, coverage)
    except UsageError as error:
        raise RequestError(400, str(error)) from error
    settings = state.settings
    parts = await read_parts(request, max_bytes=settings.max_body_bytes, seconds=settings.read_seconds)
    async with state.turn(request) as turn:
        answer = await _decode(state, turn, session, parts, request.headers.get("content-type", ""))
        usable = [picture for picture in answer.pictures if not isinstance(picture, ImageError)]
        if not usable:
            raise _none_usable(answer)
        images = np.stack(usable)
        prediction = await state.run_model(turn, session, images)
        found = None
        if coverage is not None:
            found = await turn.run_in_thread(
                functools.partial(uncertainties, session, images, prediction, coverage)
            )
    ranked = map(_ranked, prediction.labelled(session.metadata.labels, top))
    if found is not None:
        ranked = map(_uncertain, ranked, found)
    if not answer.several:
        return _json({"model": model, **next(ranked)})
    results = [
        {"error": str(picture)} if isinstance(picture, ImageError) else next(ranked)
        for picture in answer.pictures
    ]
    return _json({"model": model, "results": results})


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")


async def _decode(
    state: State, turn: Turn, session: Session, parts: list[bytes], content_type: str
) -> Answer:
    """Decode where the files are small and ordinary; let a process do it that can be ended where they are not."""
    settings = state.settings
    target = session.metadata.input

    def read(body: bytes) -> Upload:
        return read_upload(body, content_type, max_files=settings.max_batch)

    def decode_small(upload: Upload, probed: Probed | None = None) -> Answer | None:
        probed = probed or probe_files(upload.files, max_pixels=settings.max_pixels)
        if not probed.are_small:
            return None
        return Answer(decode_files(probed.files, target, max_pixels=settings.max_pixels), upload.several)

    answer: Answer | None = None
    size = sum(map(len, parts))
    if size <= _INLINE_BODY_BYTES:
        upload = read(b"".join(parts))
        if len(upload.files) > _INLINE_FILES:
            answer = await turn.run_in_thread(functools.partial(decode_small, upload))
        else:
            probed = probe_files(upload.files, max_pixels=settings.max_pixels)
            work = functools.partial(decode_small, upload, probed)
            if probed.pixels <= _INLINE_PIXELS:
                answer = await turn.run(work, kind=f"decoding for {session.name}", units=len(upload.files))
            elif probed.are_small:
                answer = await turn.run_in_thread(work)
    elif size <= _SMALL_BODY_BYTES:
        answer = await turn.run_in_thread(lambda: decode_small(read(b"".join(parts))))
    return answer or await state.decoders.decode(turn, parts, content_type, target)


def _ranked(labels: Sequence[tuple[str, float]]) -> dict[str, Any]:
    ranked = [{"label": label, "probability": probability} for label, probability in labels]
    return {"label": ranked[0]["label"], "probabilities": ranked}


def _uncertain(answer: dict[str, Any], found: Uncertainty) -> dict[str, Any]:
    return {**answer, "label": found.label, "set": found.labels}


def _none_usable(answer: Answer) -> RequestError:
    first = str(answer.pictures[0])
    if len(answer.pictures) == 1:
        return RequestError(422, first)
    return RequestError(422, f"none of the {len(answer.pictures)} images can be used; the first: {first}")
