"""ViT: report D's vision transformer, after Dosovitskiy et al. 2020."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.architectures.onednn import linear
from vision_zoo.core.errors import UsageError

_PATCH, _DIM, _DEPTH, _HEADS, _MLP_RATIO = 7, 128, 4, 4, 4


class Attention(nn.MultiheadAttention):
    """torch's multi-head self-attention over `[batch, tokens, dim]` with its own initialisation, in fewer copies."""

    def forward(self, tokens: Tensor) -> Tensor:  # type: ignore[override]
        projected = linear(tokens, self.in_proj_weight, self.in_proj_bias, training=self.training)
        by_head = projected.reshape(-1, tokens.shape[1], 3, self.num_heads, self.head_dim)
        query, key, value = by_head.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        attended: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return attended


class Block(nn.Module):
    """Pre-norm: attention, then a two-layer perceptron, each added to its input."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(dim), Attention(dim, heads, dropout))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, mlp_ratio * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_ratio * dim, dim),
            nn.Dropout(dropout),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(tokens)
        mixed: Tensor = tokens + self.perceptron(tokens)
        return mixed


class ViT(nn.Module):
    """Patches of 7 pixels → 4 transformer blocks (dimension 128, 4 heads) → dense on the class token.

    Args:
        channels: of the input image.
        image_size: side of the square input in pixels, at least 7; the pixels beyond a multiple of 7 are
            padded with the border's value, so that 32 pixels make 5 x 5 patches.
        classes: number of logits.
        dropout: probability after the positions, of attention weights, and twice in each perceptron.

    Input float32 `[batch, channels, image_size, image_size]`, output float32 `[batch, classes]`.
    """

    def __init__(self, *, channels: int, image_size: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__()
        if image_size < _PATCH:
            raise UsageError(f"vit cuts patches of 7 pixels: {image_size} pixels are too few")
        self.padding = -image_size % _PATCH
        grid = (image_size + self.padding) // _PATCH
        self.patches = nn.Linear(channels * _PATCH * _PATCH, _DIM)
        self.class_token = nn.Parameter(torch.randn(1, 1, _DIM))
        self.positions = nn.Parameter(torch.randn(1, 1 + grid * grid, _DIM))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(_DIM, _HEADS, _MLP_RATIO, dropout) for _ in range(_DEPTH)))
        self.norm = nn.LayerNorm(_DIM)
        self.classifier = nn.Linear(_DIM, classes)

    def forward(self, images: Tensor) -> Tensor:
        if self.padding:
            images = functional.pad(images, (0, self.padding, 0, self.padding), mode="replicate")
        _, channels, height, width = images.shape
        squares = images.reshape(-1, channels, height // _PATCH, _PATCH, width // _PATCH, _PATCH)
        patches = self.patches(squares.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))
        tokens = torch.cat([self.class_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        tokens = self.blocks(self.dropout(tokens + self.positions))
        logits: Tensor = self.classifier(self.norm(tokens[:, 0]))
        return logits
