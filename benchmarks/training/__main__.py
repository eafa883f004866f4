"""Measure training: `results/<environment>/training.json`.

    python -m benchmarks.training [RECIPE…] [--rounds 5] [--seconds 4] [--data-dir DIR]

Every runner runs in a process of its own, in turns, one round after the other; medians are kept. Of the tuned loops the
one with the best number of workers takes part, found in a round of its own. What other programs disturbed is repeated.
How many images a runner
trains on is chosen so that the course's loop takes `--seconds`. The rate of a large matrix product, measured in the
same rounds, gives the time below which no loop in single precision can come on this machine.
"""

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.goals import print_goals
from benchmarks.training import command
from vision_zoo.core.environment import installed
from vision_zoo.core.progress import Progress, progress_on_stderr

RECIPES = (
    "simple_cnn-mnist",
    "small_cnn-mnist",
    "lenet-fashion_mnist",
    "alexnet_finetuned-cifar10",
    "basic_cnn-mnist",
    "patch_lstm-mnist",
    "row_lstm-mnist",
    "mobilenet-mnist",
    "vit-mnist",
    "small_alexnet-fashion_mnist",
    "bn_cnn-fashion_mnist",
    "conv_block_cnn-imagenette",
    "all_cnn-imagenette",
)
_ENGINE, _TUNED, _MATRIX = "engine", "tuned", "matrix product"
_PROBE_IMAGES, _FROZEN_EPOCHS, _EPOCHS = 256, 10, 2
_SMALLEST, _LARGEST = 128, 20_000


def main() -> None:
    parser = command.parser(__doc__, recipes=RECIPES, rounds=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of the course's loop, in one round")
    parser.add_argument("--runner", help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--images", type=int, default=_PROBE_IMAGES, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.runner:
        from benchmarks.training.process import run

        print(json.dumps(run(options)))
        return
    with progress_on_stderr() as progress:
        for recipe in options.recipes:
            path = _keep(recipe, _measure(recipe, options, progress), options)
    print(path)
    print_goals(path)


def _keep(recipe: str, measured: dict[str, Any], options: argparse.Namespace) -> Path:
    from vision_zoo.training.device import choose_device, describe_environment

    environment = replace(describe_environment(choose_device(options.device)), threads=options.threads)
    return command.keep("training", environment, _loops(), recipe, measured, options)


def _loops() -> dict[str, Any]:
    return {"loops": installed(("lightning", "timm"))}


def runners() -> list[str]:
    """Those that can run here."""
    from benchmarks.training.runners import RUNNERS

    missing = {name for name in ("lightning", "timm") if importlib.util.find_spec(name) is None}
    return [name for name in RUNNERS if name not in missing]


def _is_tuned(name: str) -> bool:
    return name.startswith(_TUNED)


def _measure(recipe: str, options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    from vision_zoo.recipes import find_recipe

    frozen = find_recipe(recipe).frozen
    epochs = _FROZEN_EPOCHS if frozen else _EPOCHS
    probe = _in_process(recipe, "course", _PROBE_IMAGES, 1, options)
    images = round(_PROBE_IMAGES * options.seconds / probe["seconds"] / epochs)
    images = max(_SMALLEST, min(_LARGEST, images))
    sweep = {
        name: _in_process(recipe, name, images, epochs, options)["seconds"]
        for name in runners()
        if _is_tuned(name)
    }
    names = [name for name in runners() if not _is_tuned(name) or name == min(sweep, key=sweep.__getitem__)]
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    progress.start(recipe, options.rounds * len(names))
    rates = []
    disturbed = 0
    for _ in range(options.rounds):
        for name in (_MATRIX, *names):
            measure = partial(_in_process, recipe, name, images, epochs, options)
            measured, alone = command.undisturbed(measure, progress)
            disturbed += not alone
            if name == _MATRIX:
                rates.append(measured["matrix_rate"])
            else:
                taken[name].append(measured)
                progress.advance()
    medians = {name: statistics.median(run["seconds"] for run in runs) for name, runs in taken.items()}
    rate = statistics.median(rates)
    floor = taken[_ENGINE][0]["work"] / rate
    tuned = next(seconds for name, seconds in medians.items() if _is_tuned(name))
    progress.line(
        f"{recipe}: engine {medians[_ENGINE]:.2f} s, {tuned / medians[_ENGINE]:.2f}x the tuned loop"
    )
    return {
        "images": images,
        "epochs": epochs,
        "course_seconds": options.seconds,
        "frozen_features": frozen,
        "matrix_gflops": round(rate / 1e9, 1),
        "floor_seconds": round(floor, 4),
        "workers_swept": {name: round(seconds, 4) for name, seconds in sweep.items()},
        "engine_over_tuned": round(tuned / medians[_ENGINE], 2),
        "engine_over_floor": round(medians[_ENGINE] / floor, 2),
        "disturbed": disturbed,
        "arms": {
            name: {
                "seconds": round(medians[name], 4),
                "all_seconds": [round(run["seconds"], 4) for run in runs],
                "cold_seconds": round(statistics.median(run["cold_seconds"] for run in runs), 4),
                "process_seconds": round(statistics.median(run["process_seconds"] for run in runs), 3),
                "images_per_second": round(images * epochs / medians[name], 1),
                "peak_mib": statistics.median(run["peak_mib"] for run in runs),
                "last_loss": round(statistics.median(run["last_loss"] for run in runs), 5),
            }
            for name, runs in taken.items()
        },
    }


def _in_process(
    recipe: str, runner: str, images: int, epochs: int, options: argparse.Namespace
) -> dict[str, Any]:
    line = [sys.executable, "-m", "benchmarks.training", recipe, "--runner", runner, "--images", str(images)]
    line += ["--epochs", str(epochs), "--threads", str(options.threads)]
    line += ["--device", options.device]
    if options.data_dir is not None:
        line += ["--data-dir", str(options.data_dir)]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as features:
        done = subprocess.run(
            line,
            cwd=command.ROOT,
            env={**os.environ, "VISION_ZOO_BENCHMARK_FEATURES": features},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"error: {runner} of {recipe} failed: {done.stderr.strip().splitlines()[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**measured, "process_seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
