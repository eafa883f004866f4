"""Compressed weights in the file: half precision, or 8 bits with a scale per channel.

The graph computes in single precision: ONNX Runtime widens the weights once, when it loads the file. The effect of
rounding is verified on the test split.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.choices import Precision

_SMALLEST = 1024  # elements; biases and scales stay as they are
_LARGEST_INT8 = 127


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
