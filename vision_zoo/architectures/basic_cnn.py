"""BasicCNN: report D's first network, read as 128 dense units."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError


class BasicCNN(nn.Module):
    """conv → ReLU → pool, then dense 128 → ReLU → dense. From 2 pixels a side; `kernel_size` is odd."""

    def __init__(
        self, *, channels: int, image_size: int, classes: int, filters: int = 32, kernel_size: int = 3
    ) -> None:
        super().__init__()
        if image_size < 2:
            raise UsageError(
                f"basic_cnn halves the image: {image_size} pixels are too few, expected 2 or more"
            )
        side = image_size // 2
        self.features = nn.Sequential(
            nn.Conv2d(channels, filters, kernel_size=kernel_size, padding=kernel_size // 2),
            nn.MaxPool2d(2),  # before ReLU: the same function, see simple_cnn
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(filters * side * side, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
