"""torchvision's classification networks with ImageNet weights, all but their last dense layer."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vision_zoo.architectures.imagenet import Scale, require_colour
from vision_zoo.core.errors import UsageError
from vision_zoo.core.registry import near_misses

_IMAGENET_CLASSES = 1000
_PROBED_SIDE = 64


class TorchvisionBackbone(nn.Module):
    """The network of torchvision called `network`, its last dense layer replaced by a new one.

    Takes 3 channels of any size and scales to `resolution` pixels square. `pretrained` in a recipe loads ImageNet
    weights.
    """

    def __init__(
        self, *, channels: int, image_size: int, classes: int, network: str, resolution: int = 224
    ) -> None:
        super().__init__()
        require_colour(network, channels)
        self.image_size = image_size
        backbone = _build(network)
        name, dense = _last_dense(backbone, network)
        parent, _, child = name.rpartition(".")
        setattr(backbone.get_submodule(parent), child, nn.Identity())
        scale = nn.Identity() if image_size == resolution else Scale(resolution)
        self.features = nn.Sequential(scale, backbone)
        self.classifier = nn.Linear(dense.in_features, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits

    @property
    def last_stage(self) -> tuple[nn.Module, ...]:
        """The layers of the lowest resolution; AttributeError for a network that is not made of such stages."""
        backbone = self.features[1]
        if hasattr(backbone, "layer4"):  # a residual network
            return (backbone.get_submodule("layer4"),)
        stages = list(backbone.get_submodule("features").children())
        was_training, images = self.training, torch.zeros(1, 3, _PROBED_SIDE, _PROBED_SIDE)
        backbone.eval()
        sides = []
        with torch.no_grad():
            for stage in stages:
                images = stage(images)
                sides.append(images.shape[-1])
        self.train(was_training)
        return tuple(stage for stage, side in zip(stages, sides, strict=True) if side == sides[-1])

    def load_pretrained(self, weights: Mapping[str, Tensor]) -> None:
        """Take torchvision's weights of all but the last layer by their names; KeyError or RuntimeError."""
        backbone = self.features[1]
        backbone.load_state_dict({name: weights[name] for name in backbone.state_dict()})


def _build(network: str) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if network not in known:
        near = near_misses(network, known) or "; expected resnet18, for example"
        raise UsageError(f"torchvision has no classification network {network!r}{near}")
    built: nn.Module = models.get_model(network, weights=None)
    return built


def _last_dense(backbone: nn.Module, network: str) -> tuple[str, nn.Linear]:
    """The layer that gives ImageNet's logits, and its name."""
    found = [
        (name, layer)
        for name, layer in backbone.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == _IMAGENET_CLASSES
    ]
    if len(found) != 1:
        raise UsageError(
            f"{network} does not end in one dense layer; choose another network, such as resnet18"
        )
    return found[0]
