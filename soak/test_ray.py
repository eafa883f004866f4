"""The server on Ray Serve, started as docs/DEPLOYING.md says with closed ports: its answers, and what listens."""

import ipaddress
import os
import pickle
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tritonclient import http as triton

from tests.conftest import ROOT, free_port
from tests.serving.server.conftest import INFER, MODEL, infer_request
from tests.serving.sockets import listening, session_of

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's list of sockets")
_RAY = Path(sys.executable).parent / "ray"
_SECONDS = 240


@dataclass(frozen=True)
class Head:
    """A head node: the session of its processes, the port of its control service, and its environment."""

    session: int
    port: int
    agent_port: int
    environment: dict[str, str]


def _documented() -> tuple[dict[str, str], list[str]]:
    """Environment and arguments of the command in DEPLOYING.md that starts Ray for this machine alone."""
    text = (ROOT / "docs" / "DEPLOYING.md").read_text()
    (line,) = re.findall(r"^(RAY_ENABLE\S+ .*ray start .*127\.0\.0\.1.*)$", text, flags=re.MULTILINE)
    words = line.split()
    start = words.index("ray")
    return dict(word.split("=", 1) for word in words[:start]), words[start + 1 :]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    settings, arguments = _documented()
    environment = {
        **os.environ,
        **settings,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    port, agent_port = free_port(), free_port()
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))  # paths of sockets must be short
    log = tmp_path_factory.mktemp("ray") / "log"
    ports = (
        f"--port={port}",
        f"--ray-client-server-port={free_port()}",
        f"--dashboard-agent-listen-port={agent_port}",
    )
    with log.open("w") as output:
        process = subprocess.Popen(
            [_RAY, *arguments, "--num-cpus=1", "--block", *ports, f"--temp-dir={scratch}"],
            env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(lambda: "Ray runtime started" in log.read_text() and _accepts(agent_port), process)
        yield Head(process.pid, port, agent_port, environment)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(scratch, ignore_errors=True)


def _wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_nothing_listens_beyond_this_machine(head: Head) -> None:
    found = listening(lambda process: session_of(process) == head.session)
    assert {head.port, head.agent_port} <= found.keys()
    assert len(found) >= 5
    beyond = {port: address for port, address in found.items() if not _is_loopback(address)}
    assert not beyond


@pytest.fixture(scope="module")
def url(head: Head, exported_model: Path) -> str:
    """The server on Ray Serve, as DEPLOYING.md starts it."""
    port = free_port()
    environment = {**head.environment, "RAY_ADDRESS": f"127.0.0.1:{head.port}", "PYTHONPATH": str(ROOT)}
    application = ("vision_zoo.serving.ray_app:application", "replicas=1", "open_to_all=true")
    for command in (
        ("start", "--http-host", "127.0.0.1", "--http-port", str(port)),
        ("run", "--non-blocking", *application, f"models_dir={exported_model.parent}"),
    ):
        done = subprocess.run(
            [_RAY.with_name("serve"), *command],
            env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    address = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{address}/v2/health/ready", timeout=60).status_code == 200
    return address


@pytest.fixture
def replica_ports(head: Head, url: str) -> set[int]:
    assert url
    return set(listening(lambda process: _is_replica(process, head.session)))


def _is_replica(process: Path, session: int) -> bool:
    return session_of(process) == session and (process / "cmdline").read_bytes().startswith(
        b"ray::ServeReplica"
    )


def test_the_protocol_is_the_servers_own(url: str, digit_png: Path) -> None:
    answer = httpx.post(f"{url}/v1/classify/{MODEL}", content=digit_png.read_bytes())
    assert answer.status_code == 200, answer.text
    assert answer.json()["label"] == "7"
    assert answer.headers["X-Request-ID"]
    refused = httpx.post(f"{url}{INFER}", content=b"{")
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert httpx.post(f"{url}/v2/models/nothing/infer", json=infer_request()).status_code == 404


def test_tritonclient_works_unchanged(url: str) -> None:
    image = np.zeros((3, 28, 28, 1), dtype=np.uint8)
    with triton.InferenceServerClient(url.removeprefix("http://")) as client:
        assert client.is_model_ready(MODEL)
        tensor = triton.InferInput("image", list(image.shape), "UINT8")
        tensor.set_data_from_numpy(image)
        assert client.infer(MODEL, [tensor]).as_numpy("logits").shape == (3, 10)


class _Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_a_replica_unpickles_nothing_without_the_token(replica_ports: set[int], tmp_path: Path) -> None:
    import grpc
    from ray.serve.generated.serve_pb2 import ASGIRequest

    request = ASGIRequest(pickled_request_metadata=pickle.dumps(_Touch(tmp_path / "made")))
    codes = set()
    for port in replica_ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/ray.serve.ASGIService/HandleRequest")
            with pytest.raises(grpc.RpcError) as refused:
                call(request.SerializeToString(), timeout=60)
        codes.add(refused.value.code())
    assert grpc.StatusCode.UNAUTHENTICATED in codes
    assert not (tmp_path / "made").exists()


def _is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def test_a_client_without_the_token_is_refused(head: Head) -> None:
    tokens = {"right": {}, "wrong": {"RAY_AUTH_TOKEN": "0" * 64}, "none": {"RAY_AUTH_MODE": "disabled"}}
    clients = {
        name: subprocess.Popen(
            [_RAY, "status", "--address", f"127.0.0.1:{head.port}"],
            env={**head.environment, **changes}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for name, changes in tokens.items()
    }  # fmt: skip
    said = {name: client.communicate(timeout=_SECONDS)[0] for name, client in clients.items()}
    assert clients["right"].returncode == 0, said["right"]
    for name in ("wrong", "none"):
        assert clients[name].returncode != 0
        assert "Authentication token is missing or incorrect" in said[name]
