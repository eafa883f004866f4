"""Models over HTTP: `demo` for people, `serve` for programs."""

import os
from typing import Annotated

import typer

from vision_zoo.cli.options import ModelsDir, Provider, warn_of_fallback


def demo(
    models_dir: ModelsDir = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 7860,
    provider: Provider = "auto",
    open_to_all: Annotated[bool, typer.Option("--open-to-all", help="Listen beyond this machine.")] = False,
) -> None:
    """Serve a page to draw digits on and drop images into."""
    from vision_zoo.serving.server.settings import ServerSettings

    settings = ServerSettings(
        models_dir=models_dir, host=host, port=port, provider=provider, demo=True, open_to_all=open_to_all
    )
    warn_of_fallback(provider)
    from vision_zoo.serving.server.run import serve as run_server

    run_server(settings)


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
    max_body_mb: Annotated[float, typer.Option(help="Largest request, in MiB.")] = 16.0,
    max_batch: Annotated[int, typer.Option(help="Images of one request.")] = 256,
    max_concurrency: Annotated[
        int | None, typer.Option(help="Requests that run at once; one a core without it.")
    ] = None,
    max_queue: Annotated[int, typer.Option(help="Requests that wait; more are answered 503.")] = 512,
    deadline: Annotated[float, typer.Option(help="Seconds until a request is answered 504.")] = 10.0,
    read_seconds: Annotated[float, typer.Option(help="Seconds a client may take to send a request.")] = 10.0,
    reload: Annotated[float, typer.Option(help="Seconds between looks at the models folder.")] = 2.0,
) -> None:
    """Serve models over HTTP: the Open Inference Protocol, image classification, metrics.

    VISION_ZOO_API_KEY, if set, is the key that clients must send.
    """
    from vision_zoo.serving.server.settings import ServerSettings

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
        max_body_bytes=int(max_body_mb * 2**20),
        max_batch=max_batch,
        max_queue=max_queue,
        deadline_seconds=deadline,
        read_seconds=read_seconds,
        reload_seconds=reload,
        **limits,
    )
    warn_of_fallback(provider)
    from vision_zoo.serving.server.run import serve as run_server

    run_server(settings)
