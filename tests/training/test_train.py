import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.training.runs import QUICK, assert_same
from vision_zoo.architectures.airbench import Airbench
from vision_zoo.core.errors import RunError, UsageError
from vision_zoo.core.json_file import fields_of
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.statistics import confusion_matrix
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.recipes import find_recipe
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training import loop, plots, step, train
from vision_zoo.training.classifier import build_classifier
from vision_zoo.training.evaluate import Evaluation
from vision_zoo.training.loader import Loader
from vision_zoo.training.optim import (
    build_optimizer,
    cross_entropy,
    loss_function,
    scored_loss,
    set_learning_rate,
)
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import TrainResult


def _train(recipe: Recipe, path: Path) -> TrainResult:
    return train.start(recipe, path, device="cpu", data_dir=None, progress=SilentProgress())


def test_a_run_directory_has_everything(finished_run: Path) -> None:
    found = {path.relative_to(finished_run).as_posix() for path in finished_run.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith("tensorboard/")} == {
        ".lock",
        "recipe.json",
        "environment.json",
        "labels.json",
        "split.csv",
        "metrics.json",
        "history.csv",
        "predictions.csv",
        "curves.png",
        "confusion_matrix.png",
        "samples.png",
        "checkpoints/best.safetensors",
        "checkpoints/last.pt",
        "checkpoints/previous.pt",
    }
    metrics = json.loads((finished_run / "metrics.json").read_text())
    matrix = np.array(metrics["confusion_matrix"])
    assert matrix.sum() == metrics["test_images"] == 1000
    assert np.trace(matrix) / 1000 == pytest.approx(metrics["test_accuracy"])
    assert metrics["test_loss_total"] == pytest.approx(metrics["test_loss"], abs=1e-5)  # one batch of 1,000
    batches = metrics["steps"] / metrics["epochs"]
    assert metrics["train_loss_total"] == pytest.approx(batches * metrics["train_loss"], rel=0.1)
    with (finished_run / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]


def test_a_total_loss_is_the_sum_of_the_means_of_batches() -> None:
    logits = np.array([[0, 0], [3, 0], [0, 3]], np.float32)
    scored = Evaluation(logits=logits, labels=np.array([0, 0, 0]), loss=0.0, accuracy=0.0)
    single = [float(np.log(np.exp(row).sum()) - row[0]) for row in logits]
    assert scored.loss_total(cross_entropy, 2) == pytest.approx((single[0] + single[1]) / 2 + single[2])


def test_pictures_are_pictures(finished_run: Path) -> None:
    from PIL import Image

    for name in ("curves", "confusion_matrix", "samples"):
        with Image.open(finished_run / f"{name}.png") as image:
            assert min(image.size) > 300
            assert len(image.convert("L").getcolors() or []) > 50


@pytest.mark.parametrize(("kept", "index"), [("best", -3), ("last", -1)])
def test_early_stopping_scores_the_best_weights_or_the_last(kept: str, index: int, tmp_path: Path) -> None:
    recipe = QUICK.override(epochs=40, patience=2, learning_rate=0.03, kept_weights=kept)
    run = _train(recipe, tmp_path / "run")
    metrics = json.loads((run.path / "metrics.json").read_text())
    with (run.path / "history.csv").open() as file:
        losses = [float(row["validation_loss"]) for row in csv.DictReader(file)]
    assert run.epochs < 40
    assert metrics["best_epoch"] == int(np.argmin(losses)) + 1 == run.epochs - 2
    assert metrics["validation_loss"] == pytest.approx(losses[index], abs=1e-5)


def test_two_processes_do_not_train_in_the_same_folder(finished_run: Path, tmp_path: Path) -> None:
    run = RunDirectory(shutil.copytree(finished_run, tmp_path / "run"))
    run.metrics_file.unlink()
    with run.locked(), pytest.raises(RunError, match="in use by another training process"):
        train.resume(run.path, device="cpu", data_dir=None, progress=SilentProgress())


