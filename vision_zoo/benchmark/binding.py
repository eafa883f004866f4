"""Calling a session with inputs and outputs bound to the device's memory, and as a CUDA graph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import UsageError
from vision_zoo.core.scenarios import Arm
from vision_zoo.serving.providers import EXECUTION_PROVIDERS
from vision_zoo.serving.session import Session, session_options


def bound_arm(session: Session, images: NDArray[np.uint8]) -> Arm:
    """A call with memory bound once: images go in, logits and probabilities come back as arrays.

    Not safe for several callers at once: they would share that memory.
    """
    device = "cpu" if session.provider == EXECUTION_PROVIDERS["cpu"] else "cuda"
    return _arm(session.runtime(), images, len(session.metadata.labels), device)


def cuda_graph_arm(session: Session, images: NDArray[np.uint8], *, threads: int) -> Arm:
    """The same, replayed as one CUDA graph that is captured at the first call.

    Raises:
        UsageError: the session does not run on CUDA, or not with all of its operators.
    """
    if session.provider != EXECUTION_PROVIDERS["cuda"]:
        raise UsageError(f"cuda-graph needs --provider cuda; {session.name} runs on {session.provider}")
    if session.metadata.precision == "int8":
        # CUDA has no kernels for quantised operators: ONNX Runtime runs some of them on the CPU.
        raise UsageError(
            f"cuda-graph needs every operator on the GPU; {session.name} is int8, and some of its run on the CPU: "
            "use the fp32 or fp16 file"
        )
    runtime = session.with_options(session_options(threads), provider_options={"enable_cuda_graph": "1"})
    return _arm(runtime, images, len(session.metadata.labels), "cuda")


def _arm(runtime: Any, images: NDArray[np.uint8], classes: int, device: str) -> Arm:
    ort_value = onnx_runtime.load().OrtValue
    bound_input = ort_value.ortvalue_from_numpy(images, device, 0)
    outputs = [
        ort_value.ortvalue_from_shape_and_type([len(images), classes], np.float32, device, 0)
        for _ in OUTPUT_NAMES
    ]
    binding = runtime.io_binding()
    binding.bind_ortvalue_input(INPUT_NAME, bound_input)
    for name, value in zip(OUTPUT_NAMES, outputs, strict=True):
        binding.bind_ortvalue_output(name, value)

    def call() -> object:
        bound_input.update_inplace(images)
        runtime.run_with_iobinding(binding)
        # Copying back waits for the device: the clock stops after the work is done.
        return [value.numpy() for value in outputs]

    return call
