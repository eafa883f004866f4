"""A real server in a process of its own, and ways to talk to it."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import numpy as np
import pytest

from tests import warm

MODEL = "simple_cnn-mnist_5k"
INFER = f"/v2/models/{MODEL}/infer"
CLASSIFY = f"/v1/classify/{MODEL}"


ServerProcess: TypeAlias = "subprocess.Popen[bytes] | warm.Process"


@dataclass
class Server:
    """A running server: its address, its process, and its log."""

    port: int
    process: ServerProcess
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_well(self) -> bool:
        """Whether it is ready, and the next ordinary request is answered."""
        with httpx.Client(base_url=self.url, timeout=60) as client:
            ready = client.get("/v2/health/ready").status_code == 200
            return ready and client.post(f"/v2/models/{MODEL}/infer", json=infer_request()).status_code == 200

    def stop(self) -> int:
        """Ask it to end, and wait: its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def infer_request(batch: int = 1, **changes: Any) -> dict[str, Any]:
    """An ordinary request of black images; `changes` replace parts of its input."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": [batch, 28, 28, 1], "data": [0] * 784 * batch}
    return {"inputs": [{**tensor, **changes}]}


def tensor_body(**changes: Any) -> bytes:
    """`infer_request` as the body of a request."""
    return json.dumps(infer_request(**changes)).encode()


def until(condition: Callable[[], bool]) -> None:
    """Wait for `condition`, at most five minutes."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def running(
    models: Path,
    log: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    limits: Mapping[int, tuple[int, int]] | None = None,
    prefix: tuple[str, ...] = (),
    own: bool = False,
) -> Iterator[Server]:
    """`vision-zoo serve` on a free port, stopped at the end.

    `limits` are resource limits of its process, `prefix` is a command that runs it. It is forked from a process that
    has imported everything, but for one with limits, a prefix, or that is to be an interpreter of its `own`.
    """
    command = ["serve", "--port", "0", "--models-dir", str(models), *arguments]
    process = started(command, log, env or {}, prefix, own=own or bool(limits))
    for limit, values in (limits or {}).items():
        resource.prlimit(process.pid, limit, values)
    try:
        yield Server(_port(process, log), process, log)
    finally:
        process.kill()
        process.wait()


def started(
    arguments: list[str], log: Path, env: Mapping[str, str], prefix: tuple[str, ...] = (), *, own: bool
) -> ServerProcess:
    """`vision-zoo` in an interpreter of its own or a forked process; `log` gets what it prints on stderr."""
    environment = {**os.environ, **env}
    log.touch()
    if not own and not prefix:
        return warm.Process(warm.start(arguments, cwd=Path.cwd(), env=environment, output=log))
    with log.open("wb") as stderr:
        command = [*prefix, sys.executable, "-m", "vision_zoo", *arguments]
        return subprocess.Popen(command, stderr=stderr, env=environment)


def _port(process: ServerProcess, log: Path) -> int:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        text = log.read_text()
        found = re.search(r"serving at http://[^:]+:(\d+)", text)
        if found and "startup complete" in text:
            return int(found.group(1))
        assert process.poll() is None, text
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def models(exported_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good model, a damaged one, and one that its manifest does not know. Read only."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(exported_model.parent, folder, dirs_exist_ok=True)
    (folder / "damaged.onnx").write_bytes(exported_model.read_bytes()[:1000])
    return folder


@pytest.fixture(scope="session")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that do not break it."""
    with running(models, tmp_path_factory.mktemp("server") / "log", own=True) as server:
        yield server


@pytest.fixture
def well_afterwards(server: Server) -> Iterator[None]:
    """A client's fault leaves the server well."""
    yield
    assert server.is_well()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="session")
def digits(mnist_5k: Any) -> np.ndarray:
    """Real digits, uint8 `[5, 28, 28, 1]`."""
    return np.array(mnist_5k.test.images[::200])
