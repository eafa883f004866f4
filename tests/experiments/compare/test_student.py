"""The small network of a comparison that learns from a head on frozen features."""

from pathlib import Path

import pytest
import torch

from tests.experiments.compare.clock import Ticking
from tests.images.pictures import striped_picture
from tests.training.runs import fill, trained
from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.compare import student
from vision_zoo.experiments.compare.budget import BudgetProgress
from vision_zoo.experiments.compare.candidates import Candidate, recipe_of
from vision_zoo.experiments.compare.images import ComparedImages
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.place import Place, train_for
from vision_zoo.experiments.compare.settings import STUDENT, ComparisonSettings
from vision_zoo.experiments.compare.student import (
    EPOCHS,
    VIEWS,
    can_teach,
    is_affordable,
    taught,
)
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.distillation import distilled
from vision_zoo.recipes.recipe import Augmentation
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.weights import Origins

_CLASSES, _IMAGES = 2, 10


@pytest.fixture
def own(tmp_path: Path) -> str:
    for label in range(_CLASSES):
        for number in range(_IMAGES):
            striped_picture(tmp_path / "own" / str(label) / f"{number}.png", label, 100 * label + number)
    return f"folder:{tmp_path / 'own'}"


def _candidates(settings: ComparisonSettings) -> list[Candidate]:
    """The student as it is without a teacher, and the teacher: 10 ms an image."""
    names = (STUDENT, "efficientnet_lite0")
    recipes = [recipe_of(name, settings, _CLASSES * _IMAGES, classes=_CLASSES) for name in names]
    return [Candidate(recipe, 10.0, 1.0, 0.0, 0.1, 1.0) for recipe in recipes]


def _taught(settings: ComparisonSettings, folder: Path) -> Candidate | None:
    alone, teacher = _candidates(settings)
    images, place = ComparedImages(settings, None), Place(folder, "cpu", None)
    return taught(alone, teacher, settings, images, place, device=torch.device("cpu"), clock=Ticking(0.5))


def test_it_learns_from_the_head_on_views_as_they_were_measured(own: str, tmp_path: Path) -> None:
    settings = ComparisonSettings(dataset=own)
    alone, teacher = _candidates(settings)
    assert can_teach(teacher)
    assert not can_teach(alone)
    found = _taught(settings, tmp_path)
    assert found is not None
    recipe = found.recipe
    assert recipe.distillation.distil_from == teacher.recipe.name
    assert (recipe.stopping.epochs, recipe.stopping.patience, recipe.stopping.validate) == (
        EPOCHS,
        None,
        False,
    )
    views = Augmentation(horizontal_flip=0.5, crop_scale=(0.35, 1.0))
    assert (recipe.distillation.distil_views, recipe.augmentation) == (VIEWS, views)
    assert found.teacher == Place(tmp_path, "cpu", None).run(teacher.recipe)
    images = 0.8 * _CLASSES * _IMAGES  # a fifth is for test
    assert found.start_seconds == pytest.approx(1.2 * VIEWS * images * 0.010)
    assert found.epoch_seconds == pytest.approx(VIEWS * 0.5)  # of one batch


def test_what_the_user_chooses_stays(own: str, tmp_path: Path) -> None:
    rotated = _taught(ComparisonSettings(dataset=own, changes={"rotation": 5.0}), tmp_path)
    assert rotated is not None
    assert rotated.recipe.augmentation is not None
    assert rotated.recipe.augmentation.rotation == 5.0
    assert _taught(ComparisonSettings(dataset=own, changes={"learning_rate": 0.01}), tmp_path) is None


def test_views_that_take_too_much_memory_are_not_made(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(student, "_MOST_BYTES", VIEWS * 16 * 48 * 48 * 3 - 1)
    assert _taught(ComparisonSettings(dataset=own), tmp_path) is None


@pytest.mark.parametrize(("seconds", "decided"), [(31.0, True), (29.0, False)])
def test_a_second_call_decides_as_the_first_one(tmp_path: Path, seconds: float, decided: bool) -> None:
    recipe = recipe_for("small_cnn", "mnist-5k").override(epochs=3)
    candidate = Candidate(recipe, 1.0, 1.0, start_seconds=0.0, epoch_seconds=10.0, measuring_seconds=1.0)
    journal = Journal(tmp_path / "journal.json", {}, Ticking())
    assert is_affordable(candidate, seconds, journal) is decided
    assert is_affordable(candidate, 0.0 if decided else 1e9, journal) is decided


def test_a_candidate_with_a_teacher_is_trained_with_it(tmp_path: Path) -> None:
    folder = fill(tmp_path / "own", range(8))
    run = trained(folder, tmp_path / "teacher")
    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=16).override(epochs=1, validate=False)
    recipe = distilled(recipe, "teacher").replace(distil_views=2)
    candidate = Candidate(recipe, 1.0, 1.0, 0.0, 0.1, 1.0, teacher=run)
    place = Place(tmp_path, "cpu", None)
    journal = Journal(tmp_path / "journal.json", {}, Ticking())
    bar = BudgetProgress(SilentProgress(), lambda: journal.spent, 60)
    assert train_for(candidate, 60.0, "taught", place, journal, bar) is not None
    student_run = RunDirectory.open(place.run(recipe))
    assert student_run.finished
    assert Origins.of_run(student_run.environment()).teacher == run.resolve()
