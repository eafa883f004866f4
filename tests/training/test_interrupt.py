"""Ctrl-C and SIGTERM within a step."""

import signal

import pytest
import torch

from tests.training.runs import QUICK, state_of
from vision_zoo.core.interrupt import DeferredInterrupt
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.loader import Loader
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop
from vision_zoo.training.step import EagerStep


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_a_step_takes_effect_at_its_end(number: signal.Signals) -> None:
    interrupt = DeferredInterrupt()
    ended = []

    def step(signals: int) -> None:
        with interrupt:
            for _ in range(signals):
                signal.raise_signal(number)
            ended.append(signals)

    # A shell starts its background jobs with Ctrl-C ignored, and children inherit that.
    former = signal.signal(number, signal.SIG_DFL)
    try:
        with interrupt.installed(), pytest.raises(KeyboardInterrupt):
            step(1)
        with interrupt.installed(), pytest.raises(KeyboardInterrupt):
            step(2)  # impatient
        with interrupt.installed(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    finally:
        signal.signal(number, former)
    assert ended == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_python_drops_takes_effect_at_the_next_step() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    interrupt = DeferredInterrupt()
    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with interrupt.installed():
            Finalized()
            with pytest.raises(KeyboardInterrupt), interrupt:
                pytest.fail("the step was begun")
            interrupt.caught()
            with interrupt:
                pass
    finally:
        signal.signal(signal.SIGTERM, former)


def test_a_step_that_was_left_half_way_is_not_saved() -> None:
    saves: list[int] = []
    state = state_of(QUICK)
    state.steps = 1  # something to save

    def press_twice(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    state.network.register_forward_pre_hook(press_twice)
    classifier = ImageClassifier(state.network, mean=QUICK.data.mean, std=QUICK.data.std)
    split = find_dataset(QUICK.data.dataset).load(None).train
    loader = Loader(split, batch_size=8, seed=0, device=torch.device("cpu"))
    saving = Saving(lambda: saves.append(state.steps), 3600)
    step = EagerStep(classifier, state.optimizer, QUICK)
    loop = TrainingLoop(
        model=classifier,
        step=step,
        state=state,
        recipe=QUICK,
        loader=loader,
        scored=ScoredSplits(),
        progress=SilentProgress(),
        saving=saving,
    )
    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run()
    finally:
        signal.signal(signal.SIGTERM, former)
    assert not saves


def test_an_ignored_signal_stays_ignored() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with DeferredInterrupt().installed():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, former)
