"""A training run from recipe to finished run directory."""

import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vision_zoo.core.choices import DeviceName
from vision_zoo.core.errors import Interrupted, RunError, StorageError
from vision_zoo.core.progress import Progress, SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Dataset, Split, Splits, report_skipped
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import distributed
from vision_zoo.training.checkpoint import has_state, load_state, save_state
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.cuda_graph import fastest_step
from vision_zoo.training.device import (
    choose_device,
    describe_environment,
    limit_threads,
    make_repeatable,
    use_precision,
)
from vision_zoo.training.evaluate import evaluate
from vision_zoo.training.features import can_cache, compute_features
from vision_zoo.training.interrupt import DeferredInterrupt, SharedInterrupt
from vision_zoo.training.loader import Loader, parts_of
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop, Watch
from vision_zoo.training.optim import build_optimizer, scored_loss
from vision_zoo.training.run_data import data_to_record, load_for_run
from vision_zoo.training.run_directory import RunDirectory, run_name
from vision_zoo.training.run_outputs import TrainedRun, finished, write_outcome
from vision_zoo.training.speedups import keep_freed_memory, quickened
from vision_zoo.training.state import TrainingState
from vision_zoo.training.step import EagerStep
from vision_zoo.training.weights import Origins, initialise, save_weights

SAVE_SECONDS = 60.0
"""Between two checkpoints in the middle of an epoch."""


def _unwatched(_record: Mapping[str, float]) -> None:
    pass


def start(
    recipe: Recipe,
    path: Path,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    pretrained: Path | None = None,
    transfer: Path | None = None,
    watch: Watch = _unwatched,
) -> TrainedRun:
    """Train `recipe` in a new run directory.

    `pretrained` is a file of the published weights that the recipe names, `transfer` the run that gives
    the feature layers' weights; without it, the run of the recipe's `transfer_from` beside `path`. `watch` is shown
    each epoch's record; what it raises ends training.

    Under torchrun every process calls it, and a run that is there already is continued: torchrun starts all its
    processes again when one of them was lost.

    Raises:
        DataError, DeviceError, RunError, StorageError, TrainingError, UsageError, Interrupted
    """
    keep_freed_memory()
    limit_threads()
    run = RunDirectory(path)
    chosen = choose_device(device)
    use_precision(recipe.precision, chosen)
    make_repeatable(chosen)
    with distributed.joined(cuda=chosen.type == "cuda") as here:
        progress = progress if here.writes else SilentProgress()
        if distributed.started_by_torchrun() and run.recipe_file.exists():
            if run.recipe() != recipe:
                raise RunError(f"{path} holds a run with other settings; choose another folder with --out")
            return _go_on(run, chosen, data_dir, None, progress, watch)
        run.require_free()
        dataset = find_dataset(recipe.dataset, image_size=recipe.image_size)
        with distributed.first_process_first():
            splits = dataset.load(data_dir)
        report_skipped(splits, progress)
        torch.manual_seed(recipe.seed)
        classifier = build_classifier(
            recipe, dataset
        )  # refuses an architecture that does not work on this dataset
        train_split = parts_of(splits, recipe)["train"]
        here.check(len(train_split), recipe.batch_size)
        origins = Origins(data_dir, pretrained, transfer)
        initialise(classifier, recipe, train_split, path, origins)
        distributed.wait_for_all()  # nobody looks for a free folder any more
        with _writing(run), _saying_how_to_resume(run, recipe):
            if here.writes:
                recorded = data_to_record(dataset, splits, recipe)
                run.require_free()
                recorded.save(run)
                run.create(recipe, _environment(chosen, splits, origins))
            return _train(run, recipe, dataset, splits, classifier.to(chosen), progress, watch)


def resume(
    path: Path,
    *,
    device: DeviceName,
    data_dir: Path | None,
    progress: Progress,
    dataset: str | None = None,
    watch: Watch = _unwatched,
) -> TrainedRun:
    """Continue an interrupted run in place; a finished one is returned as it is.

    `dataset` is `folder:PATH` where the run's folder of pictures was moved; its content has to be the same.

    Raises:
        DataError, DeviceError, RunError, StorageError, TrainingError, UsageError, Interrupted
    """
    run = RunDirectory.open(path)
    chosen = choose_device(device)
    with distributed.joined(cuda=chosen.type == "cuda") as here:
        return _go_on(run, chosen, data_dir, dataset, progress if here.writes else SilentProgress(), watch)


def finish(path: Path, *, device: DeviceName, data_dir: Path | None, progress: Progress) -> TrainedRun:
    """End a run that was left before its last epoch: score the best weights that it has; a finished one is returned.

    Raises:
        DataError, DeviceError, RunError, StorageError, UsageError, Interrupted
    """
    return _go_on(RunDirectory.open(path), choose_device(device), data_dir, None, progress, None)


def _go_on(
    run: RunDirectory,
    device: torch.device,
    data_dir: Path | None,
    named: str | None,
    progress: Progress,
    watch: Watch | None,
) -> TrainedRun:
    """Train on, shown to `watch`, or without one only score what there is."""
    keep_freed_memory()
    limit_threads()
    path, recipe = run.path, run.recipe()
    use_precision(recipe.precision, device)
    make_repeatable(device)
    if run.finished:
        progress.line(f"{path} is already finished")
        return finished(run)
    origins = Origins.from_record(run.environment())
    with distributed.first_process_first():
        dataset, splits = load_for_run(run, recipe, data_dir=data_dir, dataset=named)
    data_dir = data_dir or origins.data_dir
    torch.manual_seed(recipe.seed)
    classifier = build_classifier(recipe, dataset)
    if not has_state(run.last, run.previous):
        train_split = parts_of(splits, recipe)["train"]
        initialise(classifier, recipe, train_split, path, replace(origins, data_dir=data_dir))
    with _writing(run), _saying_how_to_resume(run, recipe):
        return _train(run, recipe, dataset, splits, classifier.to(device), progress, watch)


