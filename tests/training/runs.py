"""Runs of seconds, and what tests do with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.images.pictures import striped_picture
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import EpochRecord
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes import find_recipe, recipe_for
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import TrainResult
from vision_zoo.training.state import TrainingState

QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=3, batch_size=512)


CLASSES = ("cassette", "fish", "parachute")


class InterruptAfter(SilentProgress):
    """Presses Ctrl-C after the given number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.began = (0, 0)

    def start(self, description: str, total: int, unit: str = "", size: float = 1, done: int = 0) -> None:  # noqa: ARG002
        self.began = (done, total)

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            raise KeyboardInterrupt


def start(recipe: Recipe, path: Path, progress: SilentProgress | None = None) -> TrainResult:
    return train.start(recipe, path, device="cpu", data_dir=None, progress=progress or SilentProgress())


def resume(path: Path, progress: SilentProgress | None = None) -> TrainResult:
    return train.resume(path, device="cpu", data_dir=None, progress=progress or SilentProgress())


def _outcome(path: Path) -> tuple[dict[str, torch.Tensor], list[EpochRecord]]:
    """The weights that were kept, and the history without its times."""
    history = RunDirectory.open(path).history()
    return load_file(path / "checkpoints" / "best.safetensors"), [
        replace(record, seconds=0.0) for record in history
    ]


def assert_same(first: Path, second: Path) -> None:
    (weights, history), (other_weights, other_history) = _outcome(first), _outcome(second)
    assert history == other_history
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


def state_of(recipe: Recipe) -> TrainingState:
    """Of a freshly initialised network."""
    network = build_classifier(
        recipe, find_dataset(recipe.data.dataset, image_size=recipe.data.image_size)
    ).network
    return TrainingState(network, build_optimizer(recipe, network))


def write_few_digits(mnist_5k: Splits, folder: Path) -> str:
    """Eighty pictures in a folder: epochs of a few steps, and validation that soon gets worse."""
    for label in range(2):
        (folder / str(label)).mkdir(parents=True)
        for index in np.flatnonzero(mnist_5k.train.labels == label)[:40]:
            picture = Image.fromarray(mnist_5k.train.images[index].squeeze())
            picture.save(folder / str(label) / f"{index}.png")
    return f"folder:{folder}"


def fill(folder: Path, numbers: range, classes: tuple[str, ...] = CLASSES) -> Path:
    """Write striped pictures of these numbers for every class."""
    for label, name in enumerate(classes):
        for number in numbers:
            striped_picture(folder / name / f"{number}.png", label, 100 * label + number)
    return folder


def trained(folder: Path, run: Path) -> Path:
    """Train an epoch on a folder of pictures."""
    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=16).override(epochs=1, patience=1)
    train.start(recipe, run, device="cpu", data_dir=None, progress=SilentProgress())
    return run
