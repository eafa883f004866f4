"""Every architecture passes every contract test."""

import numpy as np
import pytest
import torch
from torch import nn

from vision_zoo.architectures import ARCHITECTURES, build
from vision_zoo.architectures.airbench import Airbench
from vision_zoo.architectures.bn_cnn import LinearPair
from vision_zoo.core.errors import UnknownNameError, UsageError
from vision_zoo.data import DATASETS
from vision_zoo.data.dataset import Split
from vision_zoo.exporting.export import to_onnx
from vision_zoo.exporting.graph import summarise_graph
from vision_zoo.exporting.verify import verify_graph
from vision_zoo.recipes import RECIPES, recipe_for
from vision_zoo.training.classifier import ImageClassifier, build_classifier, count_macs, count_parameters

NAMES = sorted(ARCHITECTURES)
SIZES = [(1, 28, 10), (3, 32, 7)]
_SMALL = {"efficientnet_lite0": {"resolution": 32}}
"""Arguments with which an architecture is as quick as the others."""
SLOW_TO_EXPORT = ("alexnet_finetuned", "efficientnet_lite0", "patch_lstm", "row_lstm")
"""Exported in `soak/test_exports.py`; a recurrent network of few steps in `tests/exporting/test_export.py`."""


def _build(name: str, *, channels: int = 1, size: int = 28, classes: int = 10) -> torch.nn.Module:
    """The architecture at that size, with the channels of its own where it takes no others."""
    torch.manual_seed(0)
    channels = len(ARCHITECTURES[name].recipe_defaults.get("mean", [0] * channels))
    return build(name, channels=channels, image_size=size, classes=classes, arguments=_SMALL.get(name))


def _images(network: torch.nn.Module, count: int, size: int = 28) -> torch.Tensor:
    """Random images with as many channels as `network` takes."""
    for channels in (1, 3):
        images = torch.randn(count, channels, size, size)
        try:
            with torch.no_grad():
                network.eval()(images[:1])
        except RuntimeError:
            continue
        network.train()
        return images
    raise AssertionError("the network takes neither one channel nor three")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size", "classes"), SIZES)
def test_gives_finite_logits_and_gradients(name: str, channels: int, size: int, classes: int) -> None:
    network = _build(name, channels=channels, size=size, classes=classes)
    logits = network(_images(network, 3, size))
    assert logits.shape == (3, classes)
    logits.square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
    assert gradients
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_is_initialised_from_the_seed_alone(name: str) -> None:
    weights = [_build(name).state_dict() for _ in range(2)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_classified_alike_alone_and_in_a_batch(name: str) -> None:
    network = _build(name)
    images = _images(network, 5)
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(images)[2:3], network(images[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_its_classifier_on_its_flat_features(name: str) -> None:
    """Only so can the features be computed once and the classifier trained alone."""
    network = _build(name)
    if not hasattr(network, "features"):
        assert name in ("patch_lstm", "row_lstm", "vit")
        return
    images = _images(network, 2)
    network.eval()
    with torch.no_grad():
        parts = network.classifier(network.features(images).flatten(1))  # type: ignore[operator]
        torch.testing.assert_close(parts, network(images))


@pytest.mark.parametrize("name", NAMES)
def test_learns_a_handful_of_images(name: str) -> None:
    network = _build(name, classes=4)
    images, labels = _images(network, 4), torch.arange(4)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    losses: list[float] = []
    while len(losses) < 200 and (not losses or losses[-1] > 0.7 * losses[0]):
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] <= 0.7 * losses[0]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SLOW_TO_EXPORT])
def test_exports_with_a_dynamic_batch_and_layers_that_add_up(name: str) -> None:
    assert_exports(name)


