"""Pictures that cost far more than they weigh: refused, or decoded in processes that end in time."""

import asyncio
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.serving.server import bombs
from tests.serving.server.conftest import CLASSIFY, INFER, Server, infer_request, running, until
from vision_zoo.core.errors import BlankImageError, ImageError, SeveralFiguresError
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.serving.server.admission import Admission
from vision_zoo.serving.server.decoders import Answer, Decoders
from vision_zoo.serving.server.errors import RequestError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")

GRAY = InputFormat(channels=1, height=28, width=28)


@pytest.fixture(scope="module")
def patient(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that runs one request at a time, for as long as it takes."""
    arguments = ("--max-concurrency", "1", "--max-queue", "4", "--deadline", "600")
    with running(models, tmp_path_factory.mktemp("patient") / "log", *arguments) as started:
        yield started


def _send(server: Server, body: bytes, headers: dict[str, str]) -> socket.socket:
    """Ask, and wait for no answer."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"POST {CLASSIFY} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    connection.sendall(start.encode() + body)
    return connection


def _gauge(server: Server, name: str) -> float:
    lines = httpx.get(f"{server.url}/metrics", timeout=60).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"vision_zoo_{name} ")).split()[1])


def test_bombs_are_refused_within_100_mib(server: Server) -> None:
    before = bombs.resident_mib(server)
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for content in (bombs.webp(8000), bombs.png_header(60_000), bombs.scans(20_000)):
            answer = client.post(CLASSIFY, content=content)
            assert answer.status_code == 422, answer.text
        assert bombs.resident_mib(server) - before < 100
    assert server.is_well()


def test_a_picture_within_the_limits_is_answered_wherever_it_is_decoded(client: httpx.Client) -> None:
    """White squares on a model of any kind of digit: blank, and so 422; never 5xx."""
    for side in (28, 200, 1500):
        for content in (bombs.png(side), bombs.webp(side)):
            assert client.post(CLASSIFY, content=content).status_code == 422


def test_decoding_takes_a_place_in_the_queue(patient: Server) -> None:
    """Sixty bombs at once: a few are let in, the others are told to come back."""
    body, headers = bombs.endless()
    first = _send(patient, body, headers)
    until(lambda: bool(bombs.children(patient)))
    waiting = [_send(patient, bombs.webp(8000), {}) for _ in range(4)]
    until(lambda: _gauge(patient, "waiting") == 4)
    with httpx.Client(base_url=patient.url, timeout=60) as client:
        for _ in range(55):
            answer = client.post(CLASSIFY, content=bombs.webp(8000))
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
        assert client.post(INFER, json=infer_request()).status_code == 503
        assert client.get("/v2/health/live").status_code == 200
    (decoder,) = bombs.children(patient)

    # Those that leave make room, and what was done for them ends.
    for connection in waiting:
        connection.close()
    until(lambda: _gauge(patient, "waiting") == 0)
    assert bombs.is_alive(decoder)
    first.close()
    until(lambda: not bombs.is_alive(decoder))
    until(lambda: _gauge(patient, "running") == 0)
    assert patient.is_well()


def test_a_decoder_that_dies_is_replaced(patient: Server) -> None:
    body, headers = bombs.endless()
    with _send(patient, body, headers) as connection:
        until(lambda: bool(bombs.children(patient)))
        (decoder,) = bombs.children(patient)
        os.kill(decoder, signal.SIGKILL)
        assert b" 422 " in connection.recv(1000).splitlines()[0]
    answer = httpx.post(f"{patient.url}{CLASSIFY}", content=bombs.png(1500), timeout=60)
    assert answer.status_code == 422
    assert "decoded" not in answer.json()["error"]
    assert len(bombs.children(patient)) == 1


