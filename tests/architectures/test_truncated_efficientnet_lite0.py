"""The first stages of EfficientNet-Lite0."""

from typing import Any

import pytest
import torch

from vision_zoo.architectures import build, find_architecture
from vision_zoo.architectures.truncated_efficientnet_lite0 import TruncatedEfficientNetLite0
from vision_zoo.core.errors import UsageError
from vision_zoo.data import find_dataset
from vision_zoo.recipes import recipe_for
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.weights import load_pretrained

_NAME = "truncated_efficientnet_lite0"


def test_its_stages_are_those_of_the_whole_network() -> None:
    dataset = find_dataset("cifar10")
    pair = []
    for name in (_NAME, "efficientnet_lite0"):
        classifier = build_classifier(
            recipe_for(name, "cifar10").replace(architecture_arguments={"resolution": 32}), dataset
        ).eval()
        assert recipe_for(name, "cifar10").pretrained is not None
        load_pretrained(classifier, "efficientnet-lite0-imagenet1k", path=None, data_dir=None)
        pair.append(classifier)
    part, whole = pair
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    layers: Any = whole.feature_layers
    expected = layers[2][:8](layers[1](images)).mean(dim=(2, 3))
    assert torch.allclose(part.feature_layers(images), expected, atol=1e-6)
    assert part.head.get_parameter("0.weight").shape[1] == expected.shape[1] == 80


def test_all_of_it_is_trained() -> None:
    classifier = build_classifier(recipe_for(_NAME, "cifar10"), find_dataset("cifar10"))
    assert all(parameter.requires_grad for parameter in classifier.parameters())
    assert find_architecture(_NAME).image_size == 48


@pytest.mark.parametrize(("stages", "features"), [(1, 16), (4, 80), (7, 320)])
def test_stages_can_be_chosen(stages: int, features: int) -> None:
    network: Any = build(_NAME, channels=3, image_size=48, classes=5, arguments={"stages": stages})
    assert network(torch.zeros(2, 3, 48, 48)).shape == (2, 5)
    assert network.classifier[0].in_features == features
    assert network.last_stage[-1] is list(network.features[2].children())[-1]


@pytest.mark.parametrize("stages", [0, 8])
def test_a_number_of_stages_out_of_range_is_refused(stages: int) -> None:
    with pytest.raises(UsageError, match="expected 1 to 7"):
        TruncatedEfficientNetLite0(channels=3, image_size=48, classes=2, stages=stages)
