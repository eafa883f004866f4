"""Graphs need a GPU; what is around them, and that a run without one says so and goes on, is tested on any machine."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.device import choose_device
from vision_zoo.training.distributed import ALONE, World
from vision_zoo.training.loader import Batch, Loader
from vision_zoo.training.optim import build_optimizer, portable_state, set_learning_rate
from vision_zoo.training.step import (
    EagerStep,
    GraphedStep,
    fastest_step,
    keep_learning_rate_on_device,
    unchanged,
)

DEVICE = choose_device("auto")


class _Heard(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def _recipe(optimizer: str, architecture: str = "bn_cnn") -> Recipe:
    # bn_cnn has all that a step may change: weights, moments, running statistics and dropout's random state.
    return recipe_for(architecture, "mnist-5k").override(
        optimizer=optimizer, batch_size=16, learning_rate=1e-3
    )


def _eager(recipe: Recipe) -> EagerStep:
    torch.manual_seed(0)
    classifier = build_classifier(recipe, find_dataset("mnist-5k")).to(DEVICE)
    classifier.train()
    return EagerStep(classifier, build_optimizer(recipe, classifier.network), recipe)


def _batches(splits: Splits) -> Iterator[Batch]:
    loader = Loader(splits.train.take(np.arange(40)), batch_size=16, seed=0, device=DEVICE)
    return loader.epoch(0)


def _weights(step: EagerStep) -> dict[str, Tensor]:
    assert isinstance(step.model, ImageClassifier)
    return {name: tensor.clone() for name, tensor in step.model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("steps_before", [0, 2])
def test_a_rehearsal_leaves_no_trace(optimizer: str, steps_before: int, mnist_5k: Splits) -> None:
    batches = list(_batches(mnist_5k))
    results = []
    for rehearsals in (0, 3):
        step = _eager(_recipe(optimizer))
        for batch in batches[:steps_before]:
            step(batch, None)
        addresses = [parameter.data_ptr() for parameter in step.model.parameters()]
        with unchanged(step.model, step.optimizer):
            for _ in range(rehearsals):
                step(batches[0], None)
        assert [parameter.data_ptr() for parameter in step.model.parameters()] == addresses
        losses = [step(batch, None).loss.item() for batch in batches]
        results.append((losses, _weights(step)))
    (plain_losses, plain), (losses, rehearsed) = results
    assert losses == plain_losses
    for name, tensor in plain.items():
        assert torch.equal(rehearsed[name], tensor), name


def test_a_graphed_step_has_the_losses_of_the_eager_one(mnist_5k: Splits) -> None:
    recipe = _recipe("adam", "simple_cnn")
    eager, heard = _eager(recipe), _Heard()
    expected = [eager(batch, None) for batch in _batches(mnist_5k)]
    graphed = GraphedStep(_eager(recipe), heard)
    found = [graphed(batch, None) for batch in _batches(mnist_5k)]  # the last batch is smaller
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    if DEVICE.type == "cuda":
        assert heard.lines == []
    else:  # one line, not one a step
        (line,) = heard.lines
        assert line.startswith("warning: the step cannot be captured as a CUDA graph (")


def test_graphs_are_for_one_process_on_a_gpu() -> None:
    step = _eager(_recipe("adam", "simple_cnn"))
    assert fastest_step(step, torch.device("cpu"), ALONE, SilentProgress()) is step
    assert fastest_step(step, torch.device("cuda"), World(0, 2), SilentProgress()) is step
    assert isinstance(fastest_step(step, torch.device("cuda"), ALONE, SilentProgress()), GraphedStep)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_learning_rate_on_the_device_can_be_set_and_is_saved_as_a_number(optimizer: str) -> None:
    step = _eager(_recipe(optimizer, "simple_cnn"))
    keep_learning_rate_on_device(step.optimizer)
    (group,) = step.optimizer.param_groups
    on_device = group["lr"]
    set_learning_rate(step.optimizer, 0.25)
    assert group["lr"] is on_device  # a recorded step reads this very tensor
    assert on_device.item() == 0.25
    (saved,) = portable_state(step.optimizer)["param_groups"]
    assert saved["lr"] == 0.25
    assert isinstance(saved["lr"], float)
    assert not saved.get("capturable", False)
