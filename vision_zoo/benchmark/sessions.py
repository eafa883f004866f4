"""Sessions for benchmarks: IO binding, CUDA graphs, OpenVINO on the same file, operators per provider, stages."""

import importlib
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import json_file, onnx_runtime
from vision_zoo.core.errors import MissingExtraError, UsageError
from vision_zoo.core.scenarios import Runner
from vision_zoo.images.preprocess import prepare
from vision_zoo.serving.providers import EXECUTION_PROVIDERS
from vision_zoo.serving.session import Session


def bound_runner(session: Session, images: NDArray[np.uint8]) -> Runner:
    """A call with memory bound once: images go in, logits and probabilities come back as arrays.

    Not safe for several callers at once: they would share that memory.
    """
    device = "cpu" if session.provider == EXECUTION_PROVIDERS["cpu"] else "cuda"
    return _runner(session.runtime(), images, len(session.metadata.labels), device)


def cuda_graph_runner(session: Session, images: NDArray[np.uint8], *, threads: int) -> Runner:
    """The same, replayed as one CUDA graph that is captured at the first call.

    Raises:
        UsageError: the session does not run on CUDA, or not with all of its operators.
    """
    if session.provider != EXECUTION_PROVIDERS["cuda"]:
        raise UsageError(f"cuda-graph needs --provider cuda; {session.name} runs on {session.provider}")
    if session.metadata.precision == "int8":
        # CUDA has no kernels for quantised operators: ONNX Runtime runs some of them on the CPU.
        raise UsageError(
            f"cuda-graph needs every operator on the GPU; {session.name} is int8, and some of its operators run on "
            "the CPU: use the fp32 or fp16 file"
        )
    runtime = session.with_options(
        onnx_runtime.session_options(threads), provider_options={"enable_cuda_graph": "1"}
    )
    return _runner(runtime, images, len(session.metadata.labels), "cuda")


def openvino_runner(session: Session, images: NDArray[np.uint8], *, threads: int) -> Runner:
    """The same file in OpenVINO on the CPU, in the precision that it says: uint8 images to probabilities, as arrays.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        UsageError: the session does not run on the CPU, or OpenVINO cannot run the file.
    """
    try:
        openvino: Any = importlib.import_module("openvino")
    except ImportError as error:
        raise MissingExtraError("OpenVINO is not installed; `pip install openvino`") from error
    if session.provider != EXECUTION_PROVIDERS["cpu"]:
        raise UsageError(
            f"openvino runs on the CPU; {session.name} runs on {session.provider}: use --provider cpu"
        )
    properties = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",  # by itself it computes in bfloat16 where the processor can
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        compiled = openvino.Core().compile_model(str(session.path), "CPU", properties)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UsageError(f"OpenVINO cannot run {session.path}: {reason}") from error
    local = threading.local()

    def call() -> object:
        if not hasattr(local, "request"):  # a request is for one caller
            local.request = compiled.create_infer_request()
        found = local.request.infer({INPUT_NAME: images}, share_inputs=True)
        return [found[name] for name in OUTPUT_NAMES]

    return call


def _runner(runtime: Any, images: NDArray[np.uint8], classes: int, device: str) -> Runner:
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


_COPIES = ("MemcpyFromHost", "MemcpyToHost")


@dataclass(frozen=True)
class Placement:
    """Operators by execution provider, after optimisation, and how many of them copy between devices."""

    nodes: dict[str, int]
    copies: int


@dataclass(frozen=True, slots=True)
class _Operator:
    provider: str = ""
    op_name: str = ""


@dataclass(frozen=True, slots=True)
class _Event:
    name: str = ""
    cat: str = ""
    args: _Operator = field(default_factory=_Operator)


def placement(session: Session, *, batch_size: int = 1) -> Placement:
    """Run a batch once under the profiler and count where its operators ran.

    Raises:
        RunError: the profiler's record cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        profiled = session.profiled(Path(folder) / "profile")
        image = np.zeros((batch_size, *session.metadata.input.shape), dtype=np.uint8)
        profiled.run(None, {INPUT_NAME: image})
        hint = f"check that {tempfile.gettempdir()} has free space"
        events = json_file.read(Path(profiled.end_profiling()), list[_Event], hint=hint)
    kernels = (event for event in events if event.cat == "Node" and event.name.endswith("_kernel_time"))
    operators = [event.args for event in kernels if event.args.provider]
    nodes = Counter(operator.provider for operator in operators)
    copies = sum(operator.op_name in _COPIES for operator in operators)
    return Placement(dict(sorted(nodes.items())), copies)


PICTURE_SIDE = 256
_CALLS = 50
_FEWEST_CALLS = 3


@dataclass(frozen=True)
class Stages:
    """Median milliseconds of one picture of 256 x 256 pixels in RGB, decoded already."""

    preprocess_ms: float
    run_ms: float
    postprocess_ms: float


def measure_stages(session: Session, *, seconds: float) -> Stages:
    """Time the three stages of fifty pictures, one after the other; fewer, but at least three, in short `seconds`."""
    paper = np.random.default_rng(0).integers(200, 230, (PICTURE_SIDE, PICTURE_SIDE, 3), dtype=np.uint8)
    paper[60:200, 120:134] = 30  # a 1: models of digits refuse a picture without one
    picture = Image.fromarray(paper)
    labels = session.metadata.labels
    clock = time.perf_counter_ns
    taken: list[tuple[int, int, int]] = []
    deadline = clock() + seconds * 1e9
    while len(taken) <= _CALLS and (len(taken) <= _FEWEST_CALLS or clock() < deadline):
        begun = clock()
        pixels = prepare(picture, session.metadata.input)[None]
        prepared = clock()
        prediction = session.predict(pixels)
        predicted = clock()
        _ = prediction.labelled(labels)
        taken.append((prepared - begun, predicted - prepared, clock() - predicted))
    medians = np.median(np.asarray(taken[1:]), axis=0) / 1e6
    return Stages(*(float(value) for value in medians))
