"""What every runner trains: a recipe's first images, for some epochs, with an evaluation after each."""

import argparse
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from vision_zoo.architectures.onednn import linear
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import UsageError, VisionZooError
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset, Split
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier, build_classifier, count_macs
from vision_zoo.training.device import choose_device, wait_for
from vision_zoo.training.speedups import keep_freed_memory
from vision_zoo.training.weights import load_pretrained

_IMAGES = 6400
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Workload:
    """`images` of the training split for `epochs`, then a sixth as many test images after each epoch."""

    recipe: str
    images: int
    epochs: int
    threads: int
    device: DeviceName = "cpu"


@dataclass(frozen=True, eq=False)
class Prepared:
    """A workload's recipe, data and freshly initialised network on its device, the same in every runner."""

    recipe: Recipe
    device: torch.device
    dataset: Dataset
    train: Split
    test: Split
    classifier: ImageClassifier


@dataclass(frozen=True)
class Measurement:
    """`seconds` of training and evaluation, `cold_seconds` of a first batch before that, in which libraries start up.

    `first_loss` and `last_loss` are the first and last epochs' means.
    """

    seconds: float
    cold_seconds: float
    first_loss: float
    last_loss: float
    peak_mib: float

    def to_dict(self) -> dict[str, float]:
        """As JSON keeps it."""
        return asdict(self)


def prepare(workload: Workload, data_dir: Path | None, *, plain: bool = True) -> Prepared:
    """Load the data and build the network from the recipe's seed. Images are taken at even distances.

    Raises:
        UsageError: it is to be `plain`, and the recipe uses something that the other loops have not.
    """
    torch.set_num_threads(workload.threads)
    device = choose_device(workload.device)
    recipe = find_recipe(workload.recipe)
    if plain:
        _require_plain(recipe)
    recipe = recipe.replace(epochs=workload.epochs, max_steps=None, max_minutes=None)
    dataset = find_dataset(recipe.data.dataset)
    splits = dataset.load(data_dir)
    torch.manual_seed(recipe.seed)
    classifier = build_classifier(recipe, dataset)
    if recipe.pretrained is not None:
        load_pretrained(classifier, recipe.pretrained, path=None, data_dir=data_dir)
    return Prepared(
        recipe,
        device,
        dataset,
        splits.train.spread(workload.images),
        splits.test.spread(max(1, workload.images // 6)),
        classifier.to(device),
    )


def each_on_cpu(options: argparse.Namespace) -> Iterator[tuple[str, Prepared]]:
    """The recipes of a benchmark of steps on a CPU, by name. What is wrong with the options ends the process."""
    if options.device != "cpu":
        sys.exit("error: this times steps on a CPU; see benchmarks.training.gpu_steps for a GPU")
    keep_freed_memory()
    for name in options.recipes:
        try:
            yield name, prepare(Workload(name, _IMAGES, 1, options.threads), options.data_dir, plain=False)
        except VisionZooError as error:
            sys.exit(f"error: {error}")


def _require_plain(recipe: Recipe) -> None:
    augmentation = recipe.augmentation
    moved = augmentation is not None and (augmentation.shift or augmentation.translate or augmentation.cutout)
    settings = (
        recipe.optimizer.kind == "muon",
        recipe.optimizer.momentum,
        recipe.label_smoothing,
        recipe.test_time_flip,
        moved,
        recipe.optimizer.bias_lr_factor != 1,
    )
    if any(settings) or recipe.schedule.kind != "step" or recipe.precision != "fp32":
        raise UsageError(f"{recipe.name} has settings that the other loops of the benchmark do not have")


def work(workload: Workload, prepared: Prepared) -> float:
    """The floating-point operations that are needed, two for a multiplication with its addition.

    Trained layers need three passes for a training image, one for a test image; frozen features are needed once.
    """
    forward = 2 * count_macs(prepared.classifier, prepared.dataset)
    if prepared.recipe.frozen:
        return float(forward * (workload.images + workload.images // 6))
    return float(forward * (3 * workload.images + workload.images // 6) * workload.epochs)


def matrix_rate(device: torch.device, *, seconds: float = 2.0, dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations a second that this process reaches in a large matrix product of `dtype`.

    Whether MKL computes it or oneDNN is chosen as in training.
    """
    size = 1024 if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    linear(left, right, None, training=True)
    wait_for(device)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        linear(left, right, None, training=True)
        wait_for(device)
        done += 1
    return 2 * size**3 * done / (time.perf_counter() - started)


def peak_mib(device: torch.device) -> float:
    """The most memory that this process held, and the largest of its children, in MiB; on a GPU, torch's there."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own, children = (
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round((own + children) / unit, 1)
