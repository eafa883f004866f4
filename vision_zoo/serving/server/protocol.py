"""The Open Inference Protocol v2 (KServe, Triton), over HTTP: JSON, and the binary tensor data extension.

https://github.com/kserve/open-inference-protocol and Triton's `extension_binary_data.md`. A binary request is a JSON
object followed by the tensors' bytes; the header `Inference-Header-Content-Length` is the length of the former. Where
that is 0, the body is the input's bytes and nothing else, and the outputs are answered as bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vision_zoo.artifact.metadata import INPUT_NAME, OUTPUT_NAMES, Metadata
from vision_zoo.serving.server import json_numbers
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.session import Prediction, ranking

HEADER_LENGTH = "Inference-Header-Content-Length"
EXTENSIONS = ("binary_tensor_data", "classification", "model_configuration", "statistics")
_MAX_NAME = 256


@dataclass(frozen=True)
class RequestedOutput:
    """An output that a client asked for. `classification` is how many of the best labels it wants instead."""

    name: str
    binary: bool
    classification: int = 0


@dataclass(frozen=True, eq=False)
class InferRequest:
    """`images` uint8 `[batch, height, width, channels]`; `id` is the client's own, given back."""

    images: NDArray[np.uint8]
    outputs: tuple[RequestedOutput, ...]
    id: str | None = None


def parse_infer_request(
    body: bytes, header_length: str | None, metadata: Metadata, *, max_batch: int
) -> InferRequest:
    """Parse an inference request for the model of `metadata`; RequestError if malformed or not of this model."""
    length = json_length(body, header_length)
    tail = memoryview(body)[length:]
    if header_length is not None and not length:
        outputs = tuple(RequestedOutput(name, binary=True) for name in metadata.outputs)
        return InferRequest(_raw_images(tail, metadata, max_batch), outputs)
    text = body[:length]
    document = _json_object(text)
    has_flags = json_numbers.may_have_flags(text)
    images = _images(document.get("inputs"), tail, metadata, max_batch, has_flags=has_flags)
    return InferRequest(images, _outputs(document, metadata), _id(document))


def json_length(body: bytes, header_length: str | None) -> int:
    """Length of the JSON in a body, in bytes; RequestError if the header is no number, or the body is shorter."""
    if header_length is None:
        return len(body)
    if not (header_length.isascii() and header_length.isdigit() and len(header_length) <= 12):
        raise RequestError(400, f"{HEADER_LENGTH} {header_length[:20]!r} is not a number of bytes")
    length = int(header_length)
    if length > len(body):
        raise RequestError(400, f"{HEADER_LENGTH} is {length}, but the body has {len(body)} bytes")
    return length


def parse_index_request(body: bytes) -> bool:
    """Whether only ready models are asked for, false for an empty body; RequestError if it is malformed."""
    return bool(body) and _flag(_json_object(body), "ready", default=False)


def encode_response(
    request: InferRequest, prediction: Prediction, metadata: Metadata, *, model: str, version: str
) -> tuple[bytes, dict[str, str]]:
    """The answer's body and its headers."""
    described, tail = [], []
    for output in request.outputs:
        values = getattr(prediction, output.name)
        entry, content = _encode_output(output, np.ascontiguousarray(values), metadata.labels)
        described.append(entry)
        if content is not None:
            tail.append(content)
    document: dict[str, Any] = {"model_name": model, "model_version": version, "outputs": described}
    if request.id is not None:
        document["id"] = request.id
    try:
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError as error:
        raise RequestError(500, "the response cannot be written as JSON") from error
    if not tail:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(text))}
    return b"".join([text, *tail]), headers


def model_metadata(metadata: Metadata, *, model: str, version: str) -> dict[str, Any]:
    """What `GET /v2/models/NAME` answers; -1 stands for the batch."""
    return {
        "name": model,
        "versions": [version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT_NAME, "datatype": "UINT8", "shape": [-1, *metadata.input.shape]}],
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": [-1, width]}
            for name, width in metadata.outputs.items()
        ],
    }


def _json_object(text: bytes) -> dict[str, Any]:
    if not text:
        raise RequestError(400, "the body is empty; expected a JSON object with inputs")
    document = json_numbers.parse(text)
    if not isinstance(document, dict):
        raise RequestError(400, "the body is not a JSON object")
    return document


def _id(document: Mapping[str, Any]) -> str | None:
    identifier = document.get("id")
    if identifier is not None and not (isinstance(identifier, str) and len(identifier) <= _MAX_NAME):
        raise RequestError(400, f"id must be a string of at most {_MAX_NAME} characters")
    return identifier or None


