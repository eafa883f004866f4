"""Inference requests that are wrong: 400 and what is wrong with them."""

import json
from typing import Any

import httpx
import pytest

from tests.serving.server.conftest import INFER, infer_request, tensor_body

pytestmark = pytest.mark.usefixtures("well_afterwards")
LENGTH = "Inference-Header-Content-Length"


def _without(key: str) -> bytes:
    request = infer_request()
    del request["inputs"][0][key]
    return json.dumps(request).encode()


def _tensor_without_data(**changes: Any) -> bytes:
    request = infer_request(**changes)
    del request["inputs"][0]["data"]
    return json.dumps(request).encode()


def _with_output(**output: Any) -> bytes:
    return json.dumps({**infer_request(), "outputs": [output]}).encode()


MALFORMED = {
    "empty": b"",
    "no JSON": b"{",
    "not UTF-8": b"\xff\xfe{}",
    "NUL": b"\0",
    "an array": b"[]",
    "a number": b"1",
    "null": b"null",
    "deep": b"[" * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "deep data": b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,28,28,1],"data":'
    + b"[" * 500
    + b"]" * 500
    + b"}]}",
    "no inputs": b"{}",
    "inputs no list": b'{"inputs": {}}',
    "inputs empty": b'{"inputs": []}',
    "inputs of null": b'{"inputs": [null]}',
    "two inputs": json.dumps({"inputs": infer_request()["inputs"] * 2}).encode(),
    "NaN": tensor_body().replace(b"[0,", b"[NaN,", 1).replace(b"[0", b"[NaN", 1),
    "no name": _without("name"),
    "another name": tensor_body(name="picture"),
    "a name that is no text": tensor_body(name=["image"]),
    "no datatype": _without("datatype"),
    "another datatype": tensor_body(datatype="FP32"),
    "an unknown datatype": tensor_body(datatype="UINT7"),
    "no shape": _without("shape"),
    "another rank": tensor_body(shape=[28, 28, 1]),
    "another height": tensor_body(shape=[1, 27, 28, 1]),
    "channels first": tensor_body(shape=[1, 1, 28, 28]),
    "a negative size": tensor_body(shape=[-1, 28, 28, 1]),
    "an overflowing size": tensor_body(shape=[2**62, 28, 28, 1]),
    "sizes that overflow together": tensor_body(shape=[2**31 - 1, 28, 28, 1]),
    "an enormous size": tensor_body(shape=[10**30, 28, 28, 1]),
    "a size that is no number": tensor_body(shape=["1", 28, 28, 1]),
    "a size that is a fraction": tensor_body(shape=[1.0, 28, 28, 1]),
    "a size that is true": tensor_body(shape=[True, 28, 28, 1]),
    "batch 0": tensor_body(shape=[0, 28, 28, 1], data=[]),
    "batch too large": tensor_body(shape=[257, 28, 28, 1], data=[0] * 784),
    "no data": _without("data"),
    "too little data": tensor_body(data=[0] * 783),
    "too much data": tensor_body(data=[0] * 785),
    "data that is no list": tensor_body(data="0"),
    "negative data": tensor_body(data=[-1] * 784),
    "data above 255": tensor_body(data=[256] * 784),
    "enormous data": tensor_body(data=[10**30] * 784),
    "fractions": tensor_body(data=[0.5] * 784),
    "texts": tensor_body(data=["0"] * 784),
    "truths": tensor_body(data=[True] * 784),
    "nulls": tensor_body(data=[None] * 784),
    "ragged data": tensor_body(data=[[0] * 28, [0] * 27]),
    "parameters no object": tensor_body(parameters=[]),
    "bytes that are not there": _tensor_without_data(parameters={"binary_data_size": 784}),
    "a whole number as a fraction": tensor_body(data=[1.0] * 784),
    "numbers and a truth": tensor_body(data=[1] * 783 + [True]),
    "numbers and a list": tensor_body(data=[1] * 783 + [[1]]),
    "a list and numbers": tensor_body(data=[[1]] + [1] * 783),
    "numbers within objects": tensor_body(data=[{}] * 784),
    "nested otherwise": tensor_body(data=[[1] * 28] * 28),
    "nested too deep": tensor_body(data=[[[[[1]] * 28] * 28]]),
    "an unknown output": _with_output(name="answer"),
    "an output without a name": _with_output(),
    "classification no number": _with_output(name="logits", parameters={"classification": "3"}),
    "a negative number of classes": _with_output(name="logits", parameters={"classification": -1}),
    "shared memory": _tensor_without_data(
        parameters={"shared_memory_region": "r", "shared_memory_byte_size": 784}
    ),
    "shared memory for an output": _with_output(name="logits", parameters={"shared_memory_region": "r"}),
    "data and bytes": tensor_body(parameters={"binary_data_size": 784}),
    "binary no truth": _with_output(name="logits", parameters={"binary_data": 1}),
    "outputs no list": json.dumps({**infer_request(), "outputs": {}}).encode(),
    "the same output twice": json.dumps({**infer_request(), "outputs": [{"name": "logits"}] * 2}).encode(),
    "an id that is no text": json.dumps({**infer_request(), "id": 1}).encode(),
    "an endless id": json.dumps({**infer_request(), "id": "x" * 10_000}).encode(),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_told_what_is_wrong(client: httpx.Client, body: bytes) -> None:
    answer = client.post(INFER, content=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error
    assert len(error) < 400


def _binary_request(size: object = 784, **changes: Any) -> bytes:
    tensor = {
        "name": "image",
        "datatype": "UINT8",
        "shape": [1, 28, 28, 1],
        "parameters": {"binary_data_size": size},
    }
    return json.dumps({"inputs": [{**tensor, **changes}]}).encode()


@pytest.mark.parametrize(
    ("text", "length", "tail"),
    [
        (_binary_request(), "x", 784),
        (_binary_request(), "-1", 784),
        (_binary_request(), "99999999", 784),
        (_binary_request(), "9" * 400, 784),
        (_binary_request(), None, 783),
        (_binary_request(), None, 785),
        (_binary_request(), None, 0),
        (_binary_request(-784), None, 784),
        (_binary_request(2**63), None, 784),
        (_binary_request("784"), None, 784),
        (tensor_body(), None, 784),
        (_binary_request(), "3", 784),
    ],
)
def test_a_malformed_binary_request(client: httpx.Client, text: bytes, length: str | None, tail: int) -> None:
    headers = {LENGTH: str(len(text)) if length is None else length}
    answer = client.post(INFER, content=text + bytes(tail), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]
