"""Loss, accuracy and confusion matrix of a classifier on a split."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.datasets.dataset import Split

_BATCH = 1000


@dataclass(frozen=True)
class Evaluation:
    """`logits` float32 `[n, classes]`; `loss` the mean cross-entropy in nats; `accuracy` a fraction."""

    logits: NDArray[np.float32]
    loss: float
    accuracy: float

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Class indices `[n]`."""
        predictions: NDArray[np.int64] = self.logits.argmax(axis=1)
        return predictions


def evaluate(classifier: ImageClassifier, split: Split) -> Evaluation:
    """Score `classifier` in evaluation mode on the device it is on; its mode is restored."""
    device = next(classifier.parameters()).device
    was_training = classifier.training
    classifier.eval()
    with torch.no_grad():
        parts = [
            classifier(torch.from_numpy(np.array(split.images[start : start + _BATCH])).to(device))
            for start in range(0, len(split), _BATCH)
        ]
    classifier.train(was_training)
    logits = torch.cat(parts).cpu()
    labels = torch.from_numpy(np.array(split.labels))
    return Evaluation(
        logits=logits.numpy(),
        loss=functional.cross_entropy(logits, labels).item(),
        accuracy=(logits.argmax(dim=1) == labels).double().mean().item(),
    )


def confusion_matrix(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """`[classes, classes]` counts: rows are true classes, columns predicted ones."""
    counts = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes)
