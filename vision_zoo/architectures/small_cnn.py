"""SmallCNN: report B's convolutional network."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError


class SmallCNN(nn.Module):
    """conv 3x3 → ReLU → pool, twice (8 and 16 channels), then one dense layer. From 4 pixels a side."""

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        if image_size < 4:
            raise UsageError(
                f"small_cnn halves the image twice: {image_size} pixels are too few, expected 4 or more"
            )
        side = image_size // 4
        self.features = nn.Sequential(
            nn.Conv2d(channels, 8, kernel_size=3, padding=1),
            nn.MaxPool2d(2),  # before ReLU: the same function, see simple_cnn
            nn.ReLU(),
            nn.Conv2d(8, 16, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(16 * side * side, classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