def assert_exports(name: str) -> None:
    """Export with random weights, verify a large and a small batch, and count the graph's layers."""
    # An image in grayscale is repeated where the network takes colours alone.
    dataset = DATASETS["mnist" if "mean" in ARCHITECTURES[name].recipe_defaults else "cifar10"]
    torch.manual_seed(0)
    recipe = recipe_for(name, dataset.name)
    arguments = {**recipe.architecture_arguments, **_SMALL.get(name, {})}
    classifier = build_classifier(recipe.override(architecture_arguments=arguments), dataset).eval()
    content = to_onnx(classifier, dataset.input.shape)
    count = 70 if len(content) < 2**26 else 8  # of large networks few images, which take a second each
    images = np.random.default_rng(0).integers(0, 256, (count, *dataset.input.shape), dtype=np.uint8)
    verification = verify_graph(content, classifier, Split(images, np.zeros(count, dtype=np.int64)))
    assert verification.argmax_agreement == 1.0
    summary = summarise_graph(content, name=name)
    assert summary.opset == 18
    macs = sum(layer.macs for layer in summary.layers)
    assert macs == pytest.approx(count_macs(classifier, dataset), rel=0.02)
    parameters = sum(layer.parameters for layer in summary.layers)
    assert parameters == pytest.approx(count_parameters(classifier.network), rel=0.02)
    assert all(np.prod(layer.output) > 0 for layer in summary.layers)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_has_the_parameters_its_recipe_states(recipe) -> None:  # type: ignore[no-untyped-def]
    classifier = build_classifier(recipe, DATASETS[recipe.data.dataset])
    assert count_parameters(classifier.network) == recipe.parameters


def test_a_test_time_flip_is_the_mean_over_both_images_and_is_exported() -> None:
    network = _build("airbench").eval()
    plain, flipped = (
        ImageClassifier(network, mean=[0.5], std=[0.5], test_time_flip=flip).eval() for flip in (False, True)
    )
    images = np.random.default_rng(0).integers(0, 256, (70, 28, 28, 1), dtype=np.uint8)
    batch = torch.from_numpy(images)
    with torch.no_grad():
        expected = (plain(batch) + plain(batch.flip(2))) / 2
        torch.testing.assert_close(flipped(batch), expected)
    verification = verify_graph(
        to_onnx(flipped, (28, 28, 1)), flipped, Split(images, np.zeros(70, dtype=np.int64))
    )
    assert verification.argmax_agreement == 1.0
    assert count_macs(flipped, DATASETS["mnist"]) == 2 * count_macs(plain, DATASETS["mnist"])
    assert torch.equal(flipped.train()(batch), plain.train()(batch))


def test_simple_cnn_is_as_printed() -> None:
    # conv 320 + conv 18,496 + dense 401,536 + dense 1,290
    dataset = DATASETS["mnist"]
    classifier = build_classifier(recipe_for("simple_cnn", "mnist"), dataset)
    assert count_parameters(classifier.network) == 421_642
    convolutions = 28 * 28 * 32 * 9 + 14 * 14 * 64 * 32 * 9
    assert count_macs(classifier, dataset) == convolutions + 3136 * 128 + 128 * 10


def test_the_operations_of_an_lstm_are_counted() -> None:
    dataset = DATASETS["mnist"]
    classifier = build_classifier(recipe_for("row_lstm", "mnist"), dataset)
    gates = 4 * 128
    assert count_macs(classifier, dataset) == 28 * gates * (28 + 128 + 128 + 128) + 128 * 10


def test_an_unknown_architecture_is_named_with_near_misses() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'simple_cnn'"):
        build("simplecnn", channels=1, image_size=28, classes=10)


def test_a_size_that_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="3 pixels are too few"):
        build("simple_cnn", channels=1, image_size=3, classes=10)


def test_small_networks_are_refused_with_the_size_that_they_need() -> None:
    for name, size in (
        ("small_alexnet", 19),
        ("lenet", 11),
        ("patch_lstm", 30),
        ("vit", 6),
        ("conv_block_cnn", 7),
        ("airbench", 8),
    ):
        with pytest.raises(UsageError, match=f"{size} "):
            build(name, channels=1, image_size=size, classes=10)


