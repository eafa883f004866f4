"""Interrupted, killed, damaged: a run goes on exactly where it was, or says why it cannot."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess, SpawnProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.warm import CONTEXT
from vision_zoo.errors import Interrupted, RunError, TrainingError
from vision_zoo.progress import SilentProgress
from vision_zoo.training import train
from vision_zoo.training.checkpoint import has_state, load_state, save_state
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.datasets import find_dataset
from vision_zoo.training.interrupt import DeferredInterrupt
from vision_zoo.training.loader import Loader
from vision_zoo.training.loop import Saving, ScoredSplits, TrainingLoop
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.outcome import TrainedRun
from vision_zoo.training.recipe import Augmentation, Recipe
from vision_zoo.training.recipes import find_recipe
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.state import TrainingState
from vision_zoo.training.step import EagerStep

_SECONDS = 240
QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=3, batch_size=512)


class _InterruptAfter(SilentProgress):
    """Presses Ctrl-C after the given number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            raise KeyboardInterrupt


def _start(recipe: Recipe, path: Path, progress: SilentProgress | None = None) -> TrainedRun:
    return train.start(recipe, path, device="cpu", data_dir=None, progress=progress or SilentProgress())


def _resume(path: Path, progress: SilentProgress | None = None) -> TrainedRun:
    return train.resume(path, device="cpu", data_dir=None, progress=progress or SilentProgress())


def _outcome(path: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """The weights that were kept, and the history without its times."""
    history = RunDirectory.open(path).history()
    return load_file(path / "checkpoints" / "best.safetensors"), [
        {name: value for name, value in record.items() if name != "seconds"} for record in history
    ]


def _assert_same(first: Path, second: Path) -> None:
    (weights, history), (other_weights, other_history) = _outcome(first), _outcome(second)
    assert history == other_history
    assert weights.keys() == other_weights.keys()
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """QUICK, uninterrupted. Read only."""
    path = tmp_path_factory.mktemp("whole") / "run"
    _start(QUICK, path)
    return path


def test_a_run_interrupted_twice_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    recipe = QUICK.override(patience=5)
    uninterrupted = _start(recipe, tmp_path / "whole")
    with pytest.raises(Interrupted, match=r"; 0 epochs and 3 steps of the next \(of 3 epochs\) are saved"):
        _start(recipe, tmp_path / "parts", _InterruptAfter(3))
    with pytest.raises(Interrupted, match="; 2 epochs and 1 step of the next"):
        _resume(tmp_path / "parts", _InterruptAfter(2 * 8 + 1))  # the bar begins at the steps done before
    resumed = _resume(tmp_path / "parts")
    assert (resumed.test_accuracy, resumed.epochs) == (uninterrupted.test_accuracy, uninterrupted.epochs)
    _assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_run_interrupted_before_its_first_step_begins_again(whole: Path, tmp_path: Path) -> None:
    class Impatient(SilentProgress):
        def advance(self, steps: int = 1) -> None:
            if steps == 0:  # nothing is done yet
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="; 0 epochs"):
        _start(QUICK, tmp_path / "parts", Impatient())
    _resume(tmp_path / "parts")
    _assert_same(whole, tmp_path / "parts")


def test_a_cap_in_steps_holds_across_a_resumption(tmp_path: Path) -> None:
    recipe = QUICK.override(max_steps=11)
    with pytest.raises(Interrupted):
        _start(recipe, tmp_path / "run", _InterruptAfter(10))
    _resume(tmp_path / "run")
    assert [record["steps"] for record in RunDirectory.open(tmp_path / "run").history()] == [8, 11]


def _train_saving_often(recipe: str, path: Path) -> None:
    """In a process of its own: start or go on, saving after every step."""
    train.SAVE_SECONDS = 0.0
    torch.set_num_threads(1)
    if (path / "recipe.json").exists():
        _resume(path)
    else:
        _start(Recipe.from_json(recipe, name="recipe"), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "kills"),
    [("small_cnn", 20), ("patch_lstm", 3), ("vit", 3)],
    ids=str,
)
def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_the_same(
    tmp_path: Path, architecture: str, kills: int
) -> None:
    """Random moments, within the writing of a checkpoint too; augmentation, dropout and early stopping are on."""
    recipe = QUICK.override(
        architecture=architecture,
        epochs=4,
        batch_size=128 if architecture == "small_cnn" else 32,
        max_steps=110 if architecture == "small_cnn" else 20,
        augmentation=Augmentation(rotation=10),
        patience=2,
        schedule="one_cycle",
    )
    whole = CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), tmp_path / "whole"))
    _run_to_its_end(whole)
    run = RunDirectory(tmp_path / "killed")
    moments = random.Random(0)
    killed = 0
    while killed < kills:
        process = CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), run.path))
        process.start()
        _wait_for_a_save(run, process.is_alive)
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        process.join()
        killed += 1
        if process.exitcode == 0:
            break
        _assert_loadable(run, recipe)
    assert killed >= 3
    last = CONTEXT.Process(target=_train_saving_often, args=(recipe.to_json(), run.path))
    _run_to_its_end(last)
    _assert_same(tmp_path / "whole", run.path)


