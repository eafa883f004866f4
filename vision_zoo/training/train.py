"""Train a recipe into a finished run directory."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import torch

from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import SAME_COMMAND, RunError, UsageError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.core.results import DataUsed, EpochRecord
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Splits, report_skipped
from vision_zoo.data.own_folder import require_outside
from vision_zoo.recipes.folder_settings import dataset_of
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.recipes.training_settings import StoppingSettings
from vision_zoo.training import distributed
from vision_zoo.training.checkpoint import has_state
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.device import (
    choose_device,
    describe_environment,
    limit_threads,
    make_repeatable,
    use_precision,
)
from vision_zoo.training.distillation import load_teacher
from vision_zoo.training.features import can_cache
from vision_zoo.training.fit import fit
from vision_zoo.training.loader import training_splits
from vision_zoo.training.loop import Watch
from vision_zoo.training.run_data import data_to_record, load_for_run
from vision_zoo.training.run_directory import RunDirectory, RunEnvironment, run_name
from vision_zoo.training.run_outputs import TrainResult, finished
from vision_zoo.training.speedups import keep_freed_memory
from vision_zoo.training.step import fastest_precision
from vision_zoo.training.weights import Origins, initialise


def unwatched(_record: EpochRecord) -> bool:
    """Watch nothing: the run goes on to its end."""
    return True


def start(
    recipe: Recipe,
    path: Path,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    pretrained: Path | None = None,
    transfer: Path | None = None,
    teacher: Path | None = None,
) -> TrainResult:
    """Train `recipe` in a new run directory.

    `pretrained` is a file of the published weights that the recipe names, `transfer` the run that gives
    the feature layers' weights; without it, the run of the recipe's `transfer_from` beside `path`. `teacher` is the run
    whose probabilities a recipe that is distilled learns.

    Under torchrun every process calls it, and a run that is there already is continued: torchrun starts all its
    processes again when one of them was lost.

    Raises:
        DataError, DeviceError, RunError, StorageError, TrainingError, UsageError, Interrupted
    """
    run = RunDirectory(path)
    _start(recipe, run, device, Origins(data_dir, pretrained, transfer, teacher), progress, unwatched)
    return finished(run)


def resume(
    path: Path,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    dataset: str | None = None,
    epochs: int | None = None,
) -> TrainResult:
    """Continue an interrupted run in place; a finished one is returned as it is.

    `dataset` is `folder:PATH` where the run's folder of pictures was moved; its content has to be the same. With
    `epochs`, a finished run is continued too, and ends as one that was started with that number.

    Raises:
        DataError, DeviceError, RunError, StorageError, TrainingError, UsageError, Interrupted
    """
    run = RunDirectory.open(path)
    _resume(run, device, data_dir, dataset, progress, unwatched, epochs)
    return finished(run)


def start_or_resume(
    recipe: Recipe,
    path: Path,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    watch: Watch = unwatched,
    pretrained: Path | None = None,
    transfer: Path | None = None,
    teacher: Path | None = None,
    further: bool = False,
) -> bool:
    """Train `recipe` in a new run directory, or continue its run that is there. Returns whether it is finished.

    With `further`, a run that `finish` ended is continued, too.
    `pretrained`, `transfer` and `teacher` are those of `start`; a run that is there knows its own.
    `watch` is shown each epoch's record once that is saved; where it returns False, the run is left unfinished.

    Raises:
        RunError: `path` holds a run of another recipe, among other reasons.
        DataError, DeviceError, StorageError, TrainingError, UsageError, Interrupted
    """
    run = RunDirectory(path, resume_hint=SAME_COMMAND)
    if run.recipe_file.is_file():
        run.require_recipe(recipe)
        _resume(run, device, data_dir, None, progress, watch, recipe.stopping.epochs if further else None)
    else:
        _start(recipe, run, device, Origins(data_dir, pretrained, transfer, teacher), progress, watch)
    return run.finished


def finish(path: Path, *, device: DeviceName, data_dir: Path | None, progress: Progress) -> TrainResult:
    """End a run that was left before its last epoch: score the best weights that it has; a finished one is returned.

    Raises:
        DataError, DeviceError, RunError, StorageError, UsageError, Interrupted
    """
    run = RunDirectory.open(path)
    _continue(run, choose_device(device), data_dir, None, progress, None)
    return finished(run)


def default_path(recipe: Recipe, runs_dir: Path = Path("runs")) -> Path:
    """Where a run goes when the user does not say."""
    return runs_dir / run_name(recipe.name, recipe.seed)


def _start(
    recipe: Recipe, run: RunDirectory, device: DeviceName, origins: Origins, progress: Progress, watch: Watch
) -> None:
    chosen = choose_device(device)
    _set_up_torch(recipe, chosen)
    with distributed.joined(cuda=chosen.type == "cuda") as here:
        progress = progress if here.is_main else SilentProgress()
        if distributed.started_by_torchrun() and run.recipe_file.exists():
            run.require_recipe(recipe)
            _continue(run, chosen, origins.data_dir, None, progress, watch)
            return
        if origins.pretrained is not None and recipe.pretrained is None:
            raise UsageError(f"{recipe.architecture} starts from random weights; omit --pretrained")
        require_outside(recipe.data.dataset, run.path)
        run.require_free()
        dataset = dataset_of(recipe.data)
        with distributed.first_process_first():
            splits = dataset.load(origins.data_dir)
        report_skipped(splits, progress)
        torch.manual_seed(recipe.seed)
        # Refuses an architecture that does not work on this dataset.
        classifier = build_classifier(recipe, dataset)
        train_split = training_splits(splits, recipe)["train"]
        here.check(len(train_split), recipe.batch_size)
        if recipe.distillation.distil_from is not None:
            load_teacher(origins.teacher, recipe, dataset, splits)  # refuses one of other classes
        initialise(classifier, recipe, train_split, run.path, origins)
        if recipe.precision == "auto":
            fixed = can_cache(recipe)  # a head alone takes no time
            found = "fp32" if fixed else fastest_precision(classifier, recipe, train_split, chosen, progress)
            recipe = recipe.override(precision=found)
            use_precision(recipe.precision, chosen)
        distributed.wait_for_all()  # nobody looks for a free folder any more
        with _writing(run), run.saying_how_to_resume(recipe.stopping.epochs):
            if here.is_main:
                recorded = data_to_record(dataset, splits, recipe)
                run.require_free()
                recorded.save(run)
                run.create(recipe, _environment(chosen, splits, origins))
            fit(run, recipe, dataset, splits, classifier.to(chosen), progress, watch)


def _resume(
    run: RunDirectory,
    device: DeviceName,
    data_dir: Path | None,
    named: str | None,
    progress: Progress,
    watch: Watch,
    epochs: int | None = None,
) -> None:
    chosen = choose_device(device)
    with distributed.joined(cuda=chosen.type == "cuda") as here:
        _continue(run, chosen, data_dir, named, progress if here.is_main else SilentProgress(), watch, epochs)


def _continue(
    run: RunDirectory,
    device: torch.device,
    data_dir: Path | None,
    named: str | None,
    progress: Progress,
    watch: Watch | None,
    epochs: int | None = None,
) -> None:
    """Train on, to so many `epochs`, shown to `watch`, or without one only score what there is."""
    path, recipe = run.path, run.recipe()
    if epochs is not None:
        recipe = _with_epochs(run, epochs)
    _set_up_torch(recipe, device)
    if run.finished and epochs is None:
        progress.line(f"{path} is already finished")
        return
    origins = Origins.of_run(run.environment())
    with distributed.first_process_first():
        dataset, splits = load_for_run(run, recipe, data_dir=data_dir, dataset=named)
    data_dir = data_dir or origins.data_dir
    torch.manual_seed(recipe.seed)
    classifier = build_classifier(recipe, dataset)
    if not has_state(run.last, run.previous):
        train_split = training_splits(splits, recipe)["train"]
        initialise(classifier, recipe, train_split, path, replace(origins, data_dir=data_dir))
    with _writing(run), run.saying_how_to_resume(recipe.stopping.epochs):
        if epochs is not None and distributed.world().is_main:
            run.reopen(recipe)
        fit(run, recipe, dataset, splits, classifier.to(device), progress, watch)


def _with_epochs(run: RunDirectory, epochs: int) -> Recipe:
    """The recipe of `run` with another number of epochs, where it then takes the steps of one started with it.

    Raises:
        RunError: it has trained as many, has ended for another reason, or has no checkpoint.
        UsageError: the number is out of range, or the schedule depends on it.
    """
    recipe, done = run.recipe(), run.epochs_saved()
    longer = recipe.replace(epochs=epochs)
    if longer != recipe and recipe.schedule.kind == "one_cycle":
        raise UsageError(
            f"the learning rate of {run.path} follows the schedule one_cycle over "
            f"{counted(recipe.stopping.epochs, 'epoch')}, which cannot be extended; train again with --epochs {epochs} "
            "and another --out"
        )
    if epochs < done or (run.finished and epochs == done):
        raise RunError(f"{run.path} has trained {counted(done, 'epoch')} already; expected a larger --epochs")
    if run.finished:
        _require_open_end(run, recipe.stopping)
    return longer


def _require_open_end(run: RunDirectory, stopping: StoppingSettings) -> None:
    """Raise RunError where it is not for the number of its epochs that the finished `run` has ended."""
    if not has_state(run.last, run.previous):
        raise RunError(f"{run.path} has no checkpoint to continue from; train again with another --out")
    reached = run.metrics()
    ended = {
        "patience": stopping.patience is not None
        and reached.epochs - reached.best_epoch >= stopping.patience,
        "max-steps": stopping.max_steps is not None and reached.steps >= stopping.max_steps,
        "max-minutes": stopping.max_minutes is not None
        and reached.train_seconds >= stopping.max_minutes * 60,
    }
    reason = next((name for name, holds in ended.items() if holds), None)
    if reason is not None:
        raise RunError(
            f"{run.path} was stopped by --{reason} after {counted(reached.epochs, 'epoch')}, and would stop there again; "
            f"train again with another --{reason} and another --out"
        )


def _set_up_torch(recipe: Recipe, device: torch.device) -> None:
    """Memory, threads and arithmetic of this process, before anything is computed."""
    keep_freed_memory()
    limit_threads()
    use_precision(recipe.precision, device)
    make_repeatable(device)


@contextmanager
def _writing(run: RunDirectory) -> Iterator[None]:
    """Keep other jobs out of the folder; of several processes, the first does."""
    with run.locked() if distributed.world().is_main else nullcontext():
        yield


def _environment(device: torch.device, splits: Splits, origins: Origins) -> RunEnvironment:
    return RunEnvironment(
        **asdict(describe_environment(device)),
        processes=distributed.world().size,
        data=DataUsed(variant=splits.variant, sha256=splits.sha256),
        **origins.to_record(),
    )
