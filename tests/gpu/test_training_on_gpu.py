"""Training on a GPU: recorded steps are the eager ones, runs resume exactly, and the CPU reads what the GPU wrote."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.training.runs import InterruptAfter, assert_same
from vision_zoo.core.errors import Interrupted
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split
from vision_zoo.recipes import RECIPES, find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.augment import AugmentParams, draw
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.device import make_repeatable, use_precision
from vision_zoo.training.loader import Batch, Loader
from vision_zoo.training.optim import build_optimizer, set_learning_rate
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.step import EagerStep, GraphedStep, Step

_CUDA = torch.device("cuda")
_STEPS = 12


class _NoWarning(SilentProgress):
    def line(self, text: str) -> None:
        raise AssertionError(text)


def _random_split(recipe: Recipe, count: int) -> Split:
    dataset = find_dataset(recipe.data.dataset, image_size=recipe.data.image_size)
    generator = np.random.default_rng(0)
    shape = (count, dataset.input.height, dataset.input.width, dataset.input.channels)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    return Split(images, generator.integers(0, len(dataset.labels), count))


def _batches(recipe: Recipe) -> list[tuple[Batch, AugmentParams | None]]:
    """Of 32 images, the last of each epoch smaller."""
    loader = Loader(_random_split(recipe, 80), batch_size=32, seed=0, device=_CUDA)
    generator = torch.Generator().manual_seed(0)
    made = []
    for epoch in range(_STEPS // len(loader)):
        for batch in loader.epoch(epoch):
            changes = None
            if recipe.augmentation is not None:
                side = batch.images.shape[1]
                drawn = draw(len(batch.labels), recipe.augmentation, generator, side=side)
                changes = drawn.shard(slice(None), _CUDA)
            made.append((batch, changes))
    return made


def _trained(recipe: Recipe, *, graphed: bool) -> tuple[list[float], dict[str, Tensor]]:
    torch.manual_seed(0)
    use_precision(recipe.precision, _CUDA)
    make_repeatable(_CUDA)
    dataset = find_dataset(recipe.data.dataset, image_size=recipe.data.image_size)
    classifier: ImageClassifier = build_classifier(recipe, dataset).to(_CUDA)
    apply_speedups(classifier.network, _CUDA)
    classifier.train()
    eager = EagerStep(classifier, build_optimizer(recipe, classifier.network), recipe)
    step: Step = GraphedStep(eager, _NoWarning()) if graphed else eager
    losses = []
    for number, (batch, changes) in enumerate(_batches(recipe)):
        rate = recipe.optimizer.learning_rate / (1 + number)  # a schedule reaches the recorded steps
        set_learning_rate(eager.optimizer, rate)
        losses.append(step(batch, changes).loss)
    return torch.stack(losses).tolist(), classifier.state_dict()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recorded_steps_train_as_eager_ones_and_repeat_exactly(name: str) -> None:
    recipe = find_recipe(name)
    eager_losses, eager = _trained(recipe, graphed=False)
    losses, recorded = _trained(recipe, graphed=True)
    again, repeated = _trained(recipe, graphed=True)
    assert losses == again
    assert all(torch.equal(recorded[key], tensor) for key, tensor in repeated.items())
    np.testing.assert_allclose(losses, eager_losses, rtol=2e-3, atol=1e-4)
    for key, expected in eager.items():
        torch.testing.assert_close(recorded[key], expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_every_precision_learns(precision: str, tmp_path: Path) -> None:
    recipe = find_recipe("simple_cnn-mnist_5k").override(epochs=2, precision=precision)
    trained = train.start(recipe, tmp_path / "run", device="cuda", data_dir=None, progress=_Printing())
    assert trained.test_accuracy > 0.9


class _Printing(SilentProgress):
    def line(self, text: str) -> None:
        print(text)
        assert "warning" not in text, text


_QUICK = find_recipe("simple_cnn-mnist_5k").override(epochs=3, batch_size=256)


def test_a_run_on_a_gpu_can_be_repeated_and_resumed(tmp_path: Path) -> None:
    for name in ("first", "second"):
        train.start(_QUICK, tmp_path / name, device="cuda", data_dir=None, progress=SilentProgress())
    assert_same(tmp_path / "first", tmp_path / "second")
    with pytest.raises(Interrupted):
        train.start(_QUICK, tmp_path / "torn", device="cuda", data_dir=None, progress=InterruptAfter(22))
    train.resume(tmp_path / "torn", device="cuda", data_dir=None, progress=SilentProgress())
    assert_same(tmp_path / "first", tmp_path / "torn")


@pytest.mark.parametrize(("first", "then"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_the_other_device(first: str, then: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(Interrupted):
        train.start(_QUICK, run, device=first, data_dir=None, progress=InterruptAfter(22))  # type: ignore[arg-type]
    train.resume(run, device=then, data_dir=None, progress=SilentProgress())  # type: ignore[arg-type]
    whole = tmp_path / "whole"
    train.start(_QUICK, whole, device="cpu", data_dir=None, progress=SilentProgress())
    weights, expected = (load_file(one / "checkpoints" / "best.safetensors") for one in (run, whole))
    for key, tensor in expected.items():
        torch.testing.assert_close(weights[key], tensor, rtol=0, atol=0.02)
