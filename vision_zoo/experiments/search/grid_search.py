"""A grid search's outcome: `grid.json`, a heat map, and the figures kept in `results/`."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.core import atomic
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import SCHEMA_VERSION, result_path, write_result
from vision_zoo.experiments.search import tune
from vision_zoo.experiments.search.search_space import Values
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import plots
from vision_zoo.training.device import choose_device, describe_environment
from vision_zoo.training.run_directory import RunDirectory

_MEASURES = (
    "validation_accuracy",
    "validation_loss",
    "test_accuracy",
    "train_accuracy",
    "epochs",
    "best_epoch",
    "train_seconds",
)


def search(
    recipe: Recipe,
    values: Values,
    *,
    out: Path,
    jobs: int | None,
    device: DeviceName,
    data_dir: Path | None,
    results_dir: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Train the grid (what is missing) and write `out`/grid.json and `out`/grid.png; returns the document.

    With `results_dir` the figures and the picture are kept there too.

    Raises:
        VisionZooError: whatever a run meets.
    """
    runs = tune.tune(recipe, values, out=out, jobs=jobs, device=device, data_dir=data_dir, progress=progress)
    chosen = tune.choose(runs)
    described = describe_environment(choose_device(device))
    first = RunDirectory.open(runs[0].path).environment()
    document = {
        "schema": SCHEMA_VERSION,
        "kind": "grid",
        "recipe": recipe.name,
        "settings": recipe.settings(),
        "seed": recipe.seed,
        "data": {"dataset": recipe.dataset, **first["data"]},
        "environment": {**described, "threads": first["threads"]},
        "values": {field: list(listed) for field, listed in values.items()},
        "points": [{**run.values, **_measures(run), "run": run.path.name} for run in runs],
        "chosen": chosen.values,
    }
    atomic.write_text(out / "grid.json", json.dumps(document, indent=1) + "\n")
    pictures = [out / "grid.png"]
    if results_dir is not None:
        kept = result_path(results_dir, described, f"{recipe.name}-grid")
        write_result(kept, document)
        pictures.append(kept.with_suffix(".png"))
    if len(values) <= 2:
        for picture in pictures:
            _draw(document, picture)
    return document


def _measures(run: tune.PointRun) -> dict[str, Any]:
    if run.metrics is None:
        return {"diverged": True}
    return {name: run.metrics[name] for name in _MEASURES}


def _draw(document: dict[str, Any], path: Path) -> None:
    fields = list(document["values"])
    row_field = fields[0] if len(fields) == 2 else None
    column_field = fields[-1]
    row_values = document["values"][row_field] if row_field else [None]
    column_values = document["values"][column_field]
    accuracies = np.zeros((len(row_values), len(column_values)))
    chosen = (0, 0)
    for point in document["points"]:
        place = (
            row_values.index(point[row_field]) if row_field else 0,
            column_values.index(point[column_field]),
        )
        accuracies[place] = point.get("validation_accuracy", math.nan)
        if all(point[field] == value for field, value in document["chosen"].items()):
            chosen = place
    plots.write_heat_map(
        path,
        accuracies,
        rows=(_spoken(row_field), ["" if value is None else f"{value:g}" for value in row_values]),
        columns=(_spoken(column_field), [f"{value:g}" for value in column_values]),
        chosen=chosen,
        title=document["recipe"],
    )


def _spoken(field: str | None) -> str:
    return (field or "").replace("_", " ")
