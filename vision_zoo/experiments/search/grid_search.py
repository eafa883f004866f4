"""The outcome of a grid search: `grid.json`, a heat map, and the metrics kept in `results/`."""

import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.core import json_file
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.errors import UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import DataUsed, GridPoint, GridResult, result_path, write_result
from vision_zoo.experiments.search.search_space import Values, folder_name
from vision_zoo.experiments.search.shared_search import search_together
from vision_zoo.experiments.search.study import Place, StudySettings
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import plots
from vision_zoo.training.device import choose_device, describe_environment
from vision_zoo.training.run_directory import RunDirectory


def search_grid(
    recipe: Recipe,
    values: Values,
    *,
    out: Path,
    jobs: int | None,
    device: DeviceName,
    data_dir: Path | None,
    results_dir: Path | None,
    progress: Progress,
) -> GridResult:
    """Train every combination of `values` (what is missing) and write `out`/grid.json and `out`/grid.png.

    Without `jobs` a point a core is trained at a time, or one on a GPU. With `results_dir` the figures and the
    picture are kept there too. Returns the document.

    Raises:
        UsageError: there are no values, or one is out of range.
        VisionZooError: whatever a run meets.
    """
    if not values:
        raise UsageError(
            f"{recipe.name} has no published grid; give one, for instance --grid lr=0.001,0.01 --grid batch_size=64,128"
        )
    described = describe_environment(choose_device(device))
    if jobs is None:
        jobs = 1 if described.device == "cuda" else usable_cores()
    # What is finished is known by the runs themselves: the study is of this call alone.
    with tempfile.TemporaryDirectory(prefix="vision-zoo-") as folder:
        place = Place(f"journal:{Path(folder) / 'study.journal'}", out, device, data_dir)
        trials = search_together(
            recipe, values, StudySettings(recipe.name), place, jobs=jobs, progress=progress
        )
    diverged = {trial.run for trial in trials if trial.state == "diverged"}
    points = []
    for combination in combinations(values):
        name = folder_name(combination)
        measures = {"diverged": True} if name in diverged else _measures(RunDirectory.open(out / name))
        points.append(GridPoint(**{**combination, **measures}, run=name))
    first = RunDirectory.open(out / points[0].run).environment()
    data = first.data or DataUsed(variant="unknown", sha256="")
    document = GridResult(
        recipe=recipe.name,
        settings=recipe.settings(),
        seed=recipe.seed,
        data=replace(data, dataset=recipe.data.dataset),
        environment=replace(described, threads=first.threads),
        values={field: list(listed) for field, listed in values.items()},
        points=points,
        chosen=choose(points).values(values),
    )
    json_file.write(out / "grid.json", document, indent=1)
    pictures = [out / "grid.png"]
    if results_dir is not None:
        kept = result_path(results_dir, described, f"{recipe.name}-grid")
        write_result(kept, document)
        pictures.append(kept.with_suffix(".png"))
    if len(values) <= 2:
        for picture in pictures:
            _draw(document, picture)
    return document


def combinations(values: Values) -> list[dict[str, float]]:
    """The points of a grid, the last field's values changing first."""
    return [
        dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())
    ]


def choose(points: Sequence[GridPoint]) -> GridPoint:
    """The point of the highest validation accuracy; of equal ones, that of the lowest validation loss."""
    trained = [point for point in points if not point.diverged]
    return max(trained, key=lambda point: (point.validation_accuracy or 0.0, -(point.validation_loss or 0.0)))


def _measures(run: RunDirectory) -> dict[str, Any]:
    metrics = run.metrics()
    return {name: getattr(metrics, name) for name in GridPoint.__dataclass_fields__ if hasattr(metrics, name)}


def _draw(document: GridResult, path: Path) -> None:
    fields = list(document.values)
    row_field = fields[0] if len(fields) == 2 else None
    column_field = fields[-1]
    row_values = document.values[row_field] if row_field else [None]
    column_values = document.values[column_field]
    accuracies = np.zeros((len(row_values), len(column_values)))
    chosen = (0, 0)
    for point in document.points:
        place = (
            row_values.index(getattr(point, row_field)) if row_field else 0,
            column_values.index(getattr(point, column_field)),
        )
        accuracies[place] = math.nan if point.validation_accuracy is None else point.validation_accuracy
        if point.values(fields) == document.chosen:
            chosen = place
    plots.write_heat_map(
        path,
        accuracies,
        rows=(_spoken(row_field), ["" if value is None else f"{value:g}" for value in row_values]),
        columns=(_spoken(column_field), [f"{value:g}" for value in column_values]),
        chosen=chosen,
        title=document.recipe,
    )


def _spoken(field: str | None) -> str:
    return (field or "").replace("_", " ")
