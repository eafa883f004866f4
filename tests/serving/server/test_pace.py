"""Reading at a pace that leaves room for probes: bodies in turns, small pieces now and then."""

import asyncio
from typing import Any

from tests.serving.server import fakes
from tests.serving.server.conftest import INFER
from vision_zoo.serving.server.connection_limits import Room

_HEAD = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n".encode()


async def _read(_scope: Any, receive: Any, _send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def test_a_body_is_read_when_its_request_has_begun() -> None:
    async def send() -> None:
        connections, transports, turns, state = fakes.connect(_read, 100)
        for connection in connections:
            connection.data_received(_HEAD + bytes(1000))
        assert sum(transport.reads for transport in transports) == 100 - len(turns) < 10
        while len(turns):
            await asyncio.sleep(0)
        assert all(transport.reads for transport in transports)
        for connection in connections:
            connection.connection_lost(None)
        await asyncio.gather(*state.tasks)

    asyncio.run(send())


def test_small_pieces_are_read_now_and_then_and_excuse_nobody() -> None:
    async def send() -> None:
        connections, transports, _, state = fakes.connect(_read, 2)
        (small, large), now = connections, asyncio.get_running_loop().time()
        for piece, connection in ((b"a", small), (bytes(1500), large)):
            connection.data_received(_HEAD)
            for _ in range(50):
                connection.data_received(piece)
            await asyncio.sleep(0)
        assert [transport.reads for transport in transports] == [False, True]
        assert small.stalled_since is not None
        small.sweep(now)
        assert [transport.reads for transport in transports] == [True, True]
        small.data_received(b"a")
        assert [transport.reads for transport in transports] == [False, True]
        for connection in connections:
            connection.connection_lost(None)
        await asyncio.gather(*state.tasks)

    asyncio.run(send())


def test_small_requests_are_read_without_delay() -> None:
    async def answer(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send() -> None:
        (connection,), (transport,), _, _ = fakes.connect(answer, 1)
        for _ in range(100):
            connection.data_received(b"GET /v2 HTTP/1.1\r\n")
            connection.data_received(b"Host: localhost\r\n\r\n")
            while not connection.cycle.response_complete:
                await asyncio.sleep(0)
            assert transport.reads
        connection.connection_lost(None)

    asyncio.run(send())


def test_the_longest_wait_ends_for_a_new_connection() -> None:
    async def come() -> None:
        connections, _, _, _ = fakes.connect(_read, 100)
        room, present = Room(), set(connections)
        for number, connection in enumerate(connections):
            connection._timeouts.waiting_since = float(number)
            connection.abort = lambda one=connection: present.discard(one)  # type: ignore[method-assign,misc]
        newest = connections.pop()
        connections[0]._timeouts.work()
        for closed in connections[1:]:
            assert closed in present
            assert room.make(present, newest)
            assert closed not in present
        assert present == {connections[0], newest}
        assert not room.make(present, newest)

    asyncio.run(come())
