"""A recipe as a TOML file: its keys are those of a recipe as JSON."""

import json
import tomllib
from pathlib import Path
from typing import Any

from vision_zoo.core import regular_file
from vision_zoo.core.errors import UsageError
from vision_zoo.recipes.recipe import FIELD_NAMES, SETTINGS
from vision_zoo.recipes.settings import lookup

_MAX_BYTES = 2**20
_REQUIRED = ("architecture", "dataset")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a recipe that a TOML file gives, checked; `name` is the file's without it.

    Raises:
        UsageError: no such file, it is not TOML, a key is unknown or missing, or a value out of range.
    """
    try:
        document = tomllib.loads(regular_file.read(path, max_bytes=_MAX_BYTES).decode())
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror or error}; expected a recipe as a TOML file"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not valid TOML ({reason:.200}); correct it") from error
    try:
        settings = {FIELD_NAMES.get(key, key): _accepted(key, value) for key, value in document.items()}
        for key in _REQUIRED:
            if key not in settings:
                raise UsageError(f"the key {key!r} is missing; expected a name from `vision-zoo list {key}s`")
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return {"name": path.stem, **settings}


def _accepted(key: str, value: Any) -> Any:
    accepted = lookup(SETTINGS, FIELD_NAMES.get(key, key)).accept(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"the key {key!r} is {value!r:.60}; expected text, finite numbers, booleans, lists or tables"
        ) from error
    return accepted
