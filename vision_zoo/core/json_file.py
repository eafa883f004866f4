"""JSON files, read into dataclasses and written from them."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from vision_zoo.core.errors import RunError

Value = TypeVar("Value")

_HINT = "restore it, or remove it and measure again"


def read(path: Path, kind: type[Value], *, hint: str = _HINT) -> Value:
    """Read `path` into a `kind`. Keys without a field are ignored; a field with a default may be missing.

    Raises:
        RunError: the file is missing or damaged. The message names the key and ends with `hint`.
    """
    with _faults(path, hint):
        return _decode(path.read_bytes(), kind)


def read_if_like(path: Path, kind: type[Value], header: Any) -> Value | None:
    """Do as `read`, but return None if the file, read into the type of `header`, is not equal to it."""
    with _faults(path, _HINT):
        content = path.read_bytes()
        return _decode(content, kind) if _decode(content, type(header)) == header else None


def read_if_present(path: Path, kind: type[Value]) -> Value | None:
    """Do as `read`, but return None if there is no such file."""
    return read(path, kind) if path.exists() else None


def write(path: Path, value: Any, *, indent: int) -> None:
    """Write `value`, a dataclass or a JSON value, to `path`.

    Raises:
        StorageError: it cannot be written; the former file stays.
    """
    from vision_zoo.core import atomic

    atomic.write_text(path, text(value, indent=indent) + "\n")


def text(value: Any, *, indent: int = 2, allow_nan: bool = True) -> str:
    """Format `value`, a dataclass or a JSON value, as JSON."""
    return json.dumps(value, indent=indent, allow_nan=allow_nan, default=fields_of)


def null() -> Any:
    """A field that is written as null where it has no value, and that files of an earlier version may lack."""
    return dataclasses.field(default_factory=lambda: None)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass by name, without those that are None or empty, as they are by default."""
    return {
        field.name: entry
        for field in dataclasses.fields(value)
        if (entry := getattr(value, field.name)) not in (None, {})
        or not (field.default is None or field.default_factory is dict)
    }


def _decode(content: bytes, kind: type[Value]) -> Value:
    import msgspec

    return msgspec.json.decode(content, type=kind)


@contextmanager
def _faults(path: Path, hint: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; {hint}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error}); {hint}") from error
