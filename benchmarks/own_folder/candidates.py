"""Candidates for training options, each as a training step: what the package may get if it pays.

Images are float32 `[batch, height, width, channels]` from 0 to 255, as the package's own augmentation gives them.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import augment
from vision_zoo.training.augment import AugmentParams
from vision_zoo.training.loader import Batch
from vision_zoo.training.step import EagerStep, StepResult

JITTER = 0.4
"""Brightness, contrast and saturation are multiplied by 1 minus this to 1 plus this."""
ERASED = (0.02, 1 / 3)
"""Fractions of the area that random erasing covers, in every second image (Zhong et al., 2017)."""
MIXUP = 0.2
"""Alpha of mixup's beta distribution (Zhang et al., 2018)."""


class CandidateStep(EagerStep):
    """A training step with one of the candidates, by its name; any other name changes nothing.

    Draws its random numbers from a stream of its own, so that all else is as without it.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        option: str,
        *,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(model, optimizer, recipe, class_weights=class_weights)
        self._plain_loss = self._loss_of
        self._option = option
        self._generator = torch.Generator().manual_seed(recipe.seed + 77)

    def __call__(self, batch: Batch, changes: AugmentParams | None) -> StepResult:
        images = batch.images
        if changes is not None:
            images = (
                reflected(images, changes)
                if self._option == "reflect"
                else augment.apply_augmentation(images, changes)
            )
        if self._option == "colour_jitter":
            images = jittered(images, self._generator)
        if self._option == "random_erasing":
            images = erased(images, self._generator)
        if self._option == "mixup":
            images = self._mixed(images.float(), batch.labels)
        return super().__call__(batch._replace(images=images), None)

    def _mixed(self, images: Tensor, labels: Tensor) -> Tensor:
        """Images mixed with others of the batch; the loss is mixed in the same proportion."""
        others = torch.randperm(len(images), generator=self._generator)
        part = float(torch._sample_dirichlet(torch.full((2,), MIXUP), generator=self._generator)[0])
        self._loss_of = lambda logits, _: (
            part * self._plain_loss(logits, labels) + (1 - part) * self._plain_loss(logits, labels[others])
        )
        return part * images + (1 - part) * images[others]


def reflected(images: Tensor, changes: AugmentParams) -> Tensor:
    """Do as `apply_augmentation`, but with the image mirrored at its edges instead of black."""
    pixels = images.permute(0, 3, 1, 2).float()
    grid = functional.affine_grid(changes.maps, list(pixels.shape), align_corners=False)
    moved = functional.grid_sample(
        pixels, grid, mode=changes.interpolation, padding_mode="reflection", align_corners=False
    )
    return moved.permute(0, 2, 3, 1)


def jittered(images: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, then contrast, then saturation of each image times random factors."""
    brightness, contrast, saturation = (
        1 + JITTER * (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator) - 1)
    ).unbind(0)
    images = (images * brightness).clamp(0, 255)
    mean = _gray(images).mean(dim=(1, 2, 3), keepdim=True)
    images = torch.lerp(mean.expand_as(images), images, contrast).clamp(0, 255)
    return torch.lerp(_gray(images).expand_as(images), images, saturation).clamp(0, 255)


def _gray(images: Tensor) -> Tensor:
    if images.shape[3] == 1:
        return images
    return (images * images.new_tensor([0.299, 0.587, 0.114])).sum(dim=3, keepdim=True)


def erased(images: Tensor, generator: torch.Generator) -> Tensor:
    """A rectangle of every second image, of random size, shape and place, in the image's mean colour."""
    count, side = len(images), images.shape[1]
    chosen, area, ratio, *places = torch.rand(5, count, generator=generator)
    area = (ERASED[0] + area * (ERASED[1] - ERASED[0])) * side * side
    ratio = ((2 * ratio - 1) * math.log(10 / 3)).exp()
    sizes = [(area * ratio).sqrt().round(), (area / ratio).sqrt().round()]
    inside = []
    for size, place in zip(sizes, places, strict=True):
        first = (place * (side - size + 1).clamp(min=1)).floor().unsqueeze(1)
        pixels = torch.arange(side)
        inside.append((pixels >= first) & (pixels < first + size.unsqueeze(1)))
    box = inside[0][:, :, None] & inside[1][:, None, :] & (chosen < 0.5)[:, None, None]
    return torch.where(box.unsqueeze(-1), images.mean(dim=(1, 2), keepdim=True), images)
