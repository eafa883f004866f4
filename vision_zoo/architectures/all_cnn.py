"""AllCNN: report E's network without pooling layers, after Springenberg et al. 2014."""

import torch
from torch import Tensor, nn

_WIDTHS = (64, 128, 256)


class Downscale(nn.Module):
    """Bilinear scaling to a smaller side with anti-aliasing, as Pillow's and torchvision's: two matrix products."""

    weight: Tensor

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        factor = before / after
        centres = (torch.arange(after, dtype=torch.float64).unsqueeze(1) + 0.5) * factor
        distances = (torch.arange(before, dtype=torch.float64) + 0.5 - centres).abs() / max(factor, 1.0)
        weight = (1 - distances).clamp(min=0)
        self.register_buffer("weight", (weight / weight.sum(dim=1, keepdim=True)).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.weight @ images @ self.weight.T


def block(inputs: int, outputs: int, *, dropout: float, batch_norm: bool) -> nn.Sequential:
    """Conv 3x3 → ReLU → strided conv 3x3 → ReLU → dropout, with batch normalisation before each ReLU or without."""
    layers: list[nn.Module] = []
    for before, stride in ((inputs, 1), (outputs, 2)):
        layers.append(nn.Conv2d(before, outputs, kernel_size=3, stride=stride, padding=1))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if batch_norm else [nn.ReLU()]
    return nn.Sequential(*layers, nn.Dropout(dropout))


class AllCNN(nn.Module):
    """Three blocks of two convolutions (64, 128, 256 channels), global average, dense.

    `dropout` is the probability after each down-sampling, `classifier_dropout` before the dense layer. With `batch_norm`
    a batch normalisation follows each convolution. Larger images are first scaled to a side of `scaled_to` pixels.
    """

    def __init__(
        self,
        *,
        channels: int,
        image_size: int,
        classes: int,
        dropout: float = 0.2,
        classifier_dropout: float = 0.0,
        batch_norm: bool = False,
        scaled_to: int | None = None,
    ) -> None:
        super().__init__()
        inputs = (channels, *_WIDTHS[:-1])
        self.features = nn.Sequential(
            *([] if scaled_to is None else [Downscale(image_size, scaled_to)]),
            *(
                block(before, after, dropout=dropout, batch_norm=batch_norm)
                for before, after in zip(inputs, _WIDTHS, strict=True)
            ),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(nn.Dropout(classifier_dropout), nn.Linear(_WIDTHS[-1], classes))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(images))
        return logits
