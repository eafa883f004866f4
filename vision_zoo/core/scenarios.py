"""Three load scenarios, after MLPerf Inference (Reddi et al. 2020).

- `single_stream`: one caller, one call at a time: the latency of a single user.
- `offline`: one caller per core, no waiting: the throughput of a batch job.
- `server`: Poisson arrivals at a given rate, independent of earlier calls. Latency counts from the
  scheduled arrival, which avoids coordinated omission.

A runner is a function without arguments that handles one batch. Every runner is warmed up before it is timed.
"""

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from vision_zoo.core.bounds import require_between
from vision_zoo.core.errors import VisionZooError
from vision_zoo.core.latency import Latency, summarise
from vision_zoo.core.progress import Progress

SCENARIOS = ("single-stream", "offline", "server")

Runner = Callable[[], object]
_Call = tuple[int, int | None]  # when it was due; nanoseconds until it was done, None if it failed

MAX_SECONDS = 3600
MAX_BATCH = 4096
_SLICE_SECONDS = 0.1
_WARM_UP_CALLS = 10
_WARM_UP_SECONDS = 0.3
_SPIN_SECONDS = 0.0002  # sleeping is coarse: the last stretch before a call is due is waited for awake


def single_stream(
    runners: Mapping[str, Runner], *, batch_size: int, seconds: float, progress: Progress
) -> dict[str, Latency]:
    """Time every runner for `seconds`, in short alternating slices: a machine that slows down slows all runners alike.

    Raises UsageError if `seconds` is not above 0, as do the other scenarios.
    """
    require_between("duration", seconds, 0, math.inf, above=True)
    for runner in runners.values():
        warm_up(runner, seconds)
    samples: dict[str, list[int]] = {name: [] for name in runners}
    spent = dict.fromkeys(runners, 0)
    progress.start(f"single-stream, batch {batch_size}", len(runners) * round(seconds * 10))
    while min(spent.values(), default=1e99) < seconds * 1e9:
        for name, runner in runners.items():
            taken = _time_slice(runner, samples[name], min(seconds, _SLICE_SECONDS))
            spent[name] += taken
            progress.advance(max(1, round(taken / 1e8)))
    return {name: summarise(np.asarray(taken), batch_size=batch_size) for name, taken in samples.items()}


def offline(runner: Runner, *, batch_size: int, seconds: float, callers: int, progress: Progress) -> Latency:
    """Call `runner` from `callers` threads for `seconds`: `images_per_second` is the machine's throughput."""
    require_between("duration", seconds, 0, math.inf, above=True)
    warm_up(runner, seconds)
    progress.start(f"offline, batch {batch_size}", 1)
    samples: list[list[_Call]] = [[] for _ in range(callers)]
    started = time.perf_counter_ns()
    deadline = started + round(seconds * 1e9)

    def call_until_deadline(mine: list[_Call]) -> None:
        while (begun := time.perf_counter_ns()) < deadline:
            mine.append(_timed(runner, since=begun))

    _in_threads(call_until_deadline, samples)
    took = (time.perf_counter_ns() - started) / 1e9
    progress.advance()
    return _merged(samples, batch_size=batch_size, seconds=took)


def server(
    runner: Runner,
    *,
    batch_size: int,
    seconds: float,
    rate: float,
    callers: int,
    progress: Progress,
    seed: int = 0,
) -> Latency:
    """Call `runner` at `rate` calls per second on average, from at most `callers` threads."""
    require_between("duration", seconds, 0, math.inf, above=True)
    require_between("rate", rate, 0, math.inf, above=True)
    warm_up(runner, seconds)
    progress.start(f"server, batch {batch_size}", 1)
    gaps = np.random.default_rng(seed).exponential(1 / rate, max(1, round(rate * seconds)))
    waiting: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    samples: list[list[_Call]] = [[] for _ in range(callers)]
    started = time.perf_counter_ns() + 1_000_000
    due_at = started + np.cumsum(gaps * 1e9).astype(np.int64)

    def serve(mine: list[_Call]) -> None:
        while (due := waiting.get()) is not None:
            mine.append(_timed(runner, since=due))

    def arrive() -> None:
        for due in due_at.tolist():
            _wait_until(due)
            waiting.put(due)
        for _ in samples:
            waiting.put(None)

    arrivals = threading.Thread(target=arrive, daemon=True)
    arrivals.start()
    _in_threads(serve, samples)
    took = (time.perf_counter_ns() - started) / 1e9
    progress.advance()
    return _merged(samples, batch_size=batch_size, seconds=took)


def warm_up(runner: Runner, seconds: float) -> None:
    """Call `runner` until its caches, its memory and the processor's clock have settled, for at most `seconds`.

    There are ten calls at least, however long they take.
    """
    deadline = time.perf_counter() + min(seconds, _WARM_UP_SECONDS)
    calls = 0
    while calls < _WARM_UP_CALLS or time.perf_counter() < deadline:
        runner()
        calls += 1


def _time_slice(runner: Runner, samples: list[int], seconds: float) -> int:
    # The first call after a change of runner finds the other runner's data in the caches: not counted.
    runner()
    clock = time.perf_counter_ns
    begun = clock()
    while True:
        started = clock()
        runner()
        ended = clock()
        samples.append(ended - started)
        if ended - begun >= seconds * 1e9:
            return ended - begun


def _wait_until(nanoseconds: int) -> None:
    remaining = (nanoseconds - time.perf_counter_ns()) / 1e9
    if remaining > _SPIN_SECONDS:
        time.sleep(remaining - _SPIN_SECONDS)
    while time.perf_counter_ns() < nanoseconds:
        time.sleep(0)  # lets the callers run


def _timed(runner: Runner, *, since: int) -> _Call:
    try:
        runner()
    except VisionZooError:
        return since, None
    return since, time.perf_counter_ns() - since


def _merged(samples: list[list[_Call]], *, batch_size: int, seconds: float) -> Latency:
    calls = sorted((call for mine in samples for call in mine), key=lambda call: call[0])
    latencies = [latency for _, latency in calls if latency is not None]
    return summarise(
        np.asarray(latencies, dtype=np.int64),
        batch_size=batch_size,
        seconds=seconds,
        errors=len(calls) - len(latencies),
    )


def _in_threads(work: Callable[[list[_Call]], None], samples: list[list[_Call]]) -> None:
    threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in samples]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
