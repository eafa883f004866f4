"""Saving and loading weights, and everything that is needed to resume."""

import io
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vision_zoo import atomic
from vision_zoo.errors import RunError
from vision_zoo.training.recipe import Recipe

_PROGRESS = (
    "epoch",
    "steps",
    "train_seconds",
    "cpu_seconds",
    "history",
    "best_epoch",
    "best_validation_loss",
    "best_weights",
)
_UNREADABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


@dataclass
class TrainingState:
    """What a run has reached.

    `epoch` and `steps` are the numbers of epochs and optimizer steps done; `train_seconds` is spent on
    training steps and validation, over all sessions, and `cpu_seconds` is the processors' time in it;
    `best_weights` is None until an epoch was the best one.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    steps: int = 0
    train_seconds: float = 0.0
    cpu_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_validation_loss: float = float("inf")
    best_weights: dict[str, Tensor] | None = None

    def remember_best(self, validation_loss: float) -> None:
        """The weights as they are now are the ones to keep."""
        self.best_epoch = self.epoch
        self.best_validation_loss = validation_loss
        self.best_weights = {
            name: tensor.detach().to("cpu", copy=True) for name, tensor in self.network.state_dict().items()
        }


def save_state(path: Path, state: TrainingState, recipe: Recipe) -> None:
    """Write everything needed to resume.

    Raises:
        StorageError: the file cannot be written; the former one stays.
    """
    content = {
        "recipe": recipe.to_json(),
        "network": state.network.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "random_state": torch.get_rng_state(),
        **{name: getattr(state, name) for name in _PROGRESS},
    }
    if torch.cuda.is_available():
        content["cuda_random_state"] = torch.cuda.get_rng_state_all()
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic.write_bytes(path, buffer.getvalue())


def load_state(path: Path, state: TrainingState, recipe: Recipe) -> None:
    """Bring `state` and torch's random state to what `save_state` wrote.

    Raises:
        RunError: the file is damaged or belongs to another recipe.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if Recipe.from_json(content["recipe"], name=str(path)) != recipe:
            raise RunError(
                f"{path} belongs to another recipe than recipe.json; restore the run's folder or train again"
            )
        if not 0 < content["epoch"] == len(content["history"]) <= recipe.epochs:
            raise ValueError("epochs and history differ")
        state.network.load_state_dict(content["network"])
        state.optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["random_state"])
        if torch.cuda.is_available() and "cuda_random_state" in content:
            torch.cuda.set_rng_state_all(content["cuda_random_state"])
        for name in _PROGRESS:
            setattr(state, name, content[name])
    except _UNREADABLE as error:
        raise RunError(
            f"{path} is damaged and cannot be resumed from; train again with another --out"
        ) from error


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
        RunError: the file is missing, damaged, or of another architecture.
    """
    try:
        network.load_state_dict(safetensors.torch.load(path.read_bytes()))
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; restore it, or train again with another --out") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}); train again") from error
    except RuntimeError as error:
        raise RunError(
            f"{path} holds the weights of another architecture than recipe.json; train again"
        ) from error
