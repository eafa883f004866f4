"""A network with its normalisation: the function that is trained, exported and verified."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vision_zoo.architectures import build
from vision_zoo.core.choices import FineTuning
from vision_zoo.core.errors import UsageError
from vision_zoo.data.dataset import Dataset
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.optim import muon_filters


class ImageClassifier(nn.Module):
    """uint8 `[batch, height, width, channels]` → logits float32 `[batch, classes]`.

    `mean` and `std` are of pixels scaled to [0, 1], one value per channel of the network; three of them repeat
    a grayscale image to three channels. Scaling and normalisation are one multiply-add: x / 255 - mean,
    over std, is x * scale + offset. Augmented images come as float32 of the same range.

    With `frozen` the network's `features` keep their weights and stay in evaluation mode, but for their dropout with
    `frozen_dropout`; only its `classifier` is trained. With `fine_tune` the last stage of them is trained too, or all,
    batch normalisation still in evaluation mode. With `test_time_flip` logits in evaluation mode are the mean of
    the image's and its mirror image's.
    """

    scale: Tensor
    offset: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        frozen: bool = False,
        fine_tune: FineTuning | None = None,
        frozen_dropout: bool = False,
        test_time_flip: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.frozen = frozen
        self.frozen_dropout = frozen_dropout
        self.test_time_flip = test_time_flip
        deviation = torch.tensor(std, dtype=torch.float64).view(1, -1, 1, 1)
        average = torch.tensor(mean, dtype=torch.float64).view(1, -1, 1, 1)
        self.register_buffer("scale", (1 / (255 * deviation)).float(), persistent=False)
        self.register_buffer("offset", (-average / deviation).float(), persistent=False)
        self._trained_layers: list[nn.Module] = []
        if frozen:
            self.feature_layers.requires_grad_(requires_grad=False)
            self._trained_layers = _fine_tuned(network, fine_tune)
            for layer in self._trained_layers:
                layer.requires_grad_(requires_grad=True)

    @property
    def feature_layers(self) -> nn.Module:
        """The layers before the network's head."""
        return cast("nn.Module", self.network.features)

    @property
    def head(self) -> nn.Module:
        """The layers after `feature_layers`."""
        return cast("nn.Module", self.network.classifier)

    def train(self, mode: bool = True) -> "ImageClassifier":
        super().train(mode)
        if self.frozen:
            self.feature_layers.eval()
            for layer in self.feature_layers.modules() if self.frozen_dropout else ():
                if isinstance(layer, nn.Dropout):
                    layer.train(mode)
            for trained in self._trained_layers:
                for layer in trained.modules():
                    layer.training = mode and not isinstance(layer, nn.BatchNorm2d)
        return self

    def normalise(self, images: Tensor) -> Tensor:
        """float32 `[batch, channels of the network, height, width]`."""
        return images.permute(0, 3, 1, 2).float() * self.scale + self.offset

    def features(self, images: Tensor) -> Tensor:
        """What the feature layers give, flat: float32 `[batch, features]`."""
        features: Tensor = self.feature_layers(self.normalise(images))
        return features.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        pixels = self.normalise(images)
        flip = self.test_time_flip and not self.training
        if flip:  # in one batch: two calls would be two copies of the weights in an exported file
            pixels = torch.cat([pixels, pixels.flip(3)])
        logits: Tensor = self.network(pixels)
        return logits.reshape(2, -1, logits.shape[1]).mean(0) if flip else logits


def _fine_tuned(network: nn.Module, fine_tune: FineTuning | None) -> list[nn.Module]:
    """The feature layers that are trained."""
    if fine_tune is None:
        return []
    if fine_tune == "all":
        return [cast("nn.Module", network.features)]
    if not hasattr(network, "last_stage"):
        raise UsageError(f"{type(network).__name__} does not define its last stage; choose --fine-tune all")
    return list(cast("Sequence[nn.Module]", network.last_stage))


def build_classifier(recipe: Recipe, dataset: Dataset) -> ImageClassifier:
    """The recipe's classifier for `dataset`, freshly initialised from torch's random state.

    Raises:
        UsageError: the recipe or its architecture does not fit the dataset.
    """
    channels = len(recipe.data.mean)
    if dataset.input.channels not in (1, channels):
        raise UsageError(
            f"{recipe.name} normalises {channels} channels, {dataset.name} has {dataset.input.channels}"
        )
    network = build(
        recipe.architecture,
        channels=channels,
        image_size=dataset.input.height,
        classes=len(dataset.labels),
        arguments=recipe.architecture_arguments,
    )
    if recipe.frozen and not (hasattr(network, "features") and hasattr(network, "classifier")):
        raise UsageError(
            f"{recipe.architecture} has no separate feature layers to freeze; choose another architecture"
        )
    if recipe.fine_tune is not None and not recipe.frozen:
        raise UsageError(
            f"{recipe.name} does not start from trained feature layers; omit --fine-tune, or give --transfer RUN"
        )
    if recipe.optimizer.kind == "muon" and not muon_filters(network):
        raise UsageError(
            f"muon trains filters of convolutions, and {recipe.architecture} has none; choose another optimizer"
        )
    return ImageClassifier(
        network,
        mean=recipe.data.mean,
        std=recipe.data.std,
        frozen=recipe.frozen,
        fine_tune=recipe.fine_tune,
        frozen_dropout=recipe.frozen_dropout,
        test_time_flip=recipe.test_time_flip,
    )


def count_parameters(module: nn.Module) -> int:
    """All parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(classifier: ImageClassifier, dataset: Dataset) -> int:
    """Multiply-accumulate operations of one image's forward pass.

    Half of torch's floating-point count, plus the LSTM layers, which torch does not count.
    """
    from torch.utils.flop_counter import FlopCounterMode

    recurrent: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], _outputs: object) -> None:
        if isinstance(module, nn.LSTM):
            weights = sum(tensor.numel() for tensor in module.parameters() if tensor.dim() == 2)
            recurrent.append(inputs[0].shape[1] * weights)

    handles = [
        module.register_forward_hook(count) for module in classifier.modules() if isinstance(module, nn.LSTM)
    ]
    image = torch.zeros((1, *dataset.input.shape), dtype=torch.uint8, device=classifier.scale.device)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            classifier.eval()(image)
    finally:
        for handle in handles:
            handle.remove()
    return int(counter.get_total_flops()) // 2 + sum(recurrent)
