"""The training loop."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vision_zoo.core.errors import TrainingError
from vision_zoo.core.interrupt import DeferredInterrupt
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import EpochRecord
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.augment import AugmentParams, draw
from vision_zoo.training.device import wait_for
from vision_zoo.training.distributed import broadcast, sum_over_processes
from vision_zoo.training.evaluate import Evaluation, evaluate
from vision_zoo.training.loader import Batch, Loader
from vision_zoo.training.optim import LossFunction, scored_loss, set_learning_rate, validation_loss
from vision_zoo.training.state import PartialEpoch, TrainingState
from vision_zoo.training.step import Step, StepResult

_AGREE_STEPS = 20  # between looks at other processes' signals on a GPU, which has to be waited for


@dataclass(frozen=True, eq=False)
class ScoredSplits:
    """Splits that are scored after every epoch.

    `validation` decides early stopping and which epoch is best, by its loss with `class_weights`, float32 `[classes]` on
    the CPU, if there are any. `test` is for the curve alone and its time does not count.
    """

    validation: Split | None = None
    test: Split | None = None
    class_weights: Tensor | None = None


@dataclass(frozen=True)
class Saving:
    """How the run is saved: `save` writes the state, after every epoch, on Ctrl-C, and every `seconds` in between.

    Before it, `record` is shown the steps of the epoch so far.
    """

    save: Callable[[], None]
    seconds: float
    record: Callable[[PartialEpoch], None] = lambda _epoch: None


Watch = Callable[[EpochRecord], bool]
"""Is shown each epoch's record once it is saved, and returns whether to go on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingLoop:
    """Training from where `state` is to the recipe's end, its caps or early stopping.

    `step` trains `model`, which takes the loader's batches and gives logits, with the optimizer of `state`. `clock`
    gives the seconds that `max_minutes` and the times between two checkpoints go by.
    """

    model: nn.Module
    step: Step
    state: TrainingState
    recipe: Recipe
    loader: Loader
    scored: ScoredSplits
    progress: Progress
    saving: Saving
    watch: Watch = lambda _record: True
    interrupt: DeferredInterrupt = field(default_factory=DeferredInterrupt)
    clock: Callable[[], float] = time.perf_counter

    def run(self) -> bool:
        """Train. Returns whether training came to its end; False where `watch` ended it.

        Raises:
            TrainingError: the loss is no longer finite; what was saved last stays.
            KeyboardInterrupt: Ctrl-C or SIGTERM; the state is saved, but where a second one came within a step.
        """
        self._show_start()
        with self.interrupt.installed():
            try:
                while self.state.partial is not None or self._goes_on():
                    if not self._epoch():
                        return False
            except KeyboardInterrupt:
                self.interrupt.caught()
                if self.state.steps and not self.interrupt.torn:
                    with self.interrupt:
                        self._save(self.state.partial or PartialEpoch())
                raise
        return True

    def _show_start(self) -> None:
        """Begin a bar over all epochs; their ends may come before it does."""
        state, recipe = self.state, self.recipe
        steps, most = len(self.loader) * recipe.stopping.epochs, recipe.stopping.max_steps
        total = steps if most is None else min(steps, most)
        done = state.steps - (0 if state.partial is None else state.partial.batches)
        self.progress.start("training", total, "images", recipe.batch_size, done)

    def _goes_on(self) -> bool:
        state, patience = self.state, self.recipe.stopping.patience
        stopped_early = patience is not None and state.epoch - state.best_epoch >= patience
        return state.epoch < self.recipe.stopping.epochs and not stopped_early and not self._capped()

    def _capped(self) -> bool:
        state, recipe = self.state, self.recipe
        if recipe.stopping.max_steps is not None and state.steps >= recipe.stopping.max_steps:
            return True
        seconds = state.train_seconds + (0.0 if state.partial is None else state.partial.seconds)
        return recipe.stopping.max_minutes is not None and seconds >= recipe.stopping.max_minutes * 60

    def _epoch(self) -> bool:
        """The rest of an epoch; whether to go on after it."""
        state, recipe, scored = self.state, self.recipe, self.scored
        self.progress.describe(f"epoch {state.epoch + 1}/{recipe.stopping.epochs}")
        set_learning_rate(state.optimizer, recipe.learning_rate_at(state.epoch))
        if state.partial is None:
            state.partial = PartialEpoch()
        partial = state.partial
        self._steps(partial)
        _require_finite(partial, state.epoch)
        scores = {"train_loss": partial.mean_loss(), "train_accuracy": partial.accuracy()}
        stopwatch = _Stopwatch(partial, self.clock)
        if scored.validation is not None:
            score = self._scored(scored.validation, validation_loss(self.recipe, scored.class_weights))
            scores |= {"validation_loss": score.loss, "validation_accuracy": score.accuracy}
        stopwatch.stop()
        if scored.test is not None:
            score = self._scored(scored.test, scored_loss(self.recipe))
            scores |= {"test_loss": score.loss, "test_accuracy": score.accuracy}
        _require_finite_network(self.state, scores)
        with self.interrupt:
            self._end_epoch(partial, scores)
        self.progress.line(_describe(state.history[-1], recipe))
        return self.watch(state.history[-1])

    def _scored(self, split: Split, loss: LossFunction) -> Evaluation:
        with self.state.scored_weights():
            return evaluate(self.model, split, loss)

    def _steps(self, partial: PartialEpoch) -> None:
        """The rest of the epoch, or until a cap."""
        self.model.train()
        generator = _augmentation_generator(self.recipe, self.state.epoch)
        if partial.augmentation is not None:
            generator.set_state(partial.augmentation)
        self.progress.advance(partial.batches)
        stopwatch = _Stopwatch(partial, self.clock)
        saved = self.clock()
        for batch in self.loader.epoch(self.state.epoch, start=partial.batches):
            if self._capped():
                break
            with self.interrupt:
                if self.recipe.schedule.kind == "one_cycle":
                    done = self.state.epoch + partial.batches / len(self.loader)
                    set_learning_rate(self.state.optimizer, self.recipe.learning_rate_at(done))
                self._count(partial, batch, self.step(batch, self._changes(batch, generator)))
                stopwatch.read()
                if self.recipe.augmentation is not None:
                    partial.augmentation = generator.get_state()
                if self.recipe.stopping.max_minutes is not None:
                    partial.seconds = broadcast(partial.seconds, batch.labels.device)
            self.progress.advance()
            if self.clock() - saved >= self.saving.seconds:
                self._save(partial)
                saved = self.clock()
        wait_for(self.loader.labels.device)
        stopwatch.stop()

    def _count(self, partial: PartialEpoch, batch: Batch, result: StepResult) -> None:
        loss, correct = result
        if self.loader.here.size > 1:
            pending = loss.new_tensor(float(self.interrupt.pending))
            mine = [loss / self.loader.here.size, correct.float(), pending]
            loss, correct, stop = sum_over_processes(torch.stack(mine))
            correct = correct.long()
            looks = self.state.steps % _AGREE_STEPS == 0 or loss.device.type == "cpu"
            if looks and stop.item() > 0:
                self.interrupt.agree()
        partial.add(loss, correct, batch.size)
        self.state.steps += 1
        if self.state.average is not None:
            self.state.average.update(self.state.steps)

    def _changes(self, batch: Batch, generator: torch.Generator) -> AugmentParams | None:
        """Of this process's shard of the batch, drawn as those of the whole."""
        if self.recipe.augmentation is None:
            return None
        side = batch.images.shape[1]
        drawn = draw(batch.size, self.recipe.augmentation, generator, side=side)
        return drawn.shard(self.loader.here.shard, batch.images.device)

    def _end_epoch(self, partial: PartialEpoch, scores: Mapping[str, float]) -> None:
        state = self.state
        state.train_seconds += broadcast(partial.seconds, self.loader.labels.device)
        state.cpu_seconds += partial.cpu_seconds
        state.partial = None
        state.epoch += 1
        record = EpochRecord(
            epoch=state.epoch, steps=state.steps, seconds=round(state.train_seconds, 3), **scores
        )
        state.history.append(record)
        if record.validation_loss is None or record.validation_loss < state.best_validation_loss:
            state.remember_best(math.inf if record.validation_loss is None else record.validation_loss)
        self._save(partial)

    def _save(self, epoch: PartialEpoch) -> None:
        if self.state.partial is not None:
            _require_finite(self.state.partial, self.state.epoch)
            _require_finite_network(self.state, {})
        self.saving.record(epoch)
        self.saving.save()


