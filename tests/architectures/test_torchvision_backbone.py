"""torchvision's networks behind a new dense layer, with weights from a file."""

import hashlib
from pathlib import Path

import pytest
import torch
import torchvision

from vision_zoo.architectures import build, find_architecture
from vision_zoo.architectures.torchvision_backbone import TorchvisionBackbone
from vision_zoo.core.errors import DataError, UsageError
from vision_zoo.data import find_dataset
from vision_zoo.recipes import recipe_for
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.weights import load_pretrained


@pytest.mark.parametrize("network", ["resnet18", "mobilenet_v3_small"])
def test_features_are_what_the_published_network_gives_its_last_layer(network: str) -> None:
    torch.manual_seed(0)
    published = torchvision.models.get_model(network, weights=None).eval()
    ours = TorchvisionBackbone(channels=3, image_size=64, classes=5, network=network, resolution=64).eval()
    ours.load_pretrained(published.state_dict())
    *_, last = [layer for layer in published.modules() if isinstance(layer, torch.nn.Linear)]
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(last(ours.features(images)), published(images))
        assert ours(images).shape == (2, 5)


@pytest.mark.parametrize(("network", "layers"), [("resnet18", 10), ("mobilenet_v3_small", 26)])
def test_the_last_stage_is_that_of_the_lowest_resolution(network: str, layers: int) -> None:
    ours = TorchvisionBackbone(channels=3, image_size=64, classes=5, network=network, resolution=64)
    modules = {id(one): one for stage in ours.last_stage for one in stage.modules()}.values()
    trained = [one for one in modules if isinstance(one, torch.nn.Conv2d | torch.nn.BatchNorm2d)]
    assert ours.training
    assert len(trained) == layers


def _resnet(file: Path) -> None:
    recipe = recipe_for("torchvision:resnet18", "cifar10").override(
        architecture_arguments={"network": "resnet18", "resolution": 32}
    )
    assert recipe.name == "torchvision_resnet18-cifar10"
    classifier = build_classifier(recipe, find_dataset("cifar10"))
    load_pretrained(classifier, str(recipe.pretrained), path=file, data_dir=None)
    assert set(classifier.feature_layers.state_dict()["1.bn1.weight"].tolist()) == {0.5}


def test_weights_come_from_a_file_whose_name_has_its_checksum(tmp_path: Path) -> None:
    network = torchvision.models.resnet18(weights=None)
    torch.nn.init.constant_(network.bn1.weight, 0.5)
    plain = tmp_path / "resnet18.pth"
    torch.save(network.state_dict(), plain)
    _resnet(plain)
    digest = hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
    _resnet(plain.rename(tmp_path / f"resnet18-{digest}.pth"))
    with pytest.raises(DataError, match="its SHA-256 does not match the checksum in its name"):
        _resnet((tmp_path / f"resnet18-{digest}.pth").rename(tmp_path / "resnet18-01234567.pth"))


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_a_file_that_holds_no_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(DataError, match=r"weights.pth cannot be read as weights .*--pretrained$"):
        _resnet(tmp_path / "weights.pth")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match="holds the weights of another network"):
        _resnet(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ("resnet81", "no classification network 'resnet81': did you mean 'resnet18'"),
        ("squeezenet1_0", "squeezenet1_0 does not end in one dense layer"),
    ],
)
def test_what_it_cannot_be_built_of_is_refused(network: str, says: str) -> None:
    entry = find_architecture(f"torchvision:{network}")
    with pytest.raises(UsageError, match=says):
        build(
            entry.name,
            channels=3,
            image_size=64,
            classes=2,
            arguments=entry.recipe_defaults["architecture_arguments"],
        )
