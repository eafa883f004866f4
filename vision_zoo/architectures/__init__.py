"""The registry of architectures, one file each. Listing them needs no torch; building one does.

Every network takes float32 `[batch, channels, image_size, image_size]`, `image_size` the side in pixels, and returns
logits, float32 `[batch, classes]`.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from vision_zoo.core.errors import PluginError, UsageError, VisionZooError
from vision_zoo.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """The class `class_name` of an architecture in `module`, by default the module of this package called `name`.

    `recipe_defaults` are fields of a recipe that this architecture needs on any dataset. `revision` counts the changes
    of what it computes or how it is initialised: results and runs of an earlier one are not those of this one.
    `image_size` is the side in pixels that a user's own pictures are brought to unless they choose one. `weights` names
    the pretrained ones and their licence, and `licence` is that licence's SPDX identifier in lower case.
    """

    name: str
    class_name: str
    description: str
    recipe_defaults: Mapping[str, Any] = field(default_factory=dict)
    module: str | None = None
    revision: int = 1
    image_size: int | None = None
    weights: str = ""
    licence: str = ""


# Of ImageNet's RGB pixels scaled to [0, 1], as every torchvision weight was trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_OF_TORCHVISION = "torchvision's weights (BSD-3-Clause), trained on ImageNet"
_OF_LITE = "EfficientNet-Lite's weights (Google, Apache-2.0), trained on ImageNet"


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("simple_cnn", "SimpleCNN", "two 3x3 convolutions, two dense layers (reports A and D)"),
        Architecture(
            "alexnet_finetuned",
            "AlexNetFinetuned",
            "AlexNet's frozen ImageNet convolutions, a new head (report A)",
            recipe_defaults={
                "mean": IMAGENET_MEAN,
                "std": IMAGENET_STD,
                "pretrained": "alexnet-imagenet1k-features",
                "frozen": True,
            },
            image_size=224,
            weights=_OF_TORCHVISION,
            licence="bsd-3-clause",
        ),
        Architecture("patch_lstm", "PatchLSTM", "a 4 x 4 grid of patches through one LSTM layer (report A)"),
        Architecture("small_cnn", "SmallCNN", "two small 3x3 convolutions, one dense layer (report B)"),
        Architecture("row_lstm", "RowLSTM", "the image's rows through two LSTM layers (report B)"),
        Architecture("lenet", "LeNet", "LeNet with sigmoids and average pooling (report C)"),
        Architecture("small_alexnet", "SmallAlexNet", "AlexNet scaled to 28 x 28 images (report C)"),
        Architecture(
            "bn_cnn", "BatchNormCNN", "four convolutions with or without batch normalisation (report C)"
        ),
        Architecture("basic_cnn", "BasicCNN", "one convolution, two dense layers (report D)"),
        Architecture("mobilenet", "MobileNet", "depthwise-separable convolutions (report D)"),
        Architecture("vit", "ViT", "vision transformer on 7 x 7 patches (report D)", revision=2),
        Architecture(
            "conv_block_cnn", "ConvBlockCNN", "three wide convolutions, three dense layers (report E)"
        ),
        Architecture("all_cnn", "AllCNN", "convolutions only, strided instead of pooled (report E)"),
        Architecture(
            "efficientnet_lite0",
            "EfficientNetLite0",
            "EfficientNet-Lite0's frozen ImageNet features, a new dense layer",
            recipe_defaults={
                "mean": (127 / 255,) * 3,
                "std": (128 / 255,) * 3,
                "pretrained": "efficientnet-lite0-imagenet1k",
                "frozen": True,
                "batch_size": 32,
                "epochs": 30,
            },
            image_size=224,
            weights=_OF_LITE,
            licence="apache-2.0",
        ),
        Architecture(
            "airbench", "Airbench", "a whitening layer, then pairs of batch-normalised convolutions"
        ),
    )
}


_BY_NAME = {
    f"efficientnet_lite{number}": Architecture(
        f"efficientnet_lite{number}",
        f"EfficientNetLite{number}",
        f"EfficientNet-Lite{number}'s frozen ImageNet features, a new dense layer",
        recipe_defaults={
            **ARCHITECTURES["efficientnet_lite0"].recipe_defaults,
            "pretrained": f"efficientnet-lite{number}-imagenet1k",
        },
        module=f"{__name__}.efficientnet_lite0",
        image_size=size,
        weights=_OF_LITE,
        licence="apache-2.0",
    )
    for number, size in ((1, 240), (2, 260))
}
_BY_NAME["truncated_efficientnet_lite0"] = Architecture(
    "truncated_efficientnet_lite0",
    "TruncatedEfficientNetLite0",
    "the first four stages of EfficientNet-Lite0, trained from their ImageNet weights",
    recipe_defaults={
        name: ARCHITECTURES["efficientnet_lite0"].recipe_defaults[name]
        for name in ("mean", "std", "pretrained")
    },
    module=f"{__name__}.truncated_efficientnet_lite0",
    image_size=48,
    weights=_OF_LITE,
    licence="apache-2.0",
)
"""Networks that are found by their names alone: `compare` has them where they are named."""
_TORCHVISION = "torchvision:"
TORCHVISION_WEIGHTS = "torchvision-"
"""How the names of weights begin that torchvision publishes for the network of the rest of the name."""


REGISTRY = Registry("architecture", ARCHITECTURES, Architecture)
"""`ARCHITECTURES` and the plug-ins of installed packages."""


def find_architecture(name: str) -> Architecture:
    """The architecture or plug-in called `name`; UnknownNameError if there is none, PluginError if it is broken.

    `torchvision:resnet18` is that network of torchvision's, and `efficientnet_lite1` and `2` are not listed either: their
    weights have to be downloaded or installed.
    """
    if name.startswith(_TORCHVISION):
        return _of_torchvision(name.removeprefix(_TORCHVISION))
    return _BY_NAME[name] if name in _BY_NAME else REGISTRY.find(name)


def _of_torchvision(network: str) -> Architecture:
    return Architecture(
        f"{_TORCHVISION}{network}",
        "TorchvisionBackbone",
        f"torchvision's {network}: frozen ImageNet features, a new dense layer",
        recipe_defaults={
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
            "pretrained": f"{TORCHVISION_WEIGHTS}{network}",
            "architecture_arguments": {"network": network},
            "frozen": True,
            "batch_size": 32,
            "epochs": 30,
        },
        module=f"{__name__}.torchvision_backbone",
        image_size=224,
        weights=_OF_TORCHVISION,
        licence="bsd-3-clause",
    )


def revision_of(name: str) -> int:
    """The revision of an architecture; 1 of a plug-in's, whose package has versions."""
    return ARCHITECTURES[name].revision if name in ARCHITECTURES else 1


