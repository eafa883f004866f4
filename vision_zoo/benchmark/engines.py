"""The engines of a benchmark: ONNX Runtime and those it is compared with, on one batch."""

import numpy as np
from numpy.typing import NDArray

from vision_zoo.benchmark.sessions import bound_runner, cuda_graph_runner, openvino_runner
from vision_zoo.benchmark.settings import BenchmarkSettings
from vision_zoo.core.scenarios import Runner
from vision_zoo.serving.providers import EXECUTION_PROVIDERS
from vision_zoo.serving.session import Session

REFERENCE = "onnxruntime"
ONE_CALLER = {"io-binding", "cuda-graph"}
"""Engines whose calls share memory: they are never called from several threads."""


def runners(session: Session, batch_size: int, settings: BenchmarkSettings) -> dict[str, Runner]:
    """By engine, from uint8 images as an array to probabilities as an array.

    Raises:
        UsageError: an engine cannot run on this session's provider.
        MissingExtraError: torch or OpenVINO is not installed.
    """
    images = random_images(session, batch_size)
    on_cuda = session.provider == EXECUTION_PROVIDERS["cuda"]
    wanted = list(settings.against)
    if on_cuda:
        unasked = ("io-binding",) if session.metadata.precision == "int8" else ("io-binding", "cuda-graph")
        wanted += [engine for engine in unasked if engine not in wanted]
    made: dict[str, Runner] = {REFERENCE: lambda: session.predict(images)}
    for engine in wanted:
        if engine == "cuda-graph" and not on_cuda and "cuda" in settings.providers:
            continue  # asked for together with other providers
        made[engine] = _runner(engine, session, images, session.options.threads)
    return made


def random_images(session: Session, batch_size: int) -> NDArray[np.uint8]:
    """uint8 `[batch_size, height, width, channels]`, the same at every call."""
    shape = (batch_size, *session.metadata.input.shape)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _runner(engine: str, session: Session, images: NDArray[np.uint8], threads: int) -> Runner:
    if engine == "io-binding":
        return bound_runner(session, images)
    if engine == "cuda-graph":
        return cuda_graph_runner(session, images, threads=threads)
    if engine == "openvino":
        return openvino_runner(session, images, threads=threads)
    from vision_zoo.benchmark.eager import eager_call

    device = "cpu" if session.provider == EXECUTION_PROVIDERS["cpu"] else "cuda"
    return eager_call(
        session.metadata, images, device=device, threads=threads, compiled=engine == "torch-compile"
    )
