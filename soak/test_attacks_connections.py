"""Attacks by connections: thousands of them, slow ones, unread answers, floods of heads. All on loopback.

Throughout, probes are answered in time and memory stays bounded; nobody is answered 5xx; SIGTERM ends the server.
"""

import contextlib
import os
import re
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.server.conftest import INFER, Server, running

_SECONDS = 20.0
_LONGEST_PROBE = 0.25
_LARGEST_GROWTH_MIB = 600
_HOST = b"Host: localhost\r\n"
_GET = b"GET /v2 HTTP/1.1\r\n" + _HOST + b"\r\n"
_DOCUMENT = b"GET /openapi.json HTTP/1.1\r\n" + _HOST + b"\r\n"
_HEAD = b"GET /v2 HTTP/1.1\r\n" + _HOST
_BODY = b"POST %s HTTP/1.1\r\n%sContent-Length: 16000000\r\n\r\n" % (INFER.encode(), _HOST)
_CHUNKED = b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (INFER.encode(), _HOST)
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


class _Probe(threading.Thread):
    """Asks whether the server is alive, on a new connection each time, and looks at its memory."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ended = threading.Event()
        self._idle = _resident_mib(server)
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.growth = 0.0

    def run(self) -> None:
        with httpx.Client(timeout=10) as client:
            while not self._ended.wait(0.05):
                started = time.perf_counter()
                try:
                    headers = {"Connection": "close"}
                    status = client.get(f"{self._server.url}/v2/health/live", headers=headers).status_code
                except httpx.TransportError as error:
                    self.failures.append(repr(error))
                else:
                    if status != 200:
                        self.failures.append(str(status))
                self.seconds.append(time.perf_counter() - started)
                self.growth = max(self.growth, _resident_mib(self._server) - self._idle)

    def end(self) -> None:
        self._ended.set()
        self.join()


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[Server]:
    with running(models, tmp_path / "log", "--read-seconds", "5") as started:
        assert started.is_well()
        yield started


def _resident_mib(server: Server) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _attack(
    server: Server, *, connections: int, first: bytes, then: bytes, reads: bool, pause: float
) -> Counter[int]:
    """Keep `connections` open, send `first` and again and again `then`; the statuses that were read."""
    selector = selectors.DefaultSelector()
    statuses: Counter[int] = Counter()
    ends = time.monotonic() + _SECONDS

    def connect() -> None:
        try:
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        except OSError:
            return
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(first)
        selector.register(connection, selectors.EVENT_READ)

    def drop(connection: socket.socket) -> None:
        selector.unregister(connection)
        connection.close()

    while time.monotonic() < ends:
        for _ in range(min(200, connections - len(selector.get_map()))):
            connect()
        for key in list(selector.get_map().values()):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                if then:
                    connection.send(then)
            except BlockingIOError:
                pass
            except OSError:
                drop(connection)
        for key, _ in selector.select(pause) if reads else ():
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            try:
                received = connection.recv(65536)
            except OSError:
                received = b""
            statuses.update(int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received))
            if not received:
                drop(connection)
        if not reads:
            time.sleep(pause)
    for key in list(selector.get_map().values()):
        drop(key.fileobj)  # type: ignore[arg-type]
    return statuses


_ATTACKS: dict[str, dict[str, object]] = {
    "connections that send nothing": {"connections": 5000, "first": b"", "then": b""},
    "heads that never end": {"connections": 2000, "first": _HEAD, "then": b"a: b\r\n"},
    "line ends only": {"connections": 2000, "first": b"", "then": b"\r\n"},
    "bodies byte by byte": {"connections": 2000, "first": _BODY, "then": b"a"},
    "bodies that stop": {"connections": 2000, "first": _BODY + bytes(60_000), "then": b""},
    "chunks of one byte": {"connections": 500, "first": _CHUNKED, "then": b"1\r\na\r\n"},
    "chunk extensions that never end": {"connections": 500, "first": _CHUNKED + b"1;", "then": b"a" * 100},
    "answers that nobody reads": {
        "connections": 500,
        "first": _DOCUMENT,
        "then": _DOCUMENT * 50,
        "reads": False,
    },
    "pipelines": {"connections": 200, "first": _GET, "then": _GET * 200},
    "pipelines that nobody reads": {"connections": 1000, "first": _GET, "then": _GET * 200, "reads": False},
    "floods of headers": {"connections": 500, "first": _HEAD, "then": b"a: b\r\n" * 2000},
    "headers of a megabyte": {"connections": 500, "first": _HEAD + b"a: ", "then": b"a" * 2**20},
    "targets of a megabyte": {"connections": 500, "first": b"GET /", "then": b"a" * 2**20},
    "upgrades": {"connections": 500, "first": _HEAD, "then": _UPGRADE + b"\r\n" + _HEAD},
    "no HTTP": {"connections": 500, "first": b"\0\1\2\3\r\n\r\n", "then": b"\xff" * 1000},
}


@pytest.mark.parametrize("name", _ATTACKS)
def test_an_attack_by_connections(server: Server, name: str) -> None:
    attack = {"reads": True, "pause": 0.05, **_ATTACKS[name]}
    probe = _Probe(server)
    probe.start()
    statuses = _attack(server, **attack)  # type: ignore[arg-type]
    probe.end()
    slowest = sorted(probe.seconds)[-1]
    print(
        f"{name}: {len(probe.seconds)} probes, slowest {slowest:.3f} s, +{probe.growth:.0f} MiB, {dict(statuses)}"
    )
    assert not probe.failures
    assert slowest < _LONGEST_PROBE
    assert probe.growth < _LARGEST_GROWTH_MIB
    assert not [status for status in statuses if status >= 500]
    assert server.is_well()


@pytest.mark.parametrize("name", _ATTACKS)
def test_sigterm_during_an_attack(server: Server, name: str) -> None:
    attack: dict[str, object] = {"reads": True, "pause": 0.05, **_ATTACKS[name]}
    attacking: Callable[[], object] = lambda: _attack(server, **attack)  # type: ignore[arg-type]  # noqa: E731
    thread = threading.Thread(target=attacking, daemon=True)
    thread.start()
    time.sleep(3)  # in the middle of it
    assert server.stop() == 0
    thread.join()
