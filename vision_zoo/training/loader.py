"""Batches of a split that sits in memory, on the device when there is one."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision_zoo.training.datasets.dataset import Split

_MAPPED_ABOVE = 2**30  # bytes; smaller arrays are faster to gather from when copied


def as_tensor(array: NDArray[Any], device: torch.device) -> Tensor:
    """`array` on `device`. A memory-mapped file stays one on the CPU, where it is only read."""
    if isinstance(array, np.memmap) and array.nbytes > _MAPPED_ABOVE:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of arrays that cannot be written
            return torch.from_numpy(array).to(device)
    return torch.from_numpy(np.array(array)).to(device)


class Loader:
    """Shuffled batches: images uint8 `[batch, height, width, channels]` (or features), labels int64 `[batch]`.

    The order of epoch k depends on `seed` and k alone, so a resumed run sees the same batches. The last
    batch of an epoch is smaller where the batch size does not divide the split.
    """

    def __init__(self, split: Split, *, batch_size: int, seed: int, device: torch.device) -> None:
        self.images = as_tensor(split.images, device)
        self.labels = as_tensor(split.labels, device)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.labels) / self.batch_size)

    def epoch(self, number: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number` from batch `start` on, both counted from 0."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        order = torch.randperm(len(self.labels), generator=generator).to(self.labels.device)
        for first in range(start * self.batch_size, len(order), self.batch_size):
            indices = order[first : first + self.batch_size]
            yield self.images[indices], self.labels[indices]
