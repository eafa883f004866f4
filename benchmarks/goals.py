"""The benchmarks' goals beside what was measured, for all kept results.

    python -m benchmarks.goals

All are ratios within one run, or milliseconds under a stated load. The benchmarks print their own at the end.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vision_zoo.core import json_file
from vision_zoo.recipes import RECIPES

ROOT = Path(__file__).resolve().parent.parent
CPU_OVER_RAW_ASGI, WORKERS_OVER_ONE, P99_MS = 1.35, 1.6, 15.0
OVER_OPENVINO, OVER_FLOOR, LARGE_MACS = 1.15, 2.0, 5_000_000
BESIDE_OTHERS = 2.5
_SMALL_OVER_FLOOR = dict.fromkeys(("small_cnn-mnist", "lenet-fashion_mnist", "basic_cnn-mnist"), 3.0)
_STEP_OVER_FLOOR, _LONG_STEP_MS = 1.5, 5.0
_BF16_SPEEDUP = {"simple_cnn-mnist": 1.6, "airbench-cifar10": 1.9}


@dataclass(frozen=True)
class Goal:
    """What was `reached`, and the `limit`: the most that it may be, or with `least` the least."""

    what: str
    reached: float
    limit: float
    least: bool = False

    @property
    def is_met(self) -> bool:
        return self.reached >= self.limit if self.least else self.reached <= self.limit

    def __str__(self) -> str:
        bound = f"at {'least' if self.least else 'most'} {self.limit:g}"
        return f"{self.what}: {self.reached:.2f}; goal: {bound}, {'met' if self.is_met else 'missed'}"


def step_over_floor(recipe: str, measured: Mapping[str, Any]) -> float | None:
    """The most that the engine's step may take, in times of the floor; None for steps that are too short."""
    if recipe in _SMALL_OVER_FLOOR:
        return _SMALL_OVER_FLOOR[recipe]
    step_ms = 1000 * RECIPES[recipe].batch_size / measured["arms"]["engine"]["images_per_second"]
    return _STEP_OVER_FLOOR if step_ms > _LONG_STEP_MS else None


def ratios(arms: Mapping[str, Sequence[float]], over: str, under: str) -> list[float]:
    """Each round's measurement of one arm over that of the other."""
    return [above / below for above, below in zip(arms[over], arms[under], strict=True)]


def goals(document: Mapping[str, Any]) -> Iterator[Goal]:
    """The goals of a result's kind, with what it measured; none for kinds without any."""
    found = _GOALS.get(document.get("kind", ""))
    if found is not None:
        yield from found(document)


def _server_cpu(document: Mapping[str, Any]) -> Iterator[Goal]:
    for row in document["rows"]:
        yield Goal(f"CPU time of a request over raw ASGI, {row['format']}", row["ratio"], CPU_OVER_RAW_ASGI)


def _server_load(document: Mapping[str, Any]) -> Iterator[Goal]:
    one, *others = document.get("workers") or [None]
    for row in others:
        ratio = row["requests_per_second"] / one["requests_per_second"]
        yield Goal(f"throughput of {row['workers']} workers over one", ratio, WORKERS_OVER_ONE, least=True)
    if "held" in document:
        held = document["held"]
        yield Goal(f"p99 in ms at {held['rate']:,} requests per second", held["p99_ms"], P99_MS)
        yield Goal("failed requests under that load", sum(held["others"].values()), 0)


def _runtimes(document: Mapping[str, Any]) -> Iterator[Goal]:
    rows = document["rows"]
    slowest = max(rows, key=lambda row: row["over_openvino"])
    yield Goal(
        f"latency over OpenVINO, largest of {len(rows)} files ({slowest['model']})",
        slowest["over_openvino"],
        OVER_OPENVINO,
    )
    large = [row for row in rows if row["macs"] > LARGE_MACS]
    farthest = max(large, key=lambda row: row["over_floor"])
    what = f"latency over the floor, largest of {len(large)} files of over {LARGE_MACS / 1e6:g} million MACs"
    yield Goal(f"{what} ({farthest['model']})", farthest["over_floor"], OVER_FLOOR)


def _training(document: Mapping[str, Any]) -> Iterator[Goal]:
    for recipe, measured in document["recipes"].items():
        limit = step_over_floor(recipe, measured)
        if limit is not None:
            yield Goal(f"training step over the floor, {recipe}", measured["engine_over_floor"], limit)


def _beside_others(document: Mapping[str, Any]) -> Iterator[Goal]:
    for name, seconds in document["seconds"].items():
        what = f"training beside {document['loops']} busy loops over alone, {name}"
        yield Goal(what, statistics.median(ratios(seconds, "beside", "alone")), BESIDE_OTHERS)


def _precision(document: Mapping[str, Any]) -> Iterator[Goal]:
    for recipe, measured in document["recipes"].items():
        if recipe in _BF16_SPEEDUP:
            what = f"bf16 training steps over fp32, {recipe}"
            reached = statistics.median(ratios(measured["step_ms"], "fp32", "bf16"))
            yield Goal(what, reached, _BF16_SPEEDUP[recipe], least=True)


_GOALS: dict[str, Callable[[Mapping[str, Any]], Iterator[Goal]]] = {
    "server_cpu": _server_cpu,
    "server_load": _server_load,
    "runtimes": _runtimes,
    "training": _training,
    "training_beside_others": _beside_others,
    "training_precision": _precision,
}


def print_goals(path: Path) -> None:
    """A line for each goal of the result in `path`."""
    for goal in goals(json_file.read(path, dict)):
        print(goal)


def main() -> None:
    for path in sorted((ROOT / "results").glob("*/*.json")):
        found = list(goals(json_file.read(path, dict)))
        if found:
            print(path.relative_to(ROOT), *found, sep="\n")


if __name__ == "__main__":
    main()
