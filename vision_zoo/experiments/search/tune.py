"""Grid search: every combination of some recipe fields is trained, and validation chooses among them."""

import itertools
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vision_zoo.core import environment
from vision_zoo.core.bounds import MAX_JOBS, require_between
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import Interrupted, RunError, TrainingError, UsageError, VisionZooError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.experiments.search.search_space import Values, describe, folder_name, tuned
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import train
from vision_zoo.training.device import choose_device
from vision_zoo.training.run_data import require_runs_on
from vision_zoo.training.run_directory import RunDirectory


@dataclass(frozen=True)
class PointRun:
    """A point of the grid: its field values, its run, and what that reached; None where the loss diverged."""

    values: dict[str, float]
    path: Path
    metrics: dict[str, Any] | None


def points(recipe: Recipe, values: Values) -> list[tuple[dict[str, float], Recipe]]:
    """Every combination, with the recipe that it makes; without early stopping, the best epoch is kept all the same.

    Raises:
        UsageError: a value is out of range, or the grid is empty.
    """
    if not values:
        raise UsageError(
            f"{recipe.name} has no published grid; give one, for instance --grid lr=0.001,0.01 --grid batch_size=64,128"
        )
    combinations = [
        dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())
    ]
    return [(combination, tuned(recipe).override(**combination)) for combination in combinations]


def tune(
    recipe: Recipe,
    values: Values,
    *,
    out: Path,
    jobs: int | None,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
) -> list[PointRun]:
    """Train every point in a folder of its own under `out`, several at a time; what is there already stays.

    On a CPU every job has its share of the cores, and all read the same cached arrays. Returns the points
    in the order of the grid.

    Raises:
        UsageError: `jobs` is out of range.
        RunError: every point diverged, or a job was lost.
        VisionZooError: what a run meets but for a loss that diverges; what other points reached is kept.
    """
    if jobs is not None:
        require_between("jobs", jobs, 1, MAX_JOBS)
    grid = points(recipe, values)
    paths = [out / folder_name(combination) for combination, _ in grid]
    dataset = find_dataset(recipe.dataset, image_size=recipe.image_size)
    require_runs_on(out, dataset, dataset.load(data_dir))  # decoded once, before the jobs
    cores = environment.usable_cores()
    workers = min(jobs or (1 if choose_device(device).type == "cuda" else cores), len(grid))
    threads = max(1, cores // workers)
    progress.start(f"{len(grid)} points", len(grid))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, max_tasks_per_child=None) as pool:
        futures = {
            pool.submit(_train_point, point.to_json(), path, device, data_dir, threads): (combination, path)
            for (combination, point), path in zip(grid, paths, strict=True)
        }
        try:
            diverged = _collect(futures, progress)
        except (VisionZooError, BrokenProcessPool, KeyboardInterrupt) as error:
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise RunError(
                    "a job was lost, killed for memory perhaps; run the same command again to go on, with fewer --jobs"
                ) from error
            if not isinstance(error, KeyboardInterrupt | Interrupted):
                raise
            done = sum(RunDirectory(path).finished for path in paths)
            raise Interrupted(
                f"interrupted; {done} of {len(grid)} points are finished: run the same command again to go on"
            ) from error
    if len(diverged) == len(grid):
        raise RunError("the loss diverged at every point of the grid; look at lower learning rates")
    return [
        PointRun(combination, path, None if path in diverged else RunDirectory.open(path).metrics())
        for (combination, _), path in zip(grid, paths, strict=True)
    ]


def choose(runs: Sequence[PointRun]) -> PointRun:
    """The point of the highest validation accuracy; of equal ones, that of the lowest validation loss."""
    trained = [(run.metrics, run) for run in runs if run.metrics is not None]
    _, best = max(trained, key=lambda one: (one[0]["validation_accuracy"], -one[0]["validation_loss"]))
    return best


def _collect(futures: Mapping[Future[float], tuple[dict[str, float], Path]], progress: Progress) -> set[Path]:
    """The runs whose loss diverged, when all have ended."""
    diverged = set()
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=0.5, return_when=FIRST_EXCEPTION)
        for future in done:
            combination, path = futures[future]
            progress.advance()
            try:
                accuracy = future.result()
            except TrainingError as error:
                diverged.add(path)
                progress.line(f"{describe(combination)}: {error}")
                continue
            progress.line(f"{describe(combination)}: {accuracy:.2%} of the validation images right ({path})")
    return diverged


def _train_point(
    recipe_json: str, path: Path, device: DeviceName, data_dir: Path | None, threads: int
) -> float:
    """In a process of its own: train or resume one point; its validation accuracy."""
    torch.set_num_threads(threads)
    recipe = Recipe.from_json(recipe_json, name="the grid's point")
    progress = SilentProgress()
    train.start_or_resume(recipe, path, device=device, data_dir=data_dir, progress=progress)
    return float(RunDirectory.open(path).metrics()["validation_accuracy"])
