"""LeNet: report C's first network, after LeCun et al. 1998 with average pooling and sigmoids."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError


class LeNet(nn.Module):
    """conv 5x5 → sigmoid → average pool, twice (6 and 16 channels), then dense 120 → 84 → classes. From 12 pixels."""

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        if image_size < 12:
            raise UsageError(
                f"lenet needs images of 12 pixels or more: {image_size} leave nothing after pooling"
            )
        side = (image_size // 2 - 4) // 2
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, kernel_size=5, padding=2),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * side * side, 120),
            nn.Sigmoid(),
            nn.Linear(120, 84),
            nn.Sigmoid(),
            nn.Linear(84, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
