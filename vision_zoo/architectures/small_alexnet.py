"""SmallAlexNet: report C's AlexNet, scaled to 28 x 28 images."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError


class SmallAlexNet(nn.Module):
    """Five convolutions (64, 192, 384, 256, 256 channels) with three max-pools, then dense 1024 → 256 → classes.

    From 20 pixels a side. `dropout` is the probability before either of the first two dense layers; the report prints
    none, 0.5 is AlexNet's.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        side = ((((image_size + 2 - 6) // 2 + 1) - 3) // 2 + 1) // 2 // 2
        if side < 1:
            raise UsageError(
                f"small_alexnet needs images of 20 pixels or more: {image_size} leave nothing after pooling"
            )
        # Pooling before ReLU: the same function, see simple_cnn.
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, kernel_size=6, stride=2, padding=1),
            nn.MaxPool2d(3, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 192, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(256 * side * side, 1024),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(1024, 256),
            nn.ReLU(),
            nn.Linear(256, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
