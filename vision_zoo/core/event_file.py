"""Files of scalars that TensorBoard reads, written without it.

A file is a sequence of records: the length (uint64), its checksum, an event as a protocol buffer, and the checksum of
that. See TensorFlow's `record_writer.h`, `event.proto` and `summary.proto`.
"""

import struct
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core import atomic

_TIME, _STEP, _VERSION, _SUMMARY, _SESSION = b"\x09", b"\x10", b"\x1a", b"\x2a", b"\x3a"
_VALUE, _TAG, _NUMBER, _STARTED = b"\x0a", b"\x0a", b"\x15", b"\x08\x01"
_STEP_BITS = 7 * np.arange(5)  # five bytes of seven bits for any step, so that all events are of one length
_MORE_FOLLOW = np.array([0x80, 0x80, 0x80, 0x80, 0], np.uint8)
_POLYNOMIAL, _MASK = 0x82F63B78, 0xA282EAD8  # of CRC-32C, reversed, and what TensorFlow adds to it


class EventFile:
    """The file in `folder` of a session that goes on after so many steps; nothing is written before the first `append`.

    TensorBoard leaves out what earlier sessions wrote of later steps. A session that begins where another one began
    replaces its file.
    """

    def __init__(self, folder: Path, *, after: int) -> None:
        self._path = folder / f"events.out.tfevents.{after:012d}"
        self._after = after
        self._begun = False

    def append(self, scalars: bytes) -> None:
        """Write what `encode` made.

        Raises:
            StorageError: the file cannot be written.
        """
        if not self._begun:
            atomic.write_bytes(self._path, _head(self._after) + scalars)
            self._begun = True
            return
        try:
            with self._path.open("ab") as file:
                file.write(scalars)
        except OSError as error:
            raise atomic.storage_error(self._path, error) from error


def encode(tag: str, steps: Sequence[int], values: Sequence[float]) -> bytes:
    """Records of the scalar `tag`: its value at each of `steps`."""
    name = _TAG + _sized(tag.encode()) + _NUMBER
    value = _VALUE + bytes([len(name) + 4]) + name
    summary = _SUMMARY + bytes([len(value) + 4]) + value
    numbers = np.asarray(values, "<f4").view(np.uint8).reshape(-1, 4)
    return _records(_at(steps), _rows(summary, len(steps)), numbers)


def _head(after: int) -> bytes:
    """The version of the format, and the step from which on this session counts."""
    version = _records(_rows(_TIME + _now() + _VERSION + _sized(b"brain.Event:2"), 1))
    return version + _records(_at([after + 1]), _rows(_SESSION + _sized(_STARTED), 1))


def _at(steps: Sequence[int]) -> NDArray[np.uint8]:
    """The time and the step of events: `[events, 14]`."""
    septets = (np.asarray(steps, np.int64)[:, None] >> _STEP_BITS & 0x7F).astype(np.uint8) | _MORE_FOLLOW
    return np.hstack([_rows(_TIME + _now() + _STEP, len(steps)), septets])


def _records(*columns: NDArray[np.uint8]) -> bytes:
    """Events of equal length, `[events, bytes]` in parts, as records."""
    events = np.hstack(columns)
    length = _rows(struct.pack("<Q", events.shape[1]), len(events))
    return np.hstack([length, _checksums(length), events, _checksums(events)]).tobytes()


def _checksums(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Masked CRC-32C of every row: `[rows, 4]`."""
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crc = _TABLE[(crc ^ column) & 0xFF] ^ crc >> 8
    crc = ~crc
    return ((crc >> 15 | crc << 17) + np.uint32(_MASK)).astype("<u4").view(np.uint8).reshape(-1, 4)


def _table() -> NDArray[np.uint32]:
    table: NDArray[np.uint32] = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


_TABLE = _table()


def _rows(content: bytes, rows: int) -> NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(content, np.uint8), (rows, len(content)))


def _sized(content: bytes) -> bytes:
    return bytes([len(content)]) + content


def _now() -> bytes:
    return struct.pack("<d", time.time())
