"""What training options add to a network trained from scratch on few images.

Folders are simulated: 30 images a class of Imagenette, the first 100 a class of CIFAR-10 and Fashion-MNIST, and for class
weights 100 of every second class of CIFAR-10 and 10 of the others. All classes have as many test images. Every option is
compared with a run of the same seed without it; the interval is Student's, over networks and seeds.

    python -m benchmarks.own_folder.options --seeds 3

Runs that the results file has already are not repeated. One run takes about ten seconds.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.own_folder.candidates import CandidateStep
from vision_zoo.core import json_file
from vision_zoo.core.environment import describe
from vision_zoo.core.own_folder_result import Difference, OptionsResult, Run
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import result_path, write_result
from vision_zoo.core.statistics import mean_interval
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset, Split
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.recipes.recipe import Augmentation, Recipe
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.device import limit_threads, make_repeatable
from vision_zoo.training.evaluate import evaluate
from vision_zoo.training.loader import Loader
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop
from vision_zoo.training.optim import WeightAverage, balanced_weights, build_optimizer
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.state import TrainingState
from vision_zoo.training.weights import Origins, initialise

ROOT = Path(__file__).resolve().parent.parent.parent
_TEST_IMAGES = 2000
_AUGMENTATION = Augmentation(rotation=10, crop_scale=(0.8, 1.0))  # what `compare` trains own pictures with
BASE, AVERAGED = "none", "ema"
_FOR_EVERY_FOLDER = (
    BASE, "without_augmentation", "random_erasing", "reflect", "cutout", "mixup", "colour_jitter",
)  # fmt: skip


@dataclass(frozen=True)
class Folder:
    """A part of a dataset in place of a user's folder: the first `per_class` training images of each class.

    Every second class has `rare` images, where that is given, and `options` are those that are tried there.
    """

    dataset: str
    per_class: int
    side: int
    options: tuple[str, ...] = _FOR_EVERY_FOLDER
    rare: int | None = None

    def images(self, label: int) -> int:
        """How many of the class with the index `label` there are."""
        return self.per_class if self.rare is None or label % 2 == 0 else self.rare


FOLDERS = {
    "imagenette-300": Folder("imagenette-rgb", 30, 32),
    "cifar10-1000": Folder("cifar10", 100, 32),
    "fashion_mnist-1000": Folder("fashion-mnist", 100, 28),
    "cifar10-imbalanced": Folder("cifar10", 100, 32, options=(BASE, "class_weights"), rare=10),
}
_ADAM: dict[str, Any] = {"optimizer": "adam", "batch_size": 32, "augmentation": _AUGMENTATION}
NETWORKS: dict[str, dict[str, Any]] = {
    "simple_cnn": {**_ADAM, "max_steps": 500},
    "airbench": {**_ADAM, "max_steps": 300, "schedule": "one_cycle", "learning_rate": 2e-3},
}
_DECAY = 0.99
OPTIONS: dict[str, dict[str, Any]] = {
    BASE: {},
    "class_weights": {"class_weights": True},
    "without_augmentation": {"augmentation": None},
    "random_erasing": {},
    "reflect": {},
    "cutout": {"cutout": 12},
    "mixup": {},
    "colour_jitter": {},
}
"""Options by name, with their settings where the package has them; the others are candidates."""


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Compare the runs of every option with those without, on each folder."""
    base = {run.place: run.accuracy for run in runs if run.option == BASE}
    found = []
    for folder, option in dict.fromkeys((run.folder, run.option) for run in runs if run.option != BASE):
        points = [
            100 * (run.accuracy - base[run.place])
            for run in runs
            if (run.folder, run.option) == (folder, option) and run.place in base
        ]
        if points:
            interval = mean_interval(points)
            low, high = (None, None) if interval is None else (interval.low, interval.high)
            found.append(
                Difference(
                    folder=folder,
                    option=option,
                    runs=len(points),
                    mean=round(float(np.mean(points)), 3),
                    low=None if low is None else round(low, 3),
                    high=None if high is None else round(high, 3),
                )
            )
    return found


