"""Predictions for single images as CSV: predictions.csv and cross_validation.csv of a run.

label,prediction,confidence,label_confidence,label_rank,file
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core import atomic
from vision_zoo.core.errors import RunError
from vision_zoo.core.statistics import softmax
from vision_zoo.core.tables import csv_lines


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePredictions:
    """What was predicted for labelled images, in their order.

    `labels` and `predictions` are class indices int64 `[n]`, `confidences` float64 `[n]` the probabilities of the
    predicted classes. `label_confidences` float64 `[n]` are those of the right classes, `label_ranks` int64 `[n]` their
    places among all classes, from 1; None in files of earlier versions. `files` are names, or numbers where images are no
    files.
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    confidences: NDArray[np.float64]
    files: Sequence[str]
    label_confidences: NDArray[np.float64] | None = None
    label_ranks: NDArray[np.int64] | None = None

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which images are classified correctly: `[n]`."""
        return np.asarray(self.labels == self.predictions)

    def top_accuracies(self, most: int) -> list[float]:
        """The fractions of images whose label is among the k most probable, for k from 1 to `most`; empty if unknown."""
        if self.label_ranks is None:
            return []
        return [float((self.label_ranks <= k).mean()) for k in range(1, most + 1)]


def image_predictions(
    labels: NDArray[np.int64], logits: NDArray[np.float32], files: Sequence[str]
) -> ImagePredictions:
    """The predictions from `logits` `[n, classes]` of images with `labels` `[n]`."""
    labels, rows = np.asarray(labels, dtype=np.int64), np.arange(len(labels))
    probabilities = softmax(logits)
    ranked = (-logits).argsort(axis=1, kind="stable")
    return ImagePredictions(
        labels=labels,
        predictions=ranked[:, 0],
        confidences=probabilities.max(axis=1),
        files=files,
        label_confidences=probabilities[rows, labels],
        label_ranks=(ranked == labels[:, None]).argmax(axis=1) + 1,
    )


def write_predictions(path: Path, found: ImagePredictions) -> None:
    """Write one line for each image.

    Raises:
        StorageError: the file cannot be written.
    """
    columns: dict[str, Sequence[object]] = {
        "label": found.labels.tolist(),
        "prediction": found.predictions.tolist(),
        "confidence": [f"{value:.4f}" for value in found.confidences],
    }
    if found.label_confidences is not None and found.label_ranks is not None:
        columns["label_confidence"] = [f"{value:.4f}" for value in found.label_confidences]
        columns["label_rank"] = found.label_ranks.tolist()
    atomic.write_text(
        path, csv_lines([[*columns, "file"], *zip(*columns.values(), found.files, strict=True)])
    )


def read_predictions(path: Path) -> ImagePredictions:
    """What `write_predictions` wrote, in this version or an earlier one.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        known = bool(rows) and "label_rank" in rows[0]
        return ImagePredictions(
            labels=np.array([int(row["label"]) for row in rows], dtype=np.int64),
            predictions=np.array([int(row["prediction"]) for row in rows], dtype=np.int64),
            confidences=np.array([float(row["confidence"]) for row in rows]),
            files=[row.get("file") or str(number) for number, row in enumerate(rows)],
            label_confidences=np.array([float(row["label_confidence"]) for row in rows]) if known else None,
            label_ranks=np.array([int(row["label_rank"]) for row in rows]) if known else None,
        )
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise RunError(f"{path} is missing or damaged ({error}); train again with another --out") from error
