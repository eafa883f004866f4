"""A server process: its settings of uvicorn, of memory, and its signals."""

import asyncio
import gc
import logging
import socket
import sys
from typing import Any, cast

import uvicorn

from vision_zoo.serving.server import connection, connection_limits, listening, logs, transport
from vision_zoo.serving.server.app import create_app
from vision_zoo.serving.server.middleware import RequestContext
from vision_zoo.serving.server.settings import ServerSettings
from vision_zoo.serving.server.shutdown import Server
from vision_zoo.serving.server.worker import Link

_GARBAGE_THRESHOLDS = 1_000, 20, 200
"""What is young is looked through often, as an event of the page leaves its picture in cycles; all else seldom, as
thousands of new connections a second would have all of it looked through ten times a second.
"""


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT; running requests are finished first.

    Raises:
        ModelError: there is no model to serve.
        DeviceError: the port is in use or may not be opened, or too few files may be open.
    """
    (opened,) = listening.listen(settings.host, settings.port)
    with opened:
        serve_on(opened, settings)


def serve_on(opened: socket.socket, settings: ServerSettings, link: Link | None = None) -> None:
    """Serve on a socket that listens already, alone or as one of several processes that a `link` connects.

    Raises as `serve`.
    """
    logs.configure(logging.WARNING if settings.demo else logging.INFO)
    connections, backlog = listening.affordable(settings.max_connections)
    app, inline = create_app(settings, link)
    if link is None:
        listening.announce(settings, opened)
    limits = connection_limits.ConnectionLimits(connections=connections, read_seconds=settings.read_seconds)
    turns = transport.Turns()

    def protocol(**options: Any) -> asyncio.BaseProtocol:
        own = connection.Connection(limits=limits, turns=turns, refused=app.refused, inline=inline, **options)
        return transport.Reader(own, own.reads_body)

    config = uvicorn.Config(
        app,
        http=cast(Any, protocol),
        ws="none",
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=backlog,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
    gc.collect()
    gc.freeze()  # what is loaded stays: looking through it again and again would delay requests
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    enough_files = backlog == listening.BACKLOG
    accepts = listening.ACCEPTS_A_ROUND if enough_files else listening.FEW_ACCEPTS_A_ROUND
    _Server(config, link).run(sockets=listening.accepting(opened, accepts))


class _Server(Server):
    """Looks after slow clients, also while it stops, and tells the application that it stops."""

    def __init__(self, config: uvicorn.Config, link: Link | None) -> None:
        super().__init__(config)
        self._link = link

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweeping = asyncio.create_task(connection_limits.sweep(self.server_state.connections))
        if self._link is not None:
            await self._link.open(self.stop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cast(RequestContext, self.config.app).stopping.set()
        try:
            await super().shutdown(sockets)
        finally:
            self._sweeping.cancel()
