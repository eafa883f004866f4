"""k-fold cross-validation of a folder by `train --folds`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Completed
from tests.training.runs import CLASSES, fill
from vision_zoo.core import json_file
from vision_zoo.core.statistics import mean_interval
from vision_zoo.experiments.cross_validation import CrossValidation
from vision_zoo.training.run_directory import RunDirectory


def test_every_picture_is_tested_once_and_finished_folds_are_kept(
    cli: Callable[..., Completed], tmp_path: Path
) -> None:
    fill(tmp_path / "scans", range(5))
    command = (
        "train", "--architecture", "small_cnn", "--dataset", "folder:scans", "--image-size", "8", "--epochs", "1",
        "--folds", "3", "--out", "cross",
    )  # fmt: skip
    done = cli(*command, "--json")
    assert done.code == 0, done.stderr
    found = json_file.read(tmp_path / "cross" / "folds.json", CrossValidation)
    assert json.loads((tmp_path / "cross" / "folds.json").read_text()) == done.json
    runs = [RunDirectory.open(tmp_path / fold.run) for fold in found.folds]
    tested = [
        line.split(",")[-1] for run in runs for line in run.predictions_file.read_text().splitlines()[1:]
    ]
    assert len(tested) == len(set(tested)) == 15
    assert sum(fold.test_images for fold in found.folds) == 15
    accuracies = [run.metrics().test_accuracy for run in runs]
    interval = mean_interval(accuracies)
    assert interval is not None
    assert found.mean_accuracy == pytest.approx(np.mean(accuracies))
    assert found.accuracy_interval == pytest.approx((interval.clipped().low, interval.clipped().high))
    assert [(one.label, one.support) for one in found.classes] == [(name, 5) for name in CLASSES]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cross").glob("fold-*/metrics.json")}
    again = cli(*command)
    assert again.code == 0, again.stderr
    assert "the mean of 3 folds (95 % interval" in again.stdout
    assert "f1 over folds" in again.stdout
    assert before == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "cross").glob("fold-*/metrics.json")
    }


@pytest.mark.parametrize(
    ("dataset", "folds", "says"),
    [
        ("mnist-5k", "3", "folds can be chosen only for folder:PATH"),
        ("folder:scans", "1", "fold 1 of 1 is out of range; expected 2 to 20 folds"),
        ("folder:split", "3", "--folds makes its own splits"),
    ],
)
def test_folds_are_for_folders_without_splits(
    cli: Callable[..., Completed], tmp_path: Path, dataset: str, folds: str, says: str
) -> None:
    fill(tmp_path / "scans", range(3), CLASSES[:2])
    fill(tmp_path / "split" / "train", range(3), CLASSES[:2])
    fill(tmp_path / "split" / "test", range(3, 5), CLASSES[:2])
    done = cli("train", "--architecture", "small_cnn", "--dataset", dataset, "--folds", folds, "--out", "out")
    assert says in done.error
    assert not (tmp_path / "out").exists()
