"""How sure a model is of its answers, where the caller asks for it: a set of labels, and whether it knows such images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.calibration import UNKNOWN, Calibration, label_set
from vision_zoo.core.errors import UsageError
from vision_zoo.serving.session import Prediction, Session


@dataclass(frozen=True)
class Uncertainty:
    """`labels`, the most probable first, have the true one among them at the stated coverage, for `familiar` images.

    `familiar` is None where the file cannot tell.
    """

    labels: tuple[str, ...]
    familiar: bool | None

    @property
    def label(self) -> str:
        """The best label, or `UNKNOWN` for an image that is not familiar."""
        return UNKNOWN if self.familiar is False else self.labels[0]


def calibration_of(session: Session) -> Calibration:
    """The calibration of a model's file; UsageError where it has none."""
    if session.metadata.calibration is None:
        raise UsageError(
            f"{session.name} is not calibrated and has no prediction sets; run `vision-zoo calibrate` on its file, "
            "or train it with --validate and export it again"
        )
    return session.metadata.calibration


def coverages(sessions: Iterable[Session]) -> list[str]:
    """The coverages in per cent that any of these models has prediction sets of, the lowest first."""
    calibrations = (session.metadata.calibration for session in sessions)
    rates = {rate for one in calibrations if one is not None for rate in one.set_thresholds}
    return sorted(rates, key=float)


def require_coverage(session: Session, coverage: float | None) -> None:
    """Raise UsageError where a `coverage` is asked for and the file has no sets of it."""
    if coverage is not None:
        calibration_of(session).threshold(coverage)


def uncertainties(
    session: Session, images: NDArray[np.uint8], prediction: Prediction, coverage: float
) -> list[Uncertainty]:
    """How sure `prediction` is of each of `images`, uint8 `[n, height, width, channels]`.

    `coverage` is 0.95 or 95, for instance; UsageError where the file has no sets of that coverage.
    """
    threshold = calibration_of(session).threshold(coverage)
    familiar = session.are_familiar(images, prediction.logits)
    known: list[bool | None] = [None] * len(images) if familiar is None else familiar.tolist()
    ranked = prediction.labelled(session.metadata.labels)
    return [Uncertainty(label_set(row, threshold), one) for row, one in zip(ranked, known, strict=True)]
