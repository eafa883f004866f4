"""Scoring an exported model on labelled images, through ONNX Runtime."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.serving.session import Session


@dataclass(frozen=True, eq=False)
class Score:
    """`accuracy` is a fraction of `images`; `confusion_matrix` `[classes, classes]`: rows true, columns predicted."""

    accuracy: float
    images: int
    confusion_matrix: NDArray[np.int64]

    def table(self, labels: Sequence[str]) -> list[dict[str, str]]:
        """The confusion matrix as rows to print, zeros left out."""
        return [
            {"": label} | {column: str(count or "") for column, count in zip(labels, row, strict=True)}
            for label, row in zip(labels, self.confusion_matrix, strict=True)
        ]


def evaluate(
    session: Session,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    names: Sequence[str],
    progress: Progress,
) -> Score:
    """Score `session` on images uint8 `[n, height, width, channels]` with `labels` `[n]` into `names`.

    Raises:
        UsageError: the model was made for other labels or another input shape.
    """
    metadata = session.metadata
    if tuple(names) != metadata.labels:
        raise UsageError(
            f"{session.name} tells {_sample(metadata.labels)}, the dataset has {_sample(names)}; "
            f"expected a dataset with the model's labels, such as {metadata.dataset}"
        )
    if images.shape[1:] != metadata.input.shape:
        raise UsageError(
            f"{session.name} takes images of {list(metadata.input.shape)}, the dataset has {list(images.shape[1:])}; "
            f"expected a dataset such as {metadata.dataset}"
        )
    classes = len(metadata.labels)
    progress.start(f"evaluate {session.name}", len(labels))
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(labels), session.predict_all(images, progress=progress).classes), 1)
    return Score(float(np.trace(matrix) / matrix.sum()), len(labels), matrix)


def _sample(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:3])
    return f"{len(labels)} labels ({shown}{', …' if len(labels) > 3 else ''})"
