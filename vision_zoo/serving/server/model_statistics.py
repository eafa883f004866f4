"""Counts and times of every model, in the format of Triton's statistics extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_statistics.md
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

_PHASES = ("compute_input", "compute_infer", "compute_output")


class Statistics:
    """Counts and times of a server's models since its start. For one thread.

    A success is a run that gave an answer; a failure ended by the model, a deadline or the client. Requests that were
    refused before their turn are not counted.
    """

    def __init__(self) -> None:
        self._models: defaultdict[str, _Model] = defaultdict(_Model)

    def succeeded(
        self,
        model: str,
        *,
        images: int,
        batch: int | None = None,
        queue: int,
        compute_input: int,
        compute_infer: int,
        compute_output: int = 0,
    ) -> None:
        """A model ran for a request; the times are nanoseconds. That of its output may be told later, by `encoded`.

        `batch` are the images of all requests that ran together, told for one of them; 0 for the others.
        """
        entry = self._models[model]
        entry.last = time.time_ns() // 1_000_000
        entry.images += images
        entry.success.add(queue + compute_input + compute_infer + compute_output)
        entry.queue.add(queue)
        if batch == 0:
            return
        entry.executions += 1
        phases = entry.batches[images if batch is None else batch]
        phases[0].add(compute_input)
        phases[1].add(compute_infer)
        phases[2].add(compute_output)

    def encoded(self, model: str, *, images: int, nanoseconds: int) -> None:
        """The answer of a run that has been counted was written in `nanoseconds`."""
        entry = self._models[model]
        entry.success.nanoseconds += nanoseconds
        if images in entry.batches:
            entry.batches[images][-1].nanoseconds += nanoseconds

    def failed(self, model: str, *, nanoseconds: int) -> None:
        self._models[model].fail.add(nanoseconds)

    def of(self, model: str, *, version: str) -> dict[str, Any]:
        """The entry of `model_stats` for a model."""
        entry = self._models[model]
        batches = {
            size: dict(zip(_PHASES, phases, strict=True)) for size, phases in sorted(entry.batches.items())
        }
        none = _Duration()
        return {
            "name": model,
            "version": version,
            "last_inference": entry.last,
            "inference_count": entry.images,
            "execution_count": entry.executions,
            "inference_stats": _as_json(
                {
                    "success": entry.success,
                    "fail": entry.fail,
                    "queue": entry.queue,
                    **{phase: _total([batch[phase] for batch in batches.values()]) for phase in _PHASES},
                    "cache_hit": none,
                    "cache_miss": none,
                }
            ),
            "response_stats": {},
            "batch_stats": [{"batch_size": size, **_as_json(batch)} for size, batch in batches.items()],
            "memory_usage": [],
        }


def add_statistics(reports: Iterable[Mapping[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The statistics by model of several processes as those of one."""
    total: dict[str, dict[str, Any]] = {}
    for report in reports:
        for name, entry in report.items():
            total[name] = _added(total[name], entry) if name in total else entry
    return total


def _added(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Two entries, or parts of them, with the same keys: numbers are added, what is in lists is found by its size."""
    both = dict(first)
    for key, value in second.items():
        if isinstance(value, dict):
            both[key] = _added(both[key], value)
        elif isinstance(value, list):
            sizes = {one["batch_size"]: one for one in both[key]}
            for one in value:
                size = one["batch_size"]
                sizes[size] = {**_added(sizes[size], one), "batch_size": size} if size in sizes else one
            both[key] = [sizes[size] for size in sorted(sizes)]
        elif isinstance(value, int):
            both[key] = max(both[key], value) if key == "last_inference" else both[key] + value
    return both


class _Duration:
    def __init__(self, count: int = 0, nanoseconds: int = 0) -> None:
        self.count = count
        self.nanoseconds = nanoseconds

    def add(self, nanoseconds: int) -> None:
        self.count += 1
        self.nanoseconds += nanoseconds


class _Model:
    def __init__(self) -> None:
        self.last = 0
        self.images = 0
        self.executions = 0
        self.success = _Duration()
        self.fail = _Duration()
        self.queue = _Duration()
        self.batches: defaultdict[int, tuple[_Duration, ...]] = defaultdict(
            lambda: tuple(_Duration() for _ in _PHASES)
        )


def _total(durations: list[_Duration]) -> _Duration:
    return _Duration(sum(one.count for one in durations), sum(one.nanoseconds for one in durations))


def _as_json(durations: Mapping[str, _Duration]) -> dict[str, dict[str, int]]:
    return {name: {"count": one.count, "ns": one.nanoseconds} for name, one in durations.items()}
