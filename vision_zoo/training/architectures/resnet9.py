"""ResNet9: the nine-layer residual network of short training runs, after D. Page, How to train your ResNet, 2018."""

from torch import Tensor, nn

from vision_zoo.errors import UsageError

_SMALLEST = 8


def block(inputs: int, outputs: int, *, halve: bool = False) -> nn.Sequential:
    """Conv 3x3 → max-pool, where `halve` says so → batch normalisation → ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2) if halve else nn.Identity(),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two blocks whose output is added to their input: `[batch, width, side, side]` → the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(block(width, width), block(width, width))

    def forward(self, images: Tensor) -> Tensor:
        changed: Tensor = self.blocks(images)
        return images + changed


class ResNet9(nn.Module):
    """Four blocks of growing width, the last three halving the image, a residual pair after the second and the last.

    Pooling comes before the normalisation, on a quarter of whose values it saves the work.

    Args:
        channels: of the input image.
        image_size: side of the square input in pixels, at least 8.
        classes: number of logits.
        width: channels of the first block; the last has eight times as many.

    Input float32 `[batch, channels, image_size, image_size]`, output float32 `[batch, classes]`.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int, width: int = 32) -> None:
        super().__init__()
        if image_size < _SMALLEST:
            raise UsageError(
                f"resnet9 halves the image three times: {image_size} pixels are too few, expected {_SMALLEST} or more"
            )
        self.features = nn.Sequential(
            block(channels, width),
            block(width, 2 * width, halve=True),
            Residual(2 * width),
            block(2 * width, 4 * width, halve=True),
            block(4 * width, 8 * width, halve=True),
            Residual(8 * width),
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(8 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
