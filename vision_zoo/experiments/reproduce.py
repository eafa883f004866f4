"""Repeat published experiments: every recipe with several seeds, its metrics saved after each run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from filelock import FileLock

from vision_zoo.core import atomic
from vision_zoo.core.bounds import MAX_SEEDS, require_between
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.environment import Environment
from vision_zoo.core.errors import Interrupted
from vision_zoo.core.json_file import read_if_present
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import (
    DataUsed,
    Metrics,
    RecipeResult,
    SeedResult,
    UnfinishedRun,
    result_path,
    write_result,
)
from vision_zoo.data import find_dataset
from vision_zoo.experiments.predictions import (
    Predictions,
    predictions_path,
    read_predictions,
    write_predictions,
)
from vision_zoo.experiments.shared_run import start_or_resume_shared
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.classifier import build_classifier, count_macs
from vision_zoo.training.device import choose_device, describe_environment
from vision_zoo.training.run_directory import RunDirectory, RunEnvironment

Run = TypeVar("Run", SeedResult, UnfinishedRun)


@dataclass(frozen=True)
class Folders:
    """Folders for runs, metrics and data."""

    runs: Path
    results: Path
    data: Path | None


def reproduce_all(
    recipes: Sequence[Recipe],
    *,
    seeds: int,
    folders: Folders,
    device: DeviceName,
    progress: Progress,
    first_seed: int = 0,
) -> list[Path]:
    """Run every recipe with `seeds` seeds from `first_seed` on, the cheapest first, but for what is there already.

    A run of which a folder exists is continued. The metrics of every finished run are written at once; the row of an
    interrupted run says how far it came. Several processes may share the folders. Returns the files of metrics in the
    order of `recipes`.

    Raises:
        UsageError: a seed is out of range.
        VisionZooError: whatever a run meets.
    """
    require_between("seeds", seeds, 1, MAX_SEEDS)
    require_between("first seed", first_seed, 0, MAX_SEEDS - seeds)
    paths = {recipe.name: _result_path(recipe, folders, device) for recipe in recipes}
    for recipe, seed in _schedule(recipes, range(first_seed, first_seed + seeds)):
        path = _result_path(recipe, folders, device)
        seeded = recipe.override(seed=seed)
        if seed in _finished_seeds(path, recipe) and not _weights_are_missing(
            seeded, recipes, folders, device
        ):
            continue
        progress.line(f"{recipe.name}, seed {seed}")
        try:
            run = RunDirectory(train.default_path(seeded, folders.runs))
            start_or_resume_shared(seeded, run.path, device=device, data_dir=folders.data, progress=progress)
        except Interrupted:
            with _alone(path):
                _keep_unfinished(path, seeded, folders)
            raise
        with _alone(path):
            _keep(path, recipe, run)
    return [paths[recipe.name] for recipe in recipes]


def _schedule(recipes: Sequence[Recipe], seeds: range) -> list[tuple[Recipe, int]]:
    """Cheapest first; a recipe that starts from another one's weights comes after that one."""
    order: list[tuple[Recipe, int]] = []
    for recipe in sorted(recipes, key=_cost):
        for seed in seeds:
            if recipe.transfer_from is not None:
                order.append((find_recipe(recipe.transfer_from), seed))
            order.append((recipe, seed))
    return order


def _cost(recipe: Recipe) -> float:
    """Multiply-accumulate operations of the whole training, roughly: frozen features are computed once."""
    dataset = find_dataset(recipe.data.dataset)
    macs = count_macs(build_classifier(recipe, dataset), dataset)
    images = dataset.train_images or 0
    if recipe.frozen and recipe.fine_tune is None:
        return float(macs * images)
    passes = recipe.stopping.epochs * images
    if recipe.stopping.max_steps is not None:
        passes = min(passes, recipe.stopping.max_steps * recipe.batch_size)
    return 3.0 * macs * passes


def _result_path(recipe: Recipe, folders: Folders, device: DeviceName) -> Path:
    return result_path(folders.results, describe_environment(choose_device(device)), recipe.name)


def _finished_seeds(path: Path, recipe: Recipe) -> set[int]:
    document = read_if_present(path, RecipeResult)
    if document is None or not recipe.has_settings(document.settings):
        return set()
    return {run.seed for run in document.runs}


def _weights_are_missing(
    recipe: Recipe, recipes: Sequence[Recipe], folders: Folders, device: DeviceName
) -> bool:
    """Whether another recipe that is still to be run starts from this run, whose folder is not here any more."""
    if RunDirectory(train.default_path(recipe, folders.runs)).finished:
        return False
    return any(
        follower.transfer_from == recipe.name
        and recipe.seed not in _finished_seeds(_result_path(follower, folders, device), follower)
        for follower in recipes
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from changing the results in the folder of `path`."""
    atomic.make_folder(path.parent)
    with FileLock(path.parent / ".lock"):
        yield


def _keep(path: Path, recipe: Recipe, run: RunDirectory) -> None:
    environment, metrics, seed = run.environment(), run.metrics(), run.recipe().seed
    reached = {entry.name: getattr(metrics, entry.name) for entry in fields(Metrics)}
    result = SeedResult(
        **reached,
        seed=seed,
        versions=environment.versions,
        threads=environment.threads or 0,
        history=run.history(),
    )
    document = _document(path, recipe, environment)
    _keep_predictions(path, run)
    write_result(
        path,
        replace(
            document,
            parameters=metrics.parameters,
            runs=sorted([*_but(seed, document.runs), result], key=lambda kept: kept.seed),
            unfinished=_but(seed, document.unfinished),
        ),
    )


def _but(seed: int, runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.seed != seed]


def _keep_predictions(path: Path, run: RunDirectory) -> None:
    """Beside those of other seeds on the same images."""
    found = run.predictions()
    kept = read_predictions(predictions_path(path))
    by_seed = dict(kept.by_seed) if kept is not None and np.array_equal(kept.labels, found.labels) else {}
    by_seed[run.recipe().seed] = found.predictions
    write_predictions(predictions_path(path), Predictions(found.labels, by_seed))


def _keep_unfinished(path: Path, recipe: Recipe, folders: Folders) -> None:
    run = RunDirectory(train.default_path(recipe, folders.runs))
    if not run.recipe_file.is_file() or not run.history_file.is_file():
        return
    document = _document(path, recipe, run.environment())
    last = run.history()[-1]
    reached = UnfinishedRun(seed=recipe.seed, epochs=last.epoch, steps=last.steps, seconds=last.seconds)
    write_result(path, replace(document, unfinished=[*_but(recipe.seed, document.unfinished), reached]))


def _document(path: Path, recipe: Recipe, environment: RunEnvironment) -> RecipeResult:
    found = read_if_present(path, RecipeResult)
    if found is not None and recipe.has_settings(found.settings):
        return found
    data = environment.data or DataUsed(variant="unknown", sha256="")
    here = {entry.name: getattr(environment, entry.name) for entry in fields(Environment)}
    return RecipeResult(
        recipe=recipe.name,
        architecture=recipe.architecture,
        settings=recipe.settings(),
        parameters=None,
        data=replace(data, dataset=recipe.data.dataset),
        environment=Environment(**here | {"versions": {}, "threads": None}),  # each run keeps its own
    )
