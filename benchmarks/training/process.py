"""One arm, once, in a process of its own."""

import argparse
import os
import time
from dataclasses import replace
from typing import Any

import torch

from benchmarks.training.arms import ARMS, Arm
from benchmarks.training.workload import (
    Measurement,
    Prepared,
    Workload,
    matrix_rate,
    peak_mib,
    prepare,
    work,
)
from vision_zoo.training.device import choose_device, wait_for
from vision_zoo.training.speedups import keep_freed_memory


def run(options: argparse.Namespace) -> dict[str, Any]:
    """What the arm `options.arm` of the only recipe in `options` measures, as JSON values."""
    if options.arm not in ARMS:
        torch.set_num_threads(options.threads)
        return {"matrix_rate": matrix_rate(choose_device(options.device))}
    if options.arm == "engine":
        keep_freed_memory()  # as `vision-zoo train` does before anything else
    (recipe,) = options.recipes
    workload = Workload(recipe, options.images, options.epochs, options.threads, options.device)
    prepared = prepare(workload, options.data_dir)
    operations = work(workload, prepared)
    arm = ARMS[options.arm]
    first = prepare(replace(workload, images=prepared.recipe.batch_size, epochs=1), options.data_dir)
    # Frozen features are computed anew.
    os.environ["XDG_CACHE_HOME"] = os.environ["VISION_ZOO_BENCHMARK_FEATURES"]
    _, cold_seconds = _timed(arm, first)
    losses, seconds = _timed(arm, prepared)
    measurement = Measurement(seconds, cold_seconds, losses[0], losses[-1], peak_mib(prepared.device))
    return {**measurement.to_dict(), "work": operations}


def _timed(arm: Arm, prepared: Prepared) -> tuple[list[float], float]:
    started = time.perf_counter()
    losses = arm(prepared)
    wait_for(prepared.device)
    return losses, time.perf_counter() - started
