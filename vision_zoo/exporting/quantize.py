"""Conversion of a graph to half precision, or to 8-bit integers calibrated on training images.

Half precision is for GPUs; a CPU computes it in single precision between conversions. 8-bit integers are for
CPUs: convolutions and dense layers run on integers, recurrent layers stay as they are.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES
from vision_zoo.core import atomic, onnx_runtime
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import ExportError
from vision_zoo.data.dataset import Split

CALIBRATION_IMAGES = 512
_CALIBRATION_BATCH = 64
_QUANTISED = ("AveragePool", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool", "Relu", "Reshape")
"""What integers are worth it for, and what then need not go back to floating point in between."""


def to_precision(content: bytes, precision: Precision, training: Split) -> bytes:
    """A serialised ONNX model as one that computes in `precision`; `training` gives images to calibrate on.

    `int8` is static: quantise and dequantise nodes (QDQ), unsigned activations, signed weights with a scale per
    channel. Normalisation and the last layer stay in single precision: logits in 256 steps would tie. Weights keep to 7
    bits (`reduce_range`): processors without VNNI add pairs of products in 16 bits, which would overflow silently.

    Raises:
        ExportError: the graph cannot be converted.
        StorageError: the folder for temporary files cannot be written.
    """
    if precision == "fp32":
        return content
    try:
        with _quiet():
            return _half(content) if precision == "fp16" else _quantised(content, _calibration(training))
    except OSError as error:
        raise atomic.storage_error(Path(tempfile.gettempdir()), error) from error
    except Exception as error:  # the converters' errors share no base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ExportError(
            f"this graph cannot be converted to {precision} ({reason}); nothing was written"
        ) from error


def _half(content: bytes) -> bytes:
    onnx_runtime.load()
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load_model_from_string(content)
    converted = convert_float_to_float16(model, keep_io_types=True)
    return bytes(converted.SerializeToString())


def _calibration(training: Split) -> NDArray[np.uint8]:
    return np.ascontiguousarray(training.spread(min(CALIBRATION_IMAGES, len(training))).images)


def _quantised(content: bytes, images: NDArray[np.uint8]) -> bytes:
    onnx_runtime.load()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.batches = iter(np.array_split(images, -(-len(images) // _CALIBRATION_BATCH)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT_NAME: batch}

    with tempfile.TemporaryDirectory() as folder:
        given, prepared, quantised = (
            Path(folder) / f"{step}.onnx" for step in ("given", "prepared", "quantised")
        )
        given.write_bytes(content)
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(quantised),
            Images(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=[_last_layer(prepared)],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return quantised.read_bytes()


def _last_layer(path: Path) -> str:
    """The name of the operator whose output is the logits."""
    import onnx

    graph = onnx.load(path).graph
    return next(str(node.name) for node in graph.node if OUTPUT_NAMES[0] in node.output)


@contextmanager
def _quiet() -> Iterator[None]:
    """The converters log through the root logger."""
    level: Any = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)
