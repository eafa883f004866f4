"""The ASGI application and its routes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vision_zoo import __version__
from vision_zoo.core.errors import ModelError
from vision_zoo.serving.server import classify, infer, service
from vision_zoo.serving.server.admission import Admission
from vision_zoo.serving.server.batching import Batches
from vision_zoo.serving.server.body import BODIES_BYTES, MemoryBudget
from vision_zoo.serving.server.compression import Compression
from vision_zoo.serving.server.decoders import Decoders
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.inline import InlineInfer
from vision_zoo.serving.server.metrics import Metrics
from vision_zoo.serving.server.middleware import UNFORESEEN, HeadAsGet, RequestContext
from vision_zoo.serving.server.repository import Repository
from vision_zoo.serving.server.settings import ServerSettings
from vision_zoo.serving.server.state import State
from vision_zoo.serving.server.worker import Link

_LOG = logging.getLogger("vision_zoo.server")
_DESCRIPTION = """Small image classifiers in ONNX Runtime.

`/v2` speaks the [Open Inference Protocol](https://github.com/kserve/open-inference-protocol), with binary tensors:
KServe's and Triton's clients work unchanged. `/v1/classify` takes an image file and returns labels.
"""


def create_app(settings: ServerSettings, link: Link | None = None) -> tuple[RequestContext, InlineInfer]:
    """The application over the models of `settings.models_dir`, loaded already, and what answers some of it directly.

    `link` connects it with other processes on the same port.

    Raises ModelError if the models folder does not exist, or there is no model for the page.
    """
    # On first sight of an odd file Pillow imports all its formats: not while requests wait.
    Image.init()
    repository = Repository(settings.models_dir, provider=settings.provider, threads=settings.threads)
    repository.refresh()
    if not repository.sessions:
        _without_models(settings)
    admission = Admission(max_concurrency=settings.max_concurrency, max_queue=settings.max_queue)
    metrics = Metrics(running=lambda: admission.running, waiting=lambda: admission.waiting)
    decoders = Decoders(max_pixels=settings.max_pixels, max_files=settings.max_batch)
    delay = settings.max_delay_ms / 1e3
    batches = Batches(admission, delay=delay, max_images=settings.max_batch) if delay else None
    state = State(settings, repository, admission, metrics, decoders, link, batches)
    if link is not None:
        link.report = state.report

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        reloading = asyncio.create_task(_keep_fresh(state))
        try:
            yield
        finally:
            repository.close()
            reloading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reloading
            admission.close()
            decoders.close()

    # FastAPI's own pages load their scripts from elsewhere; these bring them along.
    app: FastAPI = FastAPIOffline(
        title="vision-zoo", version=__version__, description=_DESCRIPTION, lifespan=lifespan
    )
    # A path with another slash is none of ours: a redirect would name the scheme and host of this side of a proxy.
    app.router.redirect_slashes = False
    app.state.vision_zoo = state
    for router in (service.router, infer.router, classify.router):
        app.include_router(router)
    app.exception_handler(RequestError)(_request_error)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(Exception)(_unforeseen_error)
    login = None
    if settings.demo:
        from vision_zoo.serving.demo.mount import mount_page

        login = mount_page(app, state)
    direct = infer.DirectInfer(app, state)
    context = RequestContext(
        HeadAsGet(Compression(direct)),
        metrics=metrics,
        api_key=settings.api_key,
        login=login,
        bodies=MemoryBudget(max(BODIES_BYTES, 2 * settings.max_body_bytes)),
        browsers=settings.browser_rules(),
        root_path=settings.root_path,
        stopping=state.stopping,
    )
    return context, InlineInfer(context, direct, state)


def _without_models(settings: ServerSettings) -> None:
    """Raises ModelError, unless a model may still come."""
    folder = settings.models_dir or "exported/"
    if settings.reload_seconds == 0:
        raise ModelError(f"there is no model to serve in {folder}; export one into it, or pass --models-dir")
    _LOG.warning(
        "there is no model to serve yet; one that is exported into the folder is loaded",
        extra={"folder": str(folder)},
    )


async def _keep_fresh(state: State) -> None:
    """Look at the models folder now and then; what is wrong with it is logged and changes nothing."""
    while state.settings.reload_seconds > 0:
        await asyncio.sleep(state.settings.reload_seconds)
        try:
            await asyncio.to_thread(state.repository.refresh)
        except Exception as error:  # noqa: BLE001  (whatever it is, the next look may find it mended)
            _LOG.error("the models folder cannot be read", extra={"reason": str(error)})


async def _request_error(_request: Request, error: RequestError) -> Response:
    return JSONResponse({"error": error.message}, status_code=error.status, headers=error.headers)


async def _http_error(_request: Request, error: HTTPException) -> Response:
    message = {404: "there is nothing at this path", 405: "this path does not accept that method"}
    text = message.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # which `RequestContext` makes of every GET
    return JSONResponse({"error": text}, status_code=error.status_code, headers=headers)


async def _unforeseen_error(_request: Request, _error: Exception) -> Response:
    """An answer in JSON; the error goes on to `RequestContext`, which logs it."""
    return JSONResponse({"error": UNFORESEEN.message}, status_code=UNFORESEEN.status)


async def _validation_error(_request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return JSONResponse({"error": f"{where}: {first['msg']}"}, status_code=400)
