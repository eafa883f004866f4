"""What the training benchmark gives to other loops: the printed order of operators, the same function."""

import pytest
import torch
from torch import nn

from benchmarks.training.printed import as_printed
from vision_zoo.architectures import ARCHITECTURES, build


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_printed_network_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    channels = len(ARCHITECTURES[name].recipe_defaults.get("mean", [0]))
    network = build(name, channels=channels, image_size=28, classes=10).eval()
    printed = as_printed(network)
    images = torch.randn(3, channels, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(printed(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "pools"), [("simple_cnn", 2), ("small_alexnet", 3)])
def test_activations_come_before_pooling(name: str, pools: int) -> None:
    features = as_printed(build(name, channels=1, image_size=28, classes=10)).features
    assert isinstance(features, nn.Sequential)
    layers = list(features)
    before = [layers[index - 1] for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    assert len(before) == pools
    assert all(isinstance(layer, nn.ReLU) for layer in before)


def test_both_convolutions_of_a_pair_are_there() -> None:
    printed = as_printed(build("bn_cnn", channels=1, image_size=28, classes=10))
    convolutions = [module for module in printed.modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.kernel_size for convolution in convolutions] == [(1, 1), (3, 3), (3, 3), (3, 3)]
