"""Random augmentation of whole batches: rotation, shift, flip and crop per image, in one resampling."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vision_zoo.recipes.recipe import Augmentation

_RATIO = (3 / 4, 4 / 3)  # torchvision's RandomResizedCrop


class AugmentParams(NamedTuple):
    """Random parameters of the augmentation of a batch.

    `maps`: float32 `[batch, 2, 3]`, affine, from a changed image's coordinates in [-1, 1] to the original's. `squares`:
    int64 `[batch, 2, 2]`, the first row and column that are painted over and the first after them; None if none are.
    """

    maps: Tensor
    squares: Tensor | None

    def shard(self, shard: slice, device: torch.device) -> "AugmentParams":
        """The parameters of a part of the batch, on `device`."""
        squares = None if self.squares is None else self.squares[shard].to(device)
        return AugmentParams(self.maps[shard].to(device), squares)

    def copy(self) -> "AugmentParams":
        """A copy in separate memory."""
        return AugmentParams(self.maps.clone(), None if self.squares is None else self.squares.clone())

    def copy_(self, other: "AugmentParams") -> None:
        """Take over the values of `other`, of as many images; tensors stay where they are."""
        self.maps.copy_(other.maps)
        if self.squares is not None and other.squares is not None:
            self.squares.copy_(other.squares)


def augment(
    images: Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
    *,
    of: int | None = None,
    shard: slice = slice(None),
) -> Tensor:
    """Augment images: uint8 `[batch, height, width, channels]` → float32 of the same shape and range.

    The random numbers come from `generator`, a CPU generator, whatever device the images are on. Where the images
    are the `shard` of a larger batch `of` so many, they are augmented as they would be in it. Pixels from beyond the
    image are black.
    """
    drawn = draw(of or len(images), augmentation, generator, side=images.shape[1])
    return apply_augmentation(images, drawn.shard(shard, images.device))


def draw(count: int, augmentation: Augmentation, generator: torch.Generator, *, side: int) -> AugmentParams:
    """Draw the parameters of `count` square images of `side` pixels, on the CPU."""
    maps = transforms(count, augmentation, generator, side=side)
    if not augmentation.cutout:
        return AugmentParams(maps, None)
    first = torch.randint(side, (count, 2), generator=generator) - augmentation.cutout // 2
    return AugmentParams(maps, torch.stack([first, first + augmentation.cutout], dim=1))


def apply_augmentation(images: Tensor, changes: AugmentParams) -> Tensor:
    """Apply the parameters to images uint8 `[batch, height, width, channels]`; float32 of the same shape and range."""
    moved = resample(images, changes.maps)
    if changes.squares is None:
        return moved
    pixels = torch.arange(images.shape[1], device=images.device)
    first, after = changes.squares.unsqueeze(-1).unbind(1)
    inside = (pixels >= first) & (pixels < after)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return torch.where(square.unsqueeze(-1), moved.mean(dim=(1, 2), keepdim=True), moved)


def resample(images: Tensor, matrices: Tensor) -> Tensor:
    """Images uint8 `[batch, height, width, channels]` under their affine maps, as float32 of the same shape and range.

    Pixels from beyond the image are black.
    """
    pixels = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(matrices, list(pixels.shape), align_corners=False)
    changed = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return changed.permute(0, 2, 3, 1)


def transforms(count: int, augmentation: Augmentation, generator: torch.Generator, *, side: int) -> Tensor:
    """Affine maps float32 `[count, 2, 3]` from a changed image's coordinates in [-1, 1] to the original's.

    `side` is that of the square images in pixels.
    """
    angles = _uniform(count, -augmentation.rotation, augmentation.rotation, generator) * (math.pi / 180)
    flips = torch.where(torch.rand(count, generator=generator) < augmentation.horizontal_flip, -1.0, 1.0)
    width, height, left, top = _crops(count, augmentation, generator)
    if augmentation.shift:
        left = left + _shifts(count, augmentation, generator, side)
        top = top + _shifts(count, augmentation, generator, side)
    cosine, sine = angles.cos(), angles.sin()
    # Read from right to left: crop, then flip, then turn.
    rows = torch.stack(
        [
            torch.stack([cosine * flips * width, -sine * height, cosine * flips * left - sine * top], dim=1),
            torch.stack([sine * flips * width, cosine * height, sine * flips * left + cosine * top], dim=1),
        ],
        dim=1,
    )
    return rows.float()


def _crops(
    count: int, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Half extents (width, height) and centres (x, y) of the crops, in coordinates from -1 to 1."""
    if augmentation.crop_scale is None:
        one, zero = torch.ones(count), torch.zeros(count)
        return one, one, zero, zero
    area = _uniform(count, *augmentation.crop_scale, generator)
    ratio = torch.exp(_uniform(count, math.log(_RATIO[0]), math.log(_RATIO[1]), generator))
    width = torch.sqrt(area * ratio).clamp(max=1.0)
    height = torch.sqrt(area / ratio).clamp(max=1.0)
    left = _uniform(count, -1.0, 1.0, generator) * (1 - width)
    top = _uniform(count, -1.0, 1.0, generator) * (1 - height)
    return width, height, left, top


def _shifts(count: int, augmentation: Augmentation, generator: torch.Generator, side: int) -> Tensor:
    """Whole pixels of an image `side` pixels wide, in coordinates from -1 to 1."""
    most = augmentation.shift
    return torch.randint(-most, most + 1, (count,), generator=generator) * (2 / side)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)
