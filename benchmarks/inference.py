"""Inference overhead and gains, as ratios in one run, for `results/<environment>/inference.json`.

What 8 bits gain is measured where it is decided which file to ship, in `scripts/publish_zoo.py`.

- `overhead`: `Session.predict` over a bare `session.run`, p50, batch 1 and 64.
- `engines`: eager torch over ONNX Runtime, p50 of one image, one thread each, a model of each architecture.
- `options`: ONNX Runtime's default session options over the shipped ones, p99 of one image, as many callers as cores.
- `files`: processor time of `vision-zoo predict` for each of 2,000 small PNG files, start excluded, and of a plain loop
  that opens them with Pillow and calls the session in batches of 64.
- `cold`: seconds of `vision-zoo predict` from process start to answer, and what its imports take.

    python benchmarks/inference.py [--seconds 5]
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.benchmark.eager import eager_call
from vision_zoo.core import onnx_runtime
from vision_zoo.core.environment import describe, usable_cores
from vision_zoo.core.latency import Latency, summarise
from vision_zoo.core.progress import Progress, progress_on_stderr
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.core.scenarios import Runner, offline, single_stream
from vision_zoo.images.preprocess import prepare
from vision_zoo.serving.models import find_model, list_models
from vision_zoo.serving.pictures import find_pictures
from vision_zoo.serving.predict import classify_each
from vision_zoo.serving.session import Session

ROOT = Path(__file__).resolve().parent.parent
_COLD_CALLS = 15
_TURNS = 4
_SLOWEST_IMPORTS = 12
_FILES = 2000
_ROUNDS = 5


def compare(
    runners: Mapping[str, Runner], *, batch: int, seconds: float, progress: Progress
) -> dict[str, Any]:
    """p50 and p99 of every runner in turns, and both as multiples of the first runner's."""
    return table(single_stream(runners, batch_size=batch, seconds=seconds, progress=progress), batch)


def table(measured: Mapping[str, Latency], batch: int) -> dict[str, Any]:
    first = next(iter(measured.values()))
    return {
        "batch": batch,
        "arms": {
            name: {
                "calls": latency.calls,
                "p50_ms": latency.milliseconds[50],
                "p99_ms": latency.milliseconds[99],
                "p50_ratio": _ratio(latency, first, 50),
                "p99_ratio": _ratio(latency, first, 99),
                "steady": latency.steady,
            }
            for name, latency in measured.items()
        },
    }


def _ratio(latency: Latency, first: Latency, percentile: float) -> float | None:
    own, other = latency.milliseconds[percentile], first.milliseconds[percentile]
    return None if own is None or other is None else round(own / other, 3)


def images_for(session: Session, batch: int) -> Any:
    return np.random.default_rng(0).integers(0, 256, (batch, *session.metadata.input.shape), dtype=np.uint8)


def bare_run(runtime: Any, images: Any) -> Runner:
    feed = {INPUT_NAME: images}
    outputs = list(OUTPUT_NAMES)
    return lambda: runtime.run(outputs, feed)


def predicting(session: Session, images: Any) -> Runner:
    return lambda: session.predict(images)


def overhead(session: Session, seconds: float, progress: Progress) -> list[dict[str, Any]]:
    rows = []
    for batch in (1, 64):
        images = images_for(session, batch)
        runners = {
            "session.run": bare_run(session.runtime(), images),
            "Session.predict": predicting(session, images),
        }
        rows.append(compare(runners, batch=batch, seconds=seconds, progress=progress))
    return rows


def engines(session: Session, seconds: float, progress: Progress) -> list[dict[str, Any]]:
    images = images_for(session, 1)
    runners = {
        "onnxruntime": predicting(session, images),
        "torch": eager_call(session.metadata, images, device="cpu", threads=1),
    }
    compared = compare(runners, batch=1, seconds=seconds, progress=progress)
    return [{"architecture": session.metadata.architecture, **compared}]


