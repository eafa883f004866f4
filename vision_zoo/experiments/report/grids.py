"""The part of the report on grid searches."""

import os
from pathlib import Path
from typing import Any

from vision_zoo.core.results import GridResult, load_results
from vision_zoo.core.tables import markdown
from vision_zoo.recipes import RECIPES
from vision_zoo.recipes.grids import GRIDS, Grid


def grid_sections(path: Path, results_dir: Path) -> list[str]:
    """A section for every published grid: the report's table beside ours, and the picture."""
    documents = load_results(results_dir, GridResult)
    sections = []
    for grid in GRIDS.values():
        found = [document for document in documents if _same_grid(document, grid)]
        heading = f"## Grid search: `{grid.recipe}` (report {grid.report})"
        if not found:
            sections += [heading, "Not run yet."]
        for document in found:
            rows = [_grid_row(document, grid, batch_size) for batch_size in grid.values["batch_size"]]
            picture = results_dir / document.environment.folder_name / f"{grid.recipe}-grid.png"
            caption = f"{grid.recipe}: validation accuracy over the grid"
            sections += [
                heading,
                _grid_summary(document, grid),
                markdown(rows),
                f"![{caption}]({_relative(picture, path)})",
            ]
    return sections


def _grid_summary(document: GridResult, grid: Grid) -> str:
    highest = max(point.validation_accuracy or 0.0 for point in document.points)
    best = " and ".join(
        f"batch size {point.batch_size}, learning rate {point.learning_rate:g}"
        for point in document.points
        if point.validation_accuracy == highest
    )
    batch_size, rate = max(grid.reported, key=grid.reported.__getitem__)
    return (
        f"Reported accuracy / validation accuracy / test accuracy in percent, one run per point (seed {document.seed}), "
        f"{document.environment.folder_name}, {document.data.variant} data. Best on validation: {best}; the "
        f"report's best is batch size {batch_size}, learning rate {rate:g}."
    )


def _same_grid(document: GridResult, grid: Grid) -> bool:
    values = {field: list(listed) for field, listed in grid.values.items()}
    recipe = RECIPES[grid.recipe]
    return (document.recipe, document.values) == (recipe.name, values) and recipe.has_settings(
        document.settings
    )


def _grid_row(document: GridResult, grid: Grid, batch_size: float) -> dict[str, Any]:
    row: dict[str, Any] = {"batch size": int(batch_size)}
    for point in document.points:
        rate, validation, test = point.learning_rate, point.validation_accuracy, point.test_accuracy
        if point.batch_size == batch_size and rate is not None:
            measured = (
                "diverged"
                if validation is None or test is None
                else f"{100 * validation:.2f} / {100 * test:.2f}"
            )
            row[f"learning rate {rate:g}"] = f"{100 * grid.reported[int(batch_size), rate]:.2f} / {measured}"
    return row


def _relative(target: Path, document: Path) -> str:
    return Path(os.path.relpath(target, document.parent)).as_posix()
