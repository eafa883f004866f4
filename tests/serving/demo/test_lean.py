"""What an event and a visitor cost the server beside the work that was asked for."""

import base64
import re
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.serving.demo.conftest import Demo
from tests.serving.demo.events import call
from tests.serving.server import bombs
from tests.serving.server.conftest import Server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")

_VISITORS = 128


@pytest.fixture
def client(small_page: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=small_page.url, timeout=60) as opened:
        yield opened


def _drawing(size: int) -> str:
    """Of any content: nothing is found in it."""
    content = base64.b64encode(secrets.token_bytes(size)).decode()
    return f"data:image/png;revision=1;base64,{content}"


def test_gradio_writes_no_stubs(small_page: Demo) -> None:
    assert ".pyi" not in small_page.log.read_text()


def test_an_event_imports_nothing_large(small_page: Demo, client: httpx.Client) -> None:
    assert call(client, "draw", [_drawing(30)])[0] == "complete"
    maps = Path(f"/proc/{small_page.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "matplotlib" not in maps


def test_it_rests_while_nobody_is_there(small_page: Demo) -> None:
    """It looks for events fifty times a second, and for its end ten times; Gradio alone would a thousand times."""

    def wakings() -> int:
        status = Path(f"/proc/{small_page.process.pid}/status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]

    before, started = wakings(), time.monotonic()
    time.sleep(2)
    assert (wakings() - before) / (time.monotonic() - started) < 200


def test_what_visitors_drew_is_not_kept(small_page: Demo, client: httpx.Client) -> None:
    server = Server(0, small_page.process, small_page.log)

    def visit(name: str, size: int) -> None:
        for number in range(_VISITORS):
            assert call(client, "draw", [_drawing(size)], session_hash=f"{name}-{number}")[0] == "complete"

    visit("small", 30)
    before = bombs.resident_mib(server)
    visit("large", 180 * 2**10)
    assert bombs.resident_mib(server) - before < 15
