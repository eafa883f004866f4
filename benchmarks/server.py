"""The HTTP server under load, beside a plain FastAPI handler and LitServe: `results/<environment>/server.json`.

`server_cpu.json` has its CPU time per request beside that of an application which only parses and runs the model.

Client and server share the machine's cores. Requests carry one 28 x 28 image; the connections are kept alive.

    python -m benchmarks.server [--seconds 5] [--poisson-seconds 60] [--requests 100000] [--only-cpu]
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.goals import print_goals
from benchmarks.http_load import Connection, closed_loop, http_request, open_loop, some_requests
from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core.environment import describe
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.serving.session import Session

ROOT = Path(__file__).resolve().parent.parent
MODEL = "simple_cnn-mnist"
_SHAPE = (1, 28, 28, 1)
_IMAGE = np.random.default_rng(0).integers(0, 256, _SHAPE, dtype=np.uint8)
_OUTPUTS = [{"name": OUTPUT_NAMES[1]}]
_ROUNDS = 3
_ROUNDS_OF_CPU = 9
_REQUESTS_OF_CPU = 2_000


def ready_requests() -> dict[str, bytes]:
    """By runner: what its clients send. "raw ASGI" takes those of ours."""
    plain = json.dumps({"shape": list(_SHAPE), "data": _IMAGE.ravel().tolist()}).encode()
    ours = json.dumps(
        {"inputs": [{**_tensor(_IMAGE), "data": _IMAGE.ravel().tolist()}], "outputs": _OUTPUTS}
    ).encode()
    return {
        "vision-zoo, JSON": http_request(f"/v2/models/{MODEL}/infer", ours),
        "vision-zoo, binary": binary_request(MODEL, _IMAGE),
        "plain FastAPI": http_request("/predict", plain),
        "LitServe": http_request("/predict", plain),
    }


def binary_request(model: str, image: NDArray[np.uint8]) -> bytes:
    """A request with an image uint8 `[1, height, width, channels]` as bytes, for probabilities as bytes."""
    head = json.dumps(
        {
            "inputs": [{**_tensor(image), "parameters": {"binary_data_size": image.nbytes}}],
            "outputs": [{**_OUTPUTS[0], "parameters": {"binary_data": True}}],
        }
    ).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    return http_request(f"/v2/models/{model}/infer", head + image.tobytes(), length)


def _tensor(image: NDArray[np.uint8]) -> dict[str, Any]:
    return {"name": INPUT_NAME, "datatype": "UINT8", "shape": list(image.shape)}


def commands(port: int) -> dict[str, list[str]]:
    """By runner: how its server is started."""
    model = str(ROOT / "exported" / f"{MODEL}.onnx")
    servers = ROOT / "benchmarks" / "servers"
    own = ["-m", "vision_zoo", "serve", "--port", str(port), "--models-dir", str(ROOT / "exported")]
    return {
        "vision-zoo, JSON": own,
        "vision-zoo, binary": own,
        "raw ASGI": ["-m", "benchmarks.servers.raw_asgi", model, str(port)],
        "plain FastAPI": [str(servers / "plain_fastapi.py"), model, str(port)],
        "LitServe": [str(servers / "lit.py"), model, str(port)],
    }


@contextmanager
def running(runner: str, *arguments: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """The runner's server on a free port, answering already; `arguments` are further ones of its command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, *commands(port)[runner], *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        connection = Connection(port)
        request = ready_requests().get(runner, ready_requests()["vision-zoo, JSON"])
        while connection.ask(request) != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"error: the server of {runner} does not answer")
            time.sleep(0.2)
        yield port, process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def compare(seconds: float) -> list[dict[str, Any]]:
    """Every runner on one connection and on eight, in rounds; the median round counts."""
    rounds: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for _ in range(_ROUNDS):
        for runner, request in ready_requests().items():
            with running(runner) as (port, _):
                closed_loop(port, request, connections=8, seconds=min(1.0, seconds))
                for connections in (1, 8):
                    load = closed_loop(port, request, connections=connections, seconds=seconds)
                    rounds.setdefault((runner, connections), []).append(load.summary())
    return [
        {"server": runner, "connections": connections, **median_round(taken)}
        for (runner, connections), taken in rounds.items()
    ]


