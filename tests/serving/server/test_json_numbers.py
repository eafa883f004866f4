"""Numbers in JSON: read whole where a document is short, in parts where it is long, with the same result."""

import json
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest

from vision_zoo.serving.server import json_numbers
from vision_zoo.serving.server.errors import RequestError

Write = Callable[[Any], bytes]
SHAPES = [(1, 3, 2, 1), (2, 2, 2, 3), (3, 1, 1, 1), (1, 1, 1, 1), (7, 28, 28, 1)]


def _tensor(data: Any, write: Write = orjson.dumps, **others: Any) -> bytes:
    return write({"id": 'a "data":[1]', "inputs": [{"name": "image", "data": data, "shape": [1], **others}]})


def _read(text: bytes, shape: tuple[int, ...]) -> np.ndarray:
    document = json_numbers.parse(text)
    return json_numbers.as_array(document["inputs"][0]["data"], shape)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every document is long, and has many parts."""
    monkeypatch.setattr(json_numbers, "SHORT_BYTES", 130)
    monkeypatch.setattr(json_numbers, "_PART_BYTES", 150)


def _indented(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


@pytest.mark.parametrize("write", [orjson.dumps, lambda value: json.dumps(value).encode(), _indented])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("in_parts")
def test_long_documents_give_the_numbers_that_they_hold(
    shape: tuple[int, ...], nested: bool, write: Write
) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape)
    text = _tensor(values.tolist() if nested else values.ravel().tolist(), write)
    assert np.array_equal(_read(text, shape), values)


def test_a_document_of_several_parts_is_read_with_the_limits_that_are_served() -> None:
    shape = (100, 28, 28, 3)
    values = np.random.default_rng(0).integers(0, 256, shape)
    for data in (values.tolist(), values.ravel().tolist()):
        found = _read(_tensor(data), shape)
        assert found.dtype == np.uint8
        assert np.array_equal(found, values)


WRONG = {
    "fewer": b"[1,2,3]",
    "more": b"[1,2,3,4,5]",
    "none": b"[]",
    "too large": b"[1,2,3,256]",
    "enormous": b"[1,2,3,%b]" % (b"9" * 30),
    "a leading zero": b"[1,2,3,04]",
    "two numbers in a place": b"[1,2,3,4 5]",
    "an empty place": b"[1,2,,4]",
    "an empty place at the end": b"[1,2,3,]",
    "another nesting": b"[[1,2],[3,4]]",
    "nested and flat": b"[[[[1],[2]],3,4]]",
    "a number before a bracket": b"[[[1[],[2]],[[3],[4]]]]",
    "a number after a bracket": b"[[[[]1,[2]],[[3],[4]]]]",
    "nothing inside": b"[[[[],[]],[[],[]]]]",
    "unclosed": b"[[[[1],[2]],[[3],[4]]]",
    "closed twice": b"[1,2,3,4]]",
    "negative": b"[1,2,3,-4]",
    "a sign before a bracket": b"[-[[0],[2]],[[3],[4]]]",
    "a sign alone": b"[1,2,3,-]",
    "a sign apart": b"[1,2,3,- 0]",
    "two signs": b"[1,2,3,--0]",
    "a plus": b"[1,2,3,+4]",
    "a fraction": b"[1,2,3,4.0]",
    "a text": b'[1,2,3,"4"]',
    "a truth": b"[1,2,3,true]",
    "null": b"[1,2,3,null]",
    "an object": b"[1,2,3,{}]",
}


@pytest.mark.parametrize("is_long", [True, False])
@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_wrong_numbers_are_refused_either_way(
    data: bytes, is_long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b'{"inputs":[{"data":%b}]}' % data
    if is_long:
        monkeypatch.setattr(json_numbers, "SHORT_BYTES", len(text) - len(data))
    with pytest.raises(RequestError) as refused:
        _read(text, (1, 2, 2, 1))
    assert refused.value.status == 400
    if data in (WRONG["a fraction"], WRONG["a truth"], WRONG["null"], WRONG["negative"]):
        assert "whole numbers" in refused.value.message  # it is JSON


@pytest.mark.parametrize("is_long", [True, False])
def test_minus_zero_is_zero_either_way(is_long: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"[-0,2,-0,4]"
    text = b'{"inputs":[{"data":%b}]}' % data
    if is_long:
        monkeypatch.setattr(json_numbers, "SHORT_BYTES", len(text) - len(data))
    assert _read(text, (1, 2, 2, 1)).ravel().tolist() == [0, 2, 0, 4]


@pytest.mark.parametrize("levels", [1000, 1025, 20_000])
@pytest.mark.parametrize("form", [b'{"inputs":%b', b"%b"])
def test_a_document_that_is_nested_too_deep_is_said_to_be(form: bytes, levels: int) -> None:
    for text in (form % (b"[" * levels), form % (b'{"a":' * (levels if levels < 2000 else 5000))):
        with pytest.raises(RequestError) as refused:
            json_numbers.parse(text)
        assert "memory" not in refused.value.message
    with pytest.raises(RequestError, match="nested too deeply"):
        json_numbers.parse(b"[" * levels)


@pytest.mark.usefixtures("in_parts")
def test_both_ways_agree_on_damaged_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(0)
    shape = (4, 3, 3, 1)
    whole = _tensor(np.arange(36).reshape(shape).tolist(), _indented)
    accepted = 0
    for _ in range(3000):
        text = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 3))):
            at = chance.randrange(len(text))
            text[at : at + chance.choice((0, 1, 1, 3))] = chance.choice(
                (b"", b"1", b",", b"[", b"]", b" ", b'"', b"-", b"-0")
            )
        results = []
        for limit in (130, 10**6):
            monkeypatch.setattr(json_numbers, "SHORT_BYTES", limit)
            try:
                results.append(_read(bytes(text), shape).tolist())
            except (RequestError, KeyError, TypeError, IndexError):
                results.append(None)
        assert results[0] == results[1], bytes(text)
        accepted += results[0] is not None
    assert 100 < accepted < 2900


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize(
    "text",
    [
        b'{"inputs":[{"parameters":{"data":[%b1]},"data":[1,2,3,4]}]}' % (b"1," * 300),
        b'{"data":[%b1],"inputs":[{"data":[1,2,3,4]}]}' % (b"1," * 300),
        b'{"inputs":[{"data":[1,2,3,4]}],"id":"%b"}' % (b"x" * 300),
        b'"data":[%b1]' % (b"1," * 300),
        b'[{"data":[%b1]}]' % (b"1," * 300),
    ],
)
def test_a_document_that_is_long_for_another_reason_is_refused(text: bytes) -> None:
    with pytest.raises(RequestError, match=r"everything else in the JSON|not JSON"):
        json_numbers.parse(text)


HOSTILE = {
    "lists": b"[" + b"[]," * 2**21 + b"[]]",
    "numbers": b"[" + b"0," * 2**22 + b"0]",
    "opened": b"[" * 2**22,
    "texts": b'["' + b"a" * 300_000 + b'"' + b',""' * 783 + b"]",
    "empty texts": b"[" + b'"",' * 2**21 + b'""]',
    "objects": b"[" + b'{"a":1},' * 2**19 + b"{}]",
    "blanks": b"[" + b" " * 2**22 + b"0]",
    "one number": b"[" + b"1" * 2**22 + b"]",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_nothing_large_is_made_of_a_large_document(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [0]
    loads = orjson.loads

    def recorded(text: bytes) -> Any:
        sizes.append(len(text))
        return loads(text)

    monkeypatch.setattr(orjson, "loads", recorded)
    text = b'{"inputs":[{"data":%b}]}' % data
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            _read(text, (256, 28, 28, 1))
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()
    # The interpreter does nothing else while this is parsed: a part takes about a millisecond.
    assert max(sizes) <= 2**16 + 2
