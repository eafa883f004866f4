"""ConvBlockCNN: report E's basic network."""

from torch import Tensor, nn

from vision_zoo.core.errors import UsageError


class ConvBlockCNN(nn.Module):
    """Three blocks of conv → ReLU → pool (128, 64, 32 channels; kernels 3, 5, 3), then dense 512 → 128 → classes."""

    def __init__(self, *, channels: int, image_size: int, classes: int) -> None:
        super().__init__()
        if image_size < 8:
            raise UsageError(
                f"conv_block_cnn halves the image three times: {image_size} pixels are too few, expected 8 or more"
            )
        side = image_size // 8
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, kernel_size=3, padding=1),
            nn.MaxPool2d(2),  # before ReLU: the same function, see simple_cnn
            nn.ReLU(),
            nn.Conv2d(128, 64, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(64, 32, kernel_size=3, padding=1),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(32 * side * side, 512),
            nn.ReLU(),
            nn.Linear(512, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