class _Stopwatch:
    """Adds the seconds from its making on to those of `partial`."""

    def __init__(self, partial: PartialEpoch, clock: Callable[[], float]) -> None:
        self._partial = partial
        self._clock = clock
        self._before = partial.seconds, partial.cpu_seconds
        self._started = clock(), time.process_time()

    def read(self) -> None:
        self._partial.seconds = self._before[0] + self._clock() - self._started[0]

    def stop(self) -> None:
        self.read()
        self._partial.cpu_seconds = self._before[1] + time.process_time() - self._started[1]


def _require_finite(partial: PartialEpoch, epoch: int) -> None:
    bad = partial.first_bad_batch()
    if bad is not None:
        batch, loss = bad
        raise TrainingError(
            f"the loss became {loss} in step {batch} of epoch {epoch + 1}: earlier checkpoints are kept; "
            "train again with a lower --lr and another --out"
        )


def _require_finite_network(state: TrainingState, scores: Mapping[str, float]) -> None:
    """The weights, which the last step may have spoilt after a loss that was still finite, and what was scored."""
    spoilt = [
        name
        for name, tensor in state.network.state_dict().items()
        if tensor.is_floating_point() and not tensor.isfinite().all()
    ]
    spoilt += [name.replace("_", " ") for name, value in scores.items() if not math.isfinite(value)]
    if spoilt:
        raise TrainingError(
            f"{spoilt[0]} is no longer finite in epoch {state.epoch + 1}: earlier checkpoints are kept; train again "
            "with a lower --lr and another --out"
        )


def _augmentation_generator(recipe: Recipe, epoch: int) -> torch.Generator:
    # A stream of its own for every epoch, as the order of the batches has.
    return torch.Generator().manual_seed(recipe.seed * 100_003 + epoch + 50_000)


def _describe(record: EpochRecord, recipe: Recipe) -> str:
    figures = [
        f"{split} loss {loss:.4f} acc {getattr(record, f'{split}_accuracy'):.2%}"
        for split in ("train", "validation", "test")
        if (loss := getattr(record, f"{split}_loss")) is not None
    ]
    return "  ".join([f"epoch {record.epoch}/{recipe.stopping.epochs}", *figures, f"{record.seconds:.1f} s"])
