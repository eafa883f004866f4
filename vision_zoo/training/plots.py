"""Plots of a run as PNG: curves, confusion matrix, samples."""

import io
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from vision_zoo.core import atomic
from vision_zoo.core.results import EpochRecord
from vision_zoo.data.dataset import Split

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its cache folder is no concern of a run's

# Told apart by colour-blind readers and in print; the line style says it once more.
_STYLES = {"train": ("#0072B2", "-"), "validation": ("#E69F00", "--"), "test": ("#D55E00", ":")}
_RIGHT, _WRONG = "#00795c", "#c0392b"
_COLUMNS, _ROWS = 8, 2
_COLUMN, _ROW, _IMAGE = 1.25, 1.62, 1.14  # inches
_HEADING, _PART = 0.65, 3.7  # inches: down to the first row, and of the right or the wrong ones together
_LARGEST_MATRIX = 16.0  # inches
_MOST_NAMES = 40
_LONGEST_NAME = 30


def write_curves(path: Path, history: Sequence[EpochRecord], *, title: str) -> None:
    """Loss and accuracy over epochs, a line a split.

    Raises:
        StorageError: the file cannot be written.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for axes, measure in ((loss, "loss"), (accuracy, "accuracy")):
        _draw_measure(axes, history, measure)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    figure.suptitle(title)
    _save(figure, path)


def _draw_measure(axes: Axes, history: Sequence[EpochRecord], measure: str) -> None:
    epochs = [record.epoch for record in history]
    for split, (color, style) in _STYLES.items():
        values = [getattr(record, f"{split}_{measure}") for record in history]
        if values[0] is not None:
            axes.plot(epochs, values, style, color=color, label=split, marker="o", markersize=3.5)
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross-entropy loss" if measure == "loss" else "accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()


def write_confusion_matrix(
    path: Path, matrix: NDArray[np.int64], labels: Sequence[str], *, title: str
) -> None:
    """Counts of true (rows) against predicted (columns) classes; colour is the fraction of the true class.

    Raises:
        StorageError: the file cannot be written.
    """
    size = min(_LARGEST_MATRIX, max(4.5, 0.55 * len(labels) + 1.5))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    fraction = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= 20:
        for row, column in np.argwhere(matrix > 0):
            axes.text(
                column,
                row,
                str(matrix[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if fraction[row, column] > 0.5 else "black",
            )
    # Of more classes than there is room for, every second one is named, or third.
    step = math.ceil(len(labels) / _MOST_NAMES)
    ticks, labels = range(0, len(labels), step), [_shown(label) for label in labels[::step]]
    long_names = any(len(label) > 2 for label in labels)
    axes.set_xticks(ticks, labels, rotation=45 if long_names else 0, ha="right" if long_names else "center")
    axes.set_yticks(ticks, labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{title}: {np.trace(matrix)} of {matrix.sum()} test images right", fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, label="fraction of the true class")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    _save(figure, path)


def write_samples(
    path: Path, split: Split, predictions: NDArray[np.int64], labels: Sequence[str], *, title: str
) -> None:
    """Right and wrong test images from all over the split, with what was predicted.

    Raises:
        StorageError: the file cannot be written.
    """
    correct = predictions == np.asarray(split.labels)
    wrong = f"{title}: wrong ({np.count_nonzero(~correct)} of {len(split)})"
    width, height = _COLUMNS * _COLUMN, 2 * _PART
    figure = Figure(figsize=(width, height))
    # One system of axes in inches: one for each image takes longer to draw than a small network to train.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for top, heading, of_part, color in (
        (0.0, f"{title}: right", correct, _RIGHT),
        (_PART, wrong, ~correct, _WRONG),
    ):
        axes.text(width / 2, top + 0.1, heading, ha="center", va="top", fontsize=12)
        for place, index in enumerate(_spread(np.flatnonzero(of_part))):
            row, column = divmod(place, _COLUMNS)
            middle, above = (column + 0.5) * _COLUMN, top + _HEADING + row * _ROW
            _draw_image(axes, split.images[index], (middle, above))
            predicted, true = (_shown(labels[of[index]]) for of in (predictions, split.labels))
            name = predicted if predicted == true else f"{predicted}\ntrue: {true}"
            axes.text(middle, above - 0.05, name, ha="center", va="bottom", fontsize=9, color=color)
    _save(figure, path)


def _draw_image(axes: Axes, image: NDArray[np.uint8], top: tuple[float, float]) -> None:
    """An image whose upper side has its middle at `top`, in inches."""
    height, width = (_IMAGE * side / max(image.shape[:2]) for side in image.shape[:2])
    extent = (top[0] - width / 2, top[0] + width / 2, top[1] + height, top[1])
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto")


def write_heat_map(
    path: Path,
    accuracies: NDArray[np.float64],
    *,
    rows: tuple[str, Sequence[str]],
    columns: tuple[str, Sequence[str]],
    chosen: tuple[int, int],
    title: str,
) -> None:
    """Validation accuracy of a grid search, fractions `[rows, columns]`; the chosen point has a frame, NaN diverged.

    `rows` and `columns` are the name of a field and its values.

    Raises:
        StorageError: the file cannot be written.
    """
    count_rows, count_columns = accuracies.shape
    figure = Figure(figsize=(1.3 * count_columns + 2.6, 0.8 * count_rows + 1.8), layout="constrained")
    axes = figure.subplots()
    low, high = np.nanmin(accuracies), np.nanmax(accuracies)
    image = axes.imshow(accuracies, cmap="Blues", vmin=low, vmax=max(high, low + 1e-6), aspect="auto")
    for (row, column), accuracy in np.ndenumerate(accuracies):
        dark = accuracy > (low + high) / 2
        text = "diverged" if np.isnan(accuracy) else f"{accuracy:.2%}"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    frame = Rectangle(
        (chosen[1] - 0.48, chosen[0] - 0.46), 0.96, 0.92, fill=False, edgecolor=_WRONG, linewidth=2.5
    )
    axes.add_patch(frame)
    axes.set_yticks(range(count_rows), rows[1])
    axes.set_xticks(range(count_columns), columns[1])
    axes.set_ylabel(rows[0])
    axes.set_xlabel(columns[0])
    axes.set_title(f"{title}: validation accuracy", fontsize=10)
    bar = figure.colorbar(image, ax=axes, shrink=0.9)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    _save(figure, path)


def _shown(label: str) -> str:
    """A label as matplotlib shows it: shortened, and never taken for a formula, which `$` begins."""
    short = label if len(label) <= _LONGEST_NAME else f"{label[: _LONGEST_NAME - 1]}…"
    return short.replace("$", r"\$")


def _spread(indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """As many as there is room for, evenly spread, because many splits are sorted by class."""
    places = _ROWS * _COLUMNS
    return (
        indices if len(indices) <= places else indices[np.linspace(0, len(indices) - 1, places).astype(int)]
    )


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    atomic.write_bytes(path, buffer.getvalue())
