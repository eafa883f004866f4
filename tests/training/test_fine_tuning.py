"""Fine-tuning: feature layers that are trained after their head."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.runs import QUICK, InterruptAfter, start, state_of, write_few_digits
from vision_zoo.core.choices import FineTuning
from vision_zoo.core.errors import Interrupted, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Splits
from vision_zoo.recipes import recipe_for
from vision_zoo.training import train
from vision_zoo.training.checkpoint import load_state
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.optim import build_optimizer, set_learning_rate
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.state import TrainingState


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _classifier(architecture: str, fine_tune: FineTuning) -> ImageClassifier:
    recipe = recipe_for(architecture, "cifar10").replace(
        fine_tune=fine_tune, architecture_arguments={"resolution": 32}
    )
    torch.manual_seed(0)
    return build_classifier(recipe, find_dataset("cifar10"))


def _changed_by_a_step(classifier: ImageClassifier) -> set[str]:
    before = {name: tensor.clone() for name, tensor in classifier.network.state_dict().items()}
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    recipe = recipe_for("efficientnet_lite0", "cifar10").override(fine_tune="all")
    optimizer = build_optimizer(recipe, classifier.network)
    loss = classifier.train()(torch.from_numpy(images)).square().sum()
    loss.backward()
    optimizer.step()
    after = classifier.network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_all_layers_are_trained_but_no_statistics_of_batch_normalisation() -> None:
    classifier = _classifier("efficientnet_lite0", "all")
    changed = _changed_by_a_step(classifier)
    assert not {
        name for name in changed if name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    assert {"features.1.1.weight", "features.2.0.depthwise.1.weight", "classifier.1.weight"} <= changed


def test_the_last_stage_is_that_of_the_lowest_resolution() -> None:
    classifier = _classifier("efficientnet_lite0", "last")
    sides = {}
    for number, block in enumerate(classifier.feature_layers.get_submodule("2").children()):
        block.register_forward_hook(lambda _block, _in, out, at=number: sides.update({at: out.shape[-1]}))
    changed = _changed_by_a_step(classifier)
    blocks = {int(name.split(".")[2]) for name in changed if name.startswith("features.2.")}
    assert blocks == {block for block, side in sides.items() if side == 1} == set(range(11, 16))
    assert {name.split(".")[1] for name in changed if name.startswith("features.")} == {"2", "3"}


def test_feature_layers_learn_at_their_multiple() -> None:
    network = torch.nn.Module()
    network.features = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    network.classifier = torch.nn.Linear(2, 2)
    recipe = QUICK.override(learning_rate=0.5, bias_lr_factor=4.0, feature_lr_factor=0.5, fine_tune="all")
    optimizer = build_optimizer(recipe, network)
    found = [(len(group["params"]), group["lr"]) for group in optimizer.param_groups]
    assert found == [(2, 0.5), (3, 0.25), (1, 1.0)]
    set_learning_rate(optimizer, 1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.5, 2.0]


class _InterruptAtStep(InterruptAfter):
    """Presses Ctrl-C at a step of the training; features come in batches."""

    def advance(self, steps: int = 1) -> None:
        if steps == 1:
            super().advance()


def test_an_interrupted_run_goes_on_exactly_where_it_was(mnist_5k: Splits, tmp_path: Path) -> None:
    folder = write_few_digits(mnist_5k, tmp_path / "digits")
    recipe = recipe_for("small_cnn", folder, image_size=16).override(
        frozen=True, fine_tune="all", epochs=9, batch_size=32, rotation=5.0, test_time_flip=True
    )

    def two_epochs(path: Path, progress: SilentProgress) -> TrainingState:
        train.start_or_resume(
            recipe,
            path,
            device="cpu",
            data_dir=None,
            progress=progress,
            watch=lambda record: record.epoch < 2,
        )
        run, state = RunDirectory.open(path), state_of(recipe)
        assert load_state(run.last, run.previous, state, recipe) is None
        return state

    whole = two_epochs(tmp_path / "whole", SilentProgress())
    with pytest.raises(Interrupted, match="1 epoch and 1 step"):
        two_epochs(tmp_path / "parts", _InterruptAtStep(3))
    shutil.rmtree(tmp_path / "cache")  # nothing of it is needed any more
    parts = two_epochs(tmp_path / "parts", SilentProgress())
    weights, others = whole.network.state_dict(), parts.network.state_dict()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert [record.train_loss for record in whole.history] == [record.train_loss for record in parts.history]
    assert whole.history[0].train_loss < 0.4  # the head was trained before


def test_what_was_never_trained_is_not_fine_tuned(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not start from trained feature layers; omit --fine-tune"):
        start(QUICK.override(fine_tune="all"), tmp_path / "run")


def test_a_network_without_stages_is_fine_tuned_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="SmallCNN does not define its last stage; choose --fine-tune all"):
        start(QUICK.override(fine_tune="last", frozen=True), tmp_path / "run")