def default_path(recipe: Recipe, runs_dir: Path = Path("runs")) -> Path:
    """Where a run goes when the user does not say."""
    return runs_dir / run_name(recipe.name, recipe.seed)


def _train(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    splits: Splits,
    classifier: ImageClassifier,
    progress: Progress,
    watch: Watch | None,
) -> TrainedRun:
    here = distributed.world()
    quickened(classifier.network, classifier.scale.device)
    distributed.synchronise_batch_norm(classifier.network)
    state = TrainingState(classifier.network, build_optimizer(recipe, classifier.network))
    parts = parts_of(splits, recipe)
    if has_state(run.last, run.previous):
        warning = load_state(run.last, run.previous, state, recipe)
        if warning is not None:
            progress.line(f"warning: {warning}")
        progress.line(f"{'resuming' if watch is not None else 'ending'} after {state.reached}")
        if here.writes and state.history:
            run.write_history(state.history)  # it may have died between its checkpoint and its history
    if here.rank:
        torch.manual_seed(recipe.seed + here.rank * 100_003 + state.steps)  # other images, other dropout
    with distributed.first_process_first():
        model, inputs, feature_seconds = _inputs(classifier, recipe, parts, splits.sha256, progress)
    if watch is not None:
        progress.line(
            f"training {recipe.architecture} on {len(parts['train']):,} images of {dataset.name} into {run.path}"
        )
        _fit(run, recipe, state, model, inputs, classifier.scale.device, progress, watch)
    if state.best_weights is None:
        raise RunError(f"{run.path} has no finished epoch; train again")
    progress.line("scoring the splits and drawing the curves")
    classifier.network.load_state_dict(state.best_weights)
    loss = scored_loss(recipe)
    scores = {name: evaluate(model, inputs[name], loss) for name in inputs if name != "test"}
    started = time.perf_counter()
    scores["test"] = evaluate(classifier, splits.test, loss)
    inference_seconds = time.perf_counter() - started
    if here.writes:
        save_weights(run.best, state.best_weights)
        seconds = {"feature_seconds": feature_seconds, "inference_seconds": inference_seconds}
        write_outcome(run, recipe, dataset, splits, classifier, state, scores, seconds)
    distributed.wait_for_all()
    return finished(run)


def _fit(
    run: RunDirectory,
    recipe: Recipe,
    state: TrainingState,
    model: nn.Module,
    inputs: Mapping[str, Split],
    device: torch.device,
    progress: Progress,
    watch: Watch,
) -> None:
    """Train `model` from where `state` is; the run is saved as it goes."""
    here = distributed.world()
    saved = state.reached

    def save() -> None:
        nonlocal saved
        saved = state.reached
        if not here.writes:
            return
        save_state(run.last, run.previous, state, recipe)
        if state.history:
            run.write_history(state.history)

    trained = distributed.parallel(model)
    eager = EagerStep(trained, state.optimizer, recipe, here=here)
    loader = Loader(inputs["train"], batch_size=recipe.batch_size, seed=recipe.seed, device=device, here=here)
    scored = ScoredSplits(
        validation=inputs.get("validation"), test=inputs["test"] if recipe.test_curve else None
    )
    step = fastest_step(eager, device, here, progress)
    try:
        TrainingLoop(
            trained,
            step,
            state,
            recipe,
            loader,
            scored,
            progress,
            Saving(save, SAVE_SECONDS),
            watch,
            DeferredInterrupt() if here.size == 1 else SharedInterrupt(),
        ).run()
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted; {saved} (of {recipe.epochs} epochs) are saved: {_resume_command(run)}"
        ) from error


def _inputs(
    classifier: ImageClassifier, recipe: Recipe, parts: dict[str, Split], data_key: str, progress: Progress
) -> tuple[nn.Module, dict[str, Split], float]:
    """What the loop trains, on what, and the seconds it took to prepare: frozen features are computed once."""
    if not can_cache(recipe):
        return classifier, parts, 0.0
    key = f"{data_key} {recipe.seed if 'validation' in parts else ''}"
    features = compute_features(classifier, parts, data_key=key, progress=progress)
    return classifier.head, features.splits, features.seconds


@contextmanager
def _saying_how_to_resume(run: RunDirectory, recipe: Recipe) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        if not run.recipe_file.exists():  # there is nothing to resume yet
            raise
        raise StorageError(f"{error}, then {_resume_command(run)}") from error
    except KeyboardInterrupt as error:
        saved = run.epochs_saved()
        raise Interrupted(
            f"interrupted; {saved} of {recipe.epochs} epochs are saved: {_resume_command(run)}"
        ) from error


@contextmanager
def _writing(run: RunDirectory) -> Iterator[None]:
    """Keep other jobs out of the folder; of several processes, the first does."""
    with run.locked() if distributed.world().writes else nullcontext():
        yield


def _resume_command(run: RunDirectory) -> str:
    return f"continue with `vision-zoo train --resume {shlex.quote(str(run.path))}`"


def _environment(device: torch.device, splits: Splits, origins: Origins) -> dict[str, Any]:
    described = describe_environment(device)
    described["processes"] = distributed.world().size
    described["data"] = {"variant": splits.variant, "sha256": splits.sha256}
    return described | origins.to_record()
