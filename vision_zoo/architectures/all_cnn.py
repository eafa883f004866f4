"""AllCNN: report E's network without pooling layers, after Springenberg et al. 2014."""

from torch import Tensor, nn

_WIDTHS = (64, 128, 256)


def block(inputs: int, outputs: int, *, dropout: float) -> nn.Sequential:
    """Conv 3x3 → ReLU → strided conv 3x3 → ReLU → dropout."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, kernel_size=3, stride=2, padding=1),
        nn.ReLU(),
        nn.Dropout(dropout),
    )


class AllCNN(nn.Module):
    """Three blocks of two convolutions (64, 128, 256 channels), global average, dense.

    `dropout` is the probability after each down-sampling, `classifier_dropout` before the dense layer.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        classes: int,
        dropout: float = 0.2,
        classifier_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image_size = image_size
        inputs = (channels, *_WIDTHS[:-1])
        self.features = nn.Sequential(
            *(block(before, after, dropout=dropout) for before, after in zip(inputs, _WIDTHS, strict=True)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(nn.Dropout(classifier_dropout), nn.Linear(_WIDTHS[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
