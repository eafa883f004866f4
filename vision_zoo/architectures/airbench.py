"""Airbench's network for training in few epochs, after K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024.

https://arxiv.org/abs/2404.00498
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from vision_zoo.core.errors import UsageError

_SMALLEST_EIGENVALUE = 5e-4
_LOGIT_SCALE = 1 / 9


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Conv 3x3 → max-pool 2 → batch normalisation → GELU → conv 3x3 → batch normalisation → GELU.

    Pooling before the normalisation saves work. The first filters of a convolution start as the identity. The
    normalisation has a bias and no scale.
    """
    return nn.Sequential(
        _convolution(inputs, outputs),
        nn.MaxPool2d(2),
        _normalisation(outputs),
        nn.GELU(),
        _convolution(outputs, outputs),
        _normalisation(outputs),
        nn.GELU(),
    )


class Airbench(nn.Module):
    """A convolution that whitens small patches, then a block for each of `widths`, each halving the image.

    The first convolution's weights come from `initialise`, which sees training images; only its bias trains. `widths`
    are the blocks' channels, `patch` the side of the whitened patches in pixels. The image's side is at least `patch` -
    1 + 2 to the number of blocks.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        classes: int,
        widths: Sequence[int] = (32, 128, 128),
        patch: int = 2,
    ) -> None:
        super().__init__()
        smallest = 2 ** len(widths) + patch - 1
        if image_size < smallest:
            raise UsageError(
                f"airbench halves the image {len(widths)} times: {image_size} pixels are too few, "
                f"expected {smallest} or more"
            )
        whitening = nn.Conv2d(channels, 2 * channels * patch**2, kernel_size=patch)
        whitening.weight.requires_grad = False
        inputs = (whitening.out_channels, *widths[:-1])
        self.features = nn.Sequential(
            whitening,
            nn.GELU(),
            *(block(before, after) for before, after in zip(inputs, widths, strict=True)),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.classifier = _ScaledLinear(widths[-1], classes, bias=False)
        # Pooling and convolutions of so many channels are faster so on a CPU, too.
        self.to(memory_format=torch.channels_last)

    @property
    def whitening(self) -> nn.Conv2d:
        return cast("nn.Conv2d", self.features[0])

    def initialise(self, images: Tensor) -> None:
        """Whiten patches of `images`, float32 `[n, channels, image_size, image_size]`.

        The filters are the eigenvectors of the patches' covariance over the roots of their eigenvalues, and their
        negatives, so that the activation loses nothing.
        """
        patches = nn.functional.unfold(images, self.whitening.kernel_size)
        patches = patches.transpose(1, 2).flatten(0, 1)
        covariance = torch.cov(patches.T.double())
        values, vectors = torch.linalg.eigh(covariance)
        filters = (vectors / torch.sqrt(values + _SMALLEST_EIGENVALUE)).T
        filters = filters.reshape(-1, *self.whitening.weight.shape[1:])
        with torch.no_grad():
            self.whitening.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits


class _ScaledLinear(nn.Linear):
    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features) * _LOGIT_SCALE


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding="same", bias=False)
    nn.init.dirac_(convolution.weight[: min(inputs, outputs)].detach())
    return convolution


def _normalisation(width: int) -> nn.BatchNorm2d:
    normalisation = nn.BatchNorm2d(width)
    normalisation.weight.requires_grad = False
    return normalisation
