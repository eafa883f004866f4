"""The server in several processes, with dynamic batching, and under a load that it is to hold: `server_load.json`.

Client and server share the machine's cores, which should have nothing else to do.

    python -m benchmarks.server_load [--only workers,batching,held] [--seconds 5] [--held-seconds 60]
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.goals import P99_MS, print_goals
from benchmarks.http_load import closed_loop, pipelined
from benchmarks.server import MODEL, ROOT, binary_request, median_round, poisson, ready_requests, running
from vision_zoo.core.environment import describe
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.serving.session import Session

_ROUNDS = 5
_RUNNER = "vision-zoo, JSON"
_SIZES = ("small_cnn-mnist", "airbench-mnist", "all_cnn-cifar10_gray-int8")
_DELAY_MS = 2
_CONNECTIONS = 16
_RATE = 1_000


def workers(seconds: float) -> list[dict[str, Any]]:
    """Requests a second of one process and of two, in turn, asked by a client that costs little."""
    request = ready_requests()["vision-zoo, binary"]
    rates: dict[int, list[float]] = {1: [], 2: []}
    with running(_RUNNER) as (one, _), running(_RUNNER, "--workers", "2") as (two, _):
        for number in range(_ROUNDS + 1):
            for count, port in ((1, one), (2, two)):
                rate = pipelined(port, request, connections=16, depth=8, seconds=seconds)
                if number:  # the first one warms up
                    rates[count].append(round(rate, 1))
    return [
        {"workers": count, "requests_per_second": statistics.median(rounds), "rounds": rounds}
        for count, rounds in rates.items()
    ]


def batching(seconds: float) -> list[dict[str, Any]]:
    """Models of three sizes with and without batches, in turn; the median round by throughput counts."""
    arguments = {0: (), _DELAY_MS: ("--max-delay-ms", str(_DELAY_MS))}
    taken: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with running(_RUNNER) as (alone, _), running(_RUNNER, *arguments[_DELAY_MS]) as (together, _):
        for model in _SIZES:
            request = _request(model)
            for number in range(_ROUNDS + 1):
                for delay, port in ((0, alone), (_DELAY_MS, together)):
                    load = closed_loop(port, request, connections=_CONNECTIONS, seconds=seconds)
                    if number:
                        taken.setdefault((model, delay), []).append(load.summary())
    return [
        {"model": model, "max_delay_ms": delay, "connections": _CONNECTIONS, **median_round(rounds)}
        for (model, delay), rounds in taken.items()
    ]


def held(seconds: float) -> dict[str, Any]:
    """Requests at random moments: whether none failed and the 99th percentile is below the goal in the median round."""
    summary = poisson(_RATE, seconds)
    is_held = not summary["others"] and summary["p99_ms"] <= P99_MS
    return {**summary, "goal_p99_ms": P99_MS, "held": is_held}


def _request(model: str) -> bytes:
    """One image as bytes."""
    shape = Session(ROOT / "exported" / f"{model}.onnx", provider="cpu").metadata.input.shape
    image = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
    return binary_request(model, image)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="workers,batching,held", help="parts, separated by commas")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement in a closed loop")
    parser.add_argument("--held-seconds", type=float, default=60.0)
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    measure: dict[str, Callable[[], Any]] = {
        "workers": lambda: workers(options.seconds),
        "batching": lambda: batching(options.seconds),
        "held": lambda: held(options.held_seconds),
    }
    measured = {name: measure[name]() for name in options.only.split(",")}
    document = {
        "schema": SCHEMA_VERSION,
        "kind": "server_load",
        "environment": describe(),
        "model": MODEL,
        **measured,
    }
    path = result_path(options.results_dir, describe(), "server_load")
    write_result(path, document)
    print(json.dumps(measured))
    print_goals(path)


if __name__ == "__main__":
    main()
