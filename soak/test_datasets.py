"""The dataset that takes longest to decode; `tests/data/test_datasets.py` has the others."""

from pathlib import Path

import pytest

from tests.data.test_datasets import test_a_dataset_is_what_it_says
from vision_zoo.data import DATASETS
from vision_zoo.data.dataset import Splits

__all__ = ["test_a_dataset_is_what_it_says"]


@pytest.fixture
def loaded(data_dir: Path) -> tuple[str, Splits]:
    return "imagenette-160", DATASETS["imagenette-160"].load(data_dir)
