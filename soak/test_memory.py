"""A hundred thousand requests, good and bad, leave the server's memory as it was."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.http_load import closed_loop, http_request
from tests.serving.server.conftest import MODEL, Server, infer_request, running

_REQUESTS = 100_000
_LARGEST_GROWTH_MIB = 20


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[Server]:
    with running(models, tmp_path / "log") as started:
        yield started


def test_memory_does_not_grow(server: Server) -> None:
    good = http_request(f"/v2/models/{MODEL}/infer", json.dumps(infer_request()).encode())
    bad = http_request(f"/v2/models/{MODEL}/infer", json.dumps(infer_request(data=[300] * 784)).encode())
    closed_loop(server.port, good, connections=8, seconds=3)
    closed_loop(server.port, bad, connections=8, seconds=1)
    before = _resident_mib(server)
    done = 0
    while done < _REQUESTS:
        load = closed_loop(server.port, good, connections=8, seconds=5)
        assert not load.others
        refused = closed_loop(server.port, bad, connections=8, seconds=1)
        assert set(refused.others) == {400}
        done += len(load.nanoseconds) + sum(refused.others.values())
    assert _resident_mib(server) - before <= _LARGEST_GROWTH_MIB
    assert server.is_well()


def _resident_mib(server: Server) -> float:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
