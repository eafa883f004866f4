"""Distillation: a run learns from the probabilities of another one's network."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.runs import CLASSES, InterruptAfter, assert_same, fill, resume, start, trained
from vision_zoo import api
from vision_zoo.core.errors import Interrupted, RunError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.recipes import recipe_for
from vision_zoo.recipes.distillation import distilled
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Augmentation, Recipe
from vision_zoo.training import train
from vision_zoo.training.distillation import Views, load_teacher, views_of
from vision_zoo.training.optim import soft_cross_entropy
from vision_zoo.training.run_directory import RunDirectory

_VIEWS = 3


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of pictures and a run that has learnt them. Read only."""
    root = tmp_path_factory.mktemp("teacher")
    folder = fill(root / "p", range(10))
    recipe = recipe_for("simple_cnn", f"folder:{folder}", image_size=32).replace(epochs=8, validate=False)
    start(recipe, root / "run")
    return folder, root / "run"


def _student(folder: Path, **changes: object) -> Recipe:
    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=16)
    return distilled(recipe.replace(distil_views=_VIEWS, epochs=4, **changes), "teacher")


def _begin(recipe: Recipe, path: Path, teacher: Path, progress: SilentProgress | None = None) -> None:
    train.start(
        recipe, path, device="cpu", data_dir=None, progress=progress or SilentProgress(), teacher=teacher
    )


def _views_of_begun(recipe: Recipe, path: Path, teacher: Path) -> Views:
    """Those of a run that is interrupted in its first epoch."""
    with pytest.raises(Interrupted):
        _begin(recipe, path, teacher, InterruptAfter(_VIEWS * 24 + 2))
    dataset = dataset_of(recipe.data)
    views = path / "checkpoints" / "views.npz"
    assert views.is_file()
    found = views_of(
        RunDirectory.open(path), recipe, dataset, dataset.load(None), torch.device("cpu"), SilentProgress()
    )
    assert found is not None
    return found


def test_each_view_has_the_logits_that_the_teacher_gives_it(
    teacher: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, run = teacher
    recipe = _student(folder, image_size=32, validate=False)  # at the teacher's size views are what it saw
    views = _views_of_begun(recipe, tmp_path / "run", run)
    dataset = dataset_of(recipe.data)
    splits = dataset.load(None)
    network = load_teacher(run, recipe, dataset, splits).classifier
    with torch.no_grad():
        expected = network(torch.from_numpy(views.split.images)).numpy()
    assert views.logits.shape == (_VIEWS * len(splits.train), len(CLASSES))
    np.testing.assert_allclose(views.logits, expected, rtol=2e-3, atol=2e-3)
    assert np.array_equal(views.split.labels, np.tile(splits.train.labels, _VIEWS))
    first = views.split.images[: len(splits.train)]
    assert not any(
        np.array_equal(view, image) for view, image in zip(first, splits.train.images, strict=True)
    )


def test_views_are_reduced_to_the_size_of_the_student(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    folder, run = teacher
    still = Augmentation(crop_scale=(1.0, 1.0), horizontal_flip=1.0, crop_tries=2)
    recipe = _student(folder, validate=False, augmentation=still)
    views = _views_of_begun(recipe, tmp_path / "run", run)
    train_images = dataset_of(recipe.data).load(None).train.images
    differences = views.split.images[: len(train_images)].astype(int) - train_images[:, :, ::-1].astype(int)
    assert np.abs(differences).mean() < 8  # both ways of scaling are bilinear


def test_what_is_distilled_agrees_with_its_teacher(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    folder, run = teacher
    _begin(_student(folder, learning_rate=5e-3).replace(epochs=30), tmp_path / "run", run)
    student, taught = (RunDirectory.open(path) for path in (tmp_path / "run", run))
    assert (student.predictions().predictions == taught.predictions().predictions).mean() >= 0.8
    assert not student.views.exists()
    assert student.environment().teacher == str(run.resolve())


def test_it_resumes_to_the_same_weights_without_its_teacher(
    teacher: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, run = teacher
    recipe = _student(folder)
    _begin(recipe, tmp_path / "whole", run)
    copy = tmp_path / "teacher"
    shutil.copytree(run, copy)
    with pytest.raises(Interrupted):
        _begin(recipe, tmp_path / "run", copy, InterruptAfter(_VIEWS * 20 + 12))
    copy.rename(tmp_path / "elsewhere")
    resume(tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_damaged_views_are_made_again(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    folder, run = teacher
    recipe = _student(folder)
    _begin(recipe, tmp_path / "whole", run)
    with pytest.raises(Interrupted):
        _begin(recipe, tmp_path / "run", run, InterruptAfter(_VIEWS * 20 + 12))
    (tmp_path / "run" / "checkpoints" / "views.npz").write_bytes(b"damaged")
    resume(tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_a_teacher_of_other_classes_is_refused(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    folder = fill(tmp_path / "p", range(6), ("cats", "dogs"))
    with pytest.raises(UsageError, match=r"has the classes cassette, fish, parachute; .* has cats, dogs"):
        _begin(_student(folder), tmp_path / "run", teacher[1])
    assert not (tmp_path / "run").exists()


def test_a_teacher_that_has_seen_the_test_pictures_is_refused(
    teacher: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"was trained on .* images of the test split"):
        _begin(_student(teacher[0], fold=(2, 5)), tmp_path / "run", teacher[1])


def test_a_teacher_of_other_crops_is_refused(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"takes different images .*--crop"):
        _begin(_student(teacher[0], crop="pad"), tmp_path / "run", teacher[1])


def test_a_teacher_has_to_be_a_finished_run(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run directory"):
        _begin(_student(teacher[0]), tmp_path / "run", tmp_path)
    with pytest.raises(UsageError, match="pass one with --distil RUN"):
        start(_student(teacher[0]), tmp_path / "run")
    unfinished = trained(teacher[0], tmp_path / "unfinished")
    (unfinished / "metrics.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        _begin(_student(teacher[0]), tmp_path / "run", unfinished)


@pytest.mark.parametrize("settings", [{"class_weights": True}, {"label_smoothing": 0.1}])
def test_settings_of_labels_are_refused(teacher: tuple[Path, Path], settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="omit"):
        _student(teacher[0], **settings)


def test_the_api_and_the_command_name_the_teacher(teacher: tuple[Path, Path], tmp_path: Path) -> None:
    folder, run = teacher
    finished = api.train(
        architecture="small_cnn",
        dataset=f"folder:{folder}",
        image_size=16,
        distil=run,
        distil_views=2,
        epochs=1,
        out=tmp_path / "run",
        progress=False,
    )
    recipe = RunDirectory.open(finished.path).recipe()
    assert recipe.distillation.distil_from == "run"
    assert recipe.augmentation is not None


def test_the_loss_is_least_where_the_student_gives_the_teachers_probabilities() -> None:
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    soft_cross_entropy(logits, logits.detach() + 5, 2.0).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6
