"""Predictions of every run on the test images: `results/<environment>/predictions/<recipe>.npz`.

Two models can only be told apart on the same images: a paired test needs to know which of them each one gets right.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core import atomic
from vision_zoo.core.errors import RunError
from vision_zoo.core.statistics import confusion_matrix

_LABELS, _SEED = "labels", "seed"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Class indices int64 `[images]` in the order of the test split: the true ones, and by seed what was predicted."""

    labels: NDArray[np.int64]
    by_seed: Mapping[int, NDArray[np.int64]]

    def right(self, seed: int) -> NDArray[np.bool_]:
        """Which images the run with `seed` got right: `[images]`."""
        return np.asarray(self.by_seed[seed] == self.labels)

    def confusion_matrix(self, seed: int, classes: int) -> NDArray[np.int64]:
        """Images of the run with `seed`, int64 `[classes, classes]`: rows are true classes, columns predicted ones."""
        return confusion_matrix(self.labels, self.by_seed[seed], classes)


def predictions_path(result: Path) -> Path:
    """The path of the predictions that belong to the metrics in `result`."""
    return result.parent / "predictions" / f"{result.stem}.npz"


def read_predictions(path: Path) -> Predictions | None:
    """What `write_predictions` wrote; None if there is no such file.

    Raises:
        RunError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name].astype(np.int64) for name in stored.files}
        labels = arrays.pop(_LABELS)
        by_seed = {int(name.removeprefix(_SEED)): array for name, array in arrays.items()}
        if any(array.shape != labels.shape for array in by_seed.values()):
            raise ValueError("the number of images differs")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error}); restore it, or remove it and run again") from error
    return Predictions(labels, by_seed)


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write `predictions` to `path`, the same bytes for the same content.

    Raises:
        StorageError: it cannot be written; the former file stays.
    """
    arrays = {_LABELS: predictions.labels}
    arrays |= {f"{_SEED}{seed}": predictions.by_seed[seed] for seed in sorted(predictions.by_seed)}
    buffer = io.BytesIO()
    small: dict[str, Any] = {name: array.astype(np.uint16) for name, array in arrays.items()}
    np.savez_compressed(buffer, **small)
    atomic.make_folder(path.parent)
    atomic.write_bytes(path, buffer.getvalue())
