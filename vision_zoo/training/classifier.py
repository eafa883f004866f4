"""A network together with its normalisation: the one function that is trained, exported and compared."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vision_zoo.errors import UsageError
from vision_zoo.training.architectures import build
from vision_zoo.training.datasets.dataset import Dataset
from vision_zoo.training.recipe import Recipe


class ImageClassifier(nn.Module):
    """uint8 `[batch, height, width, channels]` → logits float32 `[batch, classes]`.

    `mean` and `std` are of pixels scaled to [0, 1], one value a channel. Scaling and normalisation are
    one multiply-add: x / 255 - mean, over std, is x * scale + offset.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        deviation = torch.tensor(std, dtype=torch.float64).view(1, -1, 1, 1)
        average = torch.tensor(mean, dtype=torch.float64).view(1, -1, 1, 1)
        self.register_buffer("scale", (1 / (255 * deviation)).float(), persistent=False)
        self.register_buffer("offset", (-average / deviation).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        logits: Tensor = self.network(pixels * self.scale + self.offset)
        return logits


def build_classifier(recipe: Recipe, dataset: Dataset) -> ImageClassifier:
    """The recipe's classifier for `dataset`, freshly initialised from torch's random state.

    Raises:
        UsageError: the recipe or its architecture does not fit the dataset.
    """
    if len(recipe.mean) != dataset.input.channels:
        raise UsageError(
            f"{recipe.name} normalises {len(recipe.mean)} channels, {dataset.name} has {dataset.input.channels}"
        )
    network = build(
        recipe.architecture,
        channels=dataset.input.channels,
        image_size=dataset.input.height,
        classes=len(dataset.labels),
        arguments=recipe.architecture_arguments,
    )
    return ImageClassifier(network, mean=recipe.mean, std=recipe.std)


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def count_macs(classifier: ImageClassifier, dataset: Dataset) -> int:
    """Multiply-accumulate operations of one image's forward pass: half of torch's floating-point count."""
    from torch.utils.flop_counter import FlopCounterMode

    image = torch.zeros((1, *dataset.input.shape), dtype=torch.uint8)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        classifier.eval()(image)
    return int(counter.get_total_flops()) // 2
