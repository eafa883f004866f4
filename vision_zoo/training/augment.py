"""Random augmentation of whole batches: rotation, shift, flip and crop per image, resampled once or twice."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vision_zoo.core.choices import Interpolation
from vision_zoo.recipes.recipe import Augmentation

_LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))  # torchvision's RandomResizedCrop


class AugmentParams(NamedTuple):
    """Random parameters of the augmentation of a batch.

    `maps`: float32 `[batch, 2, 3]`, affine, from a changed image's coordinates in [-1, 1] to the original's, which are
    read with `interpolation`. `boxes`: int64 `[batch, 2, 2]`, what is cropped from that and scaled to the whole image:
    the first column and row, and their numbers; None without crops or where they are part of `maps`. `squares`: int64
    `[batch, 2, 2]`, the first row and column that are painted over and the first after them; None if none are.
    """

    maps: Tensor
    boxes: Tensor | None
    squares: Tensor | None
    interpolation: Interpolation

    def shard(self, shard: slice, device: torch.device) -> "AugmentParams":
        """The parameters of a part of the batch, on `device`."""
        return self._each(lambda tensor: tensor[shard].to(device))

    def copy(self) -> "AugmentParams":
        """A copy in separate memory."""
        return self._each(torch.clone)

    def copy_(self, other: "AugmentParams") -> None:
        """Take over the values of `other`, of as many images; tensors stay where they are."""
        for mine, new in zip(self[:3], other[:3], strict=True):
            if mine is not None and new is not None:
                mine.copy_(new)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "AugmentParams":
        boxes, squares = (None if one is None else change(one) for one in (self.boxes, self.squares))
        return AugmentParams(change(self.maps), boxes, squares, self.interpolation)


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
    maps = affine_maps(count, augmentation, generator, side=side)
    boxes = squares = None
    if augmentation.crop_scale is not None and augmentation.crop_tries > 1:
        boxes = _boxes(count, augmentation, generator, side)
    if augmentation.cutout:
        first = torch.randint(side, (count, 2), generator=generator) - augmentation.cutout // 2
        squares = torch.stack([first, first + augmentation.cutout], dim=1)
    return AugmentParams(maps, boxes, squares, augmentation.interpolation)


def apply_augmentation(images: Tensor, changes: AugmentParams) -> Tensor:
    """Apply the parameters to images uint8 `[batch, height, width, channels]`; float32 of the same shape and range."""
    moved = resample(images, changes.maps, changes.interpolation)
    if changes.boxes is not None:
        moved = resized_crops(moved, changes.boxes)
    if changes.squares is None:
        return moved
    pixels = torch.arange(images.shape[1], device=images.device)
    first, after = changes.squares.unsqueeze(-1).unbind(1)
    inside = (pixels >= first) & (pixels < after)
    square = inside[:, 0, :, None] & inside[:, 1, None, :]
    return torch.where(square.unsqueeze(-1), moved.mean(dim=(1, 2), keepdim=True), moved)


def resample(images: Tensor, matrices: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """Images uint8 `[batch, height, width, channels]` under their affine maps, as float32 of the same shape and range.

    Pixels from beyond the image are black.
    """
    pixels = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(matrices, list(pixels.shape), align_corners=False)
    changed = functional.grid_sample(
        pixels, grid, mode=interpolation, padding_mode="zeros", align_corners=False
    )
    return changed.permute(0, 2, 3, 1)


def resized_crops(images: Tensor, boxes: Tensor) -> Tensor:
    """Boxes `[batch, 2, 2]` of square images float32 `[batch, height, width, channels]`, scaled bilinearly to their size.

    Nothing from beyond a box has a part in it.
    """
    pixels, side = images.permute(0, 3, 1, 2), images.shape[1]
    first, size = boxes.unsqueeze(-1).unbind(1)
    # Of pixels' centres from the image's edge: the first one's is at 0.5.
    places = first + (torch.arange(side, device=images.device) + 0.5) * (size / side)
    columns, rows = (places.clamp(first + 0.5, first + size - 0.5) * (2 / side) - 1).unbind(1)
    grid = torch.stack(
        [columns.unsqueeze(1).expand(-1, side, -1), rows.unsqueeze(2).expand(-1, -1, side)], dim=3
    )
    changed = functional.grid_sample(
        pixels, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return changed.permute(0, 2, 3, 1)


def affine_maps(count: int, augmentation: Augmentation, generator: torch.Generator, *, side: int) -> Tensor:
    """Affine maps float32 `[count, 2, 3]` from a changed image's coordinates in [-1, 1] to the original's.

    `side` is that of the square images in pixels.
    """
    angles = _uniform(count, -augmentation.rotation, augmentation.rotation, generator) * (math.pi / 180)
    flips = torch.where(torch.rand(count, generator=generator) < augmentation.horizontal_flip, -1.0, 1.0)
    width, height, left, top = _crops(count, augmentation, generator)
    if augmentation.shift:
        left = left + _shifts(count, augmentation, generator, side)
        top = top + _shifts(count, augmentation, generator, side)
    if augmentation.translate:
        left = left + _translations(count, augmentation, generator, side)
        top = top + _translations(count, augmentation, generator, side)
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
    if augmentation.crop_scale is None or augmentation.crop_tries > 1:
        one, zero = torch.ones(count), torch.zeros(count)
        return one, one, zero, zero
    area = _uniform(count, *augmentation.crop_scale, generator)
    ratio = _uniform(count, *_LOG_RATIO, generator).exp()
    width = torch.sqrt(area * ratio).clamp(max=1.0)
    height = torch.sqrt(area / ratio).clamp(max=1.0)
    left = _uniform(count, -1.0, 1.0, generator) * (1 - width)
    top = _uniform(count, -1.0, 1.0, generator) * (1 - height)
    return width, height, left, top


def _boxes(count: int, augmentation: Augmentation, generator: torch.Generator, side: int) -> Tensor:
    """The first of each image's crops that fits, int64 `[count, 2, 2]`; the whole image where none does."""
    tries = count * augmentation.crop_tries
    area = side * side * _uniform(tries, *(augmentation.crop_scale or (1.0, 1.0)), generator)
    ratio = _uniform(tries, *_LOG_RATIO, generator).exp()
    sizes = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).round().long()
    sizes = sizes.view(count, augmentation.crop_tries, 2)
    fits = ((sizes > 0) & (sizes <= side)).all(dim=2)
    size = sizes[torch.arange(count), fits.int().argmax(dim=1)]
    size = torch.where(fits.any(dim=1, keepdim=True), size, side)
    places = side - size + 1
    first = (torch.rand(count, 2, generator=generator) * places).long().minimum(places - 1)
    return torch.stack([first, size], dim=1)


def _translations(count: int, augmentation: Augmentation, generator: torch.Generator, side: int) -> Tensor:
    """Whole pixels of an image `side` pixels wide, in coordinates from -1 to 1."""
    most = augmentation.translate * side
    return _uniform(count, -most, most, generator).round() * (2 / side)


def _shifts(count: int, augmentation: Augmentation, generator: torch.Generator, side: int) -> Tensor:
    """Whole pixels of an image `side` pixels wide, in coordinates from -1 to 1."""
    most = augmentation.shift
    return torch.randint(-most, most + 1, (count,), generator=generator) * (2 / side)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)
