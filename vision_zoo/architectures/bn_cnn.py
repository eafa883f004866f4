"""BatchNormCNN: report C's custom network, with or without its batch normalisation."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.core.errors import UsageError


class LinearPair(nn.Module):
    """conv 1x1 (padding 1) → conv 3x3 (padding 1), with nothing between them, computed as one 3x3 convolution.

    Its inputs are the image, padded with zeros as the first convolution pads it, and a plane of ones that carries the
    first convolution's bias. For an image of few channels that is a small part of the work.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(inputs, outputs, kernel_size=1, padding=1)
        self.spatial = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        bias = self.pointwise.bias
        if bias is None:
            raise TypeError("the pointwise convolution has a bias")
        padded = functional.pad(images, (1, 1, 1, 1))
        inputs = torch.cat([padded, torch.ones_like(padded[:, :1])], dim=1)
        mixing = torch.cat([self.pointwise.weight.flatten(1), bias.unsqueeze(1)], dim=1)
        weight = torch.einsum("ochw,ci->oihw", self.spatial.weight, mixing)
        return functional.conv2d(inputs, weight, self.spatial.bias, padding=1)


class BatchNormCNN(nn.Module):
    """Two pairs of convolutions (64 and 128 channels), each → max-pool → batch normalisation → ReLU, then dense 512.

    From 2 pixels a side. `batch_norm` includes the two batch normalisations; the report compares both. `dropout` is the
    probability before the last dense layer; the report prints none.
    """

    def __init__(
        self, *, channels: int, image_size: int, classes: int, batch_norm: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        if image_size < 2:
            raise UsageError(f"bn_cnn halves the image: {image_size} pixels are too few, expected 2 or more")
        side = ((image_size + 2) // 2 + 2) // 2
        self.features = nn.Sequential(
            LinearPair(channels, 64),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(64) if batch_norm else nn.Identity(),
            nn.ReLU(),
            nn.Conv2d(64, 128, kernel_size=3, padding=1),
            nn.Conv2d(128, 128, kernel_size=3, padding=1),
            nn.MaxPool2d(2, padding=1),
            nn.BatchNorm2d(128) if batch_norm else nn.Identity(),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(128 * side * side, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
