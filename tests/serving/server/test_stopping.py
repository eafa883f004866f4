"""SIGTERM at any moment ends the server quietly: while it starts, while it decodes, and again while it ends."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.serving.demo import conftest as demo
from tests.serving.server import bombs
from tests.serving.server.conftest import CLASSIFY, Server, running, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

_QUIET = {0, 128 + signal.SIGTERM, -signal.SIGTERM}


def test_it_ends_quietly_while_it_starts(models: Path, tmp_path: Path) -> None:
    """With the page, which takes longer to start, in `soak/test_kills.py`."""
    end_while_it_starts(tmp_path, "serve", "--models-dir", str(models), moments=3)


def end_while_it_starts(tmp_path: Path, *arguments: str, moments: int) -> None:
    """Start a server several times, and end it at another moment each time."""
    started = time.monotonic()
    with demo.running(tmp_path, *arguments):
        seconds = time.monotonic() - started
    for moment in range(moments):
        log = tmp_path / f"log-{moment}"
        command = [sys.executable, "-m", "vision_zoo", *arguments, "--port", "0"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        time.sleep(seconds * moment / moments)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) in _QUIET, log.read_text()
        assert "Traceback" not in log.read_text()
        assert "interrupted" not in log.read_text()


@pytest.mark.parametrize(("number", "signals"), [(signal.SIGTERM, 3), (signal.SIGINT, 1)])
def test_it_ends_quietly_while_it_decodes(
    models: Path, tmp_path: Path, number: signal.Signals, signals: int
) -> None:
    """With other deadlines in `soak/test_kills.py`."""
    end_while_it_decodes(models, tmp_path, number, signals, deadline="2")


def end_while_it_decodes(
    models: Path, tmp_path: Path, number: signal.Signals, signals: int, *, deadline: str
) -> None:
    """Send a server so many signals while it decodes for longer than its deadline allows."""
    limits = ("--deadline", deadline, "--max-concurrency", "1")
    with running(models, tmp_path / "log", *limits, own=True) as server:
        asking = [threading.Thread(target=_ask_for_long_decoding, args=(server,)) for _ in range(4)]
        for thread in asking:
            thread.start()
        until(lambda: bool(bombs.children(server)))
        for _ in range(signals):
            os.kill(server.process.pid, number)
            time.sleep(0.2)
        assert server.process.wait(timeout=60) == 0
        for thread in asking:
            thread.join()
        log = server.log.read_text()
    assert "Traceback" not in log
    assert "rror: " not in log


def test_signals_while_the_process_exits_do_nothing(models: Path, tmp_path: Path) -> None:
    with running(models, tmp_path / "log", own=True) as server:
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.001)
        assert server.process.returncode == 0
        assert "interrupted" not in server.log.read_text()


def _ask_for_long_decoding(server: Server) -> None:
    content, headers = bombs.endless()
    with contextlib.suppress(httpx.TransportError):  # the server has ended
        httpx.post(f"{server.url}{CLASSIFY}", content=content, headers=headers, timeout=60)
