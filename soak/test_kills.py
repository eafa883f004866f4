"""Training that is killed at sixty moments ends bit for bit as it does alone."""

from pathlib import Path

import pytest

from tests.training.runs import write_few_digits
from tests.training.test_resume import kill_again_and_again
from vision_zoo.data import find_dataset


@pytest.mark.parametrize("architecture", ["small_cnn", "patch_lstm", "vit"])
def test_a_run_is_killed_twenty_times(tmp_path: Path, architecture: str) -> None:
    dataset = write_few_digits(find_dataset("mnist-5k").load(), tmp_path / "digits")
    kill_again_and_again(architecture, dataset, tmp_path, kills=20)