def pictures(name: str, data_dir: Path | None) -> tuple[Dataset, Split, Split]:
    """The dataset of a folder with its training and test images."""
    folder = FOLDERS[name]
    dataset = find_dataset(folder.dataset)
    splits = dataset.load(data_dir)
    labels = np.asarray(splits.train.labels)
    first = np.concatenate(
        [np.flatnonzero(labels == label)[: folder.images(label)] for label in range(len(dataset.labels))]
    )
    train, test = splits.train.take(np.sort(first)), splits.test.spread(_TEST_IMAGES)
    target = InputFormat(channels=dataset.input.channels, height=folder.side, width=folder.side)
    return replace(dataset, input=target), _scaled(train, folder.side), _scaled(test, folder.side)


def _scaled(split: Split, side: int) -> Split:
    """Images reduced by a whole factor, by the mean of their pixels."""
    count, height, _, channels = split.images.shape
    factor = height // side
    blocks = np.asarray(split.images).reshape(count, side, factor, side, factor, channels)
    return Split(np.rint(blocks.mean(axis=(2, 4))).astype(np.uint8), split.labels)


def train(
    dataset: Dataset, parts: tuple[Split, Split], folder: str, architecture: str, option: str, seed: int
) -> list[Run]:
    """Train once; without an option, the average of the weights is scored too."""
    training, test = parts
    recipe = Recipe(
        name=folder,
        architecture=architecture,
        dataset=dataset.name,
        mean=dataset.mean,
        std=dataset.std,
        seed=seed,
        epochs=1,
        **NETWORKS[architecture],
    ).replace(**OPTIONS[option])
    steps = recipe.stopping.max_steps or 1
    recipe = recipe.replace(epochs=-(-steps // -(-len(training) // recipe.batch_size)))
    torch.manual_seed(seed)
    classifier = build_classifier(recipe, dataset)
    initialise(classifier, recipe, training, Path(), Origins())
    apply_speedups(classifier.network, torch.device("cpu"))
    state = TrainingState(classifier.network, build_optimizer(recipe, classifier.network))
    if option == BASE:  # it changes nothing in training
        state.average = WeightAverage(classifier.network, _DECAY)
    weights = balanced_weights(np.asarray(training.labels)) if recipe.class_weights else None
    started = time.process_time()
    TrainingLoop(
        model=classifier,
        step=CandidateStep(classifier, state.optimizer, recipe, option, class_weights=weights),
        state=state,
        recipe=recipe,
        loader=Loader(training, batch_size=recipe.batch_size, seed=seed, device=torch.device("cpu")),
        scored=ScoredSplits(),
        progress=SilentProgress(),
        saving=Saving(lambda: None, float("inf")),
    ).run()
    seconds = round(time.process_time() - started, 1)

    def scored(name: str) -> Run:
        return Run(
            folder=folder,
            architecture=architecture,
            option=name,
            seed=seed,
            accuracy=evaluate(classifier, test).accuracy,
            cpu_seconds=seconds,
        )

    runs = [scored(option)]
    if state.average is not None:
        with state.scored_weights():
            runs.append(scored(AVERAGED))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folders", nargs="*", choices=list(FOLDERS), default=list(FOLDERS))
    parser.add_argument("--architectures", nargs="*", choices=list(NETWORKS), default=list(NETWORKS)[:1])
    parser.add_argument("--options", nargs="*", choices=list(OPTIONS), default=list(OPTIONS))
    parser.add_argument("--results-dir", type=Path, default=ROOT / "results")
    chosen = parser.parse_args()
    limit_threads()
    make_repeatable(torch.device("cpu"))
    data_dir = os.environ.get("VISION_ZOO_DATA")
    path = result_path(chosen.results_dir, describe(), "own_folder_options")
    result = json_file.read_if_present(path, OptionsResult) or OptionsResult(environment=describe())
    loaded = {name: pictures(name, Path(data_dir) if data_dir else None) for name in chosen.folders}
    done = {(run.folder, run.architecture, run.option, run.seed) for run in result.runs}
    for option, seed, architecture, folder in product(
        chosen.options, range(chosen.seeds), chosen.architectures, chosen.folders
    ):
        wanted = (folder, architecture, option, seed)
        if wanted in done or option not in FOLDERS[folder].options:
            continue
        dataset, training, test = loaded[folder]
        new = train(dataset, (training, test), *wanted)
        runs = [*result.runs, *new]
        result = replace(result, runs=runs, differences=differences(runs))
        write_result(path, result)
        for run in new:
            print(run, file=sys.stderr, flush=True)
    for difference in result.differences:
        print(difference)


if __name__ == "__main__":
    main()
