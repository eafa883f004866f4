"""Check the numbers of a JSON request before they are parsed.

A short document is parsed as it is. Of a longer one the numbers are cut out first and read in parts: parsed as it is,
16 MiB of `[],[],…` are millions of lists, and nothing else happens in the process for seconds.
"""

import re
import secrets
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vision_zoo.serving.server.errors import RequestError

SHORT_BYTES = 32 * 2**10
"""A document up to this is parsed in about a millisecond whatever it holds. So much may stand around the numbers, too."""

_PART_BYTES = 64 * 2**10
_BLANKS = b" \t\r\n"
_IN_NUMBERS = b"-0123456789[]," + _BLANKS
_KEY = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_ONE_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
_EXPECTED = "data must be whole numbers from 0 to 255, flat or nested as shape says"


_PLACE = secrets.token_hex(16)
"""Stands where numbers were cut out; nobody can send it."""


@dataclass(frozen=True)
class Numbers:
    """A JSON array that was cut out of `text`, from `start` to `end`: digits, signs, commas, brackets and blanks only."""

    text: bytes
    start: int
    end: int


def parse(text: bytes) -> Any:
    """The document of a request; the `data` of its input is `Numbers` where it is long.

    Raises RequestError for no JSON, or one that is long for another reason than its numbers.
    """
    if len(text) <= SHORT_BYTES:
        return _loads(text)
    start, end = _find_numbers(text)
    try:
        document = orjson.loads(b'%b"%b"%b' % (text[:start], _PLACE.encode(), text[end:]))
    except orjson.JSONDecodeError as error:
        # Where the numbers end early, because one is 1.5 or true, the document may be JSON.
        raise RequestError(
            400, f"the body is not JSON, or data contains something else: {_EXPECTED}"
        ) from error
    try:
        tensor = document["inputs"][0]
        is_there = tensor["data"] == _PLACE
    except (KeyError, IndexError, TypeError):
        is_there = False
    if not is_there:
        raise _too_much_else()
    tensor["data"] = Numbers(text, start, end)
    return document


def may_have_flags(text: bytes) -> bool:
    """Whether a document may have a true or a false, which are numbers to Python, not to a client."""
    return b"true" in text or b"false" in text


def as_array(
    data: list[Any] | Numbers, shape: tuple[int, ...], *, has_flags: bool = True
) -> NDArray[np.uint8]:
    """The array of `data`, uint8 of `shape`; `data` is flat or nested as `shape` says, and `has_flags`, or may have some.

    Raises RequestError for another count or nesting, or anything but whole numbers from 0 to 255.
    """
    if isinstance(data, Numbers):
        values: bytes | bytearray = _from_text(data, shape)
    else:
        values = _from_list(data, shape, has_flags=has_flags)
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _find_numbers(text: bytes) -> tuple[int, int]:
    """Where the array begins and ends that leaves at most `SHORT_BYTES` around it."""
    at = text.find(b'"data"', 0, SHORT_BYTES)
    while at >= 0:
        end = at + 1
        if key := _KEY.match(text, at):
            end = _end_of_numbers(text, key.end())
            if len(text) - (end - key.end()) <= SHORT_BYTES:
                return key.end(), end
        at = text.find(b'"data"', end, SHORT_BYTES)
    raise _too_much_else()


def _end_of_numbers(text: bytes, start: int) -> int:
    end = start
    while end < len(text):
        part = text[end : end + _PART_BYTES]
        rest = part.lstrip(_IN_NUMBERS)
        end += len(part) - len(rest)
        if rest:
            break
    # What separates the array from the next field belongs to the document.
    last = text[max(start, end - _PART_BYTES) : end]
    return end - len(last) + len(last.rstrip(b"," + _BLANKS))


def _from_text(numbers: Numbers, shape: tuple[int, ...]) -> bytearray:
    text, done, last = numbers.text, numbers.start, numbers.end
    size = prod(shape)
    if last - done < 2 * size + 1:
        raise _mismatch(shape)
    nested = text[done + 1 : done + _PART_BYTES].lstrip(_BLANKS)[:1] == b"["
    expected, seen = _outline(shape if nested else (size,)), 0
    values = bytearray()
    while done < last:
        # Parts end with a comma: no number is cut in two.
        end = last if last - done <= _PART_BYTES else text.rfind(b",", done, done + _PART_BYTES) + 1
        part = text[done:end]
        if not part:
            raise RequestError(400, _EXPECTED)
        outline = part.translate(_ONE_DIGIT, _BLANKS)
        brackets = outline.translate(None, b"-0")
        misplaced = any(pair in outline for pair in (b"0[", b"]0", b"-["))
        if brackets != expected[seen : seen + len(brackets)] or misplaced:
            raise _mismatch(shape)
        flat = part.translate(None, b"[]")
        values += _as_bytes(_loads(b"[%b]" % (flat if end == last else flat[:-1])))
        if len(values) > size:
            raise _mismatch(shape)
        done, seen = end, seen + len(brackets)
    if seen != len(expected) or len(values) != size:
        raise _mismatch(shape)
    return values


def _outline(shape: tuple[int, ...]) -> bytes:
    """A JSON array of `shape` without its numbers."""
    outline = b""
    for size in reversed(shape):
        outline = b"[%b%b]" % ((outline + b",") * (size - 1), outline)
    return outline


def _from_list(data: list[Any], shape: tuple[int, ...], *, has_flags: bool) -> bytes:
    if not data or type(data[0]) is not list:
        if len(data) != prod(shape):
            raise _mismatch(shape)
        return _as_bytes(data, has_flags=has_flags)
    level: list[Any] = [data]
    for size in shape:
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise _mismatch(shape)
        level = list(chain.from_iterable(level))
    return _as_bytes(level, has_flags=has_flags)


def _as_bytes(values: list[Any], *, has_flags: bool = False) -> bytes:
    if not has_flags or bool not in set(map(type, values)):
        try:
            return bytes(values)
        except (TypeError, ValueError, OverflowError):
            pass
    raise RequestError(400, _EXPECTED)


def _loads(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON ({reason(error)})") from error


def reason(error: orjson.JSONDecodeError) -> str:
    """Why a document could not be parsed: orjson reports one nested too deep as a lack of memory, too."""
    if error.msg.startswith(("failed to allocate memory", "depth limit exceeded")):
        return f"it is nested too deeply: character {error.pos}"
    return str(error)


def _mismatch(shape: tuple[int, ...]) -> RequestError:
    return RequestError(400, f"data does not fit its shape; expected {list(shape)} or [{prod(shape)}]")


def _too_much_else() -> RequestError:
    return RequestError(
        400, f"{_EXPECTED}; everything else in the JSON may have at most {SHORT_BYTES:,} bytes"
    )
