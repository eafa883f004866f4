"""Attacks by connections: thousands of them, slow ones, unread answers, floods of heads. All on loopback.

Throughout, probes are answered in time and memory stays bounded; nobody is answered 5xx but for a lack of room, and
then with Retry-After; SIGTERM ends the server.
"""

import contextlib
import multiprocessing
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

from soak.watching import LARGEST_GROWTH_MIB, LONGEST_END_SECONDS, LONGEST_LIVE_MS, OWN_SESSION, watched
from tests.serving.server.conftest import INFER, running

_SECONDS = 7.0
_PAUSE = 0.02
_MAX_CONNECTIONS = 1000  # the default
_HOST = b"Host: localhost\r\n"
_GET = b"GET /v2 HTTP/1.1\r\n" + _HOST + b"\r\n"
_DOCUMENT = b"GET /openapi.json HTTP/1.1\r\n" + _HOST + b"\r\n"
_HEAD = b"GET /v2 HTTP/1.1\r\n" + _HOST
_BODY = b"POST %s HTTP/1.1\r\n%sContent-Length: 16000000\r\n\r\n" % (INFER.encode(), _HOST)
_WHOLE = b"POST %s HTTP/1.1\r\n%sContent-Length: 60000\r\n\r\n%s" % (INFER.encode(), _HOST, bytes(60_000))
_CHUNKED = b"POST %s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (INFER.encode(), _HOST)
_UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
_ANSWER_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n")
_LONGEST_HEAD = 4096

Seen = tuple[int, bool, bool]
"""A status, whether Retry-After came with it, and whether it was read after the server was told to stop."""


@dataclass(frozen=True)
class _Attack:
    """Many connections on which `first` is sent once and `then` again and again, or which are closed when it is sent."""

    connections: int
    first: bytes
    then: bytes = b""
    reads: bool = True
    leaves: bool = False
    read_seconds: float = 3.0

    def run(self, port: int, stopping: Any, ended: Any, answers: Any) -> None:
        """In a process of its own, until `ended` is set; sends how often each kind of answer was read."""
        counted: Counter[Seen] = Counter()
        selector = selectors.DefaultSelector()
        while not ended.is_set():
            with contextlib.suppress(OSError):
                for _ in range(min(200, self.connections - len(selector.get_map()))):
                    self._connect(port, selector)
            for key in list(selector.get_map().values()):
                with contextlib.suppress(BlockingIOError):
                    self._send_more(key, selector)
            is_late = stopping.is_set()
            for key, _ in selector.select(_PAUSE) if self.reads else ():
                for status, headers in self._received(key, selector):
                    counted[int(status), b"retry-after:" in headers.lower(), is_late] += 1
            time.sleep(_PAUSE)
        answers.send(counted)

    def _connect(self, port: int, selector: selectors.BaseSelector) -> None:
        connection = socket.create_connection(("127.0.0.1", port), timeout=5)
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            connection.send(self.first)
        if self.leaves:
            connection.close()
            return
        selector.register(connection, selectors.EVENT_READ, bytearray())

    def _send_more(self, key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
        connection: Any = key.fileobj
        try:
            if self.then:
                connection.send(self.then)
        except (BrokenPipeError, ConnectionResetError):
            if not self.reads:
                _close(key, selector)  # else when the answers have been read

    @staticmethod
    def _received(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> list[tuple[bytes, bytes]]:
        """The statuses and the headers of the answers whose heads are complete."""
        connection: Any = key.fileobj
        try:
            received: bytes = connection.recv(65536)
        except OSError:
            received = b""
        if not received:
            _close(key, selector)
        unread: bytearray = key.data
        unread += received
        found = list(_ANSWER_HEAD.finditer(unread))
        answers = [(head[1], head[2]) for head in found]
        end = found[-1].end() if found else 0
        unread[:] = unread[max(end, len(unread) - _LONGEST_HEAD) :]
        return answers


def _close(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    selector.unregister(key.fileobj)
    key.fileobj.close()  # type: ignore[union-attr]


_ATTACKS = {
    "connections that send nothing": _Attack(5000, b""),
    "heads that never end": _Attack(2000, _HEAD, b"a: b\r\n"),
    "line ends only": _Attack(2000, b"", b"\r\n"),
    "bodies byte by byte": _Attack(2000, _BODY, b"a"),
    "bodies that stop": _Attack(2000, _BODY + bytes(60_000), read_seconds=10.0),
    "requests whose clients leave": _Attack(200, _WHOLE, leaves=True),
    "chunks of one byte": _Attack(500, _CHUNKED, b"1\r\na\r\n"),
    "chunk extensions that never end": _Attack(500, _CHUNKED + b"1;", b"a" * 100),
    "answers that nobody reads": _Attack(500, _DOCUMENT, _DOCUMENT * 50, reads=False, read_seconds=10.0),
    "pipelines": _Attack(100, _GET, _GET * 200),
    "pipelines that nobody reads": _Attack(1000, _GET, _GET * 200, reads=False),
    "floods of headers": _Attack(500, _HEAD, b"a: b\r\n" * 2000),
    "headers of a megabyte": _Attack(500, _HEAD + b"a: ", b"a" * 2**20),
    "targets of a megabyte": _Attack(500, b"GET /", b"a" * 2**20),
    "upgrades": _Attack(100, _HEAD, _UPGRADE + b"\r\n" + _HEAD),
    "no HTTP": _Attack(500, b"\0\1\2\3\r\n\r\n", b"\xff" * 1000),
}


@contextlib.contextmanager
def _under_attack(attack: _Attack, port: int, stopping: Any) -> Iterator["Counter[Seen]"]:
    """How often each kind of answer was read, told at the end."""
    context = multiprocessing.get_context("spawn")
    ended = context.Event()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=attack.run, args=(port, stopping, ended, sender), daemon=True)
    process.start()
    answers: Counter[Seen] = Counter()
    try:
        yield answers
        ended.set()
        assert receiver.poll(60)
        answers.update(receiver.recv())
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("name", _ATTACKS)
def test_an_attack_by_connections(models: Path, tmp_path: Path, name: str) -> None:
    attack = _ATTACKS[name]
    stopping = multiprocessing.get_context("spawn").Event()
    patience = ("--read-seconds", str(attack.read_seconds))
    with running(models, tmp_path / "log", *patience, prefix=OWN_SESSION) as server:
        assert server.is_well()
        with _under_attack(attack, server.port, stopping) as answers:
            with watched(server, new_connections=True) as seen:
                time.sleep(_SECONDS)
            stopping.set()
            began = time.monotonic()
            assert server.stop() == 0
            stopped = time.monotonic() - began
    print(f"{name}: {seen}, stopped in {stopped:.1f} s, {dict(answers)}")
    assert seen["live_ms"] <= LONGEST_LIVE_MS
    assert seen["mib"] <= LARGEST_GROWTH_MIB
    assert stopped < LONGEST_END_SECONDS
    lacks_room = attack.connections >= _MAX_CONNECTIONS
    for status, retry_after, is_late in answers:
        assert status < 500 or (status == 503 and (is_late or (lacks_room and retry_after)))
