"""Accuracy and latency of all models: as shipped, and as measured here."""

import json
from collections.abc import Sequence
from typing import Any

from vision_zoo.core.environment import hardware
from vision_zoo.core.errors import VisionZooError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import rows_of_one_image, shipped_results
from vision_zoo.core.scenarios import single_stream
from vision_zoo.serving.session import Session

Row = dict[str, Any]

COLUMNS = ("model", "dataset", "accuracy %", "p50 ms", "p99 ms", "MiB", "parameters")
_SECONDS = 0.3


def shipped(sessions: Sequence[Session]) -> tuple[list[Row], str]:
    """The figures that were measured for the shipped files, and on what; no latency where there are none."""
    for path in sorted(shipped_results().glob("*/zoo.json")):
        try:
            document = json.loads(path.read_text())
            rows = _rows_of(document, sessions)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return rows, f"Measured on {hardware(document['environment'])}, one image at a time, one thread."
    return [_row(session, None, None) for session in sessions], "Not measured yet: press the button."


def measure(session: Session) -> Row | None:
    """Measure one model on this machine, one image at a time; None where it fails."""
    import numpy as np

    image = np.zeros((1, *session.metadata.input.shape), dtype=np.uint8)
    try:
        latency = single_stream(
            {"": lambda: session.predict(image)}, batch_size=1, seconds=_SECONDS, progress=SilentProgress()
        )[""]
    except VisionZooError:
        return None
    return _row(session, latency.milliseconds[50], latency.milliseconds[99])


def _rows_of(document: dict[str, Any], sessions: Sequence[Session]) -> list[Row]:
    measured = rows_of_one_image(document)
    return [
        _row(
            session,
            measured.get(session.name, {}).get("p50_ms"),
            measured.get(session.name, {}).get("p99_ms"),
        )
        for session in sessions
    ]


def _row(session: Session, p50: float | None, p99: float | None) -> Row:
    metadata = session.metadata
    values = (
        session.name,
        metadata.dataset,
        round(100 * metadata.test_accuracy, 2),
        None if p50 is None else round(p50, 3),
        None if p99 is None else round(p99, 3),
        round(session.size / 2**20, 2),
        metadata.parameters,
    )
    return dict(zip(COLUMNS, values, strict=True))
