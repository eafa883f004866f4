"""Arguments of the Python interface: of the right type, or one clear error before anything happens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vision_zoo
from tests.conftest import ROOT
from vision_zoo.core.errors import UsageError

vz: Any = vision_zoo
_DIGIT = ROOT / "docs" / "images" / "digit.png"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: vz.train("lenet-fashion_mnist", image_size="16"), "image_size is '16'; expected a whole number"),
        (lambda: vz.train(architecture="lenet", dataset=Path("photos")), r"dataset is PosixPath.*expected text"),
        (lambda: vz.train("lenet-fashion_mnist", progress=1), "progress is 1; expected True or False"),
        (lambda: vz.train("lenet-fashion_mnist", lr=0.1), "unknown key 'lr': did you mean 'learning_rate'"),
        (lambda: vz.compare("mnist", architectures="lenet"), "architectures is 'lenet'; expected a list"),
        (lambda: vz.compare("mnist", budget=["20m"]), r"budget is \['20m'\]; expected text or a number"),
        (lambda: vz.compare("mnist", seeds=True), "seeds is True; expected a whole number"),
        (lambda: vz.compare("mnist", min_accuracy="0.9"), "min_accuracy is '0.9'; expected a number"),
        (lambda: vz.compare("mnist", architectures=["lenet", 5]), "an entry of architectures is 5; expected text"),
        (lambda: vz.load(5), "model is 5; expected text or a path"),
        (lambda: vz.load("simple_cnn-mnist", threads="2"), "threads is '2'; expected a whole number"),
        (lambda: vz.load("simple_cnn-mnist").classify(_DIGIT, top="3"), "top is '3'; expected a whole number"),
        (lambda: vz.load("simple_cnn-mnist").classify_files([_DIGIT]), r"an entry of inputs is \[.*text or a path"),
        (lambda: vz.optimize("simple_cnn-mnist", batch_sizes=8), "batch_sizes is 8; expected a list"),
    ],
)  # fmt: skip
def test_another_type_is_one_clear_error(call: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        call()


def test_numbers_of_numpy_and_sequences_are_taken() -> None:
    number: Any = np.int64(1)
    model = vz.load("simple_cnn-mnist", threads=number)
    assert len(model.classify(_DIGIT, top=number)) == 1
    (answer,) = model.classify_files(str(_DIGIT), top=2)
    assert len(answer[1]) == 2
