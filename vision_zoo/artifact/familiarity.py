"""Which images are like those that a file was calibrated on: Gaussians of the logits and of the image itself.

A vector of an image is its logits and eight statistics of its pixels. Every class has a Gaussian of the vectors of the
images that are predicted as it, and an image's score is the largest of its log-densities.
"""

import base64
import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.errors import ModelError

FAMILIARITY_KEY = "vision_zoo_familiarity"
"""The property of an exported file with the Gaussians: JSON of `to_json`."""

MAX_CLASSES = 20
"""Of a file with Gaussians: one takes about half the square of the number of classes."""

FALSE_ALARMS = 0.05
"""Of the images that a file is calibrated on, the fraction that is found unlike them."""

STATISTICS = 8
MIN_SIDE = 4
"""Pixels of a side that has statistics."""

_SMALL = 1e-3
_PIXELS = 2**20
"""Of the images whose statistics are computed at once: as floating point, many take much memory."""


@dataclass(frozen=True, eq=False)
class Gaussians:
    """`means` float32 `[k, d]`, `factors` `[k, d, d]` with the inverse covariance F' F, for d logits and statistics.

    An image whose score is below `threshold` is unlike those of the calibration: so is a fraction `false_alarms` of them.
    """

    means: NDArray[np.float32]
    factors: NDArray[np.float32]
    threshold: float
    false_alarms: float = FALSE_ALARMS

    def scores(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The largest log-density, but for a constant, of vectors `[n, d]`: `[n]`."""
        densities = [
            np.log(np.abs(np.diagonal(factor.astype(np.float64)))).sum()
            - 0.5 * np.square((vectors - mean) @ factor.T.astype(np.float64)).sum(axis=1)
            for mean, factor in zip(self.means, self.factors, strict=True)
        ]
        found: NDArray[np.float64] = np.max(densities, axis=0)
        return found

    def are_familiar(self, images: NDArray[np.uint8], logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Whether images uint8 `[n, height, width, channels]` with their logits `[n, classes]` are: `[n]`."""
        familiar: NDArray[np.bool_] = self.scores(vectors_of(images, logits)) >= self.threshold
        return familiar

    def to_json(self) -> str:
        """The text that goes under `FAMILIARITY_KEY`; the lower triangles of the factors are all there is of them."""
        rows, columns = np.tril_indices(self.means.shape[1])
        values = np.concatenate([self.means, self.factors[:, rows, columns]], axis=1).astype("<f4")
        return json.dumps(
            {
                "gaussians": len(self.means),
                "threshold": self.threshold,
                "false_alarms": self.false_alarms,
                "values": base64.b64encode(values.tobytes()).decode(),
            }
        )

    @classmethod
    def from_json(cls, text: str, classes: int, *, name: str) -> "Gaussians":
        """Parse what `to_json` wrote for a model of so many classes; ModelError where that is not possible."""
        width = classes + STATISTICS
        try:
            entry = json.loads(text)
            count, threshold = int(entry["gaussians"]), float(entry["threshold"])
            false_alarms = float(entry.get("false_alarms", FALSE_ALARMS))
            if not (0 < count <= classes <= MAX_CLASSES and np.isfinite(threshold) and 0 < false_alarms < 1):
                raise ValueError
            values = np.frombuffer(base64.b64decode(entry["values"], validate=True), dtype="<f4")
            values = values.reshape(count, width + width * (width + 1) // 2)
            factors = np.zeros((count, width, width), dtype=np.float32)
            rows, columns = np.tril_indices(width)
            factors[:, rows, columns] = values[:, width:]
            if not (np.isfinite(values).all() and np.diagonal(factors, axis1=1, axis2=2).all()):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            raise ModelError(
                f"{name} has unreadable metadata of familiar images; export the model again"
            ) from error
        return cls(values[:, :width], factors, threshold, false_alarms)


def vectors_of(images: NDArray[np.uint8], logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits `[n, classes]` and the statistics of images uint8 `[n, height, width, channels]`: `[n, classes + 8]`."""
    size = max(1, _PIXELS // max(1, images.shape[1] * images.shape[2]))
    batches = range(0, len(images), size)
    statistics = np.concatenate([_statistics(images[start : start + size]) for start in batches])
    return np.concatenate([logits.astype(np.float64), statistics], axis=1)


def _statistics(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The brightness of the quarters, and logarithms of how much pixels differ: across, down, from neighbours, at all."""
    gray = np.asarray(images).mean(axis=3) / 255
    count, height, width = gray.shape
    even = gray[:, : height // 2 * 2, : width // 2 * 2]
    quarters = even.reshape(count, 2, height // 2, 2, width // 2).mean(axis=(2, 4)).reshape(count, 4)
    across, down = np.diff(gray, axis=2), np.diff(gray, axis=1)
    corners = np.diff(across, axis=2)[:, 1:-1] + np.diff(down, axis=1)[:, :, 1:-1]
    spreads = [np.abs(part).mean(axis=(1, 2)) for part in (across, down, corners)]
    return np.column_stack([quarters, np.log(np.column_stack([*spreads, gray.std(axis=(1, 2))]) + _SMALL)])
