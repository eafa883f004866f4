"""Clients that leave: what waits for them ends at once, and what it holds is freed."""

import asyncio
import os
import signal
import socket
import struct
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.server import bombs, fakes
from tests.serving.server.conftest import CLASSIFY, INFER, Server, running, tensor_body, until

MIB = 2**20
LARGE = 15 * MIB
MOST_LARGE = 6
"""Bodies of so many bytes that fit the server's memory for bodies together."""


@pytest.fixture(scope="module")
def occupied(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that runs one request at a time, and whose one turn is taken by a request that does not end."""
    arguments = ("--max-concurrency", "1", "--deadline", "600", "--read-seconds", "60")
    with running(models, tmp_path_factory.mktemp("occupied") / "log", *arguments) as started:
        body, headers = bombs.endless()
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with _send(started, f"{CLASSIFY} HTTP/1.1\r\n{head}", body):
            until(lambda: bool(bombs.children(started)))
            decoders = bombs.children(started)
            try:
                for decoder in decoders:
                    os.kill(decoder, signal.SIGSTOP)
                yield started
            finally:
                for decoder in decoders:
                    os.kill(decoder, signal.SIGKILL)


def _send(server: Server, target: str, body: bytes, missing: int = 0) -> socket.socket:
    """Send a request but for the `missing` last bytes of its body, and wait for no answer."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    length = f"Host: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(f"POST {target}{length}".encode() + body[: len(body) - missing])
    return connection


def _infer(server: Server, body: bytes, missing: int = 0) -> socket.socket:
    return _send(server, f"{INFER} HTTP/1.1\r\n", body, missing)


def _leave(connection: socket.socket, *, reset: bool) -> None:
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _gauge(server: Server, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics", timeout=60).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"vision_zoo_{name} ")).split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_requests_whose_clients_left_leave_the_queue_and_the_memory(occupied: Server, reset: bool) -> None:
    small = [_infer(occupied, tensor_body()) for _ in range(200)]
    large = [_infer(occupied, bytes(LARGE)) for _ in range(MOST_LARGE - 1)]
    until(lambda: _gauge(occupied, "waiting") == len(small + large))
    receiving = [_infer(occupied, bytes(LARGE), missing=LARGE // 2) for _ in range(2)]
    for connection in [*small, *large, *receiving]:
        _leave(connection, reset=reset)
    until(lambda: _gauge(occupied, "waiting") == 0)
    assert _gauge(occupied, "running") == 1  # still the one that does not end

    # There is room for as much again: where some were still held, the last would be refused.
    again = [_infer(occupied, bytes(LARGE)) for _ in range(MOST_LARGE)]
    until(lambda: _gauge(occupied, "waiting") == MOST_LARGE)
    for connection in again:
        _leave(connection, reset=reset)
    until(lambda: _gauge(occupied, "waiting") == 0)


def test_a_lost_connection_is_freed_before_its_request_has_begun() -> None:
    """Many requests in one round of the event loop: a few begin, and nothing is kept of the others."""
    begun: list[str] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        begun.append((await receive())["type"])

    async def requests() -> None:
        connections, _, turns, state = fakes.connect(app, 100)
        body = bytes(50_000)
        head = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for connection in connections:
            connection.data_received(head + body)
        waiting = len(turns)
        assert waiting >= 90
        held = [weakref.ref(connection.cycle) for connection in connections[-waiting:]]
        assert all(reference() is not None for reference in held)
        for connection in connections:
            connection.connection_lost(None)
        assert len(turns) == 0
        assert not any(reference() for reference in held)
        await asyncio.gather(*state.tasks)

    asyncio.run(requests())
    assert set(begun) == {"http.disconnect"}
    assert len(begun) < 10
