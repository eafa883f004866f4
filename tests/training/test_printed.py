"""The networks are those that the reports print, and the training benchmark gives them to other loops as printed."""

import pytest
import torch
from torch import Tensor, nn

from benchmarks.training.printed import as_printed
from tests.training.printed_networks import PRINTED
from vision_zoo.architectures import ARCHITECTURES, build
from vision_zoo.data import find_dataset
from vision_zoo.recipes import RECIPES, find_recipe
from vision_zoo.training.classifier import build_classifier

# alexnet_finetuned and all_cnn are the same networks on every dataset, the former of 57 million weights.
_DISTINCT = sorted(PRINTED.keys() - {"alexnet_finetuned-cifar10", "all_cnn_transfer-cifar10_gray"})


def _pair(name: str) -> tuple[nn.Module, nn.Module, Tensor]:
    """A recipe's network, the printed one, and four images."""
    recipe = find_recipe(name)
    dataset = find_dataset(recipe.data.dataset)
    torch.manual_seed(0)
    ours, printed = build_classifier(recipe, dataset).network, PRINTED[name]()
    ours.requires_grad_()
    side = dataset.input.height
    return ours, printed, torch.randn(4, len(recipe.data.mean), side, side)


def _copied(ours: nn.Module, printed: nn.Module) -> None:
    # Both list them in the same order.
    weights = list(ours.state_dict().values())
    printed.load_state_dict(dict(zip(printed.state_dict(), weights, strict=True)))


def _without_dropout(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return network.train()


def test_every_published_recipe_has_its_printed_network() -> None:
    assert {name for name, recipe in RECIPES.items() if recipe.report} <= PRINTED.keys()


@pytest.mark.parametrize("name", _DISTINCT)
def test_the_network_is_the_printed_function_with_its_gradients(name: str) -> None:
    ours, printed, images = _pair(name)
    _copied(ours, printed)
    outputs = [_without_dropout(network)(images) for network in (ours, printed)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-3, atol=1e-4)
    for output in outputs:
        output.square().mean().backward()
    for mine, theirs in zip(ours.parameters(), printed.parameters(), strict=True):
        assert mine.grad is not None
        assert theirs.grad is not None
        scale = theirs.grad.abs().max().item()
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-2, atol=1e-3 * scale + 1e-7)


@pytest.mark.parametrize("name", _DISTINCT)
def test_dropout_is_where_it_is_printed(name: str) -> None:
    def probabilities(network: nn.Module) -> list[float]:
        found = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
        return [p for p in found if p] + [
            module.dropout for module in network.modules() if isinstance(module, nn.MultiheadAttention)
        ]

    ours, printed, _ = _pair(name)
    assert probabilities(ours) == probabilities(printed)


@pytest.mark.parametrize("name", _DISTINCT)
def test_initial_weights_are_drawn_as_the_printed_networks(name: str) -> None:
    ours, printed, _ = _pair(name)
    for tensors in zip(ours.parameters(), printed.parameters(), strict=True):
        assert tensors[0].shape == tensors[1].shape
        mine, theirs = (tensor.detach().flatten() for tensor in tensors)
        scale, root = theirs.std(correction=0).item(), theirs.numel() ** 0.5
        if scale == 0:  # zeros or ones
            assert torch.equal(mine, theirs)
            continue
        assert abs(mine.mean() - theirs.mean()) < 6 * scale / root
        assert abs(mine.std(correction=0) - scale) < 6 * scale / root
        # None of a uniform distribution lies beyond 1.73 deviations, and 7 % of a normal one beyond 1.8.
        beyond = [(one.abs() > 1.8 * scale).float().mean() for one in (mine, theirs)]
        assert abs(beyond[0] - beyond[1]) < 2 / root


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_the_benchmarks_printed_network_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    channels = len(ARCHITECTURES[name].recipe_defaults.get("mean", [0]))
    network = build(name, channels=channels, image_size=28, classes=10).eval()
    printed = as_printed(network)
    images = torch.randn(3, channels, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(printed(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "pools"), [("simple_cnn", 2), ("small_alexnet", 3)])
def test_the_benchmarks_activations_come_before_pooling(name: str, pools: int) -> None:
    features = as_printed(build(name, channels=1, image_size=28, classes=10)).features
    assert isinstance(features, nn.Sequential)
    layers = list(features)
    before = [layers[index - 1] for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
    assert len(before) == pools
    assert all(isinstance(layer, nn.ReLU) for layer in before)


def test_the_benchmark_has_both_convolutions_of_a_pair() -> None:
    printed = as_printed(build("bn_cnn", channels=1, image_size=28, classes=10))
    convolutions = [module for module in printed.modules() if isinstance(module, nn.Conv2d)]
    assert [convolution.kernel_size for convolution in convolutions] == [(1, 1), (3, 3), (3, 3), (3, 3)]
