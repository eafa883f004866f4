"""A recipe as a TOML file: its keys and their types, checked against the fields of `Recipe`."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vision_zoo.core import regular_file
from vision_zoo.core.errors import UsageError
from vision_zoo.core.registry import near_misses
from vision_zoo.recipes.recipe import FIELD_NAMES, Recipe

_MAX_BYTES = 2**20
_REQUIRED = ("architecture", "dataset")


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of `Recipe` that a TOML file gives, each of its field's type; `name` is the file's without it.

    Raises:
        UsageError: no such file, it is not TOML, or a key is unknown, missing or of another type.
    """
    try:
        document = tomllib.loads(regular_file.read(path, max_bytes=_MAX_BYTES).decode())
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror or error}; expected a recipe as a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not TOML that can be read ({reason:.200}); correct it there") from error
    try:
        document = {FIELD_NAMES.get(key, key): value for key, value in document.items()}
        fields = _fields(Recipe, document, "")
        for key in _REQUIRED:
            if key not in fields:
                raise UsageError(f"the key {key!r} is missing; expected a name from `vision-zoo list {key}s`")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return {"name": path.stem, **fields}


def _fields(kind: type, table: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    types = get_type_hints(kind)
    for key in table:
        if key not in types:
            known = near_misses(key, types) or "; expected a field of a recipe, such as epochs"
            raise UsageError(f"unknown key {prefix + key!r}{known}")
    return {key: _value(types[key], value, prefix + key) for key, value in table.items()}


def _value(kind: Any, value: Any, key: str) -> Any:
    """`value` as `kind`, a type of a field of `Recipe` or `Augmentation`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):  # TOML has no null: a field that may be None is left out
        (kind,) = (argument for argument in arguments if argument is not NoneType)
        return _value(kind, value, key)
    if origin is Literal:
        _require(value in arguments, key, value, f"one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        return _tuple(arguments, value, key)
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        _require(number, key, value, "a finite number")
        return float(value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        _require(isinstance(value, dict), key, value, "a table")
        return kind(**_fields(kind, value, f"{key}."))
    if origin is not None and issubclass(origin, Mapping):
        _require(isinstance(value, dict), key, value, "a table")
        return {name: _value(arguments[1], entry, f"{key}.{name}") for name, entry in value.items()}
    if kind is Any:
        _require(_is_json(value), key, value, "text, a number, a truth value, or a list or table of them")
        return value
    _require(type(value) is kind, key, value, _NAMES[kind])
    return value


_NAMES: Mapping[type, str] = {str: "text", int: "a whole number", bool: "true or false"}


def _tuple(kinds: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        _require(isinstance(value, list), key, value, "a list of numbers")
        return tuple(_value(kinds[0], entry, key) for entry in value)
    _require(
        isinstance(value, list) and len(value) == len(kinds), key, value, f"a list of {len(kinds)} numbers"
    )
    return tuple(_value(kind, entry, key) for kind, entry in zip(kinds, value, strict=True))


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))


def _require(condition: bool, key: str, value: object, expected: str) -> None:
    if not condition:
        raise UsageError(f"the key {key!r} is {value!r:.60}; expected {expected}")