def test_the_deadline_ends_decoding_and_so_does_sigterm(models: Path, tmp_path: Path) -> None:
    body, headers = bombs.endless()
    arguments = ("--max-concurrency", "1", "--deadline", "1.5")
    with running(models, tmp_path / "log", *arguments) as started:
        answer = httpx.post(f"{started.url}{CLASSIFY}", content=body, headers=headers, timeout=60)
        assert answer.status_code == 504
        assert answer.headers["Retry-After"]
        until(lambda: not bombs.children(started))
        answers: list[int] = []

        def ask() -> None:
            answers.append(httpx.post(f"{started.url}{CLASSIFY}", content=body, headers=headers).status_code)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: bool(bombs.children(started)))
        (decoder,) = bombs.children(started)
        assert started.stop() == 0
        asking.join()
        assert answers == [504]
        assert not bombs.is_alive(decoder)


def test_a_decoder_never_outlives_its_server(models: Path, tmp_path: Path) -> None:
    body, headers = bombs.endless()
    with running(models, tmp_path / "log", "--deadline", "600") as started:
        with _send(started, body, headers):
            until(lambda: bool(bombs.children(started)))
            decoders = bombs.children(started)
            started.process.kill()
            started.process.wait()
        until(lambda: not any(bombs.is_alive(decoder) for decoder in decoders))


async def _decode(
    decoders: Decoders, *files: bytes, target: InputFormat = GRAY, seconds: float = 60
) -> Answer:
    body, headers = bombs.form(list(files))
    admission = Admission(max_concurrency=1, max_queue=0)
    async with admission.turn(deadline=time.monotonic() + seconds) as turn:
        return await decoders.decode(turn, [body], headers["Content-Type"], target)


def test_a_picture_may_take_memory_by_its_pixels() -> None:
    decoders = Decoders(max_pixels=16_000_000, max_files=8, bytes_per_pixel=1)
    try:
        large, small = asyncio.run(_decode(decoders, bombs.webp(4000), bombs.webp(100))).pictures
        assert isinstance(large, ImageError)
        assert isinstance(small, np.ndarray)
    finally:
        decoders.close()
    decoders = Decoders(max_pixels=16_000_000, max_files=8)
    try:
        (answered,) = asyncio.run(_decode(decoders, bombs.webp(4000))).pictures
        assert isinstance(answered, np.ndarray)
        assert answered.shape == (28, 28, 1)
        two, content = Image.new("L", (300, 100)), io.BytesIO()
        for left in (60, 200):
            two.paste(255, (left, 20, left + 10, 80))
        two.save(content, "PNG")
        digit = replace(GRAY, centring="center_of_mass", polarity="light_on_dark")
        (refused,) = asyncio.run(_decode(decoders, content.getvalue(), target=digit)).pictures
        assert isinstance(refused, SeveralFiguresError)
    finally:
        decoders.close()


def test_refused_pictures_take_no_memory_from_those_after_them() -> None:
    decoders = Decoders(max_pixels=16_000_000, max_files=8)
    digit, content = Image.new("L", (4000, 4000)), io.BytesIO()
    digit.paste(255, (1900, 800, 2100, 3200))
    digit.save(content, "PNG")
    taken = replace(GRAY, centring="center_of_mass", polarity="light_on_dark")
    try:
        files = [*[bombs.webp(4000)] * 5, content.getvalue()]
        *blank, answered = asyncio.run(_decode(decoders, *files, target=taken)).pictures
        assert {type(one) for one in blank} == {BlankImageError}
        assert isinstance(answered, np.ndarray)
    finally:
        decoders.close()


def test_decoders_are_used_again_and_end_when_they_rest() -> None:
    now = [0.0]
    decoders = Decoders(max_pixels=10**6, max_files=8, idle_seconds=0.2, clock=lambda: now[0])

    async def ask() -> None:
        await _decode(decoders, bombs.webp(100))
        assert decoders.count == 1
        await _decode(decoders, bombs.webp(100))
        with pytest.raises(RequestError, match="no file"):
            await _decode(decoders)
        assert decoders.started == 1
        now[0] = 0.2
        while decoders.count:
            await asyncio.sleep(0.05)

    try:
        asyncio.run(asyncio.wait_for(ask(), 60))
    finally:
        decoders.close()
