"""k-fold cross-validation on a user's folder: every picture is held out for test in one of k runs.

<out>/fold-1 … fold-k   the runs
<out>/folds.json        what they reached, and metrics of all held-out pictures together
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vision_zoo.core import json_file
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.class_metrics import ClassMetrics, class_metrics, class_table
from vision_zoo.core.environment import Environment
from vision_zoo.core.progress import Progress
from vision_zoo.core.statistics import mean_interval
from vision_zoo.data.own_folder import require_outside
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.run_directory import RunDirectory, RunMetrics, refuse_run


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A run; `test_accuracy` is a fraction of the `test_images` that it held out."""

    run: str
    test_accuracy: float
    test_images: int


@dataclass(frozen=True, kw_only=True)
class ClassOverFolds(ClassMetrics):
    """Metrics of a class over all pictures, each as the run that held it out predicts it.

    `f1_interval` is Student's 95 % interval of the mean of the runs' F1; None where fewer than two have one.
    """

    f1_interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """folds.json. `accuracy_interval` is Student's 95 % interval of `mean_accuracy`, the mean of the runs.

    The runs share most of their training pictures, so the interval is somewhat too narrow.
    """

    schema: Literal[1] = 1
    kind: Literal["folds"] = "folds"
    recipe: str
    architecture: str
    settings: dict[str, Any]
    seed: int
    environment: Environment
    mean_accuracy: float
    accuracy_interval: tuple[float, float]
    folds: Sequence[Fold]
    classes: Sequence[ClassOverFolds]


def cross_validate(
    recipe: Recipe,
    folds: int,
    out: Path | None,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    pretrained: Path | None = None,
    transfer: Path | None = None,
) -> tuple[Path, CrossValidation]:
    """Train `recipe` once for each of `folds` parts in `out` (by default `runs/<recipe>-folds`), and sum up.

    Finished runs that are there are kept, and an interrupted one goes on.

    Raises:
        UsageError: the dataset is not a folder without splits, or the number of folds is out of range.
        DataError, DeviceError, RunError, StorageError, TrainingError, Interrupted
    """
    dataset_of(recipe.replace(fold=(1, folds)).data)  # its errors come before anything starts
    out = out or train.default_path(recipe.replace(name=f"{recipe.name}-folds"))
    require_outside(recipe.data.dataset, out)
    refuse_run(out)
    runs = []
    for number in range(1, folds + 1):
        run = RunDirectory(out / f"fold-{number}")
        one = recipe.replace(fold=(number, folds))
        progress.line(f"fold {number} of {folds}")
        train.start_or_resume(
            one,
            run.path,
            device=device,
            data_dir=data_dir,
            progress=progress,
            pretrained=pretrained,
            transfer=transfer,
        )
        runs.append(run)
    summary = _summary(recipe, runs)
    json_file.write(out / "folds.json", summary, indent=2)
    return out, summary


def _summary(recipe: Recipe, runs: Sequence[RunDirectory]) -> CrossValidation:
    metrics = [run.metrics() for run in runs]
    accuracies = [one.test_accuracy for one in metrics]
    interval = mean_interval(accuracies)
    assert interval is not None  # noqa: S101  (there are at least two)
    interval = interval.clipped()
    return CrossValidation(
        recipe=recipe.name,
        architecture=recipe.architecture,
        settings=recipe.settings(),
        seed=recipe.seed,
        environment=runs[0].environment(),
        mean_accuracy=float(np.mean(accuracies)),
        accuracy_interval=(interval.low, interval.high),
        folds=[
            Fold(run=str(run.path), test_accuracy=one.test_accuracy, test_images=one.test_images)
            for run, one in zip(runs, metrics, strict=True)
        ],
        classes=_classes(metrics),
    )


def _classes(metrics: Sequence[RunMetrics]) -> list[ClassOverFolds]:
    matrix = np.sum([np.array(one.confusion_matrix) for one in metrics], axis=0)
    labels = [one.label for one in metrics[0].classes]
    found = []
    for index, pooled in enumerate(class_metrics(matrix, labels)):
        of_runs = [one.classes[index].f1 for one in metrics]
        interval = mean_interval([f1 for f1 in of_runs if f1 is not None])
        clipped = None if interval is None else interval.clipped()
        found.append(
            ClassOverFolds(
                label=pooled.label,
                precision=pooled.precision,
                recall=pooled.recall,
                f1=pooled.f1,
                support=pooled.support,
                f1_interval=None if clipped is None else (clipped.low, clipped.high),
            )
        )
    return found


def folds_table(classes: Sequence[ClassOverFolds]) -> list[dict[str, Any]]:
    """The rows of `class_table` with the interval of F1 over folds."""
    intervals = {one.label: one.f1_interval for one in classes}
    return [
        {**row, "f1 over folds": None if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}"}
        for row in class_table(classes)
        for interval in [intervals.get(row["class"])]
    ]