def build(
    name: str,
    *,
    channels: int,
    image_size: int,
    classes: int,
    arguments: Mapping[str, Any] | None = None,
) -> "nn.Module":
    """A freshly initialised network; `arguments` are the architecture's own further keyword arguments.

    Raises:
        UnknownNameError: no such architecture.
        UsageError: the architecture does not work at that size, with that many channels or with those arguments.
        PluginError: the package that offers it is broken.
    """
    entry = find_architecture(name)
    given = {"channels": channels, "image_size": image_size, "classes": classes, **(arguments or {})}
    if entry.module is None:
        network = _class_of(f"{__name__}.{entry.name}", entry)
        _require_arguments(network, name, given)
        return cast("nn.Module", network(**given))
    try:
        network = _class_of(entry.module, entry)
        _require_arguments(network, name, given)
        return cast("nn.Module", network(**given))
    except VisionZooError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(
            f"the architecture {name!r}, {entry.class_name} in {entry.module}, cannot be built ({reason:.300}); "
            "update the package that provides it"
        ) from error


def _class_of(module: str, entry: Architecture) -> Callable[..., Any]:
    return cast("Callable[..., Any]", getattr(import_module(module), entry.class_name))


def _require_arguments(network: Callable[..., Any], name: str, given: Mapping[str, Any]) -> None:
    try:
        inspect.signature(network).bind(**given)
    except TypeError as error:
        own = [key for key in inspect.signature(network).parameters if key not in _ALWAYS_GIVEN]
        expected = f"expected some of {', '.join(own)}" if own else "it accepts none"
        raise UsageError(f"architecture arguments of {name}: {error}; {expected}") from error


_ALWAYS_GIVEN = ("channels", "image_size", "classes")
