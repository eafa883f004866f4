"""Commands with many runs: `tune` searches hyperparameters, `reproduce` repeats published experiments."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vision_zoo.cli.document import print_json
from vision_zoo.cli.options import DataDir, Device, Json
from vision_zoo.core.choices import Pruner, Sampler
from vision_zoo.core.errors import UsageError
from vision_zoo.core.tables import counted

if TYPE_CHECKING:
    from vision_zoo.core.results import GridPoint
    from vision_zoo.experiments.search.search_space import Space
    from vision_zoo.experiments.search.study import Place, StudySettings
    from vision_zoo.recipes.recipe import Recipe


def tune(
    recipe: Annotated[
        str,
        typer.Argument(help="Name from `vision-zoo list recipes`, or a .toml file.", show_default=False),
    ],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Values of a field: FIELD=VALUE,… Repeatable. Default: the grid of the report, if there is one."
        ),
    ] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            help="Range of a field, for --sampler tpe: FIELD=LOW:HIGH or FIELD=LOW:HIGH:log. Repeatable.",
        ),
    ] = None,
    sampler: Annotated[
        Sampler, typer.Option(help="Sampler: every combination, or a tree-structured Parzen estimator.")
    ] = "grid",
    pruner: Annotated[Pruner, typer.Option(help="Pruner: none, or stop trials below the median.")] = "none",
    trials: Annotated[
        int | None, typer.Option(help="Number of trials in a shared search; required by --sampler tpe.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            envvar="VISION_ZOO_STORAGE",
            help="Storage shared by several workers: journal:PATH or postgresql://USER:PASSWORD@HOST/DATABASE.",
        ),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the shared search. Default: the name of the recipe.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Maximum epochs per trial.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every trial.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Trials at a time. Default: one per core; one on a GPU or in a shared search."),
    ] = None,
    device: Device = "auto",
    data_dir: DataDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the search. Default: runs/tune/<recipe>.")
    ] = None,
    results_dir: Annotated[
        Path | None, typer.Option(help="Folder for a copy of the metrics, such as results.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search hyperparameters; the best validation result wins.

    Run the same command again to continue. With --storage, any number of workers share the search: run it in each.
    """
    from vision_zoo.recipes import choose_recipe
    from vision_zoo.recipes.grids import GRIDS

    chosen = choose_recipe(recipe, None, None, image_size=None, changes={"epochs": epochs, "seed": seed})
    from vision_zoo.experiments.search.search_space import parse_grid, parse_ranges

    searched = parse_ranges(ranges or [])
    published = {} if searched or recipe not in GRIDS else dict(GRIDS[recipe].values)
    values = parse_grid(grid) if grid else published
    folder = out or Path("runs") / "tune" / chosen.name
    shared = storage is not None or study is not None or trials is not None
    if shared or sampler != "grid" or pruner != "none" or searched:
        if results_dir is not None:
            raise UsageError("--results-dir is for grid searches; omit it in a shared search")
        from vision_zoo.experiments.search.study import Place, StudySettings

        _search_together(
            chosen,
            {**values, **searched},
            StudySettings(study or chosen.name, sampler, pruner, trials),
            Place(storage or f"journal:{folder / 'study.journal'}", folder, device, data_dir),
            jobs=1 if jobs is None else jobs,
            as_json=as_json,
        )
        return
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.search.grid_search import search_grid
    from vision_zoo.experiments.search.search_space import describe

    with progress_on_stderr() as progress:
        document = search_grid(
            chosen,
            values,
            out=folder,
            jobs=jobs,
            device=device,
            data_dir=data_dir,
            results_dir=results_dir,
            progress=progress,
        )
    if as_json:
        print_json(document)
        return
    rows = [point.values(values) | _reached_by(point) for point in document.points]
    print(render(rows, "table", title=f"{chosen.name}: {counted(len(rows), 'point')}"))
    print(f"\nchosen on validation: {describe(document.chosen)}; {folder / 'grid.png'} shows all points")


def _reached_by(point: "GridPoint") -> dict[str, Any]:
    if point.diverged:
        return {"validation": "diverged", "test": "", "epochs": "", "seconds": ""}
    return {
        "validation": f"{point.validation_accuracy:.2%}",
        "test": f"{point.test_accuracy:.2%}",
        "epochs": point.epochs,
        "seconds": round(point.train_seconds or 0.0, 1),
    }


def _search_together(
    recipe: "Recipe",
    space: "Space",
    settings: "StudySettings",
    place: "Place",
    *,
    jobs: int,
    as_json: bool,
) -> None:
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.core.tables import render
    from vision_zoo.experiments.search.search_space import describe
    from vision_zoo.experiments.search.shared_search import search

    with progress_on_stderr() as progress:
        document = search(recipe, space, settings, place, jobs=jobs, progress=progress)
    if as_json:
        print_json(document)
        return
    rows = [
        {
            **trial.values(space),
            "validation": "" if trial.validation_accuracy is None else f"{trial.validation_accuracy:.2%}",
            "epochs": trial.epochs,
            "state": trial.state,
        }
        for trial in document.trials
    ]
    print(render(rows, "table", title=f"{settings.name}: {counted(len(rows), 'point')}"))
    print(f"\nchosen on validation: {describe(document.chosen)}; {place.out / 'study.json'} lists all points")


def reproduce(
    recipes: Annotated[
        list[str] | None, typer.Argument(help="Names from `vision-zoo list recipes`.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Repeat every recipe of the published reports.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="Runs per recipe, each with the next seed.")] = 1,
    first_seed: Annotated[int, typer.Option(help="Seed of the first run.")] = 0,
    runs_dir: Annotated[Path, typer.Option(help="Folder for the run directories.")] = Path("runs"),
    results_dir: Annotated[Path, typer.Option(help="Folder for the metrics.")] = Path("results"),
    document: Annotated[Path, typer.Option(help="Document to regenerate.")] = Path("docs/RESULTS.md"),
    device: Device = "auto",
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Repeat published experiments and compare the results with the reports.

    Finished runs are kept.
    """
    if everything and recipes:
        raise UsageError("reproduce takes recipes or --all, not both")
    if not everything and not recipes:
        raise UsageError("reproduce needs recipes or --all; `vision-zoo list recipes` lists recipes")
    from vision_zoo.experiments import report
    from vision_zoo.recipes import RECIPES, find_recipe

    chosen = [find_recipe(name) for name in recipes or RECIPES]
    if everything:
        chosen = [recipe for recipe in chosen if recipe.data.dataset != "mnist-5k"]
    from vision_zoo.core.progress import progress_on_stderr
    from vision_zoo.experiments.reproduce import Folders, reproduce_all

    folders = Folders(runs=runs_dir, results=results_dir, data=data_dir)
    report.require_replaceable(document)
    before = _changes(results_dir)
    try:
        with progress_on_stderr() as progress:
            paths = reproduce_all(
                chosen,
                seeds=seeds,
                first_seed=first_seed,
                folders=folders,
                device=device,
                progress=progress,
            )
    except BaseException:  # Ctrl-C too
        if _changes(results_dir) != before:
            report.write(document, results_dir)
        raise
    report.write(document, results_dir)
    names = [recipe.name for recipe in chosen]
    if as_json:
        print_json(report.measured(results_dir, names))
        return
    print(report.terminal_table(results_dir, names))
    print(f"\nmetrics: {', '.join(sorted({str(path.parent) for path in paths}))}; report: {document}")


def _changes(folder: Path) -> dict[Path, int]:
    """When the metrics in `folder` were last written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}
