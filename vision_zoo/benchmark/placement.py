"""Where a model's operators really ran, as ONNX Runtime's profiler saw it."""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.artifact.metadata import INPUT_NAME
from vision_zoo.core.errors import ModelError
from vision_zoo.serving.session import Session

_COPIES = ("MemcpyFromHost", "MemcpyToHost")


@dataclass(frozen=True)
class Placement:
    """Operators by execution provider, after optimisation, and how many of them copy between devices."""

    nodes: dict[str, int]
    copies: int


def placement(session: Session, *, batch_size: int = 1) -> Placement:
    """Run a batch once under the profiler and count where its operators ran.

    Raises:
        ModelError: the profiler's record cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        profiled = session.profiled(Path(folder) / "profile")
        image = np.zeros((batch_size, *session.metadata.input.shape), dtype=np.uint8)
        profiled.run(None, {INPUT_NAME: image})
        record = Path(profiled.end_profiling())
        try:
            events = json.loads(record.read_text())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"the profile of {session.name} cannot be read ({error}); look whether "
                f"{tempfile.gettempdir()} has space left"
            ) from error
    return _count(events)


def _count(events: list[dict[str, Any]]) -> Placement:
    operators = [
        event["args"]
        for event in events
        if event.get("cat") == "Node"
        and event["name"].endswith("_kernel_time")
        and "provider" in event["args"]
    ]
    nodes = Counter(operator["provider"] for operator in operators)
    copies = sum(operator.get("op_name") in _COPIES for operator in operators)
    return Placement(dict(sorted(nodes.items())), copies)
