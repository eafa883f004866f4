"""What is answered where its last byte arrives is answered as by the application, and counted the same."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from tests.serving.server import fakes
from tests.serving.server.conftest import INFER, MODEL, Server, running, tensor_body
from vision_zoo.serving.server.app import create_app
from vision_zoo.serving.server.connection import Connection
from vision_zoo.serving.server.settings import ServerSettings

KEY = "a key that is long enough"
_BINARY = json.dumps(
    {
        "inputs": [
            {
                "name": "image",
                "datatype": "UINT8",
                "shape": [1, 28, 28, 1],
                "parameters": {"binary_data_size": 784},
            }
        ],
        "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}],
    }
).encode()
_LENGTH = {"Inference-Header-Content-Length": str(len(_BINARY))}
REQUESTS: dict[str, tuple[dict[str, str], bytes]] = {
    "JSON": ({}, tensor_body()),
    "binary": (_LENGTH, _BINARY + bytes(784)),
    "raw": ({"Inference-Header-Content-Length": "0"}, bytes(784)),
    "an id": ({"X-Request-ID": "abc"}, tensor_body()),
    "compressed": ({"Accept-Encoding": "gzip"}, tensor_body()),
    "several, compressed": ({"Accept-Encoding": "gzip"}, tensor_body(batch=6)),
    "another host": ({"Host": "example.org"}, tensor_body()),
    "two hosts": ({"host": "localhost"}, tensor_body()),
    "a page's": ({"Origin": "https://example.org"}, tensor_body()),
    "no key": ({"X-API-Key": "another key"}, tensor_body()),
    "no JSON": ({}, b"{"),
    "numbers out of range": ({}, tensor_body(data=[256] * 784)),
    "another encoding": ({"Content-Encoding": "br"}, tensor_body()),
    "close": ({"Connection": "close"}, tensor_body()),
}


@pytest.fixture(scope="module")
def guarded(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("guarded") / "log"
    with running(models, log, "--max-body-mb", "1", env={"VISION_ZOO_API_KEY": KEY}) as started:
        with httpx.Client(base_url=started.url, headers={"X-API-Key": KEY}) as client:
            assert client.post(INFER, content=tensor_body()).status_code == 200
        yield started


def _request(headers: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
    given = {"Host": "localhost", "X-API-Key": KEY, **headers, "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {INFER} HTTP/1.1\r\n{lines}\r\n".encode(), body


def _answer(server: Server, *pieces: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Status line, headers without those that differ each time, and body."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(0.02)  # it would make no difference to what is asserted if they came together
            connection.sendall(piece)
        received = b""
        while not (found := re.search(rb"content-length: (\d+)\r\n.*\r\n\r\n", received, re.DOTALL)):
            received += connection.recv(65536)
        while len(received) < found.end() + int(found[1]):
            received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert headers.pop(b"date")
    assert headers[b"x-request-id"] == b"abc" or len(headers.pop(b"x-request-id")) == 32
    return status, headers, body


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_in_one_piece_is_answered_as_in_two(guarded: Server, name: str) -> None:
    head, body = _request(*REQUESTS[name])
    assert _answer(guarded, head + body) == _answer(guarded, head, body)


def test_only_what_is_ordinary_is_answered_inline(models: Path) -> None:
    context, inline = create_app(ServerSettings(models_dir=models, reload_seconds=0, api_key=KEY))
    expected = inline._state.admission.expected

    def content(name: str, tail: bytes = b"") -> bytes | None:
        headers, body = REQUESTS[name]
        given = {"Host": "localhost", "X-API-Key": KEY, **headers}
        scope = {
            "method": "POST",
            "path": INFER,
            "http_version": "1.1",
            "headers": [(key.lower().encode(), value.encode()) for key, value in given.items()],
            "state": {},
        }
        answer = inline(scope, body + tail, [])
        assert answer is None or answer.startswith(b"HTTP/1.1 200 OK\r\n")
        return answer and answer.partition(b"\r\n\r\n")[2]

    assert content("JSON") is None  # nobody knows yet how long the model takes
    expected[MODEL] = 1e-6
    answers = {name: content(name) for name in REQUESTS}
    ordinary = {name for name, answer in answers.items() if answer is not None}
    # The connection, not what is asked here, sees that it is to be closed.
    assert ordinary == {"JSON", "binary", "raw", "an id", "compressed", "close"}
    page = context._metrics.page({}).decode()
    assert f'vision_zoo_images_total{{model="{MODEL}"}} {len(ordinary)}.0' in page
    assert content("binary") == answers["binary"]  # of which the JSON is known now
    assert content("binary", b"a byte too many") is None
    expected[MODEL] = 1.0
    assert content("JSON") is None


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for what follows a head however long this machine takes."""
    monkeypatch.setattr("vision_zoo.serving.server.connection._BODY_FOLLOWS_SECONDS", 3600)


