"""Weights of classes in the training loss."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.training.runs import QUICK, fill, start
from vision_zoo.recipes import recipe_for
from vision_zoo.training.loader import Batch
from vision_zoo.training.optim import (
    balanced_weights,
    build_optimizer,
    loss_function,
    scored_loss,
    validation_loss,
)
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.step import EagerStep

_LABELS = np.array([0] * 6 + [2] * 2)  # of class 1 there is no image


def test_the_weights_are_inverse_frequencies_with_mean_one() -> None:
    weights = balanced_weights(_LABELS)
    assert weights[[0, 2]].tolist() == pytest.approx([8 / (2 * 6), 8 / (2 * 2)])
    assert weights[torch.from_numpy(_LABELS)].mean().item() == pytest.approx(1)
    assert weights.isfinite().all()


def test_every_class_counts_the_same_in_the_loss() -> None:
    recipe = QUICK.override(class_weights=True, label_smoothing=0.1)
    labels, logits = torch.from_numpy(_LABELS), torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    loss = loss_function(recipe, balanced_weights(_LABELS))(logits, labels)
    each = functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    assert loss.item() == pytest.approx((each[:6].mean().item() + each[6:].mean().item()) / 2)
    assert loss_function(recipe, torch.ones(3))(logits, labels).item() == pytest.approx(each.mean().item())
    assert scored_loss(recipe)(logits, labels).item() == pytest.approx(
        functional.cross_entropy(logits, labels).item()
    )


def test_probabilities_that_are_taken_for_logits_are_weighted_too() -> None:
    recipe = QUICK.override(softmax_before_loss=True, label_smoothing=0.1)
    labels, logits = torch.from_numpy(_LABELS), torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    loss = loss_function(recipe, torch.ones(3))(logits, labels)
    assert loss.item() == pytest.approx(loss_function(recipe)(logits, labels).item())


def test_the_best_epoch_is_that_of_the_weighted_loss() -> None:
    """Of epochs that differ in which class they get right, not of the one that is right on the frequent class."""
    frequent, rare = torch.zeros(8, 3), torch.zeros(8, 3)
    frequent[:, 0] = 1.0
    rare[6:, 2] = 1.0
    labels = torch.from_numpy(_LABELS)
    recipe = QUICK.override(class_weights=True, label_smoothing=0.1)
    plain, weighted = scored_loss(recipe), validation_loss(recipe, balanced_weights(_LABELS))
    assert plain(frequent, labels) < plain(rare, labels)
    assert weighted(frequent, labels) > weighted(rare, labels)
    each = functional.cross_entropy(rare, labels, reduction="none")
    assert weighted(rare, labels).item() == pytest.approx(
        (each[:6].mean().item() + each[6:].mean().item()) / 2
    )


def test_a_step_weights_its_loss() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(4, 3)
    images, labels = torch.randn(8, 4), torch.from_numpy(_LABELS)
    weights = balanced_weights(_LABELS)
    expected = loss_function(QUICK, weights)(network(images), labels).item()
    step = EagerStep(network, build_optimizer(QUICK, network), QUICK, class_weights=weights)
    assert step(Batch(images, labels, 8), None).loss.item() == pytest.approx(expected)


def test_a_run_weights_its_classes_and_records_it(tmp_path: Path) -> None:
    fill(tmp_path / "own", range(12), ("cat", "dog"))
    fill(tmp_path / "own", range(3), ("fox",))
    recipe = recipe_for("small_cnn", f"folder:{tmp_path / 'own'}", image_size=16)
    recipe = recipe.override(max_steps=2, learning_rate=1e-12)
    for name, chosen in (("plain", recipe), ("weighted", recipe.override(class_weights=True))):
        start(chosen, tmp_path / name)
    plain, weighted = RunDirectory(tmp_path / "plain"), RunDirectory(tmp_path / "weighted")
    assert (plain.recipe().class_weights, weighted.recipe().class_weights) == (False, True)
    (before,), (after,) = plain.history(), weighted.history()  # of nearly the same weights
    assert before.train_loss != after.train_loss
    assert before.validation_loss != after.validation_loss
    assert before.validation_accuracy == after.validation_accuracy
