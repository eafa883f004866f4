"""Measure training steps in both memory formats of weights: `results/<environment>/memory_formats.json`.

    python -m benchmarks.training.memory_formats [RECIPE…] [--rounds 15] [--data-dir DIR]

The engine's steps on one batch, the formats in turns in one process, so that what else the machine does meets both.
`vision_zoo/training/speedups.py` chooses by it.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.training import command
from vision_zoo.core.progress import Progress, progress_on_stderr
from vision_zoo.data import find_dataset
from vision_zoo.recipes import find_recipe
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.device import choose_device, describe_environment, use_precision, wait_for
from vision_zoo.training.loader import Batch
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.speedups import keep_freed_memory, quickened
from vision_zoo.training.step import EagerStep
from vision_zoo.training.weights import Origins, initialise

RECIPES = (  # one for each architecture with convolutions that are trained
    "simple_cnn-mnist",
    "small_cnn-mnist",
    "lenet-fashion_mnist",
    "basic_cnn-mnist",
    "mobilenet-mnist",
    "vit-mnist",
    "small_alexnet-fashion_mnist",
    "bn_cnn-fashion_mnist",
    "conv_block_cnn-imagenette",
    "all_cnn-imagenette",
    "airbench-cifar10",
)
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
_WARM_UP = 3
_ROUND_SECONDS = 0.5


def main() -> None:
    options = command.parser(__doc__, recipes=RECIPES, rounds=15).parse_args()
    keep_freed_memory()
    device = choose_device(options.device)
    torch.set_num_threads(options.threads)
    environment = {**describe_environment(device), "threads": options.threads}
    with progress_on_stderr() as progress:
        for name in options.recipes:
            measured = _measure(name, options, device, progress)
            path = command.keep("memory_formats", environment, name, measured, options)
    print(path)


def _measure(
    name: str, options: argparse.Namespace, device: torch.device, progress: Progress
) -> dict[str, Any]:
    """Milliseconds of a step in every format, and quartiles of channels-last over contiguous, a ratio for each round."""
    recipe = find_recipe(name)
    use_precision(recipe.precision, device)
    dataset = find_dataset(recipe.dataset, image_size=recipe.image_size)
    training = dataset.load(options.data_dir).train
    images = training.spread(recipe.batch_size)
    batch = Batch(
        torch.tensor(images.images, device=device), torch.tensor(images.labels, device=device), len(images)
    )
    steps = {}
    for label, memory_format in FORMATS.items():
        torch.manual_seed(recipe.seed)
        classifier = build_classifier(recipe, dataset)
        initialise(classifier, recipe, training, Path(), Origins(options.data_dir))
        classifier.to(device).train()
        quickened(classifier.network, memory_format)
        steps[label] = EagerStep(classifier, build_optimizer(recipe, classifier.network), recipe)

    def seconds(label: str, count: int) -> float:
        started = time.perf_counter()
        for _ in range(count):
            steps[label](batch, None)
        wait_for(device)
        return (time.perf_counter() - started) / count

    for label in FORMATS:
        seconds(label, _WARM_UP)
    count = max(1, round(_ROUND_SECONDS / seconds("channels_last", 1)))
    taken: dict[str, list[float]] = {label: [] for label in FORMATS}
    for number in range(options.rounds):
        for label in sorted(FORMATS, reverse=bool(number % 2)):
            taken[label].append(seconds(label, count))
    ratios = [a / b for a, b in zip(taken["channels_last"], taken["contiguous"], strict=True)]
    quartiles = statistics.quantiles(ratios, n=4)
    progress.line(f"{name}: channels-last takes {quartiles[1]:.2f} times what contiguous weights take")
    return {
        "steps_a_round": count,
        "milliseconds": {label: round(1000 * statistics.median(times), 3) for label, times in taken.items()},
        "channels_last_over_contiguous": [round(quartile, 3) for quartile in quartiles],
    }


if __name__ == "__main__":
    main()
