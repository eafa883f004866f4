"""Batches of a split in memory, on the device if there is one."""

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_zoo.core.errors import DataError
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.data.split import grouped_holdout, stratified_holdout
from vision_zoo.data.split_rule import group_keys
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.distributed import ALONE, World


def training_splits(splits: Splits, recipe: Recipe) -> dict[str, Split]:
    """The splits for training, validation (with `validate` or `patience` only) and the final score, by name."""
    parts = splits.named()
    if not recipe.stopping.is_validated:
        return {name: split for name, split in parts.items() if name != "validation"}
    if "validation" not in parts:
        kept, out = _held_out(splits.train, recipe)
        parts |= {"train": splits.train.take(kept), "validation": splits.train.take(out)}
    return parts


_LARGEST_GROUP = 1 / 3
"""Part of a class that a single group may take from training for validation."""


def _held_out(train: Split, recipe: Recipe) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the images that are kept for training, and of those for validation."""
    labels, fraction = np.asarray(train.labels), recipe.stopping.validation_fraction
    if recipe.data.group_by is None:
        to_spare = len(labels) - len(np.unique(labels))  # every class keeps one
        if not to_spare:
            raise DataError(
                "no image can be held out for validation: every class has one training image; add images, or train "
                "without validation"
            )
        held_out = min(max(1, round(len(train) * fraction)), to_spare)
        return stratified_holdout(labels, held_out, seed=recipe.seed)
    groups = group_keys([file.name for file in train.files], recipe.data.group_by)
    try:
        out = grouped_holdout(labels, groups, fraction=fraction, seed=recipe.seed, at_most=_LARGEST_GROUP)
    except DataError as error:
        raise DataError(
            f"--group-by {recipe.data.group_by!r:.60} makes {len(set(groups)):,} groups of training images: none is "
            "left for validation, since every class needs one for training; add images of other groups, or pass "
            "--no-validate"
        ) from error
    return np.flatnonzero(~out), np.flatnonzero(out)


_MAPPED_ABOVE = 2**30  # bytes; smaller arrays are faster to gather from when copied


def as_tensor(array: NDArray[Any], device: torch.device) -> Tensor:
    """`array` on `device`. A memory-mapped file stays one on the CPU, where it is only read."""
    if isinstance(array, np.memmap) and array.nbytes > _MAPPED_ABOVE:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of arrays that cannot be written
            return torch.from_numpy(array).to(device)
    return torch.from_numpy(np.array(array)).to(device)


class Batch(NamedTuple):
    """Images uint8 `[shard, height, width, channels]` (or features), labels int64 `[shard]`, and a teacher's logits.

    They are this process's shard of a batch of `size` images: all of them where it is alone.
    """

    images: Tensor
    labels: Tensor
    size: int
    targets: Tensor | None = None


class Loader:
    """Shuffled batches. `targets`, float16 `[n, classes]`, are a teacher's logits.

    The order of epoch k depends on `seed` and k alone, so a resumed run sees the same batches. The last
    batch of an epoch is smaller where the batch size does not divide the split.

    Raises:
        UsageError: a batch has fewer images than there are processes in `here`.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        here: World = ALONE,
        targets: NDArray[np.float16] | None = None,
    ) -> None:
        here.check(len(split), batch_size)
        self.here = here
        self.images = as_tensor(split.images, device)
        self.labels = as_tensor(split.labels, device)
        self.targets = None if targets is None else as_tensor(targets, device)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.labels) / self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number` from batch `start` on, both counted from 0."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        order = torch.randperm(len(self.labels), generator=generator).to(self.labels.device)
        for first in range(start * self.batch_size, len(order), self.batch_size):
            indices = order[first : first + self.batch_size]
            mine = indices[self.here.shard]
            targets = None if self.targets is None else self.targets[mine]
            yield Batch(self.images[mine], self.labels[mine], len(indices), targets)
