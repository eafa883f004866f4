"""What the benchmarks of training share: their options, and how they keep what they measured."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from vision_zoo.core.environment import Environment, usable_cores
from vision_zoo.core.json_file import fields_of, read_if_present
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result

Measured = TypeVar("Measured")

ROOT = Path(__file__).resolve().parents[2]
_DISTURBED = 0.1  # of the time of all cores
_ATTEMPTS = 5


def parser(description: str | None, *, recipes: tuple[str, ...], rounds: int) -> argparse.ArgumentParser:
    """Options with their defaults."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("recipes", nargs="*", default=recipes)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--threads", type=int, default=usable_cores())
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--data-dir", type=Path)
    made.add_argument("--results-dir", type=Path, default=ROOT / "results")
    return made


def keep(
    kind: str,
    environment: Environment,
    more: dict[str, Any],
    recipe: str,
    measured: dict[str, Any],
    options: argparse.Namespace,
) -> Path:
    """Beside recipes that were measured earlier in the same way. `more` is added to the environment."""
    path = result_path(options.results_dir, environment, kind)
    document: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "kind": kind,
        "environment": {**fields_of(environment), **more},
        "rounds": options.rounds,
        "recipes": {},
    }
    former: dict[str, Any] = read_if_present(path, dict) or {}
    if all(former.get(key) == document[key] for key in ("schema", "environment", "rounds")):
        document["recipes"] |= former["recipes"]
    document["recipes"][recipe] = measured
    write_result(path, document)
    return path


def undisturbed(
    measure: Callable[[], Measured],
    progress: Progress,
    *,
    others: Callable[[], float] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Measured, bool]:
    """What `measure` gives, and whether other programs left it alone.

    It is repeated where they took more than a tenth of the cores' time meanwhile; the last of some attempts is kept.
    `others` gives the processor seconds of other programs until now.
    """
    others = others or _others_seconds
    for attempt in range(_ATTEMPTS):
        started, before = clock(), others()
        measured = measure()
        taken = (others() - before) / ((clock() - started) * (os.cpu_count() or 1))
        if taken <= _DISTURBED:
            return measured, True
        what = "repeating" if attempt < _ATTEMPTS - 1 else "kept as it is"
        progress.line(f"warning: other programs took {taken:.0%} of the processors in this round; {what}")
    return measured, False


def _others_seconds() -> float:
    """Of all programs but this one and those that it waited for, and of other virtual machines; 0 where not told."""
    try:
        _, user, nice, system, _idle, _wait, *interrupts = (
            Path("/proc/stat").read_text().split("\n")[0].split()
        )
    except OSError:
        return 0.0
    ticks = sum(map(int, (user, nice, system, *interrupts[:3])))
    return ticks / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])
