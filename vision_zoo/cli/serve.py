"""Models over HTTP: `demo` for people, `serve` for programs."""

import math
import os
from typing import TYPE_CHECKING, Annotated

import typer

from vision_zoo.cli.options import ModelsDir, Provider, warn_of_fallback
from vision_zoo.core.errors import UsageError

if TYPE_CHECKING:
    from vision_zoo.serving.server.settings import ServerSettings

AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="Name to answer for besides this machine's, such as *.example.org; * for any. Repeatable."
    ),
]
RootPath = Annotated[str, typer.Option(help="Prefix that a proxy puts before every path.")]
_LARGEST_BODY_MB = 2048


def demo(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 7860,
    provider: Provider = "auto",
    open_to_all: Annotated[bool, typer.Option("--open-to-all", help="Listen beyond this machine.")] = False,
    allow_host: AllowHost = None,
    root_path: RootPath = "",
) -> None:
    """Serve a page to draw digits on and drop images into.

    VISION_ZOO_API_KEY, if set, is the key that the page asks for.
    """
    from vision_zoo.serving.server.settings import ServerSettings

    settings = ServerSettings(
        models_dir=models_dir,
        host=host,
        port=port,
        provider=provider,
        api_key=os.environ.get("VISION_ZOO_API_KEY") or None,
        demo=True,
        open_to_all=open_to_all,
        allow_hosts=tuple(allow_host or ()),
        root_path=root_path.rstrip("/"),
    )
    _run(settings)


def serve(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8000,
    provider: Provider = "auto",
    threads: Annotated[int, typer.Option(help="Of each model, within one operator.", min=1)] = 1,
    page: Annotated[bool, typer.Option("--demo", help="Serve the page to draw on, too, at /demo.")] = False,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Listen beyond this machine without an API key.")
    ] = False,
    allow_host: AllowHost = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            help="Origin whose web pages may use the server, such as https://example.org; * for any. Repeatable."
        ),
    ] = None,
    root_path: RootPath = "",
    max_body_mb: Annotated[float, typer.Option(help="Largest request, in MiB.")] = 16.0,
    max_batch: Annotated[int, typer.Option(help="Images of one request.")] = 256,
    max_pixels: Annotated[int, typer.Option(help="Largest image file, in pixels.")] = 16_000_000,
    max_concurrency: Annotated[
        int | None, typer.Option(help="Requests that run at once; one a core without it.")
    ] = None,
    max_queue: Annotated[int, typer.Option(help="Requests that wait; more are answered 503.")] = 512,
    max_connections: Annotated[int, typer.Option(help="Connections that are open at once.")] = 1000,
    deadline: Annotated[float, typer.Option(help="Seconds until a request is answered 504.")] = 10.0,
    read_seconds: Annotated[float, typer.Option(help="Seconds a client may take to send a request.")] = 10.0,
    reload: Annotated[float, typer.Option(help="Seconds between looks at the models folder.")] = 2.0,
) -> None:
    """Serve models over HTTP: the Open Inference Protocol, image classification, metrics.

    VISION_ZOO_API_KEY, if set, is the key that clients must send.
    """
    from vision_zoo.serving.server.settings import ServerSettings

    if not 0 < max_body_mb <= _LARGEST_BODY_MB:
        raise UsageError(
            f"max body MB {max_body_mb} is out of range; expected more than 0, at most {_LARGEST_BODY_MB}"
        )
    limits = {} if max_concurrency is None else {"max_concurrency": max_concurrency}
    settings = ServerSettings(
        models_dir=models_dir,
        host=host,
        port=port,
        provider=provider,
        threads=threads,
        api_key=os.environ.get("VISION_ZOO_API_KEY") or None,
        demo=page,
        open_to_all=open_to_all,
        allow_hosts=tuple(allow_host or ()),
        cors_origins=tuple(cors_origin or ()),
        root_path=root_path.rstrip("/"),
        max_body_bytes=math.ceil(max_body_mb * 2**20),
        max_batch=max_batch,
        max_pixels=max_pixels,
        max_queue=max_queue,
        max_connections=max_connections,
        deadline_seconds=deadline,
        read_seconds=read_seconds,
        reload_seconds=reload,
        **limits,
    )
    _run(settings)


def _run(settings: "ServerSettings") -> None:
    from vision_zoo.serving.server import logs

    with logs.never_waiting():
        warn_of_fallback(settings.provider)
        from vision_zoo.serving.server.run import serve as run_server

        run_server(settings)
