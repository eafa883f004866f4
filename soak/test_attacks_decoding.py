"""Attacks by pictures on a server of 1 GB: refused or bounded, others are served, and the server ends in time."""

import base64
import gzip
import http.client
import io
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soak.limits import limited_memory
from soak.watching import LARGEST_GROWTH_MIB, LONGEST_END_SECONDS, LONGEST_LIVE_MS, OWN_SESSION, watched
from tests.serving.server import bombs
from tests.serving.server.conftest import CLASSIFY, Server, running, until

Request = tuple[bytes, dict[str, str]]
JSON = {"Content-Type": "application/json"}
GZIP = {"Content-Encoding": "gzip"}

_MEMORY = 2**30
_CLIENT_FAULTS = {200, 400, 413, 422}
_OVERLOAD = {503, 504}


def _noise(side: int) -> bytes:
    """A PNG that does not get smaller."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _alone(content: bytes) -> Request:
    return content, {}


def _base64(content: bytes) -> Request:
    return b'{"image": "' + base64.b64encode(content) + b'"}', JSON


ATTACKS: dict[str, Callable[[], list[Request]]] = {
    "transparent WebP": lambda: [_alone(bombs.webp(8000))] * 60,
    "WebP within the limits": lambda: [_alone(bombs.webp(4000))] * 60,
    "PNG within the limits": lambda: [_alone(bombs.png(4000))] * 60,
    "PNG of noise": lambda: [_alone(_noise(2000))] * 24,
    "113,014 scans": lambda: [_alone(bombs.scans(113_014))] * 8,
    "100 scans of 16 million pixels": lambda: [_alone(bombs.scans(85, 4000))] * 16,
    "forms of 250 large pictures": lambda: [bombs.endless()] * 16,
    "base64 of large pictures": lambda: [_base64(_noise(1900))] * 16,
    "JSON of lists": lambda: [(b'{"images": [' + b"[]," * 5_000_000 + b"[]]}", JSON)] * 8,
    "forms of many parts": lambda: [bombs.form([b"x"] * 150_000)] * 8,
    "gzip": lambda: [(gzip.compress(bytes(2**30)), GZIP)] * 8,
    "gzip within the limits": lambda: [(gzip.compress(bytes(15 * 2**20)), GZIP)] * 24,
    "large bodies": lambda: [_alone(b"BM" + bytes(15 * 2**20))] * 40,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_is_bounded(models: Path, tmp_path: Path, attack: Callable[[], list[Request]]) -> None:
    requests = attack()
    with (
        limited_memory(_MEMORY) as prefix,
        running(
            models, tmp_path / "log", "--max-queue", "16", "--deadline", "5", prefix=OWN_SESSION + prefix
        ) as server,
    ):
        assert server.is_well()
        with watched(server) as seen:
            with ThreadPoolExecutor(len(requests)) as threads:
                statuses = list(threads.map(lambda request: _ask(server, request), requests))
            assert server.is_well()
        print({status: statuses.count(status) for status in set(statuses)}, seen)
        assert set(statuses) <= _CLIENT_FAULTS | _OVERLOAD
        assert seen["mib"] <= LARGEST_GROWTH_MIB
        assert seen["live_ms"] <= LONGEST_LIVE_MS

        for request in requests[:8]:
            _leave(server, request)
        until(server.is_well)

        attacking = [threading.Thread(target=_ask, args=(server, request)) for request in requests[:8]]
        for thread in attacking:
            thread.start()
        time.sleep(0.5)  # in the middle of it, wherever that is
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < LONGEST_END_SECONDS
        for thread in attacking:
            thread.join()


def _ask(server: Server, request: Request) -> int:
    """The status of the answer; 413 where the server hung up on a body that is too large, as it may."""
    body, headers = request
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", CLASSIFY, body=body, headers=headers)
        answer = connection.getresponse()
        assert answer.status not in _OVERLOAD or answer.getheader("Retry-After")
        return answer.status
    except (BrokenPipeError, ConnectionResetError, ConnectionRefusedError, http.client.RemoteDisconnected):
        return 413
    finally:
        connection.close()


def _leave(server: Server, request: Request) -> None:
    """Ask, and go away at once."""
    body, headers = request
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"POST {CLASSIFY} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(start.encode())
        try:
            connection.sendall(body)
        except OSError:  # refused already
            return
