"""Measure training steps on a GPU, eager and as CUDA graphs, in every precision: `results/<environment>/gpu_steps.json`.

    python -m benchmarks.training.gpu_steps [RECIPE…] [--seconds 0.35]

Steps on random images of the recipe's shape and batch size, augmented as the recipe says. `exact` is with the
settings that make a run repeatable bit for bit, as `vision-zoo train` sets them. Needs no dataset.
"""

import argparse
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from benchmarks.training.command import ROOT
from vision_zoo.core.choices import Arithmetic
from vision_zoo.core.progress import Progress, progress_on_stderr
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.augment import draw
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.device import (
    choose_device,
    describe_environment,
    make_repeatable,
    use_precision,
    wait_for,
)
from vision_zoo.training.loader import Loader
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.step import EagerStep, GraphedStep, Step

RECIPES = (
    "simple_cnn-mnist",
    "vit-mnist",
    "row_lstm-mnist",
    "mobilenet-mnist",
    "small_alexnet-fashion_mnist",
    "airbench_large-cifar10",
    "all_cnn-imagenette",
    "alexnet_finetuned-cifar10",
)
_BATCHES = 8
_WAYS = {"eager": (False, True), "graph": (True, True), "graph, not repeatable": (True, False)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    parser.add_argument("--seconds", type=float, default=0.35, help="for each way and precision, at least")
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    options = parser.parse_args()
    device = choose_device("cuda")
    make_repeatable(device)
    environment = describe_environment(device)
    with progress_on_stderr() as progress:
        measured = {
            name: _measure(find_recipe(name), options.seconds, device, progress) for name in options.recipes
        }
    path = result_path(options.results_dir, environment, "gpu_steps")
    write_result(
        path,
        {
            "schema": SCHEMA_VERSION,
            "kind": "gpu_steps",
            "environment": environment,
            "seconds": options.seconds,
            "recipes": measured,
        },
    )
    print(path)


def _measure(recipe: Recipe, seconds: float, device: torch.device, progress: Progress) -> dict[str, Any]:
    """Milliseconds of a step, by precision and way."""
    measured: dict[str, Any] = {"batch": recipe.batch_size, "milliseconds": {}}
    for precision in get_args(Arithmetic):
        times = {}
        for way, (graphed, exact) in _WAYS.items():
            torch.backends.cudnn.deterministic = exact
            times[way] = _milliseconds(
                recipe.override(precision=precision), seconds, device, progress, graphed=graphed
            )
        measured["milliseconds"][precision] = times
    progress.line(f"{recipe.name}: {measured['milliseconds']}")
    return measured


def _milliseconds(
    recipe: Recipe, seconds: float, device: torch.device, progress: Progress, *, graphed: bool
) -> float:
    use_precision(recipe.precision, device)
    torch.manual_seed(recipe.seed)
    dataset = find_dataset(recipe.data.dataset, image_size=recipe.data.image_size)
    classifier = build_classifier(recipe, dataset).to(device)
    apply_speedups(classifier.network, device)
    classifier.train()
    eager = EagerStep(classifier, build_optimizer(recipe, classifier.network), recipe)
    step: Step = GraphedStep(eager, progress) if graphed else eager
    random = np.random.default_rng(0)
    count = recipe.batch_size * _BATCHES
    shape = (count, dataset.input.height, dataset.input.width, dataset.input.channels)
    split = Split(
        random.integers(0, 256, shape, dtype=np.uint8), random.integers(0, len(dataset.labels), count)
    )
    loader = Loader(split, batch_size=recipe.batch_size, seed=0, device=device)
    generator = torch.Generator().manual_seed(0)

    def epoch(number: int) -> None:
        for batch in loader.epoch(number):
            changes = None
            if recipe.augmentation is not None:
                drawn = draw(batch.size, recipe.augmentation, generator, side=batch.images.shape[1])
                changes = drawn.shard(slice(None), device)
            step(batch, changes)
        wait_for(device)

    for number in range(2):
        epoch(number)
    started, number = time.perf_counter(), 2
    while time.perf_counter() - started < seconds:
        epoch(number)
        number += 1
    return round(1000 * (time.perf_counter() - started) / ((number - 2) * _BATCHES), 4)


if __name__ == "__main__":
    main()
