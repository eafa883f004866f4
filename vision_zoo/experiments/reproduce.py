"""Repeat published experiments: every recipe with several seeds, its metrics saved after each run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from vision_zoo.core import atomic
from vision_zoo.core.bounds import MAX_SEEDS, require_between
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import Interrupted, RunError, RunInUseError
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import SCHEMA_VERSION, read_result, result_path, write_result
from vision_zoo.data import find_dataset
from vision_zoo.experiments.predictions import (
    Predictions,
    predictions_path,
    read_predictions,
    write_predictions,
)
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.classifier import build_classifier, count_macs
from vision_zoo.training.device import choose_device, describe_environment
from vision_zoo.training.run_directory import RunDirectory

_METRICS = (
    "test_accuracy",
    "test_loss",
    "train_accuracy",
    "train_loss",
    "validation_accuracy",
    "validation_loss",
    "epochs",
    "steps",
    "best_epoch",
    "train_seconds",
    "cpu_seconds",
    "feature_seconds",
    "inference_seconds",
)


@dataclass(frozen=True)
class Folders:
    """Folders for runs, metrics and data."""

    runs: Path
    results: Path
    data: Path | None


def reproduce_all(
    recipes: Sequence[Recipe], *, seeds: int, folders: Folders, device: DeviceName, progress: Progress
) -> list[Path]:
    """Run every recipe with the seeds 0 to `seeds` - 1, the cheapest first, but for what is there already.

    A run of which a folder exists is continued. The metrics of every finished run are written at once; the row of an
    interrupted run says how far it came. Several processes may share the folders. Returns the files of metrics in the
    order of `recipes`.

    Raises:
        UsageError: `seeds` is out of range.
        VisionZooError: whatever a run meets.
    """
    require_between("seeds", seeds, 1, MAX_SEEDS)
    paths = {recipe.name: _result_path(recipe, folders, device) for recipe in recipes}
    for recipe, seed in _schedule(recipes, seeds):
        path = _result_path(recipe, folders, device)
        seeded = recipe.override(seed=seed)
        if seed in _finished_seeds(path, recipe) and not _weights_are_missing(
            seeded, recipes, folders, device
        ):
            continue
        progress.line(f"{recipe.name}, seed {seed}")
        try:
            run = _run(seeded, folders, device, progress)
        except Interrupted:
            with _alone(path):
                _keep_unfinished(path, seeded, folders)
            raise
        with _alone(path):
            _keep(path, recipe, run)
    return [paths[recipe.name] for recipe in recipes]


def _schedule(recipes: Sequence[Recipe], seeds: int) -> list[tuple[Recipe, int]]:
    """Cheapest first; a recipe that starts from another one's weights comes after that one."""
    order: list[tuple[Recipe, int]] = []
    for recipe in sorted(recipes, key=_cost):
        for seed in range(seeds):
            if recipe.transfer_from is not None:
                order.append((find_recipe(recipe.transfer_from), seed))
            order.append((recipe, seed))
    return order


def _cost(recipe: Recipe) -> float:
    """Multiply-accumulate operations of the whole training, roughly: frozen features are computed once."""
    dataset = find_dataset(recipe.data.dataset)
    macs = count_macs(build_classifier(recipe, dataset), dataset)
    images = dataset.train_images or 0
    if recipe.frozen:
        return float(macs * images)
    passes = recipe.stopping.epochs * images
    if recipe.stopping.max_steps is not None:
        passes = min(passes, recipe.stopping.max_steps * recipe.batch_size)
    return 3.0 * macs * passes


def _result_path(recipe: Recipe, folders: Folders, device: DeviceName) -> Path:
    return result_path(folders.results, describe_environment(choose_device(device)), recipe.name)


def _finished_seeds(path: Path, recipe: Recipe) -> set[int]:
    document = read_result(path)
    if document is None or not recipe.has_settings(document.get("settings")):
        return set()
    return {run["seed"] for run in document["runs"]}


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


def _run(recipe: Recipe, folders: Folders, device: DeviceName, progress: Progress) -> RunDirectory:
    """Train the recipe, or wait until another process that does so is done."""
    run = RunDirectory(train.default_path(recipe, folders.runs))
    while True:
        run.wait_until_free()
        begun = run.recipe_file.is_file()
        try:
            train.start_or_resume(recipe, run.path, device=device, data_dir=folders.data, progress=progress)
        except RunError as error:
            begun_by_another = not begun and run.recipe_file.is_file()  # in this moment
            if not begun_by_another and not isinstance(error, RunInUseError):
                raise
        else:
            return run


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from changing the results in the folder of `path`."""
    atomic.make_folder(path.parent)
    with FileLock(path.parent / ".lock"):
        yield


def _keep(path: Path, recipe: Recipe, run: RunDirectory) -> None:
    environment = run.environment()
    metrics = run.metrics()
    entry: dict[str, Any] = {"seed": run.recipe().seed}
    entry |= {name: metrics[name] for name in _METRICS if name in metrics}
    entry["versions"] = environment["versions"]
    entry["threads"] = environment["threads"]
    entry["history"] = run.history()
    document = _document(path, recipe, environment, metrics["parameters"])
    runs = [kept for kept in document["runs"] if kept["seed"] != entry["seed"]] + [entry]
    unfinished = [kept for kept in document.get("unfinished", []) if kept["seed"] != entry["seed"]]
    _keep_predictions(path, run)
    write_result(
        path,
        {**document, "runs": sorted(runs, key=lambda kept: int(kept["seed"])), "unfinished": unfinished},
    )


def _keep_predictions(path: Path, run: RunDirectory) -> None:
    """Beside those of other seeds on the same images."""
    labels, predicted = run.predictions()
    kept = read_predictions(predictions_path(path))
    by_seed = dict(kept.by_seed) if kept is not None and np.array_equal(kept.labels, labels) else {}
    write_predictions(predictions_path(path), Predictions(labels, {**by_seed, run.recipe().seed: predicted}))


def _keep_unfinished(path: Path, recipe: Recipe, folders: Folders) -> None:
    run = RunDirectory(train.default_path(recipe, folders.runs))
    if not run.recipe_file.is_file() or not run.history_file.is_file():
        return
    document = _document(path, recipe, run.environment(), None)
    last = run.history()[-1]
    entry = {"seed": recipe.seed, "epochs": last["epoch"], "steps": last["steps"], "seconds": last["seconds"]}
    others = [kept for kept in document["unfinished"] if kept["seed"] != recipe.seed]
    write_result(path, {**document, "unfinished": [*others, entry]})


def _document(
    path: Path, recipe: Recipe, environment: dict[str, Any], parameters: int | None
) -> dict[str, Any]:
    found = read_result(path)
    if found is not None and recipe.has_settings(found.get("settings")):
        return found if parameters is None else {**found, "parameters": parameters}
    hardware = ("cpu", "gpu", "cores", "memory_gib", "machine", "system", "python", "device")
    return {
        "schema": SCHEMA_VERSION,
        "kind": "recipe",
        "recipe": recipe.name,
        "architecture": recipe.architecture,
        "settings": recipe.settings(),
        "parameters": parameters,
        "data": {"dataset": recipe.data.dataset, **environment["data"]},
        "environment": {key: environment[key] for key in hardware if key in environment},
        "runs": [],
        "unfinished": [],
    }
