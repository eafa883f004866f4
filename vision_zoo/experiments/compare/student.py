"""The student of a comparison: a small network that learns from the best head what a budget has time for.

`benchmarks/own_folder/distillation.py` measures what that adds, with the settings that are here.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from vision_zoo.experiments.compare.candidates import OF_STEPS, Candidate, is_solved
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.place import Place
from vision_zoo.experiments.compare.probe import training_seconds
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.recipes.distillation import distilled
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training.classifier import build_classifier

if TYPE_CHECKING:
    import torch

_TEACHER = "efficientnet_lite0"
MOST = 0.6
"""The part of the time after the heads that its training may take."""
_TEACHING = "teaching"
EPOCHS, BATCH_SIZE, VIEWS = 3, 32, 20
_MOST_BYTES = 2**30
"""Of the views, which are in memory and on disk."""
_AUGMENTED = 1.2
"""How many times as long as the teacher's prediction its view takes with that."""


def can_teach(candidate: Candidate) -> bool:
    """Whether students were measured with this head as their teacher."""
    return candidate.architecture == _TEACHER and is_solved(candidate.recipe)


def taught(
    student: Candidate,
    teacher: Candidate,
    settings: ComparisonSettings,
    images: ComparedImages,
    place: Place,
    *,
    device: "torch.device",
    clock: Callable[[], float],
) -> Candidate | None:
    """`student` as one that learns from `teacher`; None where the user chose how it is trained, or the images are many.

    `clock` gives seconds.
    """
    dataset, splits = images.of(student.recipe)
    chosen = settings.changes.keys()
    changes: dict[str, Any] = {
        "epochs": EPOCHS,
        "patience": None,
        "batch_size": BATCH_SIZE,
        "ema_decay": 0.0,
        "schedule": "one_cycle",
        "distil_views": VIEWS,
    }
    if not chosen & {field.name for field in fields(Augmentation)}:
        # The views of `distilled`. A mirror image of another class is labelled as that: by the teacher, which sees it.
        changes["augmentation"] = None
    if chosen & OF_STEPS or VIEWS * splits.train.images.nbytes > _MOST_BYTES:
        return None
    plain = student.recipe.replace(**changes)
    _, seconds = training_seconds(plain, build_classifier(plain, dataset), splits, device, clock)
    return replace(
        student,
        recipe=distilled(plain, teacher.recipe.name),
        teacher=place.run(teacher.recipe),
        start_seconds=_AUGMENTED * VIEWS * len(splits.train) * teacher.p50_ms / 1000,
        epoch_seconds=VIEWS * seconds,
    )


def is_affordable(candidate: Candidate, seconds: float, journal: Journal) -> bool:
    """Whether the student is taught, in all its epochs within `seconds`; a second call decides as the first one did."""
    if journal.done(_TEACHING) is None:
        epochs = candidate.recipe.stopping.epochs
        journal.keep(_TEACHING, candidate.start_seconds + epochs * candidate.epoch_seconds <= seconds)
    return bool(journal.done(_TEACHING))