def _images(
    inputs: Any, tail: memoryview, metadata: Metadata, max_batch: int, *, has_flags: bool
) -> NDArray[np.uint8]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, f"inputs must be a list of one tensor, {INPUT_NAME}")
    tensor = inputs[0]
    expected = f"{INPUT_NAME}: UINT8 [batch, {', '.join(map(str, metadata.input.shape))}]"
    if tensor.get("name") != INPUT_NAME:
        raise RequestError(400, f"unknown input {_shown(tensor.get('name'))}; expected {expected}")
    if tensor.get("datatype") != "UINT8":
        raise RequestError(
            400, f"datatype {_shown(tensor.get('datatype'))} does not fit; expected {expected}"
        )
    shape = _shape(tensor.get("shape"), expected)
    if shape[1:] != metadata.input.shape:
        raise RequestError(400, f"shape {list(shape)} does not fit; expected {expected}")
    _check_batch(shape[0], max_batch)
    parameters = _parameters(tensor)
    data = tensor.get("data")
    if "binary_data_size" in parameters:
        if data is not None:
            raise RequestError(400, "an input has both data and binary_data_size; expected one of them")
        return _binary(parameters["binary_data_size"], tail, shape)
    if len(tail):
        raise RequestError(400, "bytes follow the JSON, but no input has the parameter binary_data_size")
    if not isinstance(data, list | json_numbers.Numbers):
        raise RequestError(400, "an input has neither data nor binary_data_size; expected one of them")
    return json_numbers.as_array(data, shape, has_flags=has_flags)


def _check_batch(size: int, max_batch: int) -> None:
    if not 1 <= size <= max_batch:
        raise RequestError(400, f"a batch of {size} images is out of range; expected 1 to {max_batch}")


def _raw_images(content: memoryview, metadata: Metadata, max_batch: int) -> NDArray[np.uint8]:
    """The body is images: how many follows from its length."""
    shape = metadata.input.shape
    batch, rest = divmod(len(content), prod(shape))
    if rest or not batch:
        raise RequestError(
            400,
            f"{HEADER_LENGTH} is 0 and the body has {len(content)} bytes; expected {prod(shape)} for each image",
        )
    _check_batch(batch, max_batch)
    return np.frombuffer(content, dtype=np.uint8).reshape(batch, *shape)


def _shape(shape: Any, expected: str) -> tuple[int, ...]:
    if not isinstance(shape, list) or len(shape) != 4:
        raise RequestError(400, f"shape must be a list of 4 sizes; expected {expected}")
    if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise RequestError(400, f"shape has sizes that are not non-negative integers; expected {expected}")
    return tuple(shape)


def _binary(size_given: Any, tail: memoryview, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    size = prod(shape)
    if type(size_given) is not int or size_given != size:
        raise RequestError(400, f"binary_data_size is {_shown(size_given)}; this shape has {size} bytes")
    if len(tail) != size:
        raise RequestError(400, f"{len(tail)} bytes follow the JSON; this shape has {size}")
    return np.frombuffer(tail, dtype=np.uint8).reshape(shape)


def _outputs(document: Mapping[str, Any], metadata: Metadata) -> tuple[RequestedOutput, ...]:
    binary = _flag(_parameters(document), "binary_data_output", default=False)
    wanted = document.get("outputs")
    if wanted is None or wanted == []:
        return tuple(RequestedOutput(name, binary) for name in metadata.outputs)
    expected = ", ".join(metadata.outputs)
    if not isinstance(wanted, list) or len(wanted) > len(metadata.outputs):
        raise RequestError(400, f"outputs must be a list of some of {expected}")
    outputs: list[RequestedOutput] = []
    for entry in wanted:
        name = entry.get("name") if isinstance(entry, dict) else None
        if (
            not isinstance(name, str)
            or name not in metadata.outputs
            or name in [output.name for output in outputs]
        ):
            raise RequestError(400, f"unknown or repeated output {_shown(name)}; expected some of {expected}")
        parameters = _parameters(entry)
        classes = parameters.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise RequestError(400, "classification must be a non-negative integer")
        if classes and name not in OUTPUT_NAMES:
            raise RequestError(400, f"{name} has no labels; classification is for {', '.join(OUTPUT_NAMES)}")
        classes = min(classes, len(metadata.labels))
        outputs.append(RequestedOutput(name, _flag(parameters, "binary_data", default=binary), classes))
    return tuple(outputs)


def _parameters(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = entry.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(400, "parameters must be an object")
    for name in parameters:
        if name.startswith("shared_memory_"):
            raise RequestError(
                400,
                f"{_shown(name)} cannot be used: this server does not support shared memory; send the bytes",
            )
    return parameters


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(400, f"{name} must be true or false")
    return value


def _encode_output(
    output: RequestedOutput, values: NDArray[np.float32], labels: Sequence[str]
) -> tuple[dict[str, Any], bytes | None]:
    if output.classification:
        texts = _classification(values, output.classification, labels)
        shape = [len(values), output.classification]
        entry: dict[str, Any] = {"name": output.name, "datatype": "BYTES", "shape": shape}
        if not output.binary:
            return {**entry, "data": texts}, None
        content = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)
        return {**entry, "parameters": {"binary_data_size": len(content)}}, content
    entry = {"name": output.name, "datatype": "FP32", "shape": list(values.shape)}
    if not output.binary:
        return {**entry, "data": values.ravel()}, None
    return {**entry, "parameters": {"binary_data_size": values.nbytes}}, values.tobytes()


def _classification(values: NDArray[np.float32], count: int, labels: Sequence[str]) -> list[str]:
    """Triton's `value:index:label`, the best first."""
    return [
        f"{row[index]:f}:{index}:{labels[index]}"
        for row, best in zip(values, ranking(values, count), strict=True)
        for index in best
    ]


def _shown(value: Any) -> str:
    # A list of a million entries is not written out to show sixty characters of it.
    text = repr(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:60]}…"