def _run_to_its_end(process: "ForkServerProcess | SpawnProcess") -> None:
    process.start()
    process.join(_SECONDS)
    process.kill()
    process.join()
    assert process.exitcode == 0


def _wait_for_a_save(run: RunDirectory, alive: Callable[[], bool]) -> None:
    before = run.last.stat().st_mtime_ns if run.last.exists() else 0
    deadline = time.monotonic() + 60
    while alive() and time.monotonic() < deadline:
        try:
            if run.last.stat().st_mtime_ns > before:
                return
        except FileNotFoundError:
            pass
        time.sleep(0.002)


def _assert_loadable(run: RunDirectory, recipe: Recipe) -> None:
    assert has_state(run.last, run.previous)
    state = _state(recipe)
    load_state(run.last, run.previous, state, recipe)
    assert state.steps > 0


@pytest.fixture
def interrupted(tmp_path: Path) -> RunDirectory:
    """A run with one epoch and two steps done."""
    with pytest.raises(Interrupted):
        _start(QUICK, tmp_path / "run", _InterruptAfter(10))
    return RunDirectory.open(tmp_path / "run")


class _Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("damage", ["truncated", "one bit", "missing"])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(
    interrupted: RunDirectory, whole: Path, damage: str
) -> None:
    content = bytearray(interrupted.last.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        interrupted.last.unlink()
    else:
        interrupted.last.write_bytes(content[:-5000] if damage == "truncated" else content)
    told = _Lines()
    _resume(interrupted.path, told)
    assert any("is damaged or missing; going on from" in line for line in told.lines)
    _assert_same(whole, interrupted.path)


def test_two_damaged_checkpoints_are_an_error(interrupted: RunDirectory) -> None:
    for path in (interrupted.last, interrupted.previous):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"last\.pt is damaged and cannot be resumed from"):
        _resume(interrupted.path)


def test_a_checkpoint_is_a_plain_file_of_torch_with_a_checksum(interrupted: RunDirectory) -> None:
    content = torch.load(interrupted.last, weights_only=True)
    assert (content["epoch"], content["steps"], len(content["partial"]["sizes"])) == (1, 10, 2)


def test_a_checkpoint_of_another_recipe_is_refused(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    (run / "recipe.json").write_text(find_recipe("simple_cnn-mnist_5k").override(epochs=9).to_json())
    with pytest.raises(RunError, match="belongs to another recipe"):
        _resume(run)


def test_a_loss_that_is_not_finite_stops_training_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"the loss became \w+ in step \d+ of epoch 1"):
        _start(QUICK.override(learning_rate=1e30), tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not RunDirectory.open(tmp_path / "run").last.exists()


def test_what_was_saved_before_a_loss_that_is_not_finite_is_kept(interrupted: RunDirectory) -> None:
    state = _state(QUICK)
    load_state(interrupted.last, interrupted.previous, state, QUICK)
    with torch.no_grad():
        next(state.network.parameters()).fill_(float("nan"))
    save_state(interrupted.last, interrupted.previous, state, QUICK)
    before = interrupted.last.read_bytes()
    with pytest.raises(TrainingError, match="the loss became nan in step 3 of epoch 2"):
        _resume(interrupted.path)
    assert interrupted.last.read_bytes() == before


def _state(recipe: Recipe) -> TrainingState:
    network = build_classifier(recipe, find_dataset(recipe.dataset)).network
    return TrainingState(network, build_optimizer(recipe, network))


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


def test_a_step_that_was_left_half_way_is_not_saved() -> None:
    saves: list[int] = []
    state = _state(QUICK)
    state.steps = 1  # something to save

    def press_twice(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    state.network.register_forward_pre_hook(press_twice)
    classifier = ImageClassifier(state.network, mean=QUICK.mean, std=QUICK.std)
    split = find_dataset(QUICK.dataset).load(None).train
    loader = Loader(split, batch_size=8, seed=0, device=torch.device("cpu"))
    saving = Saving(lambda: saves.append(state.steps), 3600)
    step = EagerStep(classifier, state.optimizer, QUICK)
    loop = TrainingLoop(classifier, step, state, QUICK, loader, ScoredSplits(), SilentProgress(), saving)
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
