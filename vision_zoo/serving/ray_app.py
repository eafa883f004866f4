"""The server as replicas on the nodes of a Ray cluster. Needs the extra `ray`.

    export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=/etc/ray/token
    ray start --head --include-dashboard=false    # on one machine
    ray start --address HEAD:6379                 # on each of the others
    serve start --http-host 0.0.0.0               # without it every node answers itself alone
    serve run vision_zoo.serving.ray_app:application replicas=4 models_dir=/models

Every replica is the whole server (`vision_zoo.serving.server`) with its limits. Ray answers on port 8000 of every
node, hands requests to the replicas, and starts those of a lost node elsewhere. The models folder must be at the same
path on every node. The header X-Served-By names the node and the replica that answered. Without a token Ray's own ports
run anybody's programs: docs/DEPLOYING.md says which they are and what closes them.
"""

import logging
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody unless it is asked for

import ray
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vision_zoo.core.errors import UsageError
from vision_zoo.serving.server import logs
from vision_zoo.serving.server.app import create_app
from vision_zoo.serving.server.settings import ServerSettings

_SERVED_BY = b"x-served-by"


class Options(BaseModel):
    """What `serve run` and a Serve configuration file may set; see `ServerSettings` for the others.

    Args:
        replicas: of the server, spread over the nodes.
        replicas_per_node: at most.
        cpus: that Ray reserves for each replica; as many requests run at once in it.
        gpus: likewise; 0 runs on the CPU.
    """

    model_config = ConfigDict(extra="forbid")

    replicas: int = Field(default=2, ge=1)
    replicas_per_node: int | None = Field(default=None, ge=1)
    cpus: int = Field(default=1, ge=1)
    gpus: float = Field(default=0, ge=0, allow_inf_nan=False)
    models_dir: Path | None = None
    provider: str = "auto"
    threads: int | None = Field(default=None, ge=1)
    max_batch: int = 256
    max_delay_ms: float = 0.0
    max_queue: int = 512
    deadline_seconds: float = 10.0
    open_to_all: bool = False


def application(options: Options) -> serve.Application:
    """The application for `serve.run`. VISION_ZOO_API_KEY, if set where this runs, is the key for all replicas.

    Raises UsageError for an option out of range, or neither a key nor `open_to_all`.
    """
    key = os.environ.get("VISION_ZOO_API_KEY") or None
    if key is None and not options.open_to_all:
        raise UsageError(
            "a cluster can be reached from other machines: set an API key (VISION_ZOO_API_KEY), or pass open_to_all=true "
            "to allow access without a key"
        )
    settings = ServerSettings(
        models_dir=options.models_dir,
        provider=options.provider,
        allow_hosts=("*",),  # Ray's proxies are reached by names that a replica does not know
        threads=options.threads,
        api_key=key,
        max_batch=options.max_batch,
        max_delay_ms=options.max_delay_ms,
        max_concurrency=options.cpus,
        max_queue=options.max_queue,
        deadline_seconds=options.deadline_seconds,
    )

    def build() -> ASGIApp:
        logs.configure(logging.WARNING)  # Ray keeps a log of requests itself
        app, _ = create_app(settings)
        return _Named(app)

    replicated = serve.deployment(
        name="vision-zoo",
        num_replicas=options.replicas,
        max_replicas_per_node=options.replicas_per_node,
        # The replica itself queues, answers 503 beyond its queue, and says so in its metrics.
        max_ongoing_requests=options.cpus + options.max_queue + 1,
        graceful_shutdown_timeout_s=settings.drain_seconds,
        health_check_period_s=2,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
    )
    return replicated(serve.ingress(build)()).bind()


class _Named:
    """ASGI middleware: who answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        node = ray.get_runtime_context().get_node_id()
        self._name = f"{node[:12]}/{serve.get_replica_context().replica_id.unique_id}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = [*message.get("headers", ()), (_SERVED_BY, self._name)]
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_named)
