"""The process: sockets, signals, connections that are too slow."""

import asyncio
import contextlib
import logging
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from vision_zoo.errors import DeviceError
from vision_zoo.serving.server import logs
from vision_zoo.serving.server.app import create_app
from vision_zoo.serving.server.settings import ServerSettings

_IDLE_SECONDS = 30


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT; running requests are finished first.

    Raises:
        ModelError: there is no model to serve.
        DeviceError: the port is in use or may not be opened.
    """
    logs.configure(logging.WARNING if settings.demo else logging.INFO)
    listening = _listen(settings.host, settings.port)
    with listening:
        app = create_app(settings)
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        what = "the page is" if settings.demo else "serving"
        print(f"{what} at http://{shown}:{port} (Ctrl-C stops it)", file=sys.stderr, flush=True)
        config = uvicorn.Config(
            app,
            http=protocol_with_deadline(settings.read_seconds),
            ws="none",
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
        )
        with contextlib.suppress(
            KeyboardInterrupt
        ):  # told to stop, it has finished what had begun: all is well
            uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, number)
    except OSError as error:
        raise DeviceError(f"cannot listen on {host} ({error.strerror}); choose another --host") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise DeviceError(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another --port or --host"
        ) from error
    return listening


def protocol_with_deadline(seconds: float) -> type[asyncio.Protocol]:
    """HTTP as uvicorn speaks it, but a request's first line and headers must arrive within `seconds`."""

    class Protocol(HttpToolsProtocol):
        _overdue: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._overdue = self.loop.call_later(seconds, transport.close)

        def on_message_begin(self) -> None:
            if self._overdue is None:  # a later request on the same connection
                self._overdue = self.loop.call_later(seconds, self.transport.close)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_time()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._in_time()
            super().connection_lost(exc)

        def _in_time(self) -> None:
            if self._overdue is not None:
                self._overdue.cancel()
                self._overdue = None

    return Protocol
