"""What a server holds in memory: after a hundred thousand requests, good and bad, and after models are reloaded."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.http_load import Connection, closed_loop, http_request
from tests.conftest import ROOT
from tests.serving.server.bombs import resident_mib
from tests.serving.server.conftest import MODEL, Server, infer_request, running, until

_REQUESTS = 100_000
_LARGEST_GROWTH_MIB = 20
_RELOADS = 12
_LARGEST_MIB = 200


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[Server]:
    with running(models, tmp_path / "log", own=True) as started:
        yield started


def test_memory_does_not_grow(server: Server) -> None:
    good = http_request(f"/v2/models/{MODEL}/infer", json.dumps(infer_request()).encode())
    bad = http_request(f"/v2/models/{MODEL}/infer", json.dumps(infer_request(data=[300] * 784)).encode())
    closed_loop(server.port, good, connections=8, seconds=3)
    closed_loop(server.port, bad, connections=8, seconds=1)
    before = resident_mib(server)
    done = 0
    while done < _REQUESTS:
        load = closed_loop(server.port, good, connections=8, seconds=5)
        assert not load.others
        refused = closed_loop(server.port, bad, connections=8, seconds=1)
        assert set(refused.others) == {400}
        done += len(load.nanoseconds) + sum(refused.others.values())
    assert resident_mib(server) - before <= _LARGEST_GROWTH_MIB
    assert server.is_well()


def test_memory_is_held_while_all_models_of_digits_are_reloaded_under_traffic(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    files = [path for path in (ROOT / "exported").glob("*-mnist*.onnx") if "alexnet" not in path.name]
    for path in files:
        shutil.copy(path, folder)
    # A body of sixteen images and nothing else.
    request = {"Inference-Header-Content-Length": "0"}
    asked = [http_request(f"/v2/models/{path.stem}/infer", bytes(16 * 784), request) for path in files]
    done = threading.Event()
    statuses: set[int] = set()

    def ask(port: int, first: int) -> None:
        connection = Connection(port)
        while not done.is_set():
            statuses.update(connection.ask(one) for one in asked[first:] + asked[:first])
        connection.close()

    with running(folder, tmp_path / "log", "--reload", "0.2", own=True) as started:
        asking = [threading.Thread(target=ask, args=(started.port, first)) for first in range(3)]
        for thread in asking:
            thread.start()
        try:
            most = 0.0
            for number in range(1, _RELOADS + 1):
                for path in files:
                    shutil.copy(path, folder / "copy")
                    (folder / "copy").replace(folder / path.name)
                loaded = (number + 1) * len(files)
                until(lambda loaded=loaded: started.log.read_text().count("model loaded") >= loaded)  # type: ignore[misc]
                most = max(most, resident_mib(started))
        finally:
            done.set()
            for thread in asking:
                thread.join()
        assert statuses == {200}
        assert most <= _LARGEST_MIB