def test_data_that_changed_under_a_run_is_noticed(finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    environment = json.loads((run / "environment.json").read_text())
    environment["data"]["sha256"] = "0"
    (run / "environment.json").write_text(json.dumps(environment))
    with pytest.raises(RunError, match="is not what"):
        train.resume(run, device="cpu", data_dir=None, progress=SilentProgress())


def test_the_loader_gives_every_image_once_in_an_order_of_its_own_each_epoch(mnist_5k: Splits) -> None:
    split = Split(mnist_5k.train.images[:130], np.arange(130))
    loader = Loader(split, batch_size=64, seed=0, device=torch.device("cpu"))
    orders = [torch.cat([labels for _, labels, *_ in loader.epoch(number)]).tolist() for number in (0, 1, 0)]
    assert len(loader) == 3
    assert sorted(orders[0]) == list(range(130))
    assert orders[0] == orders[2] != orders[1]


def test_a_confusion_matrix_has_true_classes_in_rows() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_a_cap_in_steps_ends_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    run = _train(QUICK.override(max_steps=11), tmp_path / "run")
    history = RunDirectory.open(run.path).history()
    assert [record.steps for record in history] == [8, 11]
    assert run.epochs == 2


def test_a_cap_in_minutes_ends_training(tmp_path: Path) -> None:
    run = _train(QUICK.override(max_minutes=1e-6), tmp_path / "run")
    assert RunDirectory.open(run.path).metrics().steps == 1


def test_one_cycle_rises_and_falls_in_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = QUICK.override(learning_rate=0.1, schedule="one_cycle", warmup_fraction=0.25, epochs=2)
    assert [recipe.learning_rate_at(epoch) for epoch in (0, 0.25, 0.5, 1.25, 2)] == pytest.approx(
        [0, 0.05, 0.1, 0.05, 0]
    )
    rates: list[float] = []
    monkeypatch.setattr(loop, "set_learning_rate", lambda _optimizer, value: rates.append(value))
    _train(recipe, tmp_path / "run")
    steps = RunDirectory.open(tmp_path / "run").metrics().steps
    assert len(set(rates)) > steps / 2
    assert max(rates) == pytest.approx(0.1)


def test_label_smoothing_is_trained_with_and_not_reported() -> None:
    logits, labels = torch.randn(6, 10), torch.arange(6)
    recipe = QUICK.override(label_smoothing=0.2)
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2)
    assert loss_function(recipe)(logits, labels) == expected
    assert scored_loss(recipe)(logits, labels) == torch.nn.functional.cross_entropy(logits, labels)


def test_momentum_is_nesterovs() -> None:
    network = torch.nn.Linear(2, 2)
    (group,) = build_optimizer(QUICK.override(optimizer="sgd", momentum=0.9), network).param_groups
    assert (group["momentum"], group["nesterov"]) == (0.9, True)


def test_offsets_of_batch_normalisations_learn_at_their_multiple() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    recipe = QUICK.override(learning_rate=0.5, weight_decay=0.01, bias_lr_factor=64.0)
    optimizer = build_optimizer(recipe, network)
    others, offsets = optimizer.param_groups
    assert [id(one) for one in offsets["params"]] == [id(network[1].bias)]
    assert len(others["params"]) == 3
    assert (others["lr"], others["weight_decay"]) == (0.5, 0.01)
    assert (offsets["lr"], offsets["weight_decay"]) == (32.0, 0.01 / 64)
    set_learning_rate(optimizer, 0.25)
    assert (others["lr"], offsets["lr"]) == (0.25, 16.0)


def test_every_split_is_scored_at_the_end(tmp_path: Path) -> None:
    run = _train(QUICK.override(epochs=1, patience=1), tmp_path / "run")
    metrics = RunDirectory.open(run.path).metrics()
    assert {
        f"{split}_{measure}" for split in ("train", "validation", "test") for measure in ("accuracy", "loss")
    } <= set(fields_of(metrics))


def test_bfloat16_is_close_to_single_precision_and_is_kept_in_single_precision(tmp_path: Path) -> None:
    recipe = QUICK.override(max_steps=4)
    _train(recipe, tmp_path / "fp32")
    _train(recipe.override(precision="bf16"), tmp_path / "bf16")
    full, half = (
        [record.train_loss for record in RunDirectory.open(tmp_path / name).history()]
        for name in ("fp32", "bf16")
    )
    assert full != half
    np.testing.assert_allclose(half, full, rtol=0.03)
    weights = load_file(tmp_path / "bf16" / "checkpoints" / "best.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


@pytest.mark.parametrize(("seconds", "chosen"), [(0.5, "bf16"), (0.99, "fp32")])
def test_the_precision_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, chosen: str
) -> None:
    monkeypatch.setattr(step, "_precisions", lambda _device: ("fp32", "bf16"))
    monkeypatch.setattr(step, "_step_seconds", lambda *_: {"fp32": 1.0, "bf16": seconds})
    recipe = QUICK.override(precision="auto", max_steps=1)
    _train(recipe, tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").recipe().precision == chosen
    monkeypatch.setattr(step, "_step_seconds", None)
    assert train.start_or_resume(
        recipe, tmp_path / "run", device="cpu", data_dir=None, progress=SilentProgress()
    )


def test_measuring_the_precision_changes_neither_weights_nor_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "_precisions": lambda _device: ("fp32", "bf16"),
        "_ROUNDS": 1,
        "_CLEARLY_FASTER": 0,
    }.items():
        monkeypatch.setattr(step, name, value)
    for precision in ("auto", "fp32"):
        _train(QUICK.override(precision=precision, max_steps=2), tmp_path / precision)
    assert_same(tmp_path / "auto", tmp_path / "fp32")


