"""CIFAR-10, Imagenette at every size, and every shipped file's accuracy on its whole test split.

`tests` does with a part of them.
"""

from pathlib import Path

import pytest

from tests.data.test_datasets import test_a_dataset_is_what_it_says
from tests.test_real_data import ZOO, check_accuracy
from vision_zoo.core.results import ZooModel
from vision_zoo.data import DATASETS
from vision_zoo.data.dataset import Splits

__all__ = ["test_a_dataset_is_what_it_says"]


@pytest.fixture(params=["cifar10", "cifar10-gray", "imagenette", "imagenette-160", "imagenette-rgb"])
def loaded(data_dir: Path, request: pytest.FixtureRequest) -> tuple[str, Splits]:
    splits = DATASETS[request.param].load(data_dir)
    return request.param, splits


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.model)
def test_a_shipped_file_has_its_recorded_accuracy(entry: ZooModel, data_dir: Path) -> None:
    check_accuracy(entry, DATASETS[entry.dataset].load(data_dir).test)
