"""Time recipes in turn, for what the reports claim of times: `results/<environment>/timing.json`.

    python -m benchmarks.training.in_turn [RECIPE…] [--rounds 6] [--images 1024]

Every round takes each recipe once, the first of a round being the last of the next one. `training` is that of
`vision-zoo train` on so many images for the recipe's epochs, frozen features included; `inference` is that of so many
test images. The round before the first one, in which libraries start up, does not count. Other work on the machine slows
what uses several threads more than the rest: nothing is timed beside it.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from benchmarks.training.command import parser
from benchmarks.training.runners import engine
from benchmarks.training.workload import Workload, prepare
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.results import TimingResult, result_path, write_result
from vision_zoo.experiments.report.claims.checks import Timing
from vision_zoo.experiments.report.claims.page import CLAIMS
from vision_zoo.recipes import find_recipe
from vision_zoo.training.device import choose_device, describe_environment, wait_for
from vision_zoo.training.evaluate import evaluate

CLAIMED = tuple(
    dict.fromkeys(
        name
        for claim in CLAIMS
        for reading in claim.readings
        for check in reading.checks
        if isinstance(check, Timing)
        for name in check.recipes
    )
)
TRAINING, INFERENCE = "training", "inference"
_IDLE = 0.25  # processes that wait for a core, for each core


def busy(load: float, cores: int) -> str | None:
    """Why a machine with that average number of running processes is no place to time anything; None if it is."""
    if load <= _IDLE * cores:
        return None
    return f"{load:.1f} processes run on {cores} cores; expected at most {_IDLE * cores:g}; stop them and wait a minute"


def in_turn(
    recipes: Sequence[str], rounds: int, timed: Callable[[str], tuple[float, float]]
) -> dict[str, dict[str, list[float]]]:
    """Seconds by what was timed and by recipe, one a round; `timed` gives those of a recipe."""
    seconds: dict[str, dict[str, list[float]]] = {
        what: {name: [] for name in recipes} for what in (TRAINING, INFERENCE)
    }
    for number in range(rounds + 1):
        first = -number % len(recipes)
        for name in (*recipes[first:], *recipes[:first]):
            training, inference = timed(name)
            if number:
                seconds[TRAINING][name].append(round(training, 4))
                seconds[INFERENCE][name].append(round(inference, 4))
    return seconds


def time_recipe(workload: Workload, data_dir: Path | None) -> tuple[float, float]:
    """Seconds of training and of inference, both of a fresh network on `workload.images` images."""
    prepared = prepare(workload, data_dir)
    test = prepared.dataset.load(data_dir).test.spread(workload.images)
    # Frozen features are computed anew.
    with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, XDG_CACHE_HOME=cache):
        started = time.perf_counter()
        engine(replace(prepared, test=prepared.test.spread(1)))
        wait_for(prepared.device)
        trained = time.perf_counter()
    started_inference = time.perf_counter()
    evaluate(prepared.classifier, test)
    wait_for(prepared.device)
    return trained - started, time.perf_counter() - started_inference


def main() -> None:
    command = parser(__doc__, recipes=CLAIMED, rounds=6)
    command.add_argument("--images", type=int, default=1024)
    options = command.parse_args()
    device: DeviceName = options.device
    reason = busy(os.getloadavg()[0], usable_cores())
    if reason is not None:
        sys.exit(f"error: {reason}")

    def timed(name: str) -> tuple[float, float]:
        epochs = find_recipe(name).stopping.epochs
        found = time_recipe(Workload(name, options.images, epochs, options.threads, device), options.data_dir)
        print(f"{name}: {found[0]:.2f} s training, {found[1]:.3f} s inference", flush=True)
        return found

    seconds = in_turn(options.recipes, options.rounds, timed)
    environment = replace(describe_environment(choose_device(device)), threads=options.threads)
    path = result_path(options.results_dir, environment, "timing")
    write_result(path, TimingResult(environment=environment, images=options.images, seconds=seconds))
    print(path)


if __name__ == "__main__":
    main()
