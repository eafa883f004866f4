"""Paths, verbs, lengths, encodings and bytes that HTTP clients get wrong."""

import contextlib
import gzip
import socket
import zlib
from collections.abc import Iterator

import httpx
import pytest

from tests.serving.server.conftest import (
    CLASSIFY,
    INFER,
    MODEL,
    Server,
    tensor_body,
)

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


def test_a_client_that_leaves_half_way_is_forgotten(server: Server) -> None:
    request = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{{".encode()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(request)


def _raw(server: Server, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)
