"""How sure a file is of its answers: sets of labels that contain the true one at a stated rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_zoo.core.errors import UsageError

COVERAGES = (90, 95, 99)
"""In per cent: the rates that exported files have sets of labels for."""

UNKNOWN = "unknown"
"""The label of an image that is unlike those that the model knows, or less probable than asked for."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was fitted on labelled images that the network was not trained on.

    `calibrated_on` says which `images` they were. The graph divides the logits by `temperature` before its softmax.
    `set_thresholds`, by coverage in per cent, are the least probability that a label of a set has: of images like those,
    at least that part has its true label in its set (split conformal prediction; Sadinle et al. 2019).
    """

    calibrated_on: str
    images: int
    temperature: float
    set_thresholds: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError("the temperature must be above 0")
        if not all(0 < float(rate) < 100 for rate in self.set_thresholds):
            raise ValueError("a coverage must be between 0 and 100 %")

    def threshold(self, coverage: float) -> float:
        """The least probability in a set of that coverage, as 0.95 or 95; UsageError where the file has none."""
        key = f"{coverage if coverage > 1 else 100 * coverage:.6g}"
        if key not in self.set_thresholds:
            known = ", ".join(f"{float(rate):g} %" for rate in self.set_thresholds)
            raise UsageError(f"the file has no prediction sets of coverage {key} %; expected one of {known}")
        return self.set_thresholds[key]


def label_set(ranked: Sequence[tuple[str, float]], threshold: float) -> tuple[str, ...]:
    """Of all labels with their probabilities, the best first, those of the set: never empty, the best is in it."""
    return tuple(label for label, probability in ranked if probability >= threshold) or (ranked[0][0],)
