"""Loss and accuracy of a classifier on a split."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vision_zoo.core.statistics import softmax
from vision_zoo.data.dataset import Split
from vision_zoo.training.distributed import ALONE, all_gather, world
from vision_zoo.training.optim import LossFunction, cross_entropy

_BATCH = 250  # small enough for the activations to stay in a processor's caches
_BATCH_ON_GPU = 2000
_LARGE, _BATCH_OF_LARGE = 2**15, 32  # pixels of an image above which even fewer fit


@dataclass(frozen=True, eq=False)
class Evaluation:
    """`logits` float32 `[n, classes]`, `labels` int64 `[n]`; `loss` the mean loss in nats; `accuracy` a fraction."""

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    loss: float
    accuracy: float

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Class indices `[n]`."""
        predictions: NDArray[np.int64] = self.logits.argmax(axis=1)
        return predictions

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The logits' softmax `[n, classes]`."""
        return softmax(self.logits)

    def loss_total(self, loss: LossFunction, batch: int) -> float:
        """The sum of the mean losses of consecutive batches of so many images."""
        logits, labels = torch.from_numpy(self.logits), torch.from_numpy(self.labels)
        starts = range(0, len(labels), batch)
        return sum(loss(logits[at : at + batch], labels[at : at + batch]).item() for at in starts)


def evaluate(classifier: nn.Module, split: Split, loss: LossFunction = cross_entropy) -> Evaluation:
    """Score `classifier`, which takes batches of `split.images`, in evaluation mode on the device it is on.

    Its mode is restored. Where several processes train, each scores its shard and all have the result.
    """
    was_training = classifier.training
    classifier.eval()
    here = world() if len(split) >= world().size else ALONE
    images = split.images if here is ALONE else split.images[here.shard]
    logits = torch.cat(list(in_batches(classifier, images, next(classifier.parameters()).device)))
    classifier.train(was_training)
    logits = (logits if here is ALONE else all_gather(logits, len(split))).cpu()
    return scored(logits, split.labels, loss)


def scored(logits: Tensor, labels: NDArray[np.int64], loss: LossFunction = cross_entropy) -> Evaluation:
    """Score logits `[n, classes]` of images with `labels` `[n]`."""
    expected = torch.from_numpy(np.array(labels))
    return Evaluation(
        logits=logits.numpy(),
        labels=expected.numpy(),
        loss=loss(logits, expected).item(),
        accuracy=(logits.argmax(dim=1) == expected).double().mean().item(),
    )


def batch_size(device: torch.device, images: NDArray[Any]) -> int:
    """How many of `images`, or of their features, are evaluated at once."""
    if device.type != "cpu":
        return _BATCH_ON_GPU
    large = images.ndim == 4 and images[0, :, :, 0].size > _LARGE
    return _BATCH_OF_LARGE if large else _BATCH


def in_batches(
    function: Callable[[Tensor], Tensor], images: NDArray[Any], device: torch.device
) -> Iterator[Tensor]:
    """`function` of consecutive batches of `images`, without gradients."""
    batch = batch_size(device, images)
    for start in range(0, len(images), batch):
        with torch.no_grad():
            yield function(torch.from_numpy(np.array(images[start : start + batch])).to(device))
