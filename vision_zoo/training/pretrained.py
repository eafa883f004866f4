"""Published weights of feature layers, and another run's: where they come from and how they are loaded."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from vision_zoo.core.errors import DataError, RunError, UsageError
from vision_zoo.data.sources import locate
from vision_zoo.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from vision_zoo.training.classifier import ImageClassifier

_FEATURES = "features."


def load_pretrained(
    classifier: "ImageClassifier", name: str, *, path: Path | None, data_dir: Path | None
) -> None:
    """Load the published weights `name` into the network's feature layers.

    They are in `path`, else in `weights/<name>.safetensors` under a data folder, else torchvision downloads
    them.

    Raises:
        DataError: the file is missing, damaged, or of another network.
        UsageError: the architecture takes no published weights.
    """
    network = classifier.network
    if not hasattr(network, "load_pretrained"):
        raise UsageError(f"{type(network).__name__} takes no published weights; leave --pretrained out")
    file = path or _find(name, data_dir)
    try:
        cast("Any", network).load_pretrained(safetensors.torch.load(file.read_bytes()))
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read as safetensors ({error}); restore it or name another with --pretrained"
        ) from error
    except (KeyError, RuntimeError) as error:
        raise DataError(
            f"{file} holds the weights of another network ({str(error).splitlines()[0]}); expected torchvision's {name}"
        ) from error


def load_features_of_run(classifier: "ImageClassifier", path: Path) -> None:
    """Load the feature layers of the finished run in `path`.

    Raises:
        RunError: no finished run there, or one of another architecture.
    """
    run = RunDirectory.open(path)
    if not run.finished:
        raise RunError(
            f"{path} is not finished; continue it with `vision-zoo train --resume {path}` before its weights are used"
        )
    try:
        weights = safetensors.torch.load(run.best.read_bytes())
        classifier.feature_layers.load_state_dict(
            {
                name.removeprefix(_FEATURES): tensor
                for name, tensor in weights.items()
                if name.startswith(_FEATURES)
            }
        )
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(f"{run.best} is missing or damaged ({error}); train that run again") from error
    except RuntimeError as error:
        raise RunError(
            f"{path} holds a run of another architecture or with other input channels; expected one whose feature "
            "layers fit"
        ) from error


def _find(name: str, data_dir: Path | None) -> Path:
    file = f"{name}.safetensors"
    folder = locate(
        "weights",
        data_dir,
        present=lambda candidate: (candidate / file).is_file(),
        download=lambda folder: _download(folder, file),
        expected=file,
    )
    return folder / file


def _download(folder: Path, file: str) -> None:
    from torchvision.models import AlexNet_Weights

    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        weights: dict[str, Tensor] = AlexNet_Weights.IMAGENET1K_V1.get_state_dict(
            progress=False, check_hash=True, model_dir=temporary
        )
    features = {name: tensor for name, tensor in weights.items() if name.startswith(_FEATURES)}
    (folder / file).write_bytes(safetensors.torch.save(features))
