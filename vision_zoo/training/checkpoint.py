"""Checkpoints: save and load everything needed to resume exactly.

A checkpoint is a file of `torch.save`, read with `weights_only`, that carries its own SHA-256 as the comment of its
zip archive. The one before it is kept: where the last is damaged, the run goes on from there.
"""

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from vision_zoo.core import atomic
from vision_zoo.core.errors import RunError
from vision_zoo.core.json_file import fields_of
from vision_zoo.core.results import EpochRecord
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.optim import portable_state
from vision_zoo.training.state import PartialEpoch, TrainingState

_PROGRESS = (
    "epoch",
    "steps",
    "train_seconds",
    "cpu_seconds",
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
_DIGEST_LENGTH = 64  # hexadecimal digits
_COMMENT_LENGTH = 2  # bytes at the end of a zip archive that say how long its comment is


def save_state(last: Path, previous: Path, state: TrainingState, recipe: Recipe) -> None:
    """Write everything needed to resume to `last`, and keep what was there as `previous`.

    Raises:
        StorageError: the file cannot be written; the former ones stay.
    """
    content = {
        "recipe": recipe.to_json(),
        "network": state.network.state_dict(),
        "optimizer": portable_state(state.optimizer),
        "average": None if state.average is None else state.average.values,
        "random_state": torch.get_rng_state(),
        "partial": None if state.partial is None else _packed(state.partial),
        "history": [fields_of(record) for record in state.history],
        **{name: getattr(state, name) for name in _PROGRESS},
    }
    if torch.cuda.is_available():
        content["cuda_random_state"] = torch.cuda.get_rng_state()
    buffer = io.BytesIO()
    torch.save(content, buffer)
    atomic.write_keeping_former(last, _sealed(buffer.getvalue()), former=previous)


def has_state(last: Path, previous: Path) -> bool:
    """Whether there is something to resume from."""
    return last.exists() or previous.exists()


def load_state(last: Path, previous: Path, state: TrainingState, recipe: Recipe) -> str | None:
    """Bring `state` and torch's random state to what `save_state` wrote last.

    Returns:
        What to tell the user where `previous` had to be taken; None if `last` was fine.

    Raises:
        RunError: both files are damaged or missing, or they belong to another recipe.
        StorageError: a damaged file cannot be moved aside.
    """
    try:
        _restore(_read(last), state, recipe, last)
    except _UNREADABLE as error:
        try:
            _restore(_read(previous), state, recipe, previous)
        except _UNREADABLE:
            raise RunError(
                f"{last} is damaged and cannot be resumed from; train again with another --out"
            ) from error
        _set_aside(last)
        return f"{last} is damaged or missing; continuing from {previous}, after {state.reached}"
    return None


def _set_aside(damaged: Path) -> None:
    """So that the next save does not put it in the place of the good one."""
    if damaged.exists():
        try:
            damaged.replace(damaged.with_suffix(".damaged"))
        except OSError as error:
            raise atomic.storage_error(damaged, error) from error


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(
        io.BytesIO(_unsealed(path.read_bytes())), map_location="cpu", weights_only=True
    )
    return content


def _restore(content: dict[str, Any], state: TrainingState, recipe: Recipe, path: Path) -> None:
    if not _leads_to(Recipe.from_json(content["recipe"], name=str(path)), recipe):
        raise RunError(
            f"{path} belongs to another recipe than recipe.json; restore the run's folder or train again"
        )
    if not content["epoch"] == len(content["history"]) <= recipe.stopping.epochs:
        raise ValueError("epochs and history differ")
    state.network.load_state_dict(content["network"])
    state.optimizer.load_state_dict(content["optimizer"])
    if state.average is not None:
        state.average.restore(content["average"])
    state.partial = None if content["partial"] is None else _unpacked(content["partial"], state)
    for name in _PROGRESS:
        setattr(state, name, content[name])
    state.history = [EpochRecord(**record) for record in content["history"]]
    torch.set_rng_state(content["random_state"])
    if torch.cuda.is_available() and "cuda_random_state" in content:
        torch.cuda.set_rng_state(content["cuda_random_state"])


def _leads_to(former: Recipe, recipe: Recipe) -> bool:
    """Whether the same steps lead to the checkpoint with both: the number of epochs decides only when they end."""
    if recipe.schedule.kind == "one_cycle":
        return former == recipe
    return former.replace(epochs=recipe.stopping.epochs) == recipe


def _packed(partial: PartialEpoch) -> dict[str, Any]:
    return {**vars(partial), "losses": partial.all_losses()}


def _unpacked(packed: dict[str, Any], state: TrainingState) -> PartialEpoch:
    device = next(state.network.parameters()).device
    partial = PartialEpoch(**packed)
    partial.losses = list(packed["losses"].float().to(device))
    if partial.correct is not None:
        partial.correct = partial.correct.to(device)
    if len(partial.losses) != len(partial.sizes):
        raise ValueError("losses and sizes differ")
    return partial


def _sealed(archive: bytes) -> bytes:
    digest = hashlib.sha256(archive).hexdigest().encode()
    return archive[:-_COMMENT_LENGTH] + len(digest).to_bytes(_COMMENT_LENGTH, "little") + digest


def _unsealed(content: bytes) -> bytes:
    archive = content[: -_DIGEST_LENGTH - _COMMENT_LENGTH] + bytes(_COMMENT_LENGTH)
    if hashlib.sha256(archive).hexdigest().encode() != content[-_DIGEST_LENGTH:]:
        raise ValueError("the checksum differs")
    return archive
