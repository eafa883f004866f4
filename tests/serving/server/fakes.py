"""Connections without a socket."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from vision_zoo.serving.server.connection import Connection, Inline
from vision_zoo.serving.server.connection_limits import ConnectionLimits
from vision_zoo.serving.server.transport import Turns


class Transport(asyncio.Transport):
    """Of a connection that nothing arrives from: it tells whether anything would be read."""

    reads = True

    def write(self, data: Any) -> None:
        pass

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def connect(
    app: Any,
    count: int,
    *,
    inline: Inline | None = None,
    refused: Callable[[int, str], None] = lambda *_: None,
) -> tuple[list[Connection], list[Transport], Turns, ServerState]:
    """Open `count` connections to `app`, within an event loop."""
    turns, state = Turns(), ServerState()
    connections = [
        Connection(
            config=uvicorn.Config(app, log_config=None),
            server_state=state,
            app_state={},
            limits=ConnectionLimits(connections=1000, read_seconds=60),
            turns=turns,
            refused=refused,
            inline=inline,
        )
        for _ in range(count)
    ]
    transports = [Transport() for _ in connections]
    for connection, transport in zip(connections, transports, strict=True):
        connection.connection_made(transport)
    return connections, transports, turns, state
