"""Benchmarks of exported models, alone and against other engines."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vision_zoo.benchmark.cold import measure_cold
from vision_zoo.benchmark.engines import ONE_CALLER, REFERENCE, runners
from vision_zoo.benchmark.sessions import measure_stages, placement
from vision_zoo.benchmark.settings import BenchmarkSettings
from vision_zoo.core import scenarios
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.errors import ModelError
from vision_zoo.core.latency import Latency, percentile_name
from vision_zoo.core.progress import Progress
from vision_zoo.core.scenarios import Runner
from vision_zoo.serving.session import Session

__all__ = ["BenchmarkSettings", "benchmark"]

_RAW = 2000
"""How many latencies of a runner are kept in order, evenly spread, to draw their distribution."""
_LARGEST_DEFAULT_RATE = 2000
"""Calls a second above which handing them from thread to thread would be what is measured."""


def benchmark(
    paths: Sequence[Path], settings: BenchmarkSettings, progress: Progress, *, raw: bool = False
) -> Iterator[BenchmarkRow]:
    """One row a model, provider, engine, scenario and batch size.

    Milliseconds are of one call, from a uint8 array to probabilities as an array; `ratio` is the engine's
    median over that of a plain ONNX Runtime session in the same run. `model` is a file's stem, or its path where several
    have the same one. `raw` adds a sample of the latencies.

    Raises:
        ModelError, DeviceError: a model cannot be loaded, or the provider cannot run.
        ModelError: no model has one of the precisions asked for.
    """
    measured = False
    stems = Counter(path.stem for path in paths)
    for path in paths:
        for provider in settings.providers:
            session = Session(path, provider=provider, threads=settings.threads)
            if settings.precisions and session.metadata.precision not in settings.precisions:
                continue
            measured = True
            shown = session.name if stems[path.stem] == 1 else str(path)
            progress.line(f"measuring {shown} on {session.provider}")
            once = _once(session, provider, settings)
            for row in _timed(session, settings, progress, raw=raw):
                yield replace(row, model=shown, **(once if row.engine == REFERENCE else {}))
    if not measured:
        raise ModelError(
            f"none of these models has the precision {' or '.join(settings.precisions)}; export one with "
            "`vision-zoo export RUN --precision …`"
        )


def _once(session: Session, provider: str, settings: BenchmarkSettings) -> dict[str, Any]:
    """What does not depend on the batch: columns of the rows of a plain ONNX Runtime session."""
    cold = measure_cold(session.path, provider=provider, threads=settings.threads)
    placed = placement(session)
    return {
        **asdict(cold),
        **asdict(measure_stages(session, seconds=settings.seconds)),
        "nodes": placed.nodes,
        "copies": placed.copies,
    }


def _timed(
    session: Session, settings: BenchmarkSettings, progress: Progress, *, raw: bool
) -> Iterator[BenchmarkRow]:
    for batch_size in settings.batch_sizes:
        calls = runners(session, batch_size, settings)
        for scenario in settings.scenarios:
            measured, rate = _run(
                scenario, calls, batch_size, settings, progress, threads=session.options.threads
            )
            for engine, latency in measured.items():
                row = _row(session, engine, scenario, rate, batch_size, latency, measured[REFERENCE])
                yield replace(row, raw_ms=_spread_sample(latency)) if raw else row


def _run(
    scenario: str,
    calls: dict[str, Runner],
    batch_size: int,
    settings: BenchmarkSettings,
    progress: Progress,
    *,
    threads: int,
) -> tuple[dict[str, Latency], float | None]:
    seconds = settings.seconds
    if scenario == "single-stream":
        return scenarios.single_stream(calls, batch_size=batch_size, seconds=seconds, progress=progress), None
    callers = max(1, usable_cores() // threads)
    if scenario == "offline":
        return {
            engine: scenarios.offline(
                runner,
                batch_size=batch_size,
                seconds=seconds,
                callers=1 if engine in ONE_CALLER else callers,
                progress=progress,
            )
            for engine, runner in calls.items()
        }, None
    rate = settings.rate or _half_of_what_one_caller_reaches(calls[REFERENCE], batch_size, progress)
    return {
        engine: scenarios.server(
            runner,
            batch_size=batch_size,
            seconds=seconds,
            rate=rate,
            callers=1 if engine in ONE_CALLER else callers,
            progress=progress,
        )
        for engine, runner in calls.items()
    }, round(rate, 1)


def _half_of_what_one_caller_reaches(runner: Runner, batch_size: int, progress: Progress) -> float:
    probe = scenarios.single_stream({"": runner}, batch_size=batch_size, seconds=0.3, progress=progress)[""]
    return min(_LARGEST_DEFAULT_RATE, probe.images_per_second / batch_size / 2)


def _row(
    session: Session,
    engine: str,
    scenario: str,
    rate: float | None,
    batch_size: int,
    latency: Latency,
    reference: Latency,
) -> BenchmarkRow:
    metadata, in_torch = session.metadata, engine.startswith("torch")
    elsewhere = in_torch or engine == "openvino"
    own, other = latency.milliseconds[50], reference.milliseconds[50]
    percentiles: dict[str, Any] = {
        percentile_name(percentile): None if value is None else round(value, 4)
        for percentile, value in latency.milliseconds.items()
    }
    return BenchmarkRow(
        model=session.name,
        architecture=metadata.architecture,
        dataset=metadata.dataset,
        precision="fp32" if in_torch else metadata.precision,
        test_accuracy=None if elsewhere else metadata.test_accuracy,
        test_images=metadata.test_images,
        bytes=session.size,
        engine=engine,
        provider=engine if elsewhere else session.provider,
        threads=session.options.threads,
        scenario=scenario,
        rate=rate,
        batch=batch_size,
        calls=latency.calls,
        errors=latency.errors,
        **percentiles,
        max_ms=None if latency.max_ms is None else round(latency.max_ms, 4),
        images_per_second=round(latency.images_per_second, 1),
        steady=latency.steady,
        ratio=None if own is None or not other else round(own / other, 2),
    )


def _spread_sample(latency: Latency) -> list[float]:
    every = max(1, latency.calls // _RAW)
    return [round(value / 1e6, 4) for value in latency.nanoseconds[::every].tolist()]
