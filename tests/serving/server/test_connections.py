"""What a connection may send, how slowly, and what is left of it when the server stops."""

import contextlib
import re
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.server.conftest import INFER, Server, running, tensor_body, until

HOST = b"Host: localhost\r\n"
GET = b"GET /v2 HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture(scope="module")
def strict(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with little patience and few connections."""
    log = tmp_path_factory.mktemp("strict") / "log"
    with running(models, log, "--read-seconds", "0.5", "--max-connections", "20") as started:
        yield started


def _connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def _statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def _until_closed(connection: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def _asked(server: Server, request: bytes) -> bytes:
    """The answers to `request`, which ends by closing the connection."""
    with _connect(server) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        return _until_closed(connection)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET /v2 HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\n" + HOST + b"a: " + b"b" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /v2 HTTP/1.1\r\n" + HOST + b"a: " + b"b" * 1_000_000, 431),
        (b"GET /v2 HTTP/1.1\r\n" + HOST + b"a: " + b"b" * 45_000, 431),  # unfinished, and more does not come
        (b"GET /v2 HTTP/1.1\r\n" + b"a" * 1_000_000, 431),
        (b"GET /" + b"a" * 1_000_000, 414),
        (b"GET /v2 HTTP/2.0\r\n" + HOST + b"\r\n", 400),
        (b"GET /v2 HTTP/0.9\r\n" + HOST + b"\r\n", 400),
        (b"GET /v2\r\n\r\n", 400),
        (b"GET /v2 HTTP/7.7\r\n" + HOST + b"\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT elsewhere.test:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"nothing like HTTP\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[:40],
)
def test_heads_that_are_too_large_or_no_http_are_refused_in_json(
    server: Server, request_head: bytes, status: int
) -> None:
    answer = _asked(server, request_head)
    assert _statuses(answer) == [status]
    assert b'{"error": "' in answer
    assert b"connection: close" in answer


def test_ordinary_heads_are_far_below_the_limits(client: httpx.Client) -> None:
    headers = {f"x-{number}": "a" * 200 for number in range(60)}
    assert client.get(f"/v2?{'a' * 7000}", headers=headers).status_code == 200


def test_what_is_no_request_is_answered_after_the_requests_before_it(server: Server) -> None:
    assert _statuses(_asked(server, GET * 3 + b"nothing like HTTP\r\n\r\n")) == [200, 200, 200, 400]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0, h2c"])
def test_an_offer_to_upgrade_is_ignored_and_the_body_is_read(
    server: Server, offer: bytes, framing: str
) -> None:
    body = tensor_body()
    head = (
        b"POST %s HTTP/1.1\r\n%sConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABk\r\n"
        % (INFER.encode(), HOST, offer)
    )
    if framing == "length":
        request = b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
    else:
        request = b"%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (head, len(body), body)
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert _statuses(_asked(server, request + last)) == [200, 200]


def test_an_upgrade_smuggles_nothing(server: Server) -> None:
    both = b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert _statuses(_asked(server, b"POST /v2 HTTP/1.1\r\n" + HOST + both + GET)) == [400]


def test_a_trailer_is_no_header(server: Server) -> None:
    chunked = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\nX-Request-ID: trailer\r\n\r\n"
    answer = _asked(server, b"POST /nothing HTTP/1.1\r\n" + HOST + chunked)
    assert _statuses(answer) == [404]
    assert b"trailer" not in answer


def test_a_client_that_expects_100_is_told_to_go_on(server: Server) -> None:
    body = tensor_body()
    with _connect(server) as connection:
        connection.sendall(
            b"POST %s HTTP/1.1\r\n%sExpect: 100-continue\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            % (INFER.encode(), HOST, len(body))
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert _statuses(_until_closed(connection)) == [200]


def test_two_thousand_requests_in_one_piece_are_all_answered(server: Server) -> None:
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert _statuses(_asked(server, GET * 2000 + last)) == [200] * 2001


def test_an_answer_to_a_body_that_is_refused_arrives(server: Server) -> None:
    head = b"POST %s HTTP/1.1\r\n%sContent-Length: 20000000\r\n\r\n" % (INFER.encode(), HOST)
    with _connect(server) as connection:
        connection.sendall(head + bytes(20_000_000))  # all of it, before the answer is read
        assert _statuses(_until_closed(connection)) == [413]


@pytest.mark.parametrize(
    ("begun", "drip"),
    [
        (b"", b"\r\n"),
        (GET, b"\r\n"),
        (GET, b"G"),
        (b"GET /v2 HTTP/1.1\r\n", b"a: b\r\n"),
        (b"POST /nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 99999\r\n\r\n", b"a"),
        (b"POST %s HTTP/1.1\r\n%sContent-Length: 99999\r\n\r\n" % (INFER.encode(), HOST), b"a"),
        (b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (INFER.encode(), HOST), b"1\r\na\r\n"),
    ],
    ids=["nothing", "after an answer", "the next head", "a head", "an unread body", "a body", "chunks"],
)
def test_a_byte_now_and_then_keeps_no_connection_open(strict: Server, begun: bytes, drip: bytes) -> None:
    started = time.monotonic()
    with _connect(strict) as connection:
        connection.sendall(begun)
        connection.settimeout(0.1)
        while time.monotonic() - started < 60:
            try:
                connection.sendall(drip)
                if not connection.recv(65536):
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("the connection is still open")


def test_a_client_that_does_not_read_its_answers_is_closed(strict: Server) -> None:
    with _connect(strict) as connection:
        connection.settimeout(0.1)
        requests = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"

        def is_closed() -> bool:
            try:
                connection.sendall(requests * 100)
            except TimeoutError:
                return False
            except (BrokenPipeError, ConnectionResetError):
                return True
            return False

        until(is_closed)
    until(strict.is_well)  # on a busy machine a good client may be too slow for it


def test_new_connections_take_the_place_of_those_that_keep_the_server_waiting(strict: Server) -> None:
    idle = _open_sockets(strict)
    with contextlib.ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(_connect(strict))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall((b"", b"GET /v2 HT", GET)[number % 3])
        assert httpx.get(f"{strict.url}/v2/health/live").status_code == 200
        assert _open_sockets(strict) - idle < 40


def _open_sockets(server: Server) -> int:
    links = [
        link.readlink() for link in Path(f"/proc/{server.process.pid}/fd").iterdir() if link.is_symlink()
    ]
    return sum(str(link).startswith("socket:") for link in links)


def test_few_open_files_are_enough(models: Path, tmp_path: Path) -> None:
    with running(models, tmp_path / "log", limits={resource.RLIMIT_NOFILE: (200, 200)}) as started:
        assert "connections instead of 1000" in started.log.read_text()
        with contextlib.ExitStack() as stack:
            for _ in range(120):
                stack.enter_context(_connect(started))
            assert httpx.get(f"{started.url}/v2/health/live").status_code == 200
        assert started.is_well()


def test_sigterm_does_not_wait_for_clients_that_do_not_send_or_read(models: Path, tmp_path: Path) -> None:
    with (
        running(models, tmp_path / "log", "--read-seconds", "0.5") as started,
        contextlib.ExitStack() as stack,
    ):
        for begun in (
            b"",
            b"GET /v2 HT",
            GET,
            INFER_HALF,
            b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n",
        ):
            connection = stack.enter_context(_connect(started))
            connection.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                connection.sendall(begun * (2000 if begun.startswith(b"GET /openapi") else 1))
        until(started.is_well)
        assert started.stop() == 0


INFER_HALF = b"POST %s HTTP/1.1\r\n%sContent-Length: 5000\r\n\r\n{" % (INFER.encode(), HOST)
