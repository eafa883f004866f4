"""A log that cannot be written or is not read delays and breaks nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conftest import free_port
from tests.serving.server.conftest import Server, until
from vision_zoo.serving.server.logs import LogWriter


@contextmanager
def _serving(
    models: Path, redirection: str, stderr: int | None = None
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = free_port()
    command = f"exec {sys.executable} -m vision_zoo serve --port {port} --models-dir {models} {redirection}"
    process = subprocess.Popen(["/bin/sh", "-c", command], stderr=stderr)
    url = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{url}/v2/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(is_ready)
        yield url, process
    finally:
        process.kill()
        process.wait()


def _dropped(url: str) -> float:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith("vision_zoo_log_lines_dropped_total ")]
    return float(line.split()[1])


def _stopped(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_costs_lines_and_no_answers(models: Path) -> None:
    with _serving(models, "2>/dev/full") as (url, process):
        assert httpx.get(f"{url}/v2").status_code == 200
        until(lambda: _dropped(url) > 0)
        assert _stopped(process) == 0


@pytest.mark.parametrize("redirection", ["2>&-", "<&- >&- 2>&-"])
def test_a_server_without_stderr_answers(models: Path, redirection: str) -> None:
    with _serving(models, redirection) as (url, process):
        assert httpx.get(f"{url}/nothing").status_code == 404
        assert _stopped(process) == 0


def test_a_pipe_that_is_not_read_holds_nothing_up(models: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, True)
    try:
        with _serving(models, "", stderr=writing) as (url, process), httpx.Client(base_url=url) as client:
            path = f"/{'a' * 900}"
            for _ in range(400):  # several times what a pipe holds
                assert client.get(path).status_code == 404
            assert _stopped(process) == 0
    finally:
        os.close(reading)
        os.close(writing)


def test_what_does_not_fit_is_dropped_counted_and_said_when_writing_works_again() -> None:
    reading, writing = os.pipe()
    writer = LogWriter(writing, notice=lambda count: b"dropped %d\n" % count)
    line = b"a" * 1023 + b"\n"
    put = 0
    until_deadline = time.monotonic() + 60
    while not writer.dropped:
        writer.put(line)
        put += 1
        assert time.monotonic() < until_deadline
    received = b""
    while b"dropped" not in received:
        received += os.read(reading, 2**20)
        writer.put(line)
        put += 1
    while not received.endswith(b"\n"):
        received += os.read(reading, 2**20)
    os.close(reading)
    writer.close()
    os.close(writing)
    lines = received.splitlines()
    (notice,) = [line for line in lines if line.startswith(b"dropped")]
    assert int(notice.split()[1]) > 0
    assert all(len(line) == 1023 for line in lines if line is not notice)


def test_a_reader_that_goes_away_is_survived() -> None:
    reading, writing = os.pipe()
    writer = LogWriter(writing, notice=lambda count: b"dropped %d\n" % count)
    os.close(reading)
    writer.put(b"nobody reads this\n")
    until(lambda: writer.dropped == 1)
    writer.close()
    os.close(writing)


@pytest.mark.parametrize(
    "path",
    [
        "/%0a%7b%22level%22%3a%22error%22%7d",
        "/%1b%5b31m",
        "/%c2%9b31m",
        "/%e2%80%a8",
        "/%7f",
        "/%ed%a0%80%ff",
    ],
)
def test_a_path_cannot_leave_its_line(server: Server, client: httpx.Client, path: str) -> None:
    identifier = f"inject-{path.count('%')}-{abs(hash(path))}"
    assert client.get(path, headers={"X-Request-ID": identifier}).status_code == 404
    until(lambda: identifier in server.log.read_text())
    (line,) = [line for line in server.log.read_bytes().split(b"\n") if identifier.encode() in line]
    assert all(0x20 <= byte < 0x7F for byte in line)
    assert json.loads(line)["status"] == 404
