"""Models over HTTP: `demo` for people, `serve` for programs."""

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vision_zoo.cli.options import ModelsDir, Provider, warn_of_fallback
from vision_zoo.core.bounds import require_between
from vision_zoo.core.environment import usable_cores

if TYPE_CHECKING:
    from vision_zoo.serving.server.settings import ServerSettings

AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="Accepted host name besides this machine's own, such as *.example.org; * for any. Repeatable."
    ),
]
RootPath = Annotated[str, typer.Option(help="Path prefix added by a proxy.")]
_LARGEST_BODY_MB = 2048


def demo(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 for any free port.", min=0, max=65535)
    ] = 7860,
    provider: Provider = "auto",
    collect: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which visitors may save images with the right label. Default: nothing is saved.",
            metavar="DIR",
        ),
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Allow other machines without an API key.")
    ] = False,
    allow_host: AllowHost = None,
    root_path: RootPath = "",
) -> None:
    """Serve a web page for drawing digits and classifying images.

    If VISION_ZOO_API_KEY is set, the page asks for that key.
    """
    from vision_zoo.serving.server.settings import ServerSettings

    settings = ServerSettings(
        models_dir=models_dir,
        host=host,
        port=port,
        provider=provider,
        api_key=os.environ.get("VISION_ZOO_API_KEY") or None,
        demo=True,
        collect=collect,
        open_to_all=open_to_all,
        allow_hosts=tuple(allow_host or ()),
        root_path=root_path.rstrip("/"),
    )
    _run(settings)


def serve(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any free port.")] = 8000,
    provider: Provider = "auto",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads per model (intra-op). Default: those stored in its file, else 1.", min=1),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Server processes on the port. The limits below are those of each.", min=1)
    ] = 1,
    page: Annotated[bool, typer.Option("--demo", help="Also serve the demo page at /demo.")] = False,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Allow other machines without an API key.")
    ] = False,
    allow_host: AllowHost = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="Allowed origin of web pages, such as https://example.org; * for any. Repeatable."),
    ] = None,
    root_path: RootPath = "",
    max_body_mb: Annotated[float, typer.Option(help="Largest request body, in MiB.")] = 16.0,
    max_batch: Annotated[int, typer.Option(help="Largest number of images per request.")] = 256,
    max_delay_ms: Annotated[
        float,
        typer.Option(
            help="Milliseconds that requests wait to run with others of the model as one batch, up to --max-batch images."
        ),
    ] = 0.0,
    max_pixels: Annotated[int, typer.Option(help="Largest image file, in pixels.")] = 16_000_000,
    max_concurrency: Annotated[
        int | None,
        typer.Option(help="Requests running at once. Default: one per core, divided among the processes."),
    ] = None,
    max_queue: Annotated[
        int, typer.Option(help="Requests waiting at once; further ones are answered with 503.")
    ] = 512,
    max_connections: Annotated[int, typer.Option(help="Connections open at once.")] = 1000,
    deadline: Annotated[float, typer.Option(help="Seconds until a request is answered with 504.")] = 10.0,
    read_seconds: Annotated[float, typer.Option(help="Seconds for a client to send a request.")] = 10.0,
    reload: Annotated[float, typer.Option(help="Seconds between checks of the models folder.")] = 2.0,
) -> None:
    """Serve models over HTTP: Open Inference Protocol v2, image classification, metrics.

    If VISION_ZOO_API_KEY is set, clients must send that key.
    """
    from vision_zoo.serving.server.settings import ServerSettings

    require_between("max body MB", max_body_mb, 0, _LARGEST_BODY_MB, above=True)
    if max_concurrency is None:
        max_concurrency = max(1, usable_cores() // max(1, workers))
    settings = ServerSettings(
        models_dir=models_dir,
        host=host,
        port=port,
        provider=provider,
        threads=threads,
        workers=workers,
        api_key=os.environ.get("VISION_ZOO_API_KEY") or None,
        demo=page,
        open_to_all=open_to_all,
        allow_hosts=tuple(allow_host or ()),
        cors_origins=tuple(cors_origin or ()),
        root_path=root_path.rstrip("/"),
        max_body_bytes=math.ceil(max_body_mb * 2**20),
        max_batch=max_batch,
        max_delay_ms=max_delay_ms,
        max_pixels=max_pixels,
        max_concurrency=max_concurrency,
        max_queue=max_queue,
        max_connections=max_connections,
        deadline_seconds=deadline,
        read_seconds=read_seconds,
        reload_seconds=reload,
    )
    _run(settings)


def _run(settings: "ServerSettings") -> None:
    from vision_zoo.serving.server import logs

    with logs.never_waiting():
        warn_of_fallback(settings.provider)
        if settings.workers > 1:
            from vision_zoo.serving.server.workers import serve as run_server
        else:
            from vision_zoo.serving.server.run import serve as run_server

        run_server(settings)
