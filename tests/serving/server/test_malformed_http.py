"""Paths, verbs, lengths, encodings and bytes that HTTP clients get wrong."""

import contextlib
import gzip
import re
import socket
import zlib
from collections.abc import Iterator

import httpx
import pytest

from tests.serving.server.conftest import CLASSIFY, INFER, MODEL, Server, tensor_body

GET = b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n"

pytestmark = pytest.mark.usefixtures("well_afterwards")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nothing/infer",
        "/v2/models/../infer",
        "/v2/models/..%2f..%2fetc%2fpasswd/infer",
        "/v2/models/%2e%2e/infer",
        "/v2/models/%00/infer",
        f"/v2/models/{MODEL}%00/infer",
        f"/v2/models/{MODEL}.onnx/infer",
        f"/v2/models/{'a' * 5000}/infer",
        "/v2/models/%ff%fe/infer",
        f"/v2/models/{MODEL}/versions/2/infer",
        f"/v2/models/{MODEL}/versions/-1/infer",
        "/v1/classify/nothing",
        "/nothing",
    ],
)
def test_unknown_models_and_paths_are_404(client: httpx.Client, path: str) -> None:
    answer = client.post(path, content=tensor_body())
    assert answer.status_code == 404
    assert "passwd:" not in answer.text
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", INFER),
        ("PUT", INFER),
        ("DELETE", f"/v2/models/{MODEL}"),
        ("POST", "/v2"),
        ("GET", CLASSIFY),
    ],
)
def test_the_wrong_verb_is_405(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405


def test_a_verb_that_is_none_is_400(client: httpx.Client) -> None:
    assert client.request("BREW", "/v2").status_code == 400


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client: httpx.Client) -> None:
    assert client.post(INFER, content=bytes(17 * 2**20)).status_code == 413
    assert client.post(CLASSIFY, content=bytes(17 * 2**20)).status_code == 413


def test_a_body_that_is_too_large_without_a_length(client: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(2**20)

    # It may hang up while we are still sending.
    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        assert client.post(INFER, content=parts()).status_code == 413


def test_a_declared_length_that_is_too_large_needs_no_body(server: Server) -> None:
    answer = _raw(
        server, f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n".encode()
    )
    assert b" 413 " in answer.splitlines()[0]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_without_being_unpacked(client: httpx.Client, encoding: str) -> None:
    zeros = bytes(200 * 2**20)
    bomb = gzip.compress(zeros) if encoding == "gzip" else zlib.compress(zeros)
    assert len(bomb) < 2**20
    for path in (INFER, CLASSIFY):
        assert client.post(path, content=bomb, headers={"Content-Encoding": encoding}).status_code == 413


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("br", b"x", 415),
        ("gzip, gzip", b"x", 415),
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(tensor_body(), mtime=0)[:-9], 400),
        ("deflate", b"\x78\x9c\xff\xff\xff", 400),
        ("gzip", b"", 400),
    ],
)
def test_encodings_that_are_unknown_or_damaged(
    client: httpx.Client, encoding: str, body: bytes, status: int
) -> None:
    assert client.post(INFER, content=body, headers={"Content-Encoding": encoding}).status_code == status


def test_bytes_that_are_no_http_are_refused(server: Server) -> None:
    for junk in (
        b"\0" * 100,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        answer = _raw(server, junk)
        assert not answer or b" 400 " in answer.splitlines()[0]


@pytest.mark.parametrize(
    ("version", "coding", "status"),
    [
        ("1.1", "gzip, chunked", 501),
        ("1.1", "chunked, gzip", 400),
        ("1.1", "identity", 501),
        ("1.1", "xchunked", 501),
        ("1.1", "chunked;a=b", 501),
        ("1.1", "chunked\r\nTransfer-Encoding: identity", 400),
        ("1.1", "chunked, chunked", 400),
        ("1.1", "", 400),
        ("1.1", "\x0bchunked", 400),
        ("1.1", "\r\n chunked", 400),
        ("1.1", "chunked\r\nContent-Length: 5", 400),
        ("1.0", "chunked", 400),
        ("1.0", "gzip, chunked", 400),
    ],
)
@pytest.mark.parametrize("offer", ["", "Connection: Upgrade\r\nUpgrade: h2c\r\n"], ids=["plain", "upgrade"])
def test_a_transfer_encoding_that_is_not_chunked_is_refused_at_once(
    server: Server, version: str, coding: str, status: int, offer: str
) -> None:
    head = f"POST {INFER} HTTP/{version}\r\nHost: localhost\r\n{offer}Transfer-Encoding: {coding}\r\n\r\n"
    assert _statuses_while_open(server, head.encode() + b"0\r\n\r\n") == [status]


@pytest.mark.parametrize("path", [INFER, CLASSIFY, "/v2/repository/index", "/v2", "/nothing"])
@pytest.mark.parametrize(
    "body",
    [b"zz\r\n", b"3\r\nabc\r\nzz\r\n", b"3\r\nabcdef", b"-3\r\nabc", b"f" * 30 + b"\r\n", b"0\n\n"],
)
def test_broken_chunks_are_refused_at_once(server: Server, path: str, body: bytes) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    assert _statuses_while_open(server, head + body) == [400]
    assert _statuses_while_open(server, GET + head + body) == [200, 400]


@pytest.mark.parametrize("path", [INFER, CLASSIFY])
def test_a_chunk_that_turns_out_broken_while_the_body_is_read(server: Server, path: str) -> None:
    with _chunked(server, path, "Expect: 100-continue\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # it is being read
        connection.sendall(b"3\r\nabc\r\nzz\r\n" + GET)
        assert _statuses(_until_closed(connection)) == [400]


@pytest.mark.parametrize("path", ["/v2", "/nothing"])
def test_a_chunk_that_turns_out_broken_after_the_answer_ends_the_connection(
    server: Server, path: str
) -> None:
    with _chunked(server, path, "") as connection:
        assert connection.recv(65536)
        connection.sendall(b"zz\r\n" + GET)
        assert b"HTTP/1.1 " not in _until_closed(connection)


def _chunked(server: Server, path: str, headers: str) -> socket.socket:
    """A connection on which the head of a request has been sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
    connection.sendall(head.encode())
    return connection


def _statuses_while_open(server: Server, request: bytes) -> list[int]:
    """Of the answers to what the client follows by nothing: the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(request)
        return _statuses(_until_closed(connection))


def _statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def _until_closed(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_a_client_that_leaves_half_way_is_forgotten(server: Server) -> None:
    request = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{{".encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request)


def _raw(server: Server, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return _until_closed(connection)