def test_tf32_needs_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tf32 is for NVIDIA GPUs"):
        _train(QUICK.override(precision="tf32"), tmp_path / "run")


def test_softmax_before_the_loss_bounds_it(tmp_path: Path) -> None:
    run = _train(QUICK.override(softmax_before_loss=True, learning_rate=0.01), tmp_path / "run")
    losses = [record.train_loss for record in RunDirectory.open(run.path).history()]
    assert min(losses) >= np.log(np.e + 9) - 1
    assert run.test_accuracy > 0.5


def test_frozen_features_come_from_another_run_and_stay(finished_run: Path, tmp_path: Path) -> None:
    recipe = find_recipe("simple_cnn-mnist_5k").override(
        epochs=2, batch_size=512, transfer_from="simple_cnn-mnist_5k", frozen=True
    )
    run = train.start(
        recipe,
        tmp_path / "run",
        device="cpu",
        data_dir=None,
        progress=SilentProgress(),
        transfer=finished_run,
    )
    source, result = (
        load_file(path / "checkpoints" / "best.safetensors") for path in (finished_run, run.path)
    )
    assert all(torch.equal(source[key], result[key]) for key in source if key.startswith("features."))
    assert not torch.equal(source["classifier.1.weight"], result["classifier.1.weight"])
    assert run.test_accuracy > 0.8


def test_a_network_may_take_its_first_weights_from_the_training_images(
    mnist_5k: Splits, tmp_path: Path
) -> None:
    small = {"widths": [8, 8], "patch": 3}
    recipe = QUICK.override(
        name="airbench-mnist_5k", architecture="airbench", architecture_arguments=small, max_steps=1
    )
    run = _train(recipe, tmp_path / "run")
    kept = load_file(run.path / "checkpoints" / "best.safetensors")
    torch.manual_seed(0)
    classifier = build_classifier(recipe, find_dataset("mnist-5k"))
    network = classifier.network
    assert isinstance(network, Airbench)
    spread = np.linspace(0, 3999, 1_000_000 // 28**2).astype(int)  # a million pixels of all classes
    network.initialise(classifier.normalise(torch.from_numpy(mnist_5k.train.images[spread])))
    assert torch.equal(kept["features.0.weight"], network.whitening.weight)  # a step does not change them
    assert not torch.equal(kept["classifier.weight"], network.classifier.weight)


def test_a_transfer_without_its_run_says_what_to_do(tmp_path: Path) -> None:
    recipe = QUICK.override(transfer_from="all_cnn-imagenette", frozen=True)
    with pytest.raises(RunError, match="train that first or pass one with --transfer RUN"):
        _train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_features_of_another_architecture_are_refused(finished_run: Path, tmp_path: Path) -> None:
    recipe = QUICK.override(architecture="lenet", transfer_from="x", frozen=True)
    with pytest.raises(RunError, match="another architecture"):
        train.start(
            recipe,
            tmp_path / "run",
            device="cpu",
            data_dir=None,
            progress=SilentProgress(),
            transfer=finished_run,
        )


def test_an_architecture_without_feature_layers_cannot_be_frozen(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no separate feature layers"):
        _train(QUICK.override(architecture="row_lstm", frozen=True), tmp_path / "run")


def test_a_confusion_matrix_of_many_classes_stays_a_picture(tmp_path: Path) -> None:
    labels = [f"class {number}" for number in range(200)]
    plots.write_confusion_matrix(tmp_path / "matrix.png", np.eye(200, dtype=np.int64), labels, title="many")
    with Image.open(tmp_path / "matrix.png") as picture:
        assert max(picture.size) < 4000