def median_round(taken: list[dict[str, Any]]) -> dict[str, Any]:
    """The round of median throughput, with the throughput of all."""
    ordered = sorted(taken, key=lambda summary: summary["requests_per_second"])
    return {**ordered[len(ordered) // 2], "rounds": [entry["requests_per_second"] for entry in ordered]}


def cpu_per_request(requests: int) -> list[dict[str, Any]]:
    """CPU time of our server beside that of the least that one in Python can do, in turn, on eight connections.

    Of `_ROUNDS_OF_CPU` rounds of `requests` for each format, after one that warms up: the medians, and the ratios' range.
    """
    sent = ready_requests()
    formats = ("JSON", "binary")
    taken: dict[tuple[str, str], list[float]] = {}
    with running("vision-zoo, JSON") as ours, running("raw ASGI") as raw:
        for number in range(_ROUNDS_OF_CPU + 1):
            for form in formats:
                for server, (port, process) in (("vision-zoo", ours), ("raw ASGI", raw)):
                    before = _cpu_seconds(process.pid)
                    counted = some_requests(
                        port, sent[f"vision-zoo, {form}"], connections=8, requests=requests
                    )
                    if number:
                        micros = (_cpu_seconds(process.pid) - before) / counted * 1e6
                        taken.setdefault((server, form), []).append(micros)
    rows = []
    for form in formats:
        own, least = taken["vision-zoo", form], taken["raw ASGI", form]
        ratios = sorted(one / other for one, other in zip(own, least, strict=True))
        rows.append(
            {
                "format": form,
                "requests": requests,
                "rounds": _ROUNDS_OF_CPU,
                "us": round(statistics.median(own), 1),
                "raw_asgi_us": round(statistics.median(least), 1),
                "ratio": round(statistics.median(ratios), 3),
                "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
            }
        )
    return rows


def _cpu_seconds(process: int) -> float:
    """That all threads of a process have computed."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def poisson(rate: float, seconds: float) -> dict[str, Any]:
    """Requests that arrive at random, in rounds; the one with the median p99 counts, each one's is kept."""
    rounds = sorted(
        (_poisson_round(rate, seconds) for _ in range(_ROUNDS)), key=lambda summary: summary["p99_ms"]
    )
    return {**rounds[_ROUNDS // 2], "rounds_p99_ms": [summary["p99_ms"] for summary in rounds]}


def _poisson_round(rate: float, seconds: float) -> dict[str, Any]:
    runner = "vision-zoo, JSON"
    with running(runner) as (port, _):
        request = ready_requests()[runner]
        closed_loop(port, request, connections=8, seconds=1.0)
        load = open_loop(port, request, rate=rate, connections=16, seconds=seconds)
    return {"rate": rate, **load.summary()}


def overload(peak: float, seconds: float) -> dict[str, Any]:
    """Three times what eight connections reached: how much of that is still answered well."""
    runner = "vision-zoo, JSON"
    with running(runner) as (port, _):
        request = ready_requests()[runner]
        load = open_loop(port, request, rate=3 * peak, connections=128, seconds=seconds)
    summary = load.summary()
    share = len(load.nanoseconds) / load.seconds / peak
    return {"rate": round(3 * peak, 1), "share_of_peak": round(share, 3), **summary}


def memory(requests: int) -> dict[str, Any]:
    """Resident memory of the server before and after many requests."""
    runner = "vision-zoo, JSON"
    with running(runner) as (port, process):
        request = ready_requests()[runner]
        closed_loop(port, request, connections=8, seconds=5.0)
        before = _resident_mib(process.pid)
        done = 0
        while done < requests:
            done += len(closed_loop(port, request, connections=8, seconds=5.0).nanoseconds)
        return {"requests": done, "before_mib": before, "after_mib": _resident_mib(process.pid)}


def _resident_mib(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def bare_p50_ms() -> float:
    """The median of the model alone, one image, in this process."""
    session = Session(ROOT / "exported" / f"{MODEL}.onnx", provider="cpu")
    runtime, feed, outputs = session.runtime(), {INPUT_NAME: _IMAGE}, list(OUTPUT_NAMES)
    taken = []
    for _ in range(5000):
        started = time.perf_counter_ns()
        runtime.run(outputs, feed)
        taken.append(time.perf_counter_ns() - started)
    return round(statistics.median(taken) / 1e6, 4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement in a closed loop")
    parser.add_argument("--poisson-seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=100_000, help="between two looks at the memory")
    parser.add_argument("--only-cpu", action="store_true", help="measure CPU time per request, nothing else")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    rows = cpu_per_request(_REQUESTS_OF_CPU)
    document = {
        "schema": SCHEMA_VERSION,
        "kind": "server_cpu",
        "environment": describe(),
        "model": MODEL,
        "rows": rows,
    }
    path = result_path(options.results_dir, describe(), "server_cpu")
    write_result(path, document)
    print(json.dumps(rows))
    print_goals(path)
    if options.only_cpu:
        return
    rows = compare(options.seconds)
    peak = next(
        row["requests_per_second"]
        for row in rows
        if (row["server"], row["connections"]) == ("vision-zoo, JSON", 8)
    )
    document = {
        "schema": SCHEMA_VERSION,
        "kind": "server",
        "environment": describe(),
        "model": MODEL,
        "bare_p50_ms": bare_p50_ms(),
        "closed_loop": rows,
        "poisson": poisson(500, options.poisson_seconds),
        "overload": overload(peak, min(10.0, options.poisson_seconds)),
        "memory": memory(options.requests),
    }
    path = result_path(options.results_dir, describe(), "server")
    write_result(path, document)
    print(json.dumps({key: value for key, value in document.items() if key != "environment"}))


if __name__ == "__main__":
    main()
