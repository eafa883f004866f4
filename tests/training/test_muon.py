"""Muon: steps along filters that are orthogonal matrices, SGD for the rest, resumed exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.runs import QUICK, InterruptAfter, assert_same, resume, start
from vision_zoo.core.errors import Interrupted, UsageError
from vision_zoo.data import find_dataset
from vision_zoo.recipes import choose_recipe
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.optim import Muon, build_optimizer, orthogonal, set_learning_rate
from vision_zoo.training.run_directory import RunDirectory

_MUON = QUICK.override(
    optimizer="muon", learning_rate=0.05, momentum=0.6, muon_learning_rate=0.1, batch_size=1000, epochs=2
)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_a_matrix_keeps_its_directions_and_loses_its_lengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    lengths = torch.linspace(1, 7, min(shape), dtype=torch.float64)
    found = left.T @ orthogonal(left @ lengths.diag() @ right) @ right.T
    assert found.diagonal().min() > 0.68
    assert found.diagonal().max() < 1.21
    torch.testing.assert_close(found, found.diagonal().diag(), atol=1e-9, rtol=0)


def test_a_step_is_the_orthogonal_matrix_at_the_learning_rate() -> None:
    torch.manual_seed(0)
    filters = nn.Parameter(torch.randn(4, 2, 3, 3))
    optimizer = Muon([{"params": [filters], "lr": 0.1, "muon_momentum": 0.5}])
    mean, expected = torch.zeros(4, 18), filters.detach().clone()
    for _ in range(3):
        gradient = torch.randn(4, 2, 3, 3)
        mean = 0.5 * mean + gradient.flatten(1)
        expected *= 2 / expected.norm()  # four filters of length 1, in the mean of squares
        expected -= 0.1 * orthogonal(gradient.flatten(1) + 0.5 * mean).view(4, 2, 3, 3)
        filters.grad = gradient
        optimizer.step()
    torch.testing.assert_close(filters.detach(), expected)


def test_all_but_filters_of_all_channels_have_the_steps_of_sgd() -> None:
    network = nn.Module()
    network.features = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4))
    network.classifier = nn.Linear(4, 2)
    optimizer = build_optimizer(_MUON.override(bias_lr_factor=4.0), network)
    groups = [[tuple(one.shape) for one in group["params"]] for group in optimizer.param_groups]
    assert groups[0] == [(4,), (4,), (4, 1, 3, 3), (4,), (2, 4), (2,)]
    assert groups[1:] == [[(4,)], [(4, 2, 3, 3)]]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.2, 0.1])
    set_learning_rate(optimizer, 0.025)  # halfway down the schedule
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.025, 0.1, 0.05])
    plain = nn.Linear(4, 2)
    plain.load_state_dict(network.classifier.state_dict())
    others = build_optimizer(_MUON.override(optimizer="sgd", learning_rate=0.025), plain)
    for _ in range(2):
        gradient = torch.randn(2, 4)
        network.classifier.weight.grad, plain.weight.grad = gradient.clone(), gradient
        optimizer.step()
        others.step()
    assert torch.equal(network.classifier.weight, plain.weight)


@pytest.mark.parametrize("name", ["airbench", "mobilenet", "all_cnn"])
def test_networks_have_their_filters_in_groups_of_their_own(name: str) -> None:
    recipe = choose_recipe(None, name, "cifar10", image_size=None, changes={"optimizer": "muon"})
    network = build_classifier(recipe, find_dataset("cifar10")).network
    found = {
        id(one) for group in build_optimizer(recipe, network).param_groups[1:] for one in group["params"]
    }
    convolutions = [one for one in network.modules() if isinstance(one, nn.Conv2d) and one.groups == 1]
    assert found == {id(one.weight) for one in convolutions if one.weight.requires_grad}


def test_a_network_without_filters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="muon trains filters of convolutions, and row_lstm has none"):
        start(_MUON.override(architecture="row_lstm"), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_frozen_features_are_refused() -> None:
    with pytest.raises(UsageError, match="muon"):
        _MUON.override(frozen=True)


def test_it_learns_and_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    reached = start(_MUON, tmp_path / "whole")
    assert reached.test_accuracy > 0.5  # after ten steps
    with pytest.raises(Interrupted):
        start(_MUON, tmp_path / "parts", InterruptAfter(6))
    resume(tmp_path / "parts")
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert np.isfinite([record.train_loss for record in RunDirectory(tmp_path / "whole").history()]).all()