def test_alexnet_says_how_grayscale_images_reach_it() -> None:
    with pytest.raises(UsageError, match="three values of mean and std"):
        build("alexnet_finetuned", channels=1, image_size=28, classes=10)


def test_the_pair_of_linear_convolutions_is_the_two_printed_ones() -> None:
    torch.manual_seed(0)
    pair = LinearPair(2, 6)
    printed = nn.Sequential(
        nn.Conv2d(2, 6, kernel_size=1, padding=1), nn.Conv2d(6, 6, kernel_size=3, padding=1)
    )
    printed.load_state_dict(dict(zip(printed.state_dict(), pair.state_dict().values(), strict=True)))
    images = torch.randn(4, 2, 9, 9)
    outputs = [module(images) for module in (pair, printed)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    for output in outputs:
        output.square().sum().backward()
    for ours, theirs in zip(pair.parameters(), printed.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)


PRINTED = {
    "simple_cnn": lambda: [conv(1, 32, 3, 1), nn.ReLU(), pool(), conv(32, 64, 3, 1), nn.ReLU(), pool()],
    "small_cnn": lambda: [conv(1, 8, 3, 1), nn.ReLU(), pool(), conv(8, 16, 3, 1), nn.ReLU(), pool()],
    "basic_cnn": lambda: [conv(1, 32, 3, 1), nn.ReLU(), pool()],
    "conv_block_cnn": lambda: [
        *(conv(1, 128, 3, 1), nn.ReLU(), pool()),
        *(conv(128, 64, 5, 2), nn.ReLU(), pool()),
        *(conv(64, 32, 3, 1), nn.ReLU(), pool()),
    ],
    "small_alexnet": lambda: [
        *(nn.Conv2d(1, 64, 6, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(conv(64, 192, 3, 1), nn.ReLU(), pool()),
        *(conv(192, 384, 3, 1), nn.ReLU()),
        *(conv(384, 256, 3, 1), nn.ReLU()),
        *(conv(256, 256, 3, 1), nn.ReLU(), pool()),
    ],
}


def conv(inputs: int, outputs: int, kernel: int, padding: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel_size=kernel, padding=padding)


def pool() -> nn.Module:
    return nn.MaxPool2d(2, 2)


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_pooling_before_relu_is_the_printed_function(name: str) -> None:
    network = _build(name)
    printed = nn.Sequential(*PRINTED[name]())
    ours = network.features
    assert isinstance(ours, nn.Sequential)
    printed.load_state_dict(dict(zip(printed.state_dict(), ours.state_dict().values(), strict=True)))
    images = torch.randn(4, 1, 28, 28)
    torch.testing.assert_close(ours(images), printed(images), rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dataset", sorted(DATASETS))
def test_takes_the_images_of_every_dataset(name: str, dataset: str) -> None:
    data = DATASETS[dataset]
    classifier = build_classifier(recipe_for(name, dataset), data).eval()
    with torch.no_grad():
        logits = classifier(torch.zeros((2, *data.input.shape), dtype=torch.uint8))
    assert logits.shape == (2, len(data.labels))


def test_airbench_pools_channels_last() -> None:
    """Else a third of a step on a CPU is pooling."""
    network = _build("airbench")
    assert isinstance(network, Airbench)
    pooled = network.features[:4](torch.rand(2, 1, 28, 28))
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    assert not pooled.is_contiguous()


def test_airbench_whitens_the_patches_of_training_images() -> None:
    torch.manual_seed(0)
    network = Airbench(channels=3, image_size=32, classes=10)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(400, 3, 32, 32, generator=generator).cumsum(3) / 8  # neighbours are alike
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.initialise(images)
    changed = [key for key, value in network.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == ["features.0.weight"]
    with torch.no_grad():
        patches = network.whitening(images)[:, :12]
    covariance = torch.cov(patches.transpose(0, 1).flatten(1))
    assert covariance.diagonal().max() < 1.001
    assert (covariance - covariance.diagonal().diag()).abs().max() < 1e-3
    assert not network.whitening.weight.requires_grad
