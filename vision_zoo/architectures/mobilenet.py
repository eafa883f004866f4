"""MobileNet: report D's small network of depthwise-separable convolutions, after Howard et al. 2017."""

from torch import Tensor, nn

_BLOCKS = ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1))


def depthwise_separable(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    """Depthwise 3x3, then pointwise 1x1, then batch normalisation and ReLU after the pair."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel_size=3, stride=stride, padding=1, groups=inputs),
        nn.Conv2d(inputs, outputs, kernel_size=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class MobileNet(nn.Module):
    """conv 3x3 (32) → five depthwise-separable blocks up to 256 channels → global average → dense."""

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            *(depthwise_separable(inputs, outputs, stride=stride) for inputs, outputs, stride in _BLOCKS),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(256, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
