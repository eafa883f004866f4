"""`vision-zoo compare` on a folder as a user runs it, and the recommended file on new pictures."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.own_folder.folders import Folders
from vision_zoo.core.own_folder_result import FolderComparison

_READY = re.compile(r"ready: .*: ([\d.]+)% of [\d,]+ test images right")
_SECONDS = {"2m": 120.0, "8m": 480.0}


class CommandError(Exception):
    """A command ended with an error; the text is its last line."""


def compared(
    folders: Folders, place: Path, budget: str, data_dir: Path, *, draw: int, repeat: int
) -> FolderComparison:
    """Compare within `budget` in the folder `place`, with nothing cached, and score what is recommended.

    Raises:
        CommandError: the folder was refused.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    line = [
        "compare",
        "--dataset",
        f"folder:{folders.own}",
        "--budget",
        budget,
        "--out",
        str(place / "out"),
        "--json",
    ]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "VISION_ZOO_DATA": str(data_dir)}
        before, started = _cpu_seconds(), time.perf_counter()
        lines = list(_timed_lines(line, place, environment, started))
        seconds, cpu_seconds = time.perf_counter() - started, _cpu_seconds() - before
        document = json.loads((place / "out" / "comparison.json").read_text())
        chosen = next(iter(_recommended(document)), None)
        new = {} if chosen is None else _scored(Path(chosen["path"]), folders.new, environment)
    return row(
        document,
        lines,
        new,
        draw=draw,
        repeat=repeat,
        budget_seconds=_SECONDS[budget],
        seconds=round(seconds, 1),
        cpu_seconds=round(cpu_seconds, 1),
    )


def row(
    document: dict[str, Any], lines: Iterable[tuple[float, str]], new: dict[str, Any], **measured: Any
) -> FolderComparison:
    """Join `comparison.json`, the lines of the terminal with their seconds, and the score on new pictures."""
    architectures = {model["model"]: model["architecture"] for model in document["models"]}
    chosen = next(iter(_recommended(document)), None)
    found = ((seconds, match) for seconds, line in lines if (match := _READY.match(line)) is not None)
    first_seconds, first = next(found, (None, None))
    recommendation = document["recommendation"]
    return FolderComparison(
        **measured,
        first_answer_seconds=first_seconds,
        first_answer_accuracy=None if first is None else round(float(first[1]) / 100, 4),
        recommended=None if chosen is None else chosen["architecture"],
        as_good=[architectures[name] for name in recommendation["as_good"]],
        test_accuracy=None if chosen is None else chosen["test_accuracy"],
        new_accuracy=new.get("accuracy"),
        new_images=new.get("images", 0),
        front=[architectures[name] for name in document["pareto_front"]],
        measured=sorted(set(architectures.values())),
        left_out=document["left_out"],
        warning=recommendation.get("warning"),
    )


def _recommended(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    name = document["recommendation"]["model"]
    yield from (model for model in document["models"] if model["model"] == name)


def _cpu_seconds() -> float:
    """Of all processes that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _timed_lines(
    arguments: list[str], place: Path, environment: dict[str, str], started: float
) -> Iterator[tuple[float, str]]:
    """Run the command and give each line of stderr with the second it came at."""
    with subprocess.Popen(
        [sys.executable, "-m", "vision_zoo", *arguments],
        cwd=place,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        last = ""
        for text in process.stderr:
            last = text.rstrip()
            print(last, file=sys.stderr, flush=True)
            yield round(time.perf_counter() - started, 1), last
    if process.returncode:
        raise CommandError(last)


def _scored(model: Path, pictures: Path, environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "vision_zoo",
            "evaluate",
            str(model),
            "--dataset",
            f"folder:{pictures}",
            "--json",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(done.stderr.strip().splitlines()[-1])
    scored: dict[str, Any] = json.loads(done.stdout)
    return scored
