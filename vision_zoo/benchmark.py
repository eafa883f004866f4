"""Exported models measured beside eager torch: the one place where both halves are timed together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.errors import UsageError
from vision_zoo.progress import Progress
from vision_zoo.serving.bench import PERCENTILES, Latency, measure
from vision_zoo.serving.session import MAX_THREADS, Session

AGAINST = ("torch",)
MAX_SECONDS = 3600


@dataclass(frozen=True)
class BenchmarkSettings:
    """`seconds` is how long every arm is timed at every batch size; `threads` are each arm's."""

    provider: str = "auto"
    batch_sizes: tuple[int, ...] = (1, 8, 64)
    against: tuple[str, ...] = ()
    threads: int = 1
    seconds: float = 2.0

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        if not 0 < self.seconds <= MAX_SECONDS:
            raise UsageError(
                f"duration {self.seconds} is out of range; expected more than 0, at most {MAX_SECONDS} seconds"
            )
        if not 1 <= self.threads <= MAX_THREADS:
            raise UsageError(f"threads {self.threads} is out of range; expected 1 to {MAX_THREADS}")
        for batch_size in self.batch_sizes:
            if not 1 <= batch_size <= 4096:
                raise UsageError(f"batch size {batch_size} is out of range; expected 1 to 4096")
        for engine in self.against:
            if engine not in AGAINST:
                raise UsageError(f"unknown engine {engine!r} in --against; expected {', '.join(AGAINST)}")


def benchmark(paths: Sequence[Path], settings: BenchmarkSettings, progress: Progress) -> list[dict[str, Any]]:
    """One row a model, engine and batch size.

    Milliseconds are per call of the whole path from a uint8 array to probabilities as an array; `ratio`
    is the engine's median over ONNX Runtime's in the same run.

    Raises:
        ModelError, DeviceError: a model cannot be loaded, or the provider cannot run.
    """
    rows = []
    for path in paths:
        session = Session(path, provider=settings.provider, threads=settings.threads)
        for batch_size in settings.batch_sizes:
            progress.line(f"measuring {session.name}, batch {batch_size}")
            rows += _measure_batch(session, batch_size, settings, progress)
    return rows


def tables_by_model(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """`rows` as one narrow table a model, by a title that names the provider that really ran."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["engine"] == "onnxruntime":
            threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
            table = tables.setdefault(f"{row['model']}: {row['provider']}, {threads}", [])
        narrow = {key: row[key] for key in ("engine", "batch", "calls", "p50_ms", "p90_ms", "p99_ms")}
        table.append(narrow | {"images/s": row["images_per_second"], "ratio": f"{row['ratio']:.2f}"})
    return tables


def _measure_batch(
    session: Session, batch_size: int, settings: BenchmarkSettings, progress: Progress
) -> list[dict[str, Any]]:
    shape = (batch_size, *session.metadata.input.shape)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    arms: dict[str, Callable[[], object]] = {"onnxruntime": lambda: session.predict(images)}
    if "torch" in settings.against:
        from vision_zoo.training.eager import eager_call

        device = "cuda" if session.provider == "CUDAExecutionProvider" else "cpu"
        arms["torch"] = eager_call(session.metadata, images, device=device, threads=settings.threads)
    measured = measure(arms, batch_size=batch_size, seconds=settings.seconds, progress=progress)
    return [
        _row(session, engine, batch_size, settings.threads, latency, measured["onnxruntime"])
        for engine, latency in measured.items()
    ]


def _row(
    session: Session, engine: str, batch_size: int, threads: int, latency: Latency, reference: Latency
) -> dict[str, Any]:
    ratio = (latency.milliseconds[50] or 0) / (reference.milliseconds[50] or 1)
    return {
        "model": session.name,
        "engine": engine,
        "provider": session.provider if engine == "onnxruntime" else "eager",
        "threads": threads,
        "batch": batch_size,
        "calls": latency.calls,
        **{
            f"p{percentile}_ms": None if value is None else round(value, 4)
            for percentile, value in ((entry, latency.milliseconds[entry]) for entry in PERCENTILES)
        },
        "images_per_second": round(latency.images_per_second, 1),
        "ratio": round(ratio, 2),
    }
