"""The flags of docs/DEPLOYING.md that close Ray's ports: a real head node, and what listens in it."""

import ipaddress
import os
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

import pytest

from tests.conftest import ROOT, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's list of sockets"),
]
_RAY = Path(sys.executable).parent / "ray"
_SECONDS = 90
_LISTENING = "0A"


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


def _listening(session: int) -> dict[int, str]:
    """Addresses by port on which the processes of a session listen."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                inodes |= {str(entry.readlink()) for entry in (process / "fd").iterdir()}
        except OSError:
            continue  # it has just ended
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and f"socket:[{fields[9]}]" in inodes:
                address, port = fields[1].split(":")
                words = [
                    bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8)
                ]
                found[int(port, 16)] = str(ipaddress.ip_address(b"".join(words)))
    return found


def test_nothing_listens_beyond_this_machine(head: Head) -> None:
    found = _listening(head.session)
    assert {head.port, head.agent_port} <= found.keys()
    assert len(found) >= 5
    beyond = {port: address for port, address in found.items() if not _is_loopback(address)}
    assert not beyond


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
