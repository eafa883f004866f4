"""A search shared by workers: those of this call, others elsewhere, and `study.json` with what all of them reached."""

import json
import multiprocessing
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from vision_zoo.core import atomic
from vision_zoo.core.bounds import MAX_JOBS, require_between
from vision_zoo.core.choices import DeviceName
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.errors import Interrupted, RunError, VisionZooError
from vision_zoo.core.progress import PlainProgress, Progress
from vision_zoo.core.results import SCHEMA_VERSION
from vision_zoo.data import find_dataset
from vision_zoo.experiments.search import study
from vision_zoo.experiments.search.search_space import Space
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.device import choose_device, describe_environment, limit_threads
from vision_zoo.training.run_data import require_runs_on

_GRACE_SECONDS = 10
_FAILED = 1  # the exit code of a worker that says why


@dataclass(frozen=True)
class Place:
    """Where a study is kept, where its runs are, and what they run on."""

    storage: str
    out: Path
    device: DeviceName
    data_dir: Path | None


def search(
    recipe: Recipe,
    space: Space,
    settings: study.StudySettings,
    place: Place,
    *,
    jobs: int,
    progress: Progress,
) -> dict[str, Any]:
    """Be `jobs` workers of the study until it has ended, and write `out`/study.json; returns the document.

    Where a worker is lost, killed for memory for instance, the others go on and take up its point.

    Raises:
        UsageError: `jobs` is out of range.
        VisionZooError: whatever a worker meets.
    """
    require_between("jobs", jobs, 1, MAX_JOBS)
    with study.open_study(recipe, space, settings, place.storage):
        pass  # its errors come before anything starts
    dataset = find_dataset(recipe.dataset, image_size=recipe.image_size)
    require_runs_on(place.out, dataset, dataset.load(place.data_dir))  # decoded once
    if jobs == 1:
        _work(recipe, space, settings, place, progress)
    else:
        _work_in_processes(recipe, space, settings, place, jobs, progress)
    with study.open_study(recipe, space, settings, place.storage) as opened:
        trials = study.trials_of(opened)
    limit_threads()  # whose number is in the document
    document: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "kind": "study",
        "recipe": recipe.name,
        "settings": recipe.settings(),
        "seed": recipe.seed,
        "study": settings.name,
        "sampler": settings.sampler,
        "pruner": settings.pruner,
        "environment": describe_environment(choose_device(place.device)),
        "trials": trials,
    }
    complete = [row for row in trials if row["state"] == "complete"]
    if not complete:
        raise RunError(f"no point of {settings.name} was trained to its end; look for a better range")
    best = max(complete, key=lambda row: row["validation_accuracy"])
    document["chosen"] = {field: best[field] for field in space}
    atomic.write_text(place.out / "study.json", json.dumps(document, indent=1) + "\n")
    return document


def _work(
    recipe: Recipe, space: Space, settings: study.StudySettings, place: Place, progress: Progress
) -> None:
    study.work(
        recipe,
        space,
        settings,
        storage=place.storage,
        out=place.out,
        device=place.device,
        data_dir=place.data_dir,
        progress=progress,
    )


def _work_in_processes(
    recipe: Recipe, space: Space, settings: study.StudySettings, place: Place, jobs: int, progress: Progress
) -> None:
    threads = max(1, usable_cores() // jobs)
    context = multiprocessing.get_context("spawn")
    errors: SimpleQueue[VisionZooError] = context.SimpleQueue()
    arguments = (recipe.to_json(), dict(space), settings, place, threads, errors)
    workers = [context.Process(target=_one_of_several, args=arguments) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    try:
        running = set(workers)
        while running and all(worker.exitcode != _FAILED for worker in workers):
            wait([worker.sentinel for worker in running])
            for worker in [worker for worker in running if worker.exitcode is not None]:
                running.remove(worker)
                if _is_lost(worker) and running:
                    progress.line(
                        f"warning: a worker was lost (exit code {worker.exitcode}); the others go on"
                    )
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; run the same command again to go on") from error
    finally:
        _end(workers)
    if not errors.empty():
        raise errors.get()
    if all(_is_lost(worker) for worker in workers):
        raise RunError(
            f"all workers were lost (exit code {workers[0].exitcode}); run the same command again to go on"
        )


def _is_lost(worker: SpawnProcess) -> bool:
    return worker.exitcode not in (None, 0, _FAILED)


def _end(workers: Sequence[SpawnProcess]) -> None:
    """Let workers save what they have: those that a terminal told to stop already, then the others."""
    if all(worker.exitcode is None for worker in workers):
        workers[0].join(_GRACE_SECONDS)
    for worker in workers:
        if worker.exitcode is None:
            worker.terminate()
    for worker in workers:
        worker.join()


def _one_of_several(
    recipe_json: str,
    space: Space,
    settings: study.StudySettings,
    place: Place,
    threads: int,
    errors: "SimpleQueue[VisionZooError]",
) -> None:
    """In a process of its own."""
    import torch

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    torch.set_num_threads(threads)
    recipe = Recipe.from_json(recipe_json, name="the study's recipe")
    try:
        _work(recipe, space, settings, place, PlainProgress())
    except VisionZooError as error:
        errors.put(error)
        sys.exit(_FAILED)
    except KeyboardInterrupt:
        sys.exit(_FAILED)
