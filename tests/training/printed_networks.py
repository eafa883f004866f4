"""The networks of the reports as they print them, in plain torch.nn and without a line of the package."""

from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor, nn


def _conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, **more: Any
) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, **more)


class _LastStep(nn.Module):
    """`tokens_of` images through an LSTM, its last step through a dense layer."""

    def __init__(self, tokens_of: Callable[[Tensor], Tensor], width: int, layers: int) -> None:
        super().__init__()
        self.tokens_of = tokens_of
        self.lstm = nn.LSTM(width, 128, layers, batch_first=True)
        self.fc = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.lstm(self.tokens_of(images))[0][:, -1])
        return logits


def _patches(images: Tensor, side: int) -> Tensor:
    """`[batch, patches, channels * side * side]` in reading order."""
    return torch.stack(
        [
            images[:, :, top : top + side, left : left + side].flatten(1)
            for top in range(0, images.shape[2], side)
            for left in range(0, images.shape[3], side)
        ],
        dim=1,
    )


class _AlexNet(nn.Module):
    """torchvision's, on images scaled to 224 x 224, with a new last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.alexnet = torchvision.models.alexnet(weights=None)
        self.alexnet.classifier[6] = nn.Linear(4096, 10)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.alexnet(torchvision.transforms.functional.resize(images, [224, 224]))
        return logits


class _EncoderBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(128)
        self.attn = nn.MultiheadAttention(128, 4, dropout=0.1, batch_first=True)
        self.norm2 = nn.LayerNorm(128)
        self.mlp = nn.Sequential(
            nn.Linear(128, 512), nn.GELU(), nn.Dropout(0.1), nn.Linear(512, 128), nn.Dropout(0.1)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attn(y, y, y)[0]
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed


class _ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(1, 1, 128))
        self.positions = nn.Parameter(torch.randn(1, 17, 128))
        self.patch_embedding = nn.Linear(49, 128)
        self.dropout = nn.Dropout(0.1)
        self.blocks = nn.ModuleList([_EncoderBlock() for _ in range(4)])
        self.norm = nn.LayerNorm(128)
        self.head = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embedding(_patches(images, 7))
        x = torch.cat([self.class_token.repeat(len(images), 1, 1), x], dim=1)
        x = self.dropout(x + self.positions)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x)[:, 0])
        return logits


def _bn_cnn(*, batch_norm: bool) -> nn.Module:
    norms = [nn.BatchNorm2d(width) if batch_norm else nn.Identity() for width in (64, 128)]
    return nn.Sequential(
        *(_conv(1, 64, 1, 1, 1), _conv(64, 64, 3, 1, 1), nn.MaxPool2d(2, 2), norms[0], nn.ReLU()),
        *(_conv(64, 128, 3, 1, 1), _conv(128, 128, 3, 1, 1), nn.MaxPool2d(2, 2, 1), norms[1], nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8192, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)),
    )


def _simple_cnn(channels: int, flat: int) -> nn.Module:
    return nn.Sequential(
        *(_conv(channels, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(_conv(32, 64, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(nn.Flatten(), nn.Linear(flat, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


def _small_alexnet() -> nn.Module:
    return nn.Sequential(
        *(_conv(1, 64, 6, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(_conv(64, 192, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(_conv(192, 384, 3, 1, 1), nn.ReLU(), _conv(384, 256, 3, 1, 1), nn.ReLU()),
        *(_conv(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten()),
        *(nn.Dropout(), nn.Linear(256, 1024), nn.ReLU(), nn.Dropout(), nn.Linear(1024, 256), nn.ReLU()),
        nn.Linear(256, 10),
    )


def _mobilenet() -> nn.Module:
    layers: list[nn.Module] = [_conv(1, 32, 3, 1, 1), nn.BatchNorm2d(32), nn.ReLU()]
    for inputs, outputs, stride in (
        *((32, 64, 1), (64, 128, 2), (128, 128, 1)),
        *((128, 256, 2), (256, 256, 1)),
    ):
        layers += [_conv(inputs, inputs, 3, stride, 1, groups=inputs), _conv(inputs, outputs, 1)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def _all_cnn(*, batch_norm: bool, dropout: float = 0.2, classifier_dropout: float = 0.0) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 64), (64, 128), (128, 256)):
        for before, stride in ((inputs, 1), (outputs, 2)):
            layers.append(_conv(before, outputs, 3, stride, 1))
            layers += [nn.BatchNorm2d(outputs)] if batch_norm else []
            layers.append(nn.ReLU())
        layers.append(nn.Dropout(dropout))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(classifier_dropout), nn.Linear(256, 10)]
    return nn.Sequential(*layers)


def _conv_block_cnn() -> nn.Module:
    return nn.Sequential(
        *(_conv(1, 128, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), _conv(128, 64, 5, 1, 2), nn.ReLU()),
        *(nn.MaxPool2d(2), _conv(64, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


PRINTED: dict[str, Callable[[], nn.Module]] = {
    "simple_cnn-mnist": lambda: _simple_cnn(1, 3136),
    "simple_cnn-cifar10": lambda: _simple_cnn(3, 4096),
    "alexnet_finetuned-mnist": _AlexNet,
    "alexnet_finetuned-cifar10": _AlexNet,
    "patch_lstm-mnist": lambda: _LastStep(lambda images: _patches(images, 7), 49, 1),
    "patch_lstm-cifar10": lambda: _LastStep(lambda images: _patches(images, 8), 192, 1),
    "small_cnn-mnist": lambda: nn.Sequential(
        *(_conv(1, 8, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2)),
        *(_conv(8, 16, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(784, 10)),
    ),
    "row_lstm-mnist": lambda: _LastStep(lambda images: images[:, 0], 28, 2),
    "lenet-fashion_mnist": lambda: nn.Sequential(
        *(_conv(1, 6, 5, 1, 2), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(_conv(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
    ),
    "small_alexnet-fashion_mnist": _small_alexnet,
    "bn_cnn-fashion_mnist": lambda: _bn_cnn(batch_norm=True),
    "bn_cnn_without_bn-fashion_mnist": lambda: _bn_cnn(batch_norm=False),
    "bn_cnn_without_bn_low_lr-fashion_mnist": lambda: _bn_cnn(batch_norm=False),
    "basic_cnn-mnist": lambda: nn.Sequential(
        *(_conv(1, 32, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(6272, 128), nn.ReLU(), nn.Linear(128, 10)),
    ),
    "basic_cnn_16_filters-mnist": lambda: nn.Sequential(
        *(_conv(1, 16, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10)),
    ),
    "optimized_cnn-mnist": lambda: _simple_cnn(1, 3136),
    "mobilenet-mnist": _mobilenet,
    "vit-mnist": _ViT,
    "conv_block_cnn-imagenette": _conv_block_cnn,
    "all_cnn-imagenette": lambda: _all_cnn(batch_norm=False),
    "all_cnn_batch_norm-imagenette": lambda: _all_cnn(batch_norm=True),
    "all_cnn_regularized-imagenette": lambda: nn.Sequential(
        torchvision.transforms.Resize(64, antialias=True),
        _all_cnn(batch_norm=False, dropout=0.3, classifier_dropout=0.5),
    ),
    "all_cnn-cifar10_gray": lambda: _all_cnn(batch_norm=False),
    "all_cnn_transfer-cifar10_gray": lambda: _all_cnn(batch_norm=False),
}
"""By recipe: every published one, and companions with another network."""
