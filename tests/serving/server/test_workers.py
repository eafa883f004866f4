"""Several processes on one port: one page of metrics, one that ends is replaced, all stop together."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import run_command
from tests.serving.server import bombs
from tests.serving.server.conftest import INFER, MODEL, Server, infer_request, running, until
from vision_zoo.core.errors import DeviceError, UsageError
from vision_zoo.serving.server.listening import listen
from vision_zoo.serving.server.metrics import Metrics, add_pages
from vision_zoo.serving.server.model_statistics import Statistics, add_statistics
from vision_zoo.serving.server.settings import ServerSettings

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="shares a port and looks at processes as Linux does"
)


@pytest.fixture(scope="module")
def two(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(models, tmp_path_factory.mktemp("workers") / "log", "--workers", "2") as started:
        yield started


def _ask(server: Server, times: int) -> None:
    """Each time on a new connection."""
    for _ in range(times):
        assert httpx.post(f"{server.url}{INFER}", json=infer_request()).status_code == 200


def _samples(server: Server, name: str) -> list[float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]


def _workers(server: Server) -> set[int]:
    """Processes that have such a name, not those that decode or check files."""
    return {
        process
        for process in bombs.children(server)
        if b"server.worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    }


def test_processes_share_a_port_and_count_together(two: Server) -> None:
    _ask(two, 20)
    images = _samples(two, f'vision_zoo_images_total{{model="{MODEL}"}}')
    assert images == [20]
    assert _samples(two, "vision_zoo_processes ") == [2]
    assert _samples(two, "vision_zoo_model_loaded{") == [1]
    (statistics,) = httpx.get(f"{two.url}/v2/models/{MODEL}/stats").json()["model_stats"]
    assert statistics["inference_count"] == 20
    assert statistics["batch_stats"][0]["compute_infer"]["count"] == 20


def test_a_process_that_ends_is_replaced_and_its_counts_are_kept(two: Server) -> None:
    (before,) = _samples(two, f'vision_zoo_images_total{{model="{MODEL}"}}')
    ended = _workers(two).pop()
    os.kill(ended, signal.SIGKILL)
    until(lambda: len(_workers(two) - {ended}) == 2)
    _ask(two, 10)  # those that are not answered at once wait for the new process
    assert _samples(two, f'vision_zoo_images_total{{model="{MODEL}"}}') == [before + 10]
    assert "is replaced" in two.log.read_text()


def test_sigterm_stops_all_processes(two: Server) -> None:
    workers = _workers(two)
    assert len(workers) == 2
    assert two.stop() == 0
    assert not any(bombs.is_alive(process) for process in workers)
    assert "Traceback" not in two.log.read_text()


def test_a_failure_to_start_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    arguments = ("serve", "--workers", "2", "--port", "0", "--models-dir", "models", "--reload", "0")
    assert "there is no model to serve in models" in run_command(*arguments, cwd=tmp_path).error


def test_a_port_that_is_shared_by_processes_is_not_shared_with_another_server() -> None:
    opened = listen("127.0.0.1", 0, count=2)
    port = opened[0].getsockname()[1]
    for count in (1, 2):
        with pytest.raises(DeviceError, match="Address already in use"):
            listen("127.0.0.1", port, count=count)
    for one in opened:
        one.close()


def test_connections_are_shared_out() -> None:
    opened = listen("127.0.0.1", 0, count=2)
    clients = [socket.create_connection(opened[0].getsockname()) for _ in range(40)]
    accepted = []
    for one in opened:
        one.setblocking(False)
        accepted.append(0)
        while True:
            try:
                one.accept()[0].close()
            except BlockingIOError:
                break
            accepted[-1] += 1
    assert sum(accepted) == 40
    assert all(accepted)
    for one in (*opened, *clients):
        one.close()


def _page(requests: int, running: int) -> str:
    metrics = Metrics(running=lambda: running, waiting=lambda: 0)
    for _ in range(requests):
        metrics.answered("/v2", "GET", 200, 0.001)
    if requests > 1:
        metrics.answered("/metrics", "GET", 200, 1.0)
    return metrics.page({"m": "CPU"}).decode()


def _value(page: str, series: str) -> float:
    (line,) = [line for line in page.splitlines() if line.startswith(f"{series} ")]
    return float(line.rpartition(" ")[2])


def test_pages_are_added_up() -> None:
    total = add_pages([_page(1, 2), _page(3, 5)], [_page(10, 100)])
    assert _value(total, 'vision_zoo_requests_total{method="GET",route="/v2",status="200"}') == 14
    assert _value(total, 'vision_zoo_requests_total{method="GET",route="/metrics",status="200"}') == 2
    assert _value(total, 'vision_zoo_request_seconds_bucket{le="0.5",route="/v2"}') == 14
    assert _value(total, "vision_zoo_running") == 7  # without that of the process that has ended
    assert _value(total, 'vision_zoo_model_loaded{model="m",provider="CPU"}') == 1
    single = _page(1, 2)
    assert [line for line in add_pages([single], []).splitlines() if line.startswith("#")] == [
        line for line in single.splitlines() if line.startswith("#")
    ]


def test_statistics_are_added_up() -> None:
    reports = []
    for sizes in ((1, 1, 4), (4, 8)):
        statistics = Statistics()
        for images in sizes:
            statistics.succeeded("m", images=images, queue=1, compute_input=10, compute_infer=100)
        reports.append({"m": statistics.of("m", version="1")})
    total = add_statistics(reports)["m"]
    assert (total["inference_count"], total["execution_count"]) == (18, 5)
    assert total["inference_stats"]["compute_infer"] == {"count": 5, "ns": 500}
    counts = {one["batch_size"]: one["compute_infer"]["count"] for one in total["batch_stats"]}
    assert counts == {1: 2, 4: 2, 8: 1}
    assert total["last_inference"] == max(report["m"]["last_inference"] for report in reports)


@pytest.mark.parametrize("settings", [{"workers": 2, "demo": True}, {"workers": 0}], ids=str)
def test_processes_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"one process|out of range"):
        ServerSettings(**settings)  # type: ignore[arg-type]
