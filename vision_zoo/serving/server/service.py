"""Routes without inference: health, metadata, list of models, metrics."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from vision_zoo import __version__
from vision_zoo.serving.server import protocol
from vision_zoo.serving.server.body import read_body
from vision_zoo.serving.server.errors import RequestError, responses
from vision_zoo.serving.server.metrics import CONTENT_TYPE
from vision_zoo.serving.server.repository import VERSION
from vision_zoo.serving.server.state import State, state_of
from vision_zoo.serving.session import Session
from vision_zoo.serving.triton import MAX_BATCH_SIZE

router = APIRouter()

_OF_A_MODEL = responses(401, 404)
_MAX_INDEX_BODY = 4096
_INDEX_BODY: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/json": {"schema": {"type": "object", "properties": {"ready": {"type": "boolean"}}}}
        },
    }
}
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="6" fill="#d55e00"/>'
    '<path d="M8 9l8 15 8-15" fill="none" stroke="#fff" stroke-width="4"/></svg>'
)


@router.get("/", include_in_schema=False)
async def index(request: Request) -> Response:
    """Where a browser begins."""
    start = getattr(request.app.state, "start_page", "/docs")
    return RedirectResponse(request.scope.get("root_path", "") + start)


@router.get("/favicon.ico", include_in_schema=False)
async def favicon() -> Response:
    """What a browser asks every server for."""
    return Response(_ICON, media_type="image/svg+xml")


@router.get("/v2/health/live", tags=["health"], responses=responses())
async def live() -> dict[str, bool]:
    """200 while the process answers."""
    return {"live": True}


@router.get("/v2/health/ready", tags=["health"], responses=responses())
async def ready(request: Request) -> JSONResponse:
    """200 while there is a model to run, else 503."""
    is_ready = bool(state_of(request).repository.sessions)
    return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)


@router.get("/v2", tags=["metadata"], responses=responses(401))
@router.get("/v2/", include_in_schema=False)
async def server_metadata() -> dict[str, Any]:
    """The server's name, version and protocol extensions."""
    return {"name": "vision-zoo", "version": __version__, "extensions": list(protocol.EXTENSIONS)}


@router.get("/v2/models/stats", tags=["metadata"], responses=responses(401))
async def all_statistics(request: Request) -> dict[str, list[dict[str, Any]]]:
    """Counts and times of every model, as Triton gives them."""
    statistics = (await state_of(request).total())["statistics"]
    return {"model_stats": [statistics[name] for name in sorted(statistics)]}


@router.get("/v2/models/{model}/stats", tags=["metadata"], responses=_OF_A_MODEL)
@router.get("/v2/models/{model}/versions/{version}/stats", include_in_schema=False)
async def model_statistics(request: Request, model: str, version: str = VERSION) -> dict[str, Any]:
    """Counts and times of a model since the server began: answers, failures, and nanoseconds of each part."""
    state = state_of(request)
    session = find_session(state, model, version)
    return {"model_stats": [(await state.total())["statistics"][session.name]]}


@router.get("/v2/models/{model}", tags=["metadata"], responses=_OF_A_MODEL)
@router.get("/v2/models/{model}/versions/{version}", include_in_schema=False)
async def model_metadata(request: Request, model: str, version: str = VERSION) -> dict[str, Any]:
    """A model's inputs and outputs."""
    session = find_session(state_of(request), model, version)
    return protocol.model_metadata(session.metadata, model=model, version=VERSION)


@router.get("/v2/models/{model}/ready", tags=["health"], responses=_OF_A_MODEL)
@router.get("/v2/models/{model}/versions/{version}/ready", include_in_schema=False)
async def model_ready(request: Request, model: str, version: str = VERSION) -> dict[str, str | bool]:
    """200 where the model can be run."""
    find_session(state_of(request), model, version)
    return {"name": model, "ready": True}


@router.get("/v2/models/{model}/config", tags=["metadata"], responses=_OF_A_MODEL)
@router.get("/v2/models/{model}/versions/{version}/config", include_in_schema=False)
async def model_config(request: Request, model: str, version: str = VERSION) -> dict[str, Any]:
    """A model's configuration, as Triton's clients read it; shapes leave out the batch."""
    session = find_session(state_of(request), model, version)
    described = protocol.model_metadata(session.metadata, model=model, version=VERSION)
    return {
        "name": model,
        "platform": described["platform"],
        "max_batch_size": min(MAX_BATCH_SIZE, state_of(request).settings.max_batch),
        **{
            direction: [
                {"name": entry["name"], "data_type": f"TYPE_{entry['datatype']}", "dims": entry["shape"][1:]}
                for entry in described[f"{direction}s"]
            ]
            for direction in ("input", "output")
        },
    }


@router.post(
    "/v2/repository/index",
    tags=["metadata"],
    openapi_extra=_INDEX_BODY,
    responses=responses(401, 403, 408, 413, 415),
)
async def repository_index(request: Request) -> list[dict[str, str]]:
    """Every model of the folder and whether it is ready; with the body `{"ready": true}` only those that are."""
    state = state_of(request)
    body = await read_body(request, max_bytes=_MAX_INDEX_BODY, seconds=state.settings.read_seconds)
    only_ready = protocol.parse_index_request(body)
    repository = state.repository
    ready_ones = [
        {"name": name, "version": VERSION, "state": "READY", "reason": ""} for name in repository.sessions
    ]
    refused = [
        {"name": name, "version": VERSION, "state": "UNAVAILABLE", "reason": "the file cannot be loaded"}
        for name in repository.failures
        if name not in repository.sessions and not only_ready
    ]
    return sorted(ready_ones + refused, key=lambda entry: entry["name"])


@router.post("/v2/repository/models/{model}/load", include_in_schema=False)
@router.post("/v2/repository/models/{model}/unload", include_in_schema=False)
async def load_or_unload() -> None:
    """What Triton, too, refuses while it polls its models folder."""
    raise RequestError(
        400,
        "explicit model load / unload is not allowed: models are loaded when their files in the models folder change",
    )


@router.get("/v1/models", tags=["classify"], responses=responses(401))
async def models(request: Request) -> list[dict[str, Any]]:
    """Every model: what it tells apart, how good and how large it is."""
    return [
        _summary(name, session) for name, session in sorted(state_of(request).repository.sessions.items())
    ]


def _summary(name: str, session: Session) -> dict[str, Any]:
    metadata = session.metadata
    return {
        "name": name,
        "architecture": metadata.architecture,
        "dataset": metadata.dataset,
        "labels": list(metadata.labels),
        "test_accuracy": metadata.test_accuracy,
        "test_images": metadata.test_images,
        "precision": metadata.precision,
        "bytes": session.size,
        "provider": session.provider,
    }


@router.get("/metrics", tags=["metadata"], responses=responses(401))
async def metrics(request: Request) -> Response:
    """For Prometheus."""
    page = (await state_of(request).total())["metrics"]
    return Response(page, headers={"Content-Type": CONTENT_TYPE})


def find_session(state: State, model: str, version: str = VERSION) -> Session:
    """The session of a model and version; RequestError if there is none, or it cannot be loaded."""
    session = state.repository.session(model)
    if version != VERSION:
        raise RequestError(404, f"{model} has no version {version[:20]!r}; expected {VERSION}")
    return session
