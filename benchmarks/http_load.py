"""A client that costs little: ready-made requests over plain sockets, a thread a connection."""

import contextlib
import itertools
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

_TIMEOUT = 30.0
_BETWEEN_LOOKS = 0.002


@dataclass(frozen=True, eq=False)
class Load:
    """Nanoseconds of every request that was answered 200, and how many were answered otherwise, by status.

    Status 0 stands for a connection that broke. `seconds` is what all of them took.
    """

    nanoseconds: NDArray[np.int64]
    others: dict[int, int]
    seconds: float

    def summary(self) -> dict[str, float | int | dict[int, int]]:
        """Requests a second and percentiles in milliseconds."""
        milliseconds = self.nanoseconds / 1e6
        percentiles = {
            f"p{percentile:g}_ms": round(float(np.percentile(milliseconds, percentile)), 3)
            for percentile in (50, 99, 99.9)
            if len(milliseconds)
        }
        return {
            "requests": len(milliseconds),
            "requests_per_second": round(len(milliseconds) / self.seconds, 1),
            **percentiles,
            "others": self.others,
        }


class Connection:
    """One kept-alive HTTP/1.1 connection, opened again when it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._size = 0

    def ask(self, request: bytes) -> int:
        """Send a ready-made request and read the answer: its status, 0 where the connection broke."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=_TIMEOUT)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(request)
            return self._read_answer(self._socket)
        except OSError:
            self.close()
            return 0

    def size_of_answer(self, request: bytes) -> int:
        """How many bytes the answer to a request has; RuntimeError if its status is not 200."""
        status = self.ask(request)
        if status != 200:
            raise RuntimeError(f"the request is answered {status}")
        return self._size

    def _read_answer(self, connection: socket.socket) -> int:
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            part = connection.recv(65536)
            if not part:
                raise ConnectionResetError
            received += part
        head = received[:end].lower()
        length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        self._size = end + 4 + length
        missing = self._size - len(received)
        while missing > 0:
            part = connection.recv(missing)
            if not part:
                raise ConnectionResetError
            missing -= len(part)
        if b"connection: close" in head:
            self.close()
        return int(head[9:12])

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def http_request(path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    """A POST as bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {"Content-Type": "application/json"}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def closed_loop(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Every connection sends its next request when the last one is answered."""
    deadline = time.perf_counter() + seconds

    def work(connection: Connection, record: Callable[[int, int], None]) -> None:
        while time.perf_counter() < deadline:
            begun = time.perf_counter_ns()
            status = connection.ask(request)
            record(status, time.perf_counter_ns() - begun)

    return _with_connections(port, connections, work)


def some_requests(port: int, request: bytes, *, connections: int, requests: int) -> int:
    """Ask until `requests` are answered by all connections together; how many were, each with status 200."""
    left = itertools.repeat(None, requests)

    def work(connection: Connection, record: Callable[[int, int], None]) -> None:
        for _ in left:
            record(connection.ask(request), 0)

    load = _with_connections(port, connections, work)
    if load.others:
        raise RuntimeError(f"requests were refused: {load.others}")
    return len(load.nanoseconds)


def pipelined(port: int, request: bytes, *, connections: int, depth: int, seconds: float) -> float:
    """Requests a second of a client that costs little: a thread that asks `depth` times at once on every connection.

    Answers are counted by their bytes: all have the same number, and the first is looked at.
    """
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        first = Connection(port)
        size = first.size_of_answer(request)
        first.close()
        for _ in range(connections):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT))
            connection.sendall(request * depth)
            selector.register(connection, selectors.EVENT_READ, [0])
        buffer = bytearray(2**16)
        answered, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            time.sleep(_BETWEEN_LOOKS)  # what has come meanwhile is taken at once
            for key, _ in selector.select(_TIMEOUT):
                connection = cast(socket.socket, key.fileobj)
                part = connection.recv_into(buffer)
                if not part:
                    raise ConnectionResetError
                key.data[0] += part
                if key.data[0] >= depth * size:
                    key.data[0] -= depth * size
                    answered += depth
                    connection.sendall(request * depth)
    return answered / elapsed


def open_loop(port: int, request: bytes, *, rate: float, connections: int, seconds: float) -> Load:
    """Requests are due at random (Poisson), and their latency counts from then on."""
    gaps = np.random.default_rng(0).exponential(1 / rate, round(rate * seconds))
    started = time.perf_counter_ns() + 50_000_000
    due: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def arrive() -> None:
        for moment in (started + np.cumsum(gaps * 1e9).astype(np.int64)).tolist():
            delay = (moment - time.perf_counter_ns()) / 1e9
            if delay > 0:
                time.sleep(delay)
            due.put(moment)
        for _ in range(connections):
            due.put(None)

    def work(connection: Connection, record: Callable[[int, int], None]) -> None:
        while (moment := due.get()) is not None:
            status = connection.ask(request)
            record(status, time.perf_counter_ns() - moment)

    arrivals = threading.Thread(target=arrive, daemon=True)
    arrivals.start()
    return _with_connections(port, connections, work)


def _with_connections(
    port: int, connections: int, work: Callable[[Connection, Callable[[int, int], None]], None]
) -> Load:
    answered: list[list[int]] = [[] for _ in range(connections)]
    others: dict[int, int] = {}
    lock = threading.Lock()
    started = time.perf_counter()

    def run(mine: list[int]) -> None:
        connection = Connection(port)

        def record(status: int, nanoseconds: int) -> None:
            if status == 200:
                mine.append(nanoseconds)
                return
            with lock:
                others[status] = others.get(status, 0) + 1

        try:
            work(connection, record)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(mine,), daemon=True) for mine in answered]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    merged = np.concatenate([np.asarray(mine, dtype=np.int64) for mine in answered])
    return Load(merged, others, seconds)
