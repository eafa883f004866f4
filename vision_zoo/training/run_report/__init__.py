"""The report of a run as one page: settings, curves, confusion matrix with images, mistakes, calibration, classes."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision_zoo.architectures import find_architecture
from vision_zoo.core import atomic
from vision_zoo.core.class_metrics import TOP, class_heading, class_table
from vision_zoo.core.environment import Environment
from vision_zoo.core.html import render
from vision_zoo.core.predictions_file import ImagePredictions
from vision_zoo.core.results import EpochRecord
from vision_zoo.core.statistics import accuracy_interval, calibration_error
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Dataset, Split
from vision_zoo.data.own_folder import require_outside
from vision_zoo.recipes.options import settings_table
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.run_data import load_for_run
from vision_zoo.training.run_directory import RunDirectory, RunMetrics
from vision_zoo.training.run_report import charts

_TEMPLATE = Path(__file__).with_name("page.html")
_MISTAKES = 60
_CONFUSIONS = 10
_LARGEST_MATRIX = 40  # classes
_IN_CELLS = 600  # images of all cells together
_IN_A_CELL = 24
_LARGE, _SMALL = 160, 96  # pixels of a thumbnail, at most
_ENLARGED_BELOW = 64


@dataclass(frozen=True)
class _Picture:
    """A test image with what was predicted; `true_probability` is None where the run does not say."""

    source: str
    file: str
    predicted: str
    probability: float
    true: str
    true_probability: float | None


@dataclass(frozen=True)
class _Cell:
    """Images of one true class that were predicted as one class; those shown are `pictures`."""

    name: str
    true: str
    predicted: str
    count: int
    pictures: Sequence[_Picture]


def write_report(
    path: Path, out: Path | None = None, *, data_dir: Path | None = None, dataset: str | None = None
) -> Path:
    """Write the report of the finished run at `path` to `out`, by default `report.html` in the run; its path.

    `dataset` is `folder:PATH` where the run's folder of images was moved.

    Raises:
        RunError: no finished run is there, it is damaged, or the data is not what it was trained on.
        DataError: the data is not there.
        UsageError: `out` is in the folder of images.
        StorageError: the page cannot be written.
    """
    run = RunDirectory.open(path)
    run.require_finished()
    recipe, metrics = run.recipe(), run.metrics()
    if out is not None:
        require_outside(dataset or recipe.data.dataset, out)
    data, splits = load_for_run(run, recipe, data_dir=data_dir, dataset=dataset)
    page = report_page(
        recipe, data, splits.test, run.history(), run.predictions(), metrics, run.environment()
    )
    out = out or run.report_file
    atomic.make_folder(out.parent)
    atomic.write_text(out, page)
    return out


def report_page(
    recipe: Recipe,
    dataset: Dataset,
    test: Split,
    history: Sequence[EpochRecord],
    found: ImagePredictions,
    metrics: RunMetrics,
    environment: Environment,
) -> str:
    """HTML of a finished run, which needs nothing from elsewhere. `found` is what was predicted for the `test` images."""
    images = _Images(test, found, dataset.labels)
    matrix = np.asarray(metrics.confusion_matrix, dtype=np.int64)
    cells = {cell.name: cell for cell in _cells(images, matrix)}
    wrong = np.flatnonzero(~found.right)
    return render(
        _TEMPLATE,
        recipe=recipe,
        metrics=metrics,
        images=len(found.labels),
        wrong=len(wrong),
        interval=accuracy_interval(int(found.right.sum()), len(found.labels)),
        facts=_facts(recipe, dataset, metrics, environment),
        pretrained=bool(find_architecture(recipe.architecture).weights),
        settings=settings_table(recipe.settings()),
        curves=charts.curves(history),
        history=[_epoch(record) for record in history],
        matrix=_matrix(matrix, dataset.labels, cells) if len(matrix) <= _LARGEST_MATRIX else [],
        labels=dataset.labels,
        confusions=_confusions(matrix, dataset.labels, cells),
        cells=cells.values(),
        mistakes=[images.picture(index, _LARGE) for index in _surest(found, wrong)[:_MISTAKES]],
        pixelated=max(test.images.shape[1:3]) <= _ENLARGED_BELOW,
        reliability=charts.reliability(found.confidences, found.right),
        calibration_error=calibration_error(found.confidences, found.right),
        top=_top_accuracies(found, metrics, len(dataset.labels)),
        class_heading=class_heading(metrics.classes),
        classes=class_table(metrics.classes),
        chart=charts,
    )


class _Images:
    """The test images as what the page shows."""

    def __init__(self, split: Split, found: ImagePredictions, labels: Sequence[str]) -> None:
        self.found = found
        self._split = split
        self._labels = labels

    def picture(self, index: int, side: int) -> _Picture:
        found = self.found
        known = found.label_confidences
        return _Picture(
            source=_thumbnail(self._split.images[index], side),
            file=found.files[index],
            predicted=self._labels[found.predictions[index]],
            probability=float(found.confidences[index]),
            true=self._labels[found.labels[index]],
            true_probability=None if known is None else float(known[index]),
        )

    def cell(self, true: int, predicted: int, most: int) -> _Cell:
        """Of right images the least sure ones first, of wrong ones the surest."""
        chosen = np.flatnonzero((self.found.labels == true) & (self.found.predictions == predicted))
        ordered = _surest(self.found, chosen)
        return _Cell(
            name=_cell_name(true, predicted),
            true=self._labels[true],
            predicted=self._labels[predicted],
            count=len(chosen),
            pictures=[
                self.picture(index, _SMALL)
                for index in (ordered[::-1] if true == predicted else ordered)[:most]
            ],
        )


def _surest(found: ImagePredictions, indices: NDArray[np.int64]) -> list[int]:
    order: list[int] = indices[np.argsort(-found.confidences[indices], kind="stable")].tolist()
    return order


def _cell_name(true: int, predicted: int) -> str:
    return f"cell-{true}-{predicted}"


def _cells(images: _Images, matrix: NDArray[np.int64]) -> Iterator[_Cell]:
    """The cells whose images are shown: mistakes first, the most frequent ones before others."""
    filled = np.argwhere(matrix > 0).tolist()
    filled.sort(key=lambda cell: (cell[0] == cell[1], -matrix[cell[0], cell[1]]))
    most = max(1, min(_IN_A_CELL, _IN_CELLS // max(1, len(filled))))
    for true, predicted in filled[:_IN_CELLS]:
        yield images.cell(true, predicted, most)


def _matrix(
    matrix: NDArray[np.int64], labels: Sequence[str], cells: Mapping[str, _Cell]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """A row for each true class: its name and its cells."""
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [
        (
            label,
            [
                {
                    "cell": cells.get(_cell_name(true, predicted)),
                    "count": int(matrix[true, predicted]),
                    "percent": round(100 * fractions[true, predicted]),
                    "right": true == predicted,
                }
                for predicted in range(len(labels))
            ],
        )
        for true, label in enumerate(labels)
    ]


def _confusions(
    matrix: NDArray[np.int64], labels: Sequence[str], cells: Mapping[str, _Cell]
) -> list[dict[str, Any]]:
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [divmod(int(place), len(matrix)) for place in order if wrong.flat[place]]
    return [
        {
            "cell": cells.get(_cell_name(true, other)),
            "true": labels[true],
            "predicted": labels[other],
            "count": int(wrong[true, other]),
        }
        for true, other in pairs
    ]


def _top_accuracies(found: ImagePredictions, metrics: RunMetrics, classes: int) -> list[dict[str, str]]:
    """By k, up to five and fewer than all classes; in runs of earlier versions only what their metrics say."""
    known = dict(enumerate(found.top_accuracies(min(TOP, classes - 1)), start=1))
    if not known:
        known = {1: metrics.test_accuracy}
        if metrics.test_top_5_accuracy is not None:
            known[TOP] = metrics.test_top_5_accuracy
    return [{"k": str(k), "top-k accuracy": f"{accuracy:.2%}"} for k, accuracy in known.items()]


def _facts(recipe: Recipe, dataset: Dataset, metrics: RunMetrics, environment: Environment) -> dict[str, str]:
    kept = f", weights of epoch {metrics.best_epoch} kept" if metrics.best_epoch != metrics.epochs else ""
    versions = ", ".join(f"{name} {version}" for name, version in environment.versions.items())
    return {
        "Architecture": f"{recipe.architecture}, {metrics.parameters:,} parameters",
        "Dataset": f"{dataset.title}, {len(dataset.labels):,} classes",
        "Input": " x ".join(str(side) for side in dataset.input.shape) + " (height, width, channels)",
        "Epochs": f"{metrics.epochs:,}{kept}; {counted(metrics.steps, 'step')} in {metrics.train_seconds:,.1f} s",
        "Seed": str(recipe.seed),
        "Trained on": environment.description,
        "Versions": f"Python {environment.python}, {versions}",
    }


def _epoch(record: EpochRecord) -> dict[str, Any]:
    row: dict[str, Any] = {"epoch": record.epoch}
    for split in charts.SPLITS:
        loss, accuracy = getattr(record, f"{split}_loss"), getattr(record, f"{split}_accuracy")
        if loss is not None:
            row |= {f"{split} loss": f"{loss:.4f}", f"{split} accuracy": f"{accuracy:.2%}"}
    return row


def _thumbnail(image: NDArray[np.uint8], side: int) -> str:
    """A WebP of `[height, width, channels]` as a data URI."""
    picture = Image.fromarray(np.asarray(image).squeeze(axis=2) if image.shape[2] == 1 else np.asarray(image))
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, format="WEBP", quality=85, method=0)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
