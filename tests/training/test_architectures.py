"""Every architecture passes every contract test."""

import pytest
import torch

from vision_zoo.errors import UnknownNameError, UsageError
from vision_zoo.training.architectures import ARCHITECTURES, build
from vision_zoo.training.classifier import ImageClassifier, build_classifier, count_macs, count_parameters
from vision_zoo.training.datasets import DATASETS
from vision_zoo.training.export import to_onnx
from vision_zoo.training.proof import prove
from vision_zoo.training.recipes import RECIPES, recipe_for

NAMES = sorted(ARCHITECTURES)
SIZES = [(1, 28, 10), (3, 32, 7)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size", "classes"), SIZES)
def test_gives_finite_logits_and_gradients(name: str, channels: int, size: int, classes: int) -> None:
    network = build(name, channels=channels, image_size=size, classes=classes)
    logits = network(torch.randn(3, channels, size, size))
    assert logits.shape == (3, classes)
    logits.square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
    assert gradients
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", NAMES)
def test_is_initialised_from_the_seed_alone(name: str) -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        weights.append(build(name, channels=1, image_size=28, classes=10).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize("name", NAMES)
def test_an_image_is_classified_alike_alone_and_in_a_batch(name: str) -> None:
    network = build(name, channels=1, image_size=28, classes=10).eval()
    images = torch.randn(5, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[2:3], network(images[2:3]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_learns_a_handful_of_images(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, channels=1, image_size=28, classes=4)
    images, labels = torch.randn(8, 1, 28, 28), torch.arange(8) % 4
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss.item() < 0.2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "size", "classes"), SIZES)
def test_exports_with_a_dynamic_batch(name: str, channels: int, size: int, classes: int) -> None:
    import numpy as np

    from vision_zoo.training.datasets.dataset import Split

    network = build(name, channels=channels, image_size=size, classes=classes)
    classifier = ImageClassifier(network, mean=[0.5] * channels, std=[0.5] * channels).eval()
    content = to_onnx(classifier, (size, size, channels))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (70, size, size, channels), dtype=np.uint8)
    assert prove(content, classifier, Split(images, np.zeros(70, dtype=np.int64))).argmax_agreement == 1.0


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_has_the_parameters_its_recipe_states(recipe) -> None:  # type: ignore[no-untyped-def]
    classifier = build_classifier(recipe, DATASETS[recipe.dataset])
    assert count_parameters(classifier.network) == recipe.parameters


def test_simple_cnn_is_as_printed() -> None:
    # conv 320 + conv 18,496 + dense 401,536 + dense 1,290
    dataset = DATASETS["mnist"]
    classifier = build_classifier(recipe_for("simple_cnn", "mnist"), dataset)
    assert count_parameters(classifier.network) == 421_642
    convolutions = 28 * 28 * 32 * 9 + 14 * 14 * 64 * 32 * 9
    assert count_macs(classifier, dataset) == convolutions + 3136 * 128 + 128 * 10


def test_an_unknown_architecture_is_named_with_near_misses() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'simple_cnn'"):
        build("simplecnn", channels=1, image_size=28, classes=10)


def test_a_size_that_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="3 pixels are too few"):
        build("simple_cnn", channels=1, image_size=3, classes=10)
