"""Batches of a split that sits in memory, on the device when there is one."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from vision_zoo.training.datasets.dataset import Split


class Loader:
    """Shuffled batches: images uint8 `[batch, height, width, channels]`, labels int64 `[batch]`.

    The order of epoch k depends on `seed` and k alone, so a resumed run sees the same batches. The last
    batch of an epoch is smaller where the batch size does not divide the split.
    """

    def __init__(self, split: Split, *, batch_size: int, seed: int, device: torch.device) -> None:
        self.images = torch.from_numpy(np.array(split.images)).to(device)
        self.labels = torch.from_numpy(np.array(split.labels)).to(device)
        self.batch_size = batch_size
        self.seed = seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.labels) / self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of epoch `number`, counted from 0."""
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        order = torch.randperm(len(self.labels), generator=generator).to(self.labels.device)
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            yield self.images[indices], self.labels[indices]
