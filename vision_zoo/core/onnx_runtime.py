"""ONNX Runtime as this project uses it: without telemetry and without its own log lines."""

import os
from types import ModuleType
from typing import cast

_ERRORS_ONLY = 4


def load() -> ModuleType:
    """The module `onnxruntime`, imported here and nowhere else.

    Its newer Linux builds keep a device identifier in the user's cache and report usage
    (onnxruntime pull request 27379). Nobody who predicts with a model here has asked for that; the
    variable must be set before the import, and a user's own choice stands.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows has no such variable
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    return cast(ModuleType, onnxruntime)
