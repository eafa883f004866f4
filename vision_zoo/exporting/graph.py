"""Summary of an ONNX graph: operators, layers, parameters and multiply-accumulate operations."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import ModelError

_PLUMBING = {"Cast", "Constant", "DequantizeLinear", "Identity", "QuantizeLinear"}
"""Operators that only carry a tensor to the next one: no layers."""


@dataclass(frozen=True)
class Layer:
    """One operator: `output` is its first output's shape for one image, `parameters` and `macs` its own."""

    name: str
    operator: str
    output: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class GraphSummary:
    """`operators` counts every node; `layers` leaves out those that only convert."""

    opset: int
    operators: Mapping[str, int]
    layers: Sequence[Layer]


def summarise_graph(content: bytes, *, name: str) -> GraphSummary:
    """Read a serialised ONNX model whose first dimensions are the batch; ModelError if it is none or cannot be run.

    Shapes are those of a run with one image of zeros: inferring them fails where they are computed.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(content)
        shapes, counted = _shapes(model)
    except Exception as error:  # protobuf's and onnxruntime's errors share no base class
        raise ModelError(f"{name} is not an ONNX file that can be read; export the model again") from error
    graph = model.graph
    weights = _weights(graph, shapes)
    layers = [
        _layer(node, shapes, weights)
        for node in graph.node
        if node.op_type not in _PLUMBING and node.output[0] not in counted and _runs(node, weights)
    ]
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    operators = Counter(node.op_type for node in graph.node)
    ordered = dict(sorted(operators.items(), key=lambda entry: (-entry[1], entry[0])))
    return GraphSummary(opset, ordered, layers)


def has_branches(content: bytes) -> bool:
    """Whether two costly operators of a serialised ONNX model do not depend on one another."""
    import onnx

    before: dict[str, frozenset[int]] = {}
    costly = 0
    for index, node in enumerate(onnx.load_model_from_string(content).graph.node):
        needed = frozenset().union(*(before.get(name, frozenset()) for name in node.input))
        if node.op_type in _MACS:
            if len(needed) < costly:
                return True
            needed, costly = needed | {index}, costly + 1
        before |= dict.fromkeys(node.output, needed)
    return False


def _shapes(model: Any) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """The shape of every tensor, and the names of those that only compute shapes (int64 vectors)."""
    import numpy as np
    import onnx

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    given = {value.name for value in shown.graph.output}
    names = [output for node in shown.graph.node for output in node.output if output]
    shown.graph.output.extend(onnx.ValueInfoProto(name=output) for output in names if output not in given)
    options = onnx_runtime.session_options(optimization="disabled")
    session = onnx_runtime.make_session(shown.SerializeToString(), options)
    (image,) = session.get_inputs()
    element = int(model.graph.input[0].type.tensor_type.elem_type)
    zeros = np.zeros([1, *image.shape[1:]], dtype=onnx.helper.tensor_dtype_to_np_dtype(element))
    values = dict(zip(names, session.run(names, {image.name: zeros}), strict=True))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes[image.name] = tuple(zeros.shape)
    shapes |= {output: tuple(value.shape) for output, value in values.items()}
    counted = {output for output, value in values.items() if value.dtype == np.int64 and value.ndim < 2}
    return shapes, counted


def _weights(graph: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Number of elements of every tensor that depends on no input: initializers, and what is made of them."""
    constant = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            constant[node.output[0]] = 0
        elif node.input and all(not name or name in constant for name in node.input):
            # Widened or scaled weights have as many elements as their largest part.
            elements = max((constant[name] for name in node.input if name), default=0)
            constant |= dict.fromkeys(node.output, elements if shapes.get(node.output[0]) != () else 1)
    return constant


def _runs(node: Any, weights: Mapping[str, int]) -> bool:
    return any(name and name not in weights for name in node.input)


def _layer(node: Any, shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, int]) -> Layer:
    output = shapes.get(node.output[0], ())
    # Scalars and shapes are the graph's own constants, not learned.
    sizes = [weights[name] for name in node.input if name in weights]
    learned = sum(size for size in sizes if size > 1) if node.op_type in _LEARNED else 0
    count_macs = _MACS.get(node.op_type)
    macs = 0 if count_macs is None else count_macs(node, shapes, output)
    return Layer(node.name or node.output[0], node.op_type, output, learned, macs)


def _conv_macs(node: Any, shapes: Mapping[str, tuple[int, ...]], output: tuple[int, ...]) -> int:
    return math.prod(output) * math.prod(shapes[node.input[1]][1:])


def _gemm_macs(node: Any, shapes: Mapping[str, tuple[int, ...]], output: tuple[int, ...]) -> int:
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(output) * shapes[node.input[0]][0 if transposed else -1]


def _lstm_macs(node: Any, shapes: Mapping[str, tuple[int, ...]], _output: tuple[int, ...]) -> int:
    steps, batch, _ = shapes[node.input[0]]
    return steps * batch * (math.prod(shapes[node.input[1]]) + math.prod(shapes[node.input[2]]))


_MACS = {"Conv": _conv_macs, "Gemm": _gemm_macs, "MatMul": _gemm_macs, "LSTM": _lstm_macs}
_LEARNED = {"Add", "BatchNormalization", "Conv", "Gemm", "LSTM", "LayerNormalization", "MatMul", "Mul"}
