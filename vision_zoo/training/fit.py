"""Training and scoring a run whose network and data are there."""

import time
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from vision_zoo.core.errors import Interrupted, RunError
from vision_zoo.core.interrupt import DeferredInterrupt, SharedInterrupt
from vision_zoo.core.progress import Progress
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Dataset, Split, Splits
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import distributed
from vision_zoo.training.checkpoint import has_state, load_state, save_state
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.distillation import Views, views_of
from vision_zoo.training.evaluate import Evaluation, evaluate
from vision_zoo.training.features import can_cache, compute_features
from vision_zoo.training.head import solve_again, solve_head
from vision_zoo.training.loader import Loader, training_splits
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop, Watch
from vision_zoo.training.optim import WeightAverage, balanced_weights, build_optimizer, scored_loss
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import Scalars, write_outcome
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.state import PartialEpoch, TrainingState
from vision_zoo.training.step import EagerStep, fastest_step
from vision_zoo.training.weights import save_weights

_HEAD_STEPS, _HEAD_EPOCHS, _HEAD_LEARNING_RATE = 600, 5, 1e-3
"""Of a new head before its feature layers are trained, too: at least so many steps and epochs."""

SAVE_SECONDS = 60.0
"""Between two checkpoints in the middle of an epoch."""


def fit(
    run: RunDirectory,
    recipe: Recipe,
    dataset: Dataset,
    splits: Splits,
    classifier: ImageClassifier,
    progress: Progress,
    watch: Watch | None,
) -> None:
    """Train the run from its last checkpoint, or else its beginning, to its end, and write what came of it.

    `classifier` has the weights that the run begins with. `watch` is shown each epoch's record, and where it returns
    False the run is left unfinished; without it nothing is trained, and the weights so far are scored.

    Raises:
        RunError: there is no finished epoch to score.
        StorageError, TrainingError, Interrupted
    """
    here = distributed.world()
    apply_speedups(classifier.network, classifier.scale.device)
    distributed.synchronise_batch_norm(classifier.network)
    state = TrainingState(classifier.network, build_optimizer(recipe, classifier.network))
    decay = recipe.optimizer.ema_decay
    state.average = WeightAverage(classifier.network, decay) if decay else None
    parts = training_splits(splits, recipe)
    if has_state(run.last, run.previous):
        warning = load_state(run.last, run.previous, state, recipe)
        if warning is not None:
            progress.line(f"warning: {warning}")
        progress.line(f"{'resuming' if watch is not None else 'ending'} after {state.reached}")
        if here.is_main and state.history:
            run.write_history(state.history)  # it may have died between its checkpoint and its history
    elif recipe.fine_tune is not None and watch is not None:
        with distributed.first_process_first():
            _fit_head(classifier, recipe, parts["train"], progress)
    if here.rank:
        torch.manual_seed(recipe.seed + here.rank * 100_003 + state.steps)  # other images, other dropout
    scalars = Scalars(run.tensorboard, state)
    with distributed.first_process_first():
        model, inputs, feature_seconds = _inputs(classifier, recipe, parts, progress)
    solution = None
    if watch is not None:
        with distributed.first_process_first():
            views = views_of(run, recipe, dataset, splits, classifier.scale.device, progress)
        progress.line(
            f"training {recipe.architecture} on {counted(len(parts['train']), 'image')} of {dataset.name} into {run.path}"
        )
        if recipe.optimizer.kind == "lbfgs":
            solution = solve_head(run, recipe, state, model, inputs["train"], progress)
        elif not _run_loop(
            run, recipe, state, scalars, model, inputs, views, classifier.scale.device, progress, watch
        ):
            return
    if state.best_weights is None:
        raise RunError(f"{run.path} has no finished epoch; train again")
    progress.line("scoring the splits and drawing the curves")
    _take_kept_weights(classifier.network, recipe, state)
    scores, inference_seconds = _scores(model, inputs, classifier, recipe, splits.test, feature_seconds)
    if here.is_main:
        if not recipe.test_curve:
            scalars.write_test(scores["test"])
        save_weights(run.best, classifier.network.state_dict())
        held_out = _held_out(classifier, splits, inputs, progress) if solution is not None else []
        if solution is not None and held_out:
            solve_again(recipe, model, [inputs["train"], *held_out], solution)
            save_weights(run.refitted, classifier.network.state_dict())
        seconds = {"feature_seconds": feature_seconds, "inference_seconds": inference_seconds}
        write_outcome(run, recipe, dataset, splits, classifier, state, scores, seconds)
        run.views.unlink(missing_ok=True)
    distributed.wait_for_all()


def _take_kept_weights(network: nn.Module, recipe: Recipe, state: TrainingState) -> None:
    if recipe.stopping.kept_weights == "best" and state.best_weights is not None:
        network.load_state_dict(state.best_weights)
    elif state.average is not None:
        state.average.apply()


