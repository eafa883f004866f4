"""The server process: sockets, file limits, signals."""

import asyncio
import gc
import logging
import os
import socket
import sys
from typing import Any, cast

import uvicorn

from vision_zoo.core.errors import DeviceError
from vision_zoo.serving.server import connection, connection_limits, logs, transport
from vision_zoo.serving.server.app import create_app
from vision_zoo.serving.server.middleware import RequestContext
from vision_zoo.serving.server.settings import ServerSettings
from vision_zoo.serving.server.shutdown import Server

_BACKLOG = 1024
_ACCEPTS_A_ROUND, _FEW_ACCEPTS_A_ROUND = 64, 16
"""libuv accepts one connection of a socket in each round of the event loop: while there is much to do, too few.

A probe waits behind all that came before it. Each takes a file, so there are fewer where files are few.
"""
_GARBAGE_THRESHOLDS = 1_000, 20, 200
"""What is young is looked through often, as an event of the page leaves its picture in cycles; all else seldom, as
thousands of new connections a second would have all of it looked through ten times a second.
"""
_OTHER_FILES = 130
"""That a server opens beside its connections: models, the page, the log."""
_FEWEST_CONNECTIONS = 16


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT; running requests are finished first.

    Raises:
        ModelError: there is no model to serve.
        DeviceError: the port is in use or may not be opened, or too few files may be open.
    """
    logs.configure(logging.WARNING if settings.demo else logging.INFO)
    connections, backlog = _affordable(settings.max_connections)
    listening = _listen(settings.host, settings.port)
    with listening:
        app = create_app(settings)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        what = "serving the page" if settings.demo else "serving"
        print(f"{what} at http://{shown}:{port}{settings.root_path} (Ctrl-C to stop)", file=sys.stderr)
        limits = connection_limits.ConnectionLimits(
            connections=connections, read_seconds=settings.read_seconds
        )
        turns = transport.Turns()

        def protocol(**options: Any) -> asyncio.BaseProtocol:
            own = connection.Connection(limits=limits, turns=turns, refused=app.refused, **options)
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
        accepts = _ACCEPTS_A_ROUND if backlog == _BACKLOG else _FEW_ACCEPTS_A_ROUND
        _Server(config).run(sockets=_accepting(listening, accepts))


def _accepting(listening: socket.socket, times: int) -> list[socket.socket]:
    """The sockets that the event loop accepts from, so many times a round.

    Windows' event loop refuses the same socket twice, and accepts as many as there are anyway.
    """
    return [listening, *(listening.dup() for _ in range(times - 1 if os.name == "posix" else 0))]


class _Server(Server):
    """Looks after slow clients, also while it stops, and tells the application that it stops."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._sweeping = asyncio.create_task(connection_limits.sweep(self.server_state.connections))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cast(RequestContext, self.config.app).stopping.set()
        try:
            await super().shutdown(sockets)
        finally:
            self._sweeping.cancel()


def _affordable(wanted: int) -> tuple[int, int]:
    """How many connections this process may have open, and how many more may wait to be accepted.

    Raises:
        DeviceError: next to none.
    """
    if sys.platform == "win32":
        return wanted, _BACKLOG
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _BACKLOG + _OTHER_FILES + _ACCEPTS_A_ROUND
    if soft < needed and soft != resource.RLIM_INFINITY:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted, _BACKLOG
    # Those that wait are accepted all at once, before the first of them can be closed.
    backlog = max(1, min(_BACKLOG, (soft - _OTHER_FILES) // 3))
    connections = min(wanted, soft - _OTHER_FILES - backlog)
    if connections < min(wanted, _FEWEST_CONNECTIONS):
        raise DeviceError(
            f"the limit of open files is {soft}; expected {_OTHER_FILES + 2 * _FEWEST_CONNECTIONS} or more: "
            "raise `ulimit -n`"
        )
    if connections < wanted:
        print(
            f"warning: {connections} connections instead of {wanted}: the limit of open files is {soft} "
            "(`ulimit -n`)",
            file=sys.stderr,
        )
    return connections, backlog


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        raise DeviceError(f"cannot listen on {host[:100]} ({reason}); choose another --host") from error
    try:
        if os.name == "posix":  # on Windows it would let two servers have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise DeviceError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
        ) from error
    return listening
