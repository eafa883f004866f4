"""ONNX Runtime without telemetry and without its own log lines."""

import os
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.choices import OptimizationLevel
from vision_zoo.core.environment import has_vnni
from vision_zoo.core.errors import UsageError

BATCH = 256
"""Images a call, where many are predicted at once."""

MAX_THREADS = 256

_ERRORS_ONLY = 4


def load() -> ModuleType:
    """The module `onnxruntime`, imported only here, without telemetry.

    Newer Linux builds keep a device identifier in the user's cache and report usage (onnxruntime pull request 27379).
    The variable must be set before the import; a user's own choice stands.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows has no such variable
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    return cast(ModuleType, onnxruntime)


def session_options(
    threads: int = 1,
    *,
    optimization: OptimizationLevel = "all",
    spinning: bool = False,
    parallel: bool = False,
    exact_products: bool = False,
) -> Any:
    """The `onnxruntime.SessionOptions` that models are served with; 0 `threads` are one for each core.

    Small models are fastest on one thread, and spinning threads burn a core and raise the tail latency. With `parallel`
    the threads run different operators instead of parts of one. `exact_products` is for 8-bit weights of the full range:
    x86 processors without VNNI add pairs of products in 16 bits, which overflows silently, unless they are told to take
    slower instructions. An arena makes no model faster, and keeps the memory of a session's largest batch.
    """
    onnxruntime = load()
    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if parallel else threads
    options.inter_op_num_threads = threads if parallel else 1
    if parallel:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.graph_optimization_level = getattr(
        levels, "ORT_DISABLE_ALL" if optimization == "disabled" else f"ORT_ENABLE_{optimization.upper()}"
    )
    for kind in ("intra", "inter"):
        options.add_session_config_entry(f"session.{kind}_op.allow_spinning", str(int(spinning)))
    if exact_products and not has_vnni():
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    return options


def make_session(
    content: bytes, options: Any, *, providers: Sequence[Any] = ("CPUExecutionProvider",)
) -> Any:
    """An `onnxruntime.InferenceSession` of a serialised model; ONNX Runtime's errors share no base class."""
    return load().InferenceSession(content, options, providers=list(providers))


def batches(images: NDArray[np.uint8], batch_size: int = BATCH) -> Iterator[NDArray[np.uint8]]:
    """Cut images uint8 `[n, …]` into one or more contiguous arrays of at most `batch_size`; UsageError below 1."""
    if batch_size < 1:
        raise UsageError(f"batch size {batch_size} is out of range; expected 1 or more")
    for start in range(0, max(1, len(images)), batch_size):
        yield np.ascontiguousarray(images[start : start + batch_size])