def _in_pieces(*pieces: bytes, wait: bool = False, lose: bool = False) -> list[bytes]:
    """What answered requests that arrive so: the body where it was inline, `the application`, or a refusal's status."""
    answered: list[bytes] = []

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        answered.append(b"the application")
        started.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def refused(status: int, _message: str) -> None:
        answered.append(str(status).encode())

    def inline(_scope: object, body: bytes, _headers: object) -> bytes:
        answered.append(body)
        return b"HTTP/1.1 200 OK\r\n\r\n"

    async def receive() -> None:
        (connection,), _, turns, state = fakes.connect(application, 1, inline=inline, refused=refused)
        assert isinstance(connection, Connection)
        for piece in pieces:
            connection.data_received(piece)
            await asyncio.sleep(0)
        if wait:
            await asyncio.wait_for(started.wait(), 60)
        if lose:
            connection.connection_lost(None)
            await asyncio.sleep(0.1)
            assert len(turns) == 0
        await asyncio.gather(*state.tasks)

    started = asyncio.Event()
    asyncio.run(receive())
    return answered


@pytest.mark.usefixtures("patient")
def test_a_short_body_that_follows_its_head_is_answered_inline() -> None:
    head, body = _request({}, tensor_body())
    assert _in_pieces(head + body) == [body]
    assert _in_pieces(head, body) == [body]
    assert _in_pieces(head, body[:1], body[1:-1], body[-1:]) == [body]
    assert _in_pieces(head, body, head + body) == [body, body]
    assert _in_pieces(head[:20], head[20:], body, head, body) == [body, body]


def test_the_application_waits_for_all_other_bodies() -> None:
    head, body = _request({}, tensor_body())
    assert _in_pieces(head, wait=True) == [b"the application"]
    assert _in_pieces(head, body[:-1], wait=True) == [b"the application"]
    assert _in_pieces(_request({"Expect": "100-continue"}, body)[0], wait=True) == [b"the application"]
    assert _in_pieces(_request({"Connection": "close"}, body)[0], wait=True) == [b"the application"]
    assert _in_pieces(_request({}, bytes(100_000))[0], wait=True) == [b"the application"]
    long_head, long_body = _request({}, bytes(40_000))
    assert _in_pieces(long_head, long_body[:32_000], wait=True) == [b"the application"]


@pytest.mark.usefixtures("patient")
def test_a_client_that_leaves_while_its_body_is_awaited_is_counted() -> None:
    head, body = _request({}, tensor_body())
    assert _in_pieces(head, lose=True) == [b"499"]
    assert _in_pieces(head, body[:10], lose=True) == [b"499"]


@pytest.mark.usefixtures("patient")
def test_requests_that_come_together_wait_for_their_own_bodies_alone() -> None:
    head, body = _request({}, tensor_body())
    chunked = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    assert _in_pieces(chunked + whole + head, body) == [body, body]
    assert _in_pieces(chunked, whole[:-1], whole[-1:] + head, body, wait=True) == [b"the application", body]
