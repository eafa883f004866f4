"""Reduced precision of a graph's computation, or of the weights in its file.

Half precision is for GPUs; a CPU computes it in single precision between conversions. 8-bit integers, calibrated on
training images, are for CPUs: convolutions and dense layers run on integers, recurrent layers stay as they are. Stored
weights change only the file: ONNX Runtime widens them once, when it loads it.
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
_SMALLEST = 1024  # elements of stored weights; biases and scales stay as they are
_LARGEST_INT8 = 127
_CALIBRATION_BATCH = 64
_QUANTISED = (
    "AveragePool",
    "Clip",
    "Conv",
    "Gemm",
    "GlobalAveragePool",
    "MatMul",
    "MaxPool",
    "Relu",
    "Reshape",
)
"""What integers are worth it for, and what then need not go back to floating point in between."""


def to_precision(content: bytes, precision: Precision, training: Split, *, full_range: bool = False) -> bytes:
    """A serialised ONNX model as one that computes in `precision`; `training` gives images to calibrate on.

    `int8` is static: quantise and dequantise nodes (QDQ), unsigned activations, signed weights with a scale per
    channel. Normalisation and the last layer stay in single precision: logits in 256 steps would tie. Unless weights
    have the `full_range`, they keep to 7 bits (`reduce_range`): processors without VNNI add pairs of products in 16
    bits, which would overflow silently. Those of depthwise convolutions are multiplied in 16 bits everywhere and have
    all 8, which such networks need; their layers up to the first depthwise one, of few channels, cost accuracy and gain
    no time, and stay in single precision.

    Raises:
        ExportError: the graph cannot be converted.
        StorageError: the folder for temporary files cannot be written.
    """
    if precision == "fp32":
        return content
    try:
        with _quiet():
            return _half(content) if precision == "fp16" else _quantised(content, training, full_range)
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


def _quantised(content: bytes, training: Split, full_range: bool) -> bytes:
    onnx_runtime.load()
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = np.ascontiguousarray(training.spread(min(CALIBRATION_IMAGES, len(training))).images)

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
        graph = onnx.load(prepared).graph
        logits = next(str(node.name) for node in graph.node if OUTPUT_NAMES[0] in node.output)
        first, depthwise = _depthwise(graph)
        all_bits = {"axis": 0, "quant_type": QuantType.QInt8, "symmetric": True, "reduce_range": False}
        quantize_static(
            str(prepared),
            str(quantised),
            Images(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTISED),
            nodes_to_exclude=[logits, *first],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=not full_range,
            extra_options={"TensorQuantOverrides": {weight: [all_bits] for weight in depthwise}},
        )
        return quantised.read_bytes()


def _depthwise(graph: Any) -> tuple[list[str], list[str]]:
    """The convolutions up to the first depthwise one, and the weights of all depthwise ones after it."""
    filters = {tensor.name: tensor.dims for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in filters]
    # A filter of one channel that is not of a grayscale image: one group for each channel.
    grouped = [
        filters[node.input[1]][1] == 1 and any(a.name == "group" and a.i > 1 for a in node.attribute)
        for node in convolutions
    ]
    end = grouped.index(True) + 1 if any(grouped) else 0
    return [str(node.name) for node in convolutions[:end]], [
        str(node.input[1]) for node, one in zip(convolutions[end:], grouped[end:], strict=True) if one
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """The converters log through the root logger."""
    level: Any = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(level)


def store_weights(content: bytes, weights: Precision) -> bytes:
    """A serialised ONNX model with its large float32 weights stored as `weights`.

    `int8` is symmetric, with one scale per output channel of a convolution or dense layer, and per row of another
    matrix. Weights of other shapes are stored as `fp16` then.
    """
    import onnx
    from onnx import numpy_helper

    if weights == "fp32":
        return content
    model = onnx.load_model_from_string(content)
    graph = model.graph
    axes = _channel_axes(graph)
    nodes: list[Any] = []
    kept = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST:
            kept.append(tensor)
            continue
        axis = axes.get(tensor.name, 0 if values.ndim == 2 else None)
        if weights == "int8" and axis is not None:
            stored = _as_int8(tensor.name, values, axis)
        else:
            stored = _as_fp16(tensor.name, values)
        kept += stored[0]
        nodes += stored[1]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    return bytes(model.SerializeToString())


def _channel_axes(graph: Any) -> dict[str, int]:
    """The axis of the output channels by the name of a weight."""
    axes: dict[str, int] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            axes[node.input[1]] = 0
        elif node.op_type == "Gemm":
            transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            axes[node.input[1]] = 0 if transposed else 1
        elif node.op_type == "MatMul":
            axes[node.input[1]] = 1
    return axes


def _as_fp16(name: str, values: NDArray[np.float32]) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    stored = numpy_helper.from_array(values.astype(np.float16), f"{name}_fp16")
    return [stored], [helper.make_node("Cast", [stored.name], [name], to=TensorProto.FLOAT)]


def _as_int8(name: str, values: NDArray[np.float32], axis: int) -> tuple[list[Any], list[Any]]:
    from onnx import TensorProto, helper, numpy_helper

    others = tuple(index for index in range(values.ndim) if index != axis)
    largest = np.abs(values).max(axis=others, keepdims=True)
    scale = (np.maximum(largest, np.finfo(np.float32).tiny) / _LARGEST_INT8).astype(np.float32)
    rounded = np.clip(np.round(values / scale), -_LARGEST_INT8, _LARGEST_INT8).astype(np.int8)
    stored = numpy_helper.from_array(rounded, f"{name}_int8")
    scales = numpy_helper.from_array(scale, f"{name}_scale")
    wide = f"{name}_wide"
    return [stored, scales], [
        helper.make_node("Cast", [stored.name], [wide], to=TensorProto.FLOAT),
        helper.make_node("Mul", [wide, scales.name], [name]),
    ]
