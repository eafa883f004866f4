"""Finding exported models: by path, or by name in a models folder."""

from collections.abc import Sequence
from pathlib import Path

from vision_zoo import registry
from vision_zoo.artifact import PRECISIONS, SUFFIX, file_name
from vision_zoo.errors import ModelError, UnknownNameError

_PACKAGE = Path(__file__).resolve().parent.parent


def model_folders(models_dir: Path | None) -> list[Path]:
    """The folders in which a name is looked up: `models_dir` alone, or `./exported` and the shipped models.

    Raises:
        ModelError: `models_dir` is not a folder.
    """
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


def list_models(models_dir: Path | None = None) -> dict[str, Path]:
    """Paths of the models at hand by name; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in model_folders(models_dir):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.setdefault(path.stem, path)
    return found


def find_model(model: str, models_dir: Path | None = None) -> Path:
    """The path of `model`, which is a path itself or a name, with or without `.onnx`.

    Raises:
        UnknownNameError: no such name; the message names the closest ones.
        ModelError: it looks like a path and nothing is there.
    """
    if not model:
        raise ModelError("the name of the model is empty; expected a path or a name")
    models = list_models(models_dir)
    name = model.removesuffix(SUFFIX)
    if name in models:
        return models[name]
    path = Path(model)
    if path.is_file():
        return path
    if path.is_dir():
        raise ModelError(f"{model} is a folder; expected an {SUFFIX} file or the name of a model")
    if len(path.parts) > 1 or model.endswith(SUFFIX):
        raise ModelError(f"{model} does not exist; expected an {SUFFIX} file or the name of a model")
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
    """The paths of `models`, or of every model at hand when none is named.

    Raises:
        UnknownNameError, ModelError: see `find_model`; also when there is none at all.
    """
    if models:
        return [find_model(model, models_dir) for model in models]
    paths = list(list_models(models_dir).values())
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
