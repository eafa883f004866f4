"""SimpleCNN: report A's convolutional network, also report D's "optimized CNN"."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError


class SimpleCNN(nn.Module):
    """conv 3x3 → ReLU → pool, twice (32 and 64 channels), then dense 128 → ReLU → dense. From 4 pixels a side."""

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        if image_size < 4:
            raise UsageError(
                f"simple_cnn halves the image twice: {image_size} pixels are too few, expected 4 or more"
            )
        side = image_size // 4
        # The report applies ReLU before pooling. Both orders are the same function, for the maximum
        # commutes with a monotone one; this order does a quarter of the work.
        self.features = nn.Sequential(
            nn.Conv2d(channels, 32, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * side * side, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
