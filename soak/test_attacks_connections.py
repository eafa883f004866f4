"""Attacks by connections: thousands of them, slow ones, unread answers, floods of heads. All on loopback.

Throughout, probes are answered in time and memory stays bounded; nobody is answered 5xx; SIGTERM ends the server.
"""

import contextlib
import multiprocessing
import os
import re
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.serving.server.conftest import INFER, Server, running

_SECONDS = 10.0
_PAUSE = 0.02
_LONGEST_PROBE = 0.25
_LARGEST_GROWTH_MIB = 600
_HOST = b"Host: localhost\r\n"
_GET = b"GET /v2 HTTP/1.1\r\n" + _HOST + b"\r\n"
_DOCUMENT = b"GET /openapi.json HTTP/1.1\r\n" + _HOST + b"\r\n"
_HEAD = b"GET /v2 HTTP/1.1\r\n" + _HOST
_BODY = b"POST %s HTTP/1.1\r\n%sContent-Length: 16000000\r\n\r\n" % (INFER.encode(), _HOST)
_CHUNKED = b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (INFER.encode(), _HOST)
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


class _Probe:
    """Asks whether the server is alive, on a new connection each time, and looks at its memory."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle = _resident_mib(server)
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self.growth = 0.0

    def ask(self) -> None:
        started = time.perf_counter()
        try:
            with socket.create_connection(("127.0.0.1", self._server.port), timeout=10) as connection:
                connection.sendall(b"GET /v2/health/live HTTP/1.1\r\n" + _HOST + b"Connection: close\r\n\r\n")
                answer = connection.recv(1000)
        except OSError as error:
            self.failures.append(repr(error))
        else:
            if not answer.startswith(b"HTTP/1.1 200 "):
                self.failures.append(answer[:50].decode("latin-1"))
        self.seconds.append(time.perf_counter() - started)
        self.growth = max(self.growth, _resident_mib(self._server) - self._idle)


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[Server]:
    with running(models, tmp_path / "log", "--read-seconds", "5") as started:
        assert started.is_well()
        yield started


def _resident_mib(server: Server) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True)
class _Attack:
    """Many connections on which `first` is sent once and `then` again and again."""

    connections: int
    first: bytes
    then: bytes = b""
    reads: bool = True

    def run(self, port: int, ended: Any, statuses: Any) -> None:
        """In a process of its own, until `ended` is set; sends the statuses that were read."""
        counted: Counter[int] = Counter()
        selector = selectors.DefaultSelector()
        while not ended.is_set():
            with contextlib.suppress(OSError):
                for _ in range(min(200, self.connections - len(selector.get_map()))):
                    self._connect(port, selector)
            for key in list(selector.get_map().values()):
                with contextlib.suppress(BlockingIOError):
                    self._send_more(key.fileobj, selector)
            for key, _ in selector.select(_PAUSE) if self.reads else ():
                received = self._received(key.fileobj, selector)
                counted.update(int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received))
            time.sleep(_PAUSE)
        statuses.send(dict(counted))

    def _connect(self, port: int, selector: selectors.BaseSelector) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.send(self.first)
        selector.register(connection, selectors.EVENT_READ)

    def _send_more(self, connection: Any, selector: selectors.BaseSelector) -> None:
        try:
            if self.then:
                connection.send(self.then)
        except (BrokenPipeError, ConnectionResetError):
            selector.unregister(connection)
            connection.close()

    @staticmethod
    def _received(connection: Any, selector: selectors.BaseSelector) -> bytes:
        try:
            received: bytes = connection.recv(65536)
        except OSError:
            received = b""
        if not received:
            selector.unregister(connection)
            connection.close()
        return received


_ATTACKS = {
    "connections that send nothing": _Attack(5000, b""),
    "heads that never end": _Attack(2000, _HEAD, b"a: b\r\n"),
    "line ends only": _Attack(2000, b"", b"\r\n"),
    "bodies byte by byte": _Attack(2000, _BODY, b"a"),
    "bodies that stop": _Attack(2000, _BODY + bytes(60_000)),
    "chunks of one byte": _Attack(500, _CHUNKED, b"1\r\na\r\n"),
    "chunk extensions that never end": _Attack(500, _CHUNKED + b"1;", b"a" * 100),
    "answers that nobody reads": _Attack(500, _DOCUMENT, _DOCUMENT * 50, reads=False),
    "pipelines": _Attack(100, _GET, _GET * 200),
    "pipelines that nobody reads": _Attack(1000, _GET, _GET * 200, reads=False),
    "floods of headers": _Attack(500, _HEAD, b"a: b\r\n" * 2000),
    "headers of a megabyte": _Attack(500, _HEAD + b"a: ", b"a" * 2**20),
    "targets of a megabyte": _Attack(500, b"GET /", b"a" * 2**20),
    "upgrades": _Attack(100, _HEAD, _UPGRADE + b"\r\n" + _HEAD),
    "no HTTP": _Attack(500, b"\0\1\2\3\r\n\r\n", b"\xff" * 1000),
}


@pytest.mark.parametrize("name", _ATTACKS)
def test_an_attack_by_connections(server: Server, name: str) -> None:
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    attack = context.Process(target=_ATTACKS[name].run, args=(server.port, ended, sender), daemon=True)
    probe = _Probe(server)
    attack.start()
    try:
        ends = time.monotonic() + _SECONDS
        while time.monotonic() < ends:
            probe.ask()
            time.sleep(0.05)
        stopping = time.monotonic()
        assert server.stop() == 0
        stopped = time.monotonic() - stopping
    finally:
        ended.set()
        statuses = receiver.recv() if receiver.poll(60) else {}
        attack.kill()
    slowest = max(probe.seconds)
    print(
        f"{name}: {len(probe.seconds)} probes, slowest {slowest:.3f} s, +{probe.growth:.0f} MiB, "
        f"stopped in {stopped:.1f} s, {statuses}"
    )
    assert not probe.failures
    assert slowest < _LONGEST_PROBE
    assert probe.growth < _LARGEST_GROWTH_MIB
    # One that arrives while the server stops is told so.
    assert not [status for status in statuses if status >= 500 and status != 503]
