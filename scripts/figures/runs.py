"""Pictures of the runs of published recipes: curves beside the reported ones, confusion matrix, test samples.

A picture names in itself what it was drawn from, so that one that is out of date is found without drawing it again.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vision_zoo.core.errors import DataError
from vision_zoo.core.json_file import fields_of
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset
from vision_zoo.experiments.predictions import Predictions
from vision_zoo.experiments.report.pooled import Pooled, pool
from vision_zoo.experiments.report.verdicts import by_recipe
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_VERSION = 1
"""Of the drawings below: with another one all pictures are drawn anew."""
_KEY = "drawn from"
_DPI = 100
_COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#D55E00"}
_RIGHT, _WRONG = "#00795c", "#c0392b"
_OF_EPOCH, _AT_THE_END = "reported", "reported at the end"
_SMALL, _TINY = 7.5, 6.5  # points
_COLUMNS, _TILE, _SIDE = 6, 80, 64  # samples in a row; pixels of a sample's place and of its picture
_SEED = 0  # of the run whose predictions are shown


@dataclass(frozen=True)
class Picture:
    """A PNG file: its name, a hash of what it shows, and how it is drawn; `draw` may need the dataset."""

    name: str
    source: str
    draw: Callable[[], "Figure"]

    def is_drawn(self, folder: Path) -> bool:
        """Whether the file in `folder` shows this."""
        path = folder / self.name
        if not path.exists():
            return False
        with Image.open(path) as image:
            return image.info.get(_KEY) == self.source

    def png(self) -> bytes:
        """The file, with a palette."""
        buffer, small = io.BytesIO(), io.BytesIO()
        self.draw().savefig(buffer, format="png", dpi=_DPI)
        information = PngInfo()
        information.add_text(_KEY, self.source)
        with Image.open(buffer) as drawn:
            palette = drawn.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        palette.save(small, "png", optimize=True, pnginfo=information)
        return small.getvalue()


def pictures(results_dir: Path) -> Iterator[Picture]:
    """Of each published recipe that was run all three, of its variants that have reported metrics the curves."""
    for name, documents in by_recipe(results_dir).items():
        recipe, found = RECIPES[name], pool(documents)
        if found is None or not found.runs or not recipe.reported:
            continue
        yield _picture(
            recipe,
            "curves",
            [dict(recipe.reported), [[fields_of(record) for record in run.history] for run in found.runs]],
            partial(_curves, recipe, found),
        )
        predictions = found.predictions(results_dir)
        if recipe.report is None or predictions is None or _SEED not in predictions.by_seed:
            continue
        dataset = find_dataset(recipe.data.dataset)
        shown = [predictions.labels.tolist(), predictions.by_seed[_SEED].tolist()]
        for kind, draw in (("confusion", _confusion), ("samples", _samples)):
            yield _picture(
                recipe,
                kind,
                [shown, dataset.labels],
                partial(draw, recipe, predictions, dataset),
            )


def _picture(recipe: Recipe, kind: str, shown: Any, draw: Callable[[], "Figure"]) -> Picture:
    source = hashlib.sha256(json.dumps([_VERSION, recipe.name, shown]).encode()).hexdigest()
    return Picture(f"{recipe.name}-{kind}.png", source, draw)


def _curves(recipe: Recipe, found: Pooled) -> "Figure":
    """Loss and accuracy over epochs: mean and range of the runs as lines in bands, reported values as diamonds."""
    figure = _figure(4.8, 2.6)
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, colour in _COLOURS.items():
            _draw_runs(axes, found, f"{split}_{measure}", colour)
            _draw_reported(axes, recipe, found, f"{split}_{measure}", colour)
        axes.set_xlabel("epoch", fontsize=_SMALL)
        axes.set_ylabel("cross-entropy, nats" if measure == "loss" else "accuracy, %", fontsize=_SMALL)
        axes.tick_params(labelsize=_SMALL)
        axes.grid(alpha=0.3)
        _whole_epochs(axes)
    _explain(figure)
    count = len(found.runs)
    runs = "one run" if count == 1 else f"mean and range of {count} runs"
    figure.suptitle(f"{recipe.name}\n{runs}, {', '.join(found.environments)}", fontsize=_SMALL)
    return figure


def _explain(figure: "Figure") -> None:
    """One legend below both plots: the splits, then what is reported."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        found |= dict(zip(labels, handles, strict=True))
    shown = [name for name in (*_COLOURS, _OF_EPOCH, _AT_THE_END) if name in found]
    handles = [found[name] for name in shown]
    figure.legend(handles, shown, loc="outside lower center", ncols=5, fontsize=_TINY, frameon=False)


def _draw_runs(axes: "Axes", found: Pooled, measure: str, colour: str) -> None:
    by_epoch: dict[int, list[float]] = {}
    for record in (record for run in found.runs for record in run.history):
        value = getattr(record, measure)
        if value is not None:
            by_epoch.setdefault(record.epoch, []).append(_shown(measure, value))
    if by_epoch:
        epochs, values = list(by_epoch), list(by_epoch.values())
        means = [float(np.mean(listed)) for listed in values]
        axes.fill_between(epochs, [*map(min, values)], [*map(max, values)], color=colour, alpha=0.25, lw=0)
        axes.plot(epochs, means, ".-", color=colour, lw=1, ms=4, label=measure.partition("_")[0])