def options(session: Session, seconds: float, progress: Progress) -> list[dict[str, Any]]:
    """As many callers as cores at once, which is when threads that spin get in each other's way."""
    images = images_for(session, 1)
    runners = {
        "shipped options": bare_run(session.runtime(), images),
        "default options": bare_run(session.with_options(onnx_runtime.load().SessionOptions()), images),
    }
    callers = usable_cores()
    taken: dict[str, list[Any]] = {name: [] for name in runners}
    for _ in range(_TURNS):
        for name, runner in runners.items():
            measured = offline(
                runner, batch_size=1, seconds=seconds / _TURNS, callers=callers, progress=progress
            )
            taken[name].append(measured.nanoseconds)
    summaries = {name: summarise(np.concatenate(all_), batch_size=1) for name, all_ in taken.items()}
    return [{"callers": callers, **table(summaries, 1)}]


def of_every(
    measure: Callable[[Session, float, Progress], list[dict[str, Any]]],
    paths: Sequence[Path],
    seconds: float,
    progress: Progress,
) -> list[dict[str, Any]]:
    """The rows that `measure` gives for each model."""
    rows = []
    for path in paths:
        session = Session(path, provider="cpu")
        rows += [{"model": session.name, **row} for row in measure(session, seconds, progress)]
    return rows


def files(model: str) -> dict[str, Any]:
    """Processor microseconds for a PNG of the model's own size, the least of some rounds in turns."""
    session = Session(find_model(model), provider="cpu")
    with tempfile.TemporaryDirectory() as folder:
        with Image.open(ROOT / "docs/images/digit.png") as digit:
            image = Image.fromarray(prepare(digit, session.metadata.input).squeeze())
        for number in range(_FILES):
            image.save(Path(folder) / f"{number:04}.png")

        def plain() -> None:
            paths = sorted(Path(folder).iterdir())
            for start in range(0, _FILES, 64):
                images = [np.asarray(Image.open(path)) for path in paths[start : start + 64]]
                session.predict(np.stack(images).reshape(-1, *session.metadata.input.shape))

        def predict() -> None:
            for _ in classify_each(session, find_pictures([folder]), top=3):
                pass

        runners = {"plain loop": plain, "predict": predict}
        spent: dict[str, list[float]] = {name: [] for name in runners}
        for _ in range(_ROUNDS):
            for name, run in runners.items():
                before = time.process_time()
                run()
                spent[name].append(1e6 * (time.process_time() - before) / _FILES)
    return {
        "model": model,
        "images": _FILES,
        "cpu_us": {name: round(min(times), 1) for name, times in spent.items()},
    }


def cold(model: str) -> dict[str, Any]:
    """`vision-zoo predict` as a user calls it, files in the system's cache."""
    command = [sys.executable, "-m", "vision_zoo", "predict", model, str(ROOT / "docs/images/digit.png")]
    seconds = []
    for _ in range(_COLD_CALLS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        seconds.append(time.perf_counter() - started)
    timed = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True, cwd=ROOT
    )
    return {
        "model": model,
        "calls": _COLD_CALLS,
        "seconds": {
            "median": round(float(np.median(seconds[1:])), 3),
            "smallest": round(min(seconds[1:]), 3),
            "largest": round(max(seconds[1:]), 3),
        },
        "imports_ms": imports(timed.stderr),
    }


def imports(importtime: str) -> dict[str, float]:
    """The packages whose own modules take longest to import, in milliseconds."""
    spent: dict[str, float] = {}
    for match in re.finditer(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", importtime):
        package = match.group(2).partition(".")[0]
        spent[package] = spent.get(package, 0.0) + int(match.group(1)) / 1000
    slowest = sorted(spent.items(), key=lambda entry: -entry[1])[:_SLOWEST_IMPORTS]
    return {package: round(milliseconds, 1) for package, milliseconds in slowest}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each runner")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    models = list_models(ROOT / "exported")
    of_each = list(
        {Session(path, provider="cpu").metadata.architecture: path for path in models.values()}.values()
    )
    with progress_on_stderr() as progress:
        document = {
            "schema": SCHEMA_VERSION,
            "kind": "inference",
            "environment": describe(),
            "overhead": of_every(overhead, of_each, chosen.seconds, progress),
            "engines": of_every(engines, of_each, chosen.seconds, progress),
            "options": of_every(options, of_each, chosen.seconds, progress),
            "files": [files("simple_cnn-mnist"), files("simple_cnn-cifar10")],
            "cold": cold("simple_cnn-mnist"),
        }
    path = result_path(chosen.results_dir, describe(), "inference")
    write_result(path, document)
    print(f"{path} is written", file=sys.stderr)


if __name__ == "__main__":
    main()
