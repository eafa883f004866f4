"""Training that is killed at sixty moments ends bit for bit as it does alone; a search goes on without a worker."""

from pathlib import Path

import pytest

from tests.experiments.search.test_study_workers import assert_complete, four_workers_of_which_one_is_killed
from tests.training.runs import write_few_digits
from tests.training.test_resume import kill_again_and_again
from vision_zoo.data import find_dataset
from vision_zoo.recipes import recipe_for


@pytest.mark.parametrize("architecture", ["small_cnn", "patch_lstm", "vit"])
def test_a_run_is_killed_twenty_times(tmp_path: Path, architecture: str) -> None:
    dataset = write_few_digits(find_dataset("mnist-5k").load(), tmp_path / "digits")
    kill_again_and_again(architecture, dataset, tmp_path, kills=20)


def test_four_workers_share_a_journal_and_one_is_killed(tmp_path: Path) -> None:
    dataset = write_few_digits(find_dataset("mnist-5k").load(), tmp_path / "digits")
    quick = recipe_for("small_cnn", dataset, image_size=28).override(epochs=2)
    storage = f"journal:{tmp_path / 'study.journal'}"
    four_workers_of_which_one_is_killed(quick, storage, tmp_path / "runs")
    assert_complete(quick, storage, tmp_path / "runs")