def _draw_reported(axes: "Axes", recipe: Recipe, found: Pooled, measure: str, colour: str) -> None:
    """Values of epochs as diamonds, one of the end as a dotted line."""
    last = max((record.epoch for run in found.runs for record in run.history), default=0)
    points = (
        {last: recipe.reported[f"{measure}_last_epoch"]} if f"{measure}_last_epoch" in recipe.reported else {}
    )
    for name, value in recipe.reported.items():
        of_epoch, separator, epoch = name.partition("_epoch_")
        if separator and of_epoch == measure:
            points[int(epoch)] = value
    if points:
        values = [_shown(measure, value) for value in points.values()]
        axes.plot(list(points), values, "D", color=colour, fillstyle="none", ms=4, mew=0.8)
        axes.plot([], [], "D", color="#333333", fillstyle="none", ms=4, mew=0.8, label=_OF_EPOCH)
    if measure in recipe.reported:
        axes.axhline(_shown(measure, recipe.reported[measure]), color=colour, ls=":", lw=1.2)
        axes.plot([], [], color="#333333", ls=":", lw=1.2, label=_AT_THE_END)


def _shown(measure: str, value: float) -> float:
    return 100 * value if "accuracy" in measure else value


def _confusion(recipe: Recipe, predictions: Predictions, dataset: Dataset) -> "Figure":
    """Counts of true (rows) against predicted classes (columns); the colour is the fraction of the true class."""
    matrix = predictions.confusion_matrix(_SEED, len(dataset.labels))
    figure = _figure(3.8, 3.8)
    axes = figure.subplots()
    fraction = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(matrix > 0):
        colour = "white" if fraction[row, column] > 0.5 else "black"
        axes.text(column, row, matrix[row, column], ha="center", va="center", fontsize=6, color=colour)
    places = range(len(dataset.labels))
    rotation = 45 if max(map(len, dataset.labels)) > 2 else 0
    axes.set_xticks(
        places,
        dataset.labels,
        rotation=rotation,
        ha="right" if rotation else "center",
        rotation_mode="anchor",
    )
    axes.set_yticks(places, dataset.labels)
    axes.tick_params(labelsize=_TINY, length=2)
    axes.set_xlabel("predicted class", fontsize=_SMALL)
    axes.set_ylabel("true class", fontsize=_SMALL)
    axes.set_title(
        f"{recipe.name}, seed {_SEED}\n{np.trace(matrix):,} of {matrix.sum():,} test images right",
        fontsize=_SMALL,
    )
    return figure


def _samples(recipe: Recipe, predictions: Predictions, dataset: Dataset) -> "Figure":
    """A row of test images that were classified rightly, and one of others."""
    split = dataset.load().test
    if not np.array_equal(split.labels, predictions.labels):
        raise DataError(
            f"the predictions belong to another copy of {dataset.name}; expected the copy named in results/"
        )
    right = predictions.right(_SEED)
    width, row = _COLUMNS * _TILE, _SIDE + 48
    figure = _figure(width / _DPI, (2 * row + 24) / _DPI, None)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(2 * row + 24, 0))
    axes.axis("off")
    axes.text(width / 2, 4, f"{recipe.name}, seed {_SEED}", ha="center", va="top", fontsize=_SMALL)
    wrong = f"wrong: {np.count_nonzero(~right):,}, the predicted class above and the true one below"
    for place, (chosen, heading, colour) in enumerate(
        (
            (right, f"right: {np.count_nonzero(right):,} of {len(right):,} test images", _RIGHT),
            (~right, wrong, _WRONG),
        )
    ):
        top = 20 + place * row
        axes.text(8, top, heading, va="top", fontsize=_TINY)
        for column, index in enumerate(_spread(np.flatnonzero(chosen))):
            middle, upper = (column + 0.5) * _TILE, top + 28
            extent = (middle - _SIDE / 2, middle + _SIDE / 2, upper + _SIDE, upper)
            axes.imshow(
                split.images[index].squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent, aspect="auto"
            )
            predicted = dataset.labels[predictions.by_seed[_SEED][index]]
            axes.text(middle, upper - 3, predicted, ha="center", va="bottom", fontsize=6, color=colour)
            if not right[index]:
                true = dataset.labels[split.labels[index]]
                axes.text(middle, upper + _SIDE + 3, true, ha="center", va="top", fontsize=6)
    return figure


def _spread(indices: NDArray[np.int64]) -> Sequence[int]:
    """As many as there is room for, from all over the split: some come class by class."""
    places = np.linspace(0, len(indices) - 1, min(_COLUMNS, len(indices)))
    return [int(indices[place]) for place in places.astype(int)]


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> "Figure":
    """Of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def _whole_epochs(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
