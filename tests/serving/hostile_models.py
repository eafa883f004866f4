"""Model files that keep the contract of exported files, and do harm when they are loaded or run."""

from pathlib import Path
from typing import Any


def endless(exported: Path) -> bytes:
    """The exported model with a loop before its logits that does not end in a lifetime."""
    import onnx
    from onnx import TensorProto, helper

    def constant(name: str, kind: int, value: Any) -> Any:
        return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, [], [value]))

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Add", ["v", "v"], ["v_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v_out", TensorProto.FLOAT, []),
        ],
    )
    added = [
        constant("trips", onnx.TensorProto.INT64, 2**62),
        constant("yes", onnx.TensorProto.BOOL, True),
        constant("zero", onnx.TensorProto.FLOAT, 0.0),
        helper.make_node("Loop", ["trips", "yes", "zero"], ["harm"], body=body),
    ]
    return _with_harm(onnx.load(exported), added)


def enormous(exported: Path) -> bytes:
    """The exported model with a tensor of 64 GB before its logits, in a file that is hardly larger."""
    import onnx
    from onnx import TensorProto, helper

    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [2**17, 2**17])
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0])
    added = [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=value),
        helper.make_node("ReduceMax", ["ones"], ["harm"], keepdims=0),
    ]
    return _with_harm(onnx.load(exported), added)


def with_metadata(exported: Path, **changes: Any) -> bytes:
    """The exported model with other values in its metadata."""
    import json

    import onnx

    from vision_zoo.artifact.metadata import METADATA_KEY

    model = onnx.load(exported)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = json.dumps(json.loads(entry.value) | changes)
    content: bytes = model.SerializeToString()
    return content


def _with_harm(model: Any, added: list[Any]) -> bytes:
    """Add the scalar `harm` to the logits."""
    from onnx import helper

    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == "logits":
                node.output[index] = "former_logits"
        for index, name in enumerate(node.input):
            if name == "logits":
                node.input[index] = "former_logits"
    model.graph.node.extend([*added, helper.make_node("Add", ["former_logits", "harm"], ["logits"])])
    content: bytes = model.SerializeToString()
    return content
