"""What the training loop decides by a clock: here one that moves by ten seconds a step."""

from dataclasses import dataclass, field

import torch

from tests.training.runs import QUICK, state_of
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.augment import AugmentParams
from vision_zoo.training.loader import Batch, Loader
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop
from vision_zoo.training.state import TrainingState
from vision_zoo.training.step import StepResult

_CPU = torch.device("cpu")


@dataclass
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class _Trained:
    """A run of steps that learn nothing, and after how many of them it was saved."""

    state: TrainingState
    saved: list[int] = field(default_factory=list)


def _train(recipe: Recipe, splits: Splits, *, saving_seconds: float) -> _Trained:
    clock, trained = _Clock(), _Trained(state_of(recipe))
    state = trained.state

    def step(_batch: Batch, _changes: AugmentParams | None) -> StepResult:
        clock.now += 10
        return StepResult(torch.tensor(1.0), torch.tensor(1))

    loader = Loader(splits.train, batch_size=recipe.batch_size, seed=0, device=_CPU)
    saving = Saving(lambda: trained.saved.append(state.steps), saving_seconds)
    scored, progress = ScoredSplits(), SilentProgress()
    TrainingLoop(
        model=state.network,
        step=step,
        state=state,
        recipe=recipe,
        loader=loader,
        scored=scored,
        progress=progress,
        saving=saving,
        clock=clock,
    ).run()
    return trained


def test_a_cap_in_minutes_is_of_the_seconds_that_the_steps_took(mnist_5k: Splits) -> None:
    recipe = QUICK.override(max_minutes=1.5)
    trained = _train(recipe, mnist_5k, saving_seconds=3600)
    assert trained.state.steps == 9
    assert trained.state.train_seconds == 90


def test_it_is_saved_between_epochs_and_when_so_many_seconds_have_passed(mnist_5k: Splits) -> None:
    recipe = QUICK.override(epochs=2)
    assert _train(recipe, mnist_5k, saving_seconds=25).saved == [3, 6, 8, 11, 14, 16]
    assert _train(recipe, mnist_5k, saving_seconds=3600).saved == [8, 16]
