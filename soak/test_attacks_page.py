"""Attacks on the page of a server of 1 GB, through its own endpoints: bounded, and others are served meanwhile."""

import base64
import io
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image

from scripts.drawing import SEVEN
from soak.limits import limited_memory
from soak.watching import LARGEST_GROWTH_MIB, LONGEST_END_SECONDS, LONGEST_LIVE_MS, OWN_SESSION, watched
from tests.serving.demo.conftest import Demo, running
from tests.serving.demo.events import API, reference
from tests.serving.server import bombs
from tests.serving.server.conftest import Server, until

Step = Callable[[httpx.Client], Iterator[httpx.Response]]
"""What one client does: every answer that it gets."""

_MEMORY = 2**30
_CLIENTS = 24
_FINE = {200, 400, 403, 404, 413, 422, 429, 503, 504}


def _drawing(content: bytes) -> str:
    return f"data:image/png;revision=1;base64,{base64.b64encode(content).decode()}"


def _seven() -> str:
    pixels = np.zeros((280, 280, 4), dtype=np.uint8)
    for (x, y), (to_x, to_y) in zip(SEVEN[0], SEVEN[0][1:], strict=False):
        for part in np.linspace(0, 1, 100):
            row, column = round(y + (to_y - y) * part), round(x + (to_x - x) * part)
            pixels[row - 9 : row + 9, column - 9 : column + 9, 3] = 255
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return _drawing(content.getvalue())


def _large_drawing() -> str:
    """As many bytes as an event may have, nearly."""
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (210, 210, 4), dtype=np.uint8)
    Image.fromarray(noise).save(content, "PNG")
    return _drawing(content.getvalue())


def _call(client: httpx.Client, name: str, data: list[Any], *, read: bool = True) -> Iterator[httpx.Response]:
    asked = client.post(f"{API}/call/{name}", json={"data": data})
    yield asked
    if read and asked.status_code == 200:
        yield client.get(f"{API}/call/{name}/{asked.json()['event_id']}")


def _classify(content: bytes, times: int) -> list[Step]:
    def step(client: httpx.Client) -> Iterator[httpx.Response]:
        sent = client.post(f"{API}/upload", files={"files": ("picture.jpg", content)})
        yield sent
        if sent.status_code == 200:
            yield from _call(client, "classify", [reference(sent.json()[0]), "mnist"])

    return [step] * times


def _draw(content: str, times: int, *, read: bool = True) -> list[Step]:
    return [lambda client: _call(client, "draw", [content], read=read)] * times


def _upload(content: bytes, times: int) -> list[Step]:
    def step(client: httpx.Client) -> Iterator[httpx.Response]:
        yield client.post(f"{API}/upload", files=[("files", ("a.png", content))] * 2)

    return [step] * times


def _join(content: str, session: str) -> Step:
    """As the page does it, and away before the answer comes."""

    def step(client: httpx.Client) -> Iterator[httpx.Response]:
        number = next(
            event["id"]
            for event in client.get("/demo/config").json()["dependencies"]
            if event["api_name"] == "draw"
        )
        body = {"data": [content], "session_hash": session, "fn_index": number}
        yield client.post(f"{API}/queue/join", json=body)
        with client.stream("GET", f"{API}/queue/data", params={"session_hash": session}) as left:
            yield left
        with client.stream("GET", f"{API}/heartbeat/{session}") as left:
            yield left

    return step


ATTACKS: dict[str, Callable[[], list[Step]]] = {
    "transparent WebP": lambda: _classify(bombs.webp(8000), 60),
    "WebP within the limits": lambda: _classify(bombs.webp(4000), 60),
    "PNG within the limits": lambda: _classify(bombs.png(4000), 60),
    "113,014 scans": lambda: _classify(bombs.scans(113_014), 16),
    "100 scans of 16 million pixels": lambda: _classify(bombs.scans(85, 4000), 48),
    "PNG on the pad": lambda: _draw(_drawing(bombs.png(4000)), 60),
    "WebP on the pad": lambda: _draw(_drawing(bombs.webp(4000)), 60),
    "large uploads": lambda: _upload(bytes(7 * 2**20), 60),
    "many uploads": lambda: _upload(b"x", 600),
    "answers that are not read": lambda: _draw(_large_drawing(), 1500, read=False),
    "one session that reads nothing": lambda: [_join(_large_drawing(), "one")] * 300,
    "sessions that are left": lambda: [_join(_large_drawing(), f"session-{number}") for number in range(600)],
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_on_the_page_is_bounded(
    few_models: Path, tmp_path: Path, attack: Callable[[], list[Step]]
) -> None:
    steps = attack()
    command = ("serve", "--demo", "--models-dir", few_models, "--max-queue", "16", "--deadline", "5")
    with (
        limited_memory(_MEMORY) as prefix,
        running(tmp_path, *command, prefix=OWN_SESSION + prefix) as demo,
    ):
        server = Server(urlsplit(demo.url).port or 0, demo.process, demo.log)
        assert _is_well(demo)
        with watched(server) as seen:
            statuses = _run(demo, steps)
            until(lambda: _is_well(demo))
        print({status: statuses.count(status) for status in set(statuses)}, seen)
        assert set(statuses) <= _FINE
        assert seen["mib"] <= LARGEST_GROWTH_MIB
        assert seen["live_ms"] <= LONGEST_LIVE_MS
        assert "Traceback" not in demo.log.read_text()

        attacking = threading.Thread(target=_run, args=(demo, steps[:_CLIENTS]))
        attacking.start()
        time.sleep(0.5)  # in the middle of it, wherever that is
        started = time.monotonic()
        demo.process.send_signal(signal.SIGTERM)
        assert demo.process.wait(timeout=60) == 0
        assert time.monotonic() - started < LONGEST_END_SECONDS
        attacking.join()
        assert "Traceback" not in demo.log.read_text()


def _run(demo: Demo, steps: list[Step]) -> list[int]:
    """The statuses of all answers; 413 where the server hung up, as it may on a body that is too large."""

    def run(step: Step) -> list[int]:
        statuses: list[int] = []
        try:
            with httpx.Client(base_url=demo.url, timeout=60) as client:
                statuses.extend(answer.status_code for answer in step(client))
        except httpx.TransportError:
            statuses.append(413)
        return statuses

    with ThreadPoolExecutor(_CLIENTS) as threads:
        return [status for statuses in threads.map(run, steps) for status in statuses]


def _is_well(demo: Demo) -> bool:
    """Whether what is drawn on the page is answered."""
    with httpx.Client(base_url=demo.url, timeout=20) as client:
        *_, last = _call(client, "draw", [_seven()])
        return "says <strong>7</strong>" in last.text.replace("\\", "")
