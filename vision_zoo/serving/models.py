"""Find exported models by path, or by name in a models folder."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from vision_zoo.artifact.metadata import PRECISIONS, SUFFIX, file_name
from vision_zoo.core import registry
from vision_zoo.core.errors import ModelError, UnknownNameError

_PACKAGE = Path(__file__).resolve().parent.parent


def model_folders(models_dir: Path | None) -> list[Path]:
    """The folders of models: `models_dir` (ModelError if it is none), or `./exported` and the shipped models."""
    if models_dir is not None:
        if not models_dir.is_dir():
            raise ModelError(
                f"models folder {models_dir} does not exist; expected a folder of {SUFFIX} files"
            )
        return [models_dir]
    # An installed wheel carries the models inside the package, a checkout beside it.
    candidates = [Path("exported"), _PACKAGE / "exported", _PACKAGE.parent / "exported"]
    folders: list[Path] = []
    for folder in candidates:
        if folder.is_dir() and not any(folder.samefile(other) for other in folders):
            folders.append(folder)
    return folders


def list_models(models_dir: Path | None = None, *, only_files: bool = True) -> dict[str, Path]:
    """Paths of the models at hand by name; the first folder that has a name wins.

    Without `only_files`, pipes, devices and folders named as models are listed too: a server refuses them by name.
    """
    found: dict[str, Path] = {}
    for folder in model_folders(models_dir):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if not only_files or path.is_file() or not path.exists():  # broken links are refused by name
                found.setdefault(path.stem, path)
    return found


def find_model(model: str, models_dir: Path | None = None) -> Path:
    """The path of `model`: text with `.onnx` or a separator is a path, anything else a name in a models folder.

    A file name that is not in the working folder is looked for in `models_dir`. UnknownNameError names the closest
    names; ModelError if a path has no file.
    """
    if not model:
        raise ModelError("the name of the model is empty; expected a path or a name")
    if is_address(model):
        raise ModelError(f"{model:.80} is an address; expected a file: download it first")
    models = list_models(models_dir)
    path = Path(model)
    separated = any(separator in model for separator in (os.sep, os.altsep) if separator)
    if not separated and path.suffix.lower() != SUFFIX:
        # A name may contain a dot: where both are there, text with a suffix is the file.
        if model in models and not (path.suffix and path.is_file()):
            return _checked(models[model], str(models[model]))
        if not path.exists() and not path.suffix:
            return _unknown(model, models, models_dir)
    elif not separated and models_dir is not None and not path.exists() and path.stem in models:
        return _checked(models[path.stem], str(models[path.stem]))
    return _checked(path, model, _named_like(path, models))


def is_address(text: str) -> bool:
    """Whether `text` is a URL, and no file is called so."""
    return re.match(r"(?i)(data:|[a-z][a-z0-9+.-]+:/)", text) is not None and not os.path.lexists(text)


def _named_like(path: Path, models: Mapping[str, Path]) -> str:
    """What else the user may have meant by a path at which there is nothing."""
    known = models.get(path.stem)
    return "the name of a model" if known is None else f"the name {path.stem}, which is {known}"


def _checked(path: Path, text: str, otherwise: str = "the name of a model") -> Path:
    if path.is_file():
        return path
    kind = "is a folder" if path.is_dir() else "is not a regular file" if path.exists() else "does not exist"
    raise ModelError(f"{text} {kind}; expected the path of an {SUFFIX} file or {otherwise}")


def _unknown(model: str, models: Mapping[str, Path], models_dir: Path | None) -> Path:
    try:
        return registry.lookup("model", model, models, listing="vision-zoo list models")
    except UnknownNameError as error:
        if models:
            raise
        where = " or ".join(str(folder) for folder in model_folders(models_dir)) or "exported"
        raise UnknownNameError(
            f"no model {model!r} in {where}; export one with `vision-zoo export RUN`"
        ) from error


def find_models(models: Sequence[str], models_dir: Path | None = None) -> list[Path]:
    """The paths of `models`, or of every model at hand; raises as `find_model`, and ModelError if there is none."""
    if models:
        return [find_model(model, models_dir) for model in models]
    paths = list(list_models(models_dir).values())
    if not paths and models_dir is not None:
        kind = "contains no exported models" if models_dir.is_dir() else "is not a folder of models"
        raise ModelError(f"{models_dir} {kind}; train one and export it there, or pass another --models-dir")
    if not paths:
        raise ModelError("there are no exported models; train one and export it, or pass --models-dir")
    return paths


def with_precisions(paths: Sequence[Path], precisions: Sequence[str]) -> list[Path]:
    """`paths` and, where precisions are asked for, the same models' files of those that lie beside them."""
    found = list(paths)
    for path in paths:
        base = path.stem
        for precision in PRECISIONS[1:]:
            base = base.removesuffix(f"-{precision}")
        found += [path.parent / file_name(base, precision) for precision in precisions]
    return list(dict.fromkeys(path for path in found if path.exists()))
