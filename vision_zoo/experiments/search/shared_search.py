"""A search shared by workers, local and remote, summarised in `study.json`."""

import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Literal

from vision_zoo.core import json_file
from vision_zoo.core.bounds import MAX_JOBS, require_between
from vision_zoo.core.environment import Environment, usable_cores
from vision_zoo.core.errors import SAME_COMMAND, Interrupted, RunError, VisionZooError
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import SCHEMA_VERSION
from vision_zoo.core.tables import counted
from vision_zoo.data.own_folder import require_outside
from vision_zoo.experiments.search.search_space import Range, Space
from vision_zoo.experiments.search.study import Place, StudySettings, TrialResult, open_study, trials_of, work
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.recipes.training_settings import MAX_COUNT
from vision_zoo.training.device import choose_device, describe_environment, limit_threads
from vision_zoo.training.run_data import require_runs_on
from vision_zoo.training.run_directory import refuse_run

_GRACE_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """study.json: what every point of a shared search reached, and the `chosen` values."""

    schema: Literal[2] = SCHEMA_VERSION
    kind: Literal["study"] = "study"
    recipe: str
    settings: Mapping[str, Any]
    seed: int
    study: str
    sampler: str
    pruner: str
    environment: Environment
    trials: Sequence[TrialResult]
    chosen: Mapping[str, int | float]


def search(
    recipe: Recipe, space: Space, settings: StudySettings, place: Place, *, jobs: int, progress: Progress
) -> StudyResult:
    """`search_together`, and write `out`/study.json; returns the document."""
    trials = search_together(recipe, space, settings, place, jobs=jobs, progress=progress)
    best = max(
        (row for row in trials if row.state == "complete"), key=lambda row: row.validation_accuracy or 0.0
    )
    limit_threads()  # whose number is in the document
    document = StudyResult(
        recipe=recipe.name,
        settings=recipe.settings(),
        seed=recipe.seed,
        study=settings.name,
        sampler=settings.sampler,
        pruner=settings.pruner,
        environment=describe_environment(choose_device(place.device)),
        trials=trials,
        chosen=best.values(space),
    )
    json_file.write(place.out / "study.json", document, indent=1)
    return document


def search_together(
    recipe: Recipe, space: Space, settings: StudySettings, place: Place, *, jobs: int, progress: Progress
) -> list[TrialResult]:
    """Be `jobs` workers of the study until it has ended; returns what every point reached, as `trials_of` says.

    On a CPU every worker has its share of the cores, and all read the same cached arrays. Where one is lost, killed
    for memory for instance, the others continue and take up its point.

    Raises:
        UsageError: `jobs` is out of range.
        RunError: the loss diverged at every point, or all workers were lost.
        VisionZooError: whatever a worker meets.
    """
    require_between("jobs", jobs, 1, MAX_JOBS)
    require_outside(recipe.data.dataset, place.out)
    refuse_run(place.out)
    with open_study(recipe, space, settings, place.storage):
        pass  # its errors come before anything starts
    dataset = dataset_of(recipe.data)
    splits = dataset.load(place.data_dir)  # decoded once
    require_runs_on(place.out, lambda _recipe: (dataset, splits))
    sizes = [len(values) for values in space.values() if not isinstance(values, Range)]
    points = math.prod(sizes) if settings.sampler == "grid" else MAX_COUNT
    points = min(points, settings.trials or points)
    progress.start(counted(points, "point"), points)
    told: set[str] = set()

    def tell(text: str) -> None:
        if text not in told:  # a worker with nothing left to do waits for another's point and repeats it
            told.add(text)
            progress.line(text)
            progress.advance()

    jobs = min(jobs, points)
    if jobs == 1:
        work(recipe, space, settings, place, tell)
    else:
        _work_in_processes(recipe, space, settings, place, jobs, tell, progress)
    with open_study(recipe, space, settings, place.storage) as opened:
        trials = trials_of(opened)
    if all(trial.state != "complete" for trial in trials):
        raise RunError("the loss diverged at every point; try lower learning rates")
    return trials


def _work_in_processes(
    recipe: Recipe,
    space: Space,
    settings: StudySettings,
    place: Place,
    jobs: int,
    tell: Callable[[str], None],
    progress: Progress,
) -> None:
    threads = max(1, usable_cores() // jobs)
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection[Any, Any], SpawnProcess] = {}
    try:
        for _ in range(jobs):
            receiver, sender = context.Pipe(duplex=False)
            arguments = (recipe.to_json(), dict(space), settings, place, threads, sender)
            worker = context.Process(target=_work_in_process, args=arguments)
            worker.start()
            workers[receiver] = worker
            sender.close()  # it is the worker's alone, and the pipe ends when the worker does
        running = set(workers)
        while running:
            for receiver in running.intersection(wait(running)):
                try:
                    message = receiver.recv()
                except (EOFError, OSError):
                    running.remove(receiver)
                    worker = workers[receiver]
                    worker.join()
                    if worker.exitcode and running:
                        progress.line(
                            f"warning: a worker was lost (exit code {worker.exitcode}); the others continue"
                        )
                    continue
                if isinstance(message, VisionZooError):
                    workers[receiver].join()
                    raise message
                tell(message)
    except KeyboardInterrupt as error:
        deadline = time.monotonic() + _GRACE_SECONDS
        for worker in workers.values():  # a terminal told them too, and they save what they have
            worker.join(max(0.0, deadline - time.monotonic()))
        raise Interrupted(f"interrupted; {SAME_COMMAND}") from error
    finally:
        for worker in workers.values():
            worker.terminate()
        for worker in workers.values():
            worker.join()
    codes = [worker.exitcode for worker in workers.values()]
    if all(codes):
        raise RunError(
            f"all workers were lost (exit code {codes[0]}), perhaps for lack of memory; {SAME_COMMAND}, with fewer --jobs"
        )


def _work_in_process(
    recipe_json: str,
    space: Space,
    settings: StudySettings,
    place: Place,
    threads: int,
    sender: "Connection[Any, Any]",
) -> None:
    """In a process of its own: send the line of each point, or the error that ended the worker."""
    import torch

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    torch.set_num_threads(threads)
    recipe = Recipe.from_json(recipe_json, name="the study's recipe")
    with suppress(BrokenPipeError):  # who started it is gone
        try:
            work(recipe, space, settings, place, sender.send)
        except VisionZooError as error:
            sender.send(error)
        except KeyboardInterrupt:
            sender.send(Interrupted(f"interrupted; {SAME_COMMAND}"))
