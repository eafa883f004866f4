"""What a server holds in memory: after 100,000 requests, good and bad, after reloads, and after visits of the page."""

import base64
import json
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.http_load import Connection, closed_loop, http_request
from tests.conftest import ROOT
from tests.serving.demo.conftest import running as page_running
from tests.serving.demo.events import call
from tests.serving.server.bombs import resident_mib
from tests.serving.server.conftest import MODEL, Server, infer_request, running, until

_REQUESTS = 100_000
_LARGEST_GROWTH_MIB = 20
_RELOADS = 12
_LARGEST_MIB = 200
_VISITORS = 256


@pytest.fixture
def server(models: Path, tmp_path: Path) -> Iterator[Server]:
    with running(models, tmp_path / "log") as started:
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

    with running(folder, tmp_path / "log", "--reload", "0.2") as started:
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


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")
def test_what_visitors_of_the_page_drew_is_not_kept(few_models: Path, tmp_path: Path) -> None:
    with page_running(tmp_path, "serve", "--demo", "--models-dir", few_models, "--max-body-mb", "1") as page:
        server = Server(0, page.process, page.log)
        with httpx.Client(base_url=page.url, timeout=60) as client:

            def visit(name: str, size: int) -> None:
                for number in range(_VISITORS):
                    drawing = base64.b64encode(secrets.token_bytes(size)).decode()  # nothing is found in it
                    data = [f"data:image/png;revision=1;base64,{drawing}"]
                    assert call(client, "draw", data, session_hash=f"{name}-{number}")[0] == "complete"

            visit("small", 30)
            before = resident_mib(server)
            visit("large", 180 * 2**10)
            assert resident_mib(server) - before < 30
