"""One runner, once, in a process of its own."""

import argparse
import os
import time
from dataclasses import replace
from typing import Any

import torch

from benchmarks.training.runners import RUNNERS, Runner
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
    """What the runner `options.runner` of the only recipe in `options` measures, as JSON values."""
    if options.runner not in RUNNERS:
        torch.set_num_threads(options.threads)
        return {"matrix_rate": matrix_rate(choose_device(options.device))}
    if options.runner == "engine":
        keep_freed_memory()  # as `vision-zoo train` does before anything else
    (recipe,) = options.recipes
    workload = Workload(recipe, options.images, options.epochs, options.threads, options.device)
    prepared = prepare(workload, options.data_dir)
    operations = work(workload, prepared)
    runner = RUNNERS[options.runner]
    first = prepare(replace(workload, images=prepared.recipe.batch_size, epochs=1), options.data_dir)
    # Frozen features are computed anew.
    os.environ["XDG_CACHE_HOME"] = os.environ["VISION_ZOO_BENCHMARK_FEATURES"]
    _, cold_seconds = _timed(runner, first)
    losses, seconds = _timed(runner, prepared)
    measurement = Measurement(seconds, cold_seconds, losses[0], losses[-1], peak_mib(prepared.device))
    return {**measurement.to_dict(), "work": operations}


def _timed(runner: Runner, prepared: Prepared) -> tuple[list[float], float]:
    started = time.perf_counter()
    losses = runner(prepared)
    wait_for(prepared.device)
    return losses, time.perf_counter() - started