def _scores(
    model: nn.Module,
    inputs: Mapping[str, Split],
    classifier: ImageClassifier,
    recipe: Recipe,
    test: Split,
    feature_seconds: float,
) -> tuple[dict[str, Evaluation], float]:
    """The scores by split, and the seconds of the whole network on the test split."""
    loss = scored_loss(recipe)
    scores = {name: evaluate(model, split, loss) for name, split in inputs.items() if name != "test"}
    started = time.perf_counter()
    if recipe.optimizer.kind != "lbfgs":
        scores["test"] = evaluate(classifier, test, loss)
        return scores, time.perf_counter() - started
    # Nearly all of the time was that of the features.
    scores["test"] = evaluate(model, inputs["test"], loss)
    share = len(test) / sum(len(split) for split in inputs.values())
    return scores, time.perf_counter() - started + share * feature_seconds


def _held_out(
    classifier: ImageClassifier, splits: Splits, inputs: Mapping[str, Split], progress: Progress
) -> list[Split]:
    """The features of what a model that is scored may be fitted to as well: all but a test split of the user's own."""
    own = {} if splits.validation is None else {"validation": splits.validation}
    found = list(compute_features(classifier, own, progress=progress).splits.values()) if own else []
    return [*found, inputs["test"]] if splits.drawn else found


def _run_loop(
    run: RunDirectory,
    recipe: Recipe,
    state: TrainingState,
    scalars: Scalars,
    model: nn.Module,
    inputs: Mapping[str, Split],
    views: Views | None,
    device: torch.device,
    progress: Progress,
    watch: Watch,
) -> bool:
    """Train `model` from where `state` is; the run is saved as it goes. Returns False where `watch` ended it.

    Where there are `views`, it is trained on them instead of the training split.
    """
    here = distributed.world()
    saved = state.reached

    def record(epoch: PartialEpoch) -> None:
        if here.is_main:
            scalars.write(epoch)

    def save() -> None:
        nonlocal saved
        saved = state.reached
        if not here.is_main:
            return
        save_state(run.last, run.previous, state, recipe)
        if state.history:
            run.write_history(state.history)

    trained = distributed.parallel(model)
    weights = _class_weights(recipe, inputs["train"])
    eager = EagerStep(trained, state.optimizer, recipe, here=here, class_weights=_on(device, weights))
    loader = Loader(
        inputs["train"] if views is None else views.split,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        device=device,
        here=here,
        targets=None if views is None else views.logits,
    )
    scored = ScoredSplits(
        validation=inputs.get("validation"),
        test=inputs["test"] if recipe.test_curve else None,
        class_weights=weights,
    )
    step = fastest_step(eager, device, here, progress)
    try:
        return TrainingLoop(
            model=trained,
            step=step,
            state=state,
            recipe=recipe if views is None else recipe.replace(augmentation=None),  # the views are augmented
            loader=loader,
            scored=scored,
            progress=progress,
            saving=Saving(save, SAVE_SECONDS, record),
            watch=watch,
            interrupt=DeferredInterrupt() if here.size == 1 else SharedInterrupt(),
        ).run()
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted; {saved} (of {counted(recipe.stopping.epochs, 'epoch')}) are saved: {run.resume_hint}"
        ) from error


def _class_weights(recipe: Recipe, training: Split) -> Tensor | None:
    return balanced_weights(np.asarray(training.labels)) if recipe.class_weights else None


def _on(device: torch.device, weights: Tensor | None) -> Tensor | None:
    return None if weights is None else weights.to(device)


def _fit_head(classifier: ImageClassifier, recipe: Recipe, training: Split, progress: Progress) -> None:
    """Train the head on the features as they are: gradients through a random one would spoil them."""
    features = compute_features(classifier, {"train": training}, progress=progress)
    device = classifier.scale.device
    loader = Loader(features.splits["train"], batch_size=recipe.batch_size, seed=recipe.seed, device=device)
    optimizer = torch.optim.Adam(classifier.head.parameters(), lr=_HEAD_LEARNING_RATE, fused=True)
    weights = _on(device, _class_weights(recipe, training))
    step = EagerStep(classifier.head.train(), optimizer, recipe, class_weights=weights)
    for epoch in range(max(_HEAD_EPOCHS, -(-_HEAD_STEPS // len(loader)))):
        for batch in loader.epoch(epoch):
            step(batch, None)


def _inputs(
    classifier: ImageClassifier, recipe: Recipe, parts: dict[str, Split], progress: Progress
) -> tuple[nn.Module, dict[str, Split], float]:
    """What the loop trains, on what, and the seconds it took to prepare: frozen features are computed once."""
    if not can_cache(recipe):
        return classifier, parts, 0.0
    features = compute_features(classifier, parts, progress=progress)
    return classifier.head, features.splits, features.seconds
