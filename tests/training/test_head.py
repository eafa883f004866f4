"""The dense layer on frozen features, solved: by its optimum, not by another solver."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from tests.training.runs import fill
from vision_zoo.core.errors import TrainingError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.report.model_card import model_card
from vision_zoo.exporting import export as exporting
from vision_zoo.exporting.calibration import fit_calibration
from vision_zoo.exporting.export import export_onnx
from vision_zoo.recipes import recipe_for
from vision_zoo.serving.evaluate import evaluate_dataset
from vision_zoo.serving.session import Session
from vision_zoo.training import head, train
from vision_zoo.training.head import Solution, solve
from vision_zoo.training.run_data import load_for_run
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import cross_validated

_CLASSES = 3


class _Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def _features(
    images: int, width: int, *, noise: float, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Clouds around a centre for each class, away from zero and of a scale of their own."""
    chance = np.random.default_rng(seed)
    labels = np.arange(images) % _CLASSES
    centres = np.random.default_rng(9).normal(size=(_CLASSES, width))
    values = 5 + 0.3 * (centres[labels] + noise * chance.normal(size=(images, width)))
    return values.astype(np.float32), labels


def _slope(features: NDArray[np.float32], labels: NDArray[np.int64], found: Solution) -> float:
    """The largest slope of the loss in weight or bias: none at the optimum, as the loss is convex."""
    values = torch.from_numpy(features).double()
    deviations = values.std(dim=0, correction=0)
    scale = deviations + 0.05 * deviations.mean()
    scale *= ((values - values.mean(dim=0)) / scale).square().mean().sqrt()
    weight = (torch.from_numpy(found.weight).double() * scale).requires_grad_()
    bias = torch.from_numpy(found.bias).double().requires_grad_()
    loss = torch.nn.functional.cross_entropy(values / scale @ weight.T + bias, torch.from_numpy(labels))
    (loss + found.weight_decay / 2 * weight.square().sum()).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert bias.grad is not None
    return max(float(weight.grad.abs().max()), float(bias.grad.abs().max()))


@pytest.mark.parametrize(("images", "width"), [(90, 8), (30, 60)])
def test_the_solution_is_the_optimum(images: int, width: int) -> None:
    """With more features than images too, where it is found in fewer coordinates."""
    features, labels = _features(images, width, noise=1.0)
    found = solve(features, labels, _CLASSES, weight_decay=0.05)
    assert found.weight_decay == pytest.approx(0.05)
    assert len(found.validated) == len(found.logits) == 0
    assert _slope(features, labels, found) < 1e-4


def test_the_same_features_give_the_same_weights() -> None:
    features, labels = _features(60, 8, noise=1.0)
    found, again = (solve(features, labels, _CLASSES) for _ in range(2))
    assert np.array_equal(found.weight, again.weight)
    assert np.array_equal(found.bias, again.bias)


def test_cross_validation_says_what_new_images_will_show() -> None:
    """Accuracy and likelihood alike; on the images themselves both look better."""
    features, labels = _features(150, 40, noise=6.0)
    found = solve(features, labels, _CLASSES)
    new, new_labels = _features(3000, 40, noise=6.0, seed=1)
    assert np.array_equal(found.validated, np.arange(150))
    said, seen, fitted = (
        _score(logits, truth)
        for logits, truth in (
            (found.logits, labels),
            (new @ found.weight.T + found.bias, new_labels),
            (features @ found.weight.T + found.bias, labels),
        )
    )
    assert said == pytest.approx(seen, abs=0.12)
    assert fitted[0] > seen[0] + 0.05
    assert seen[1] < np.log(_CLASSES)  # of probabilities that say nothing


def test_the_strength_is_that_of_the_likeliest_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images that were left out: a few more or fewer that are right say less."""
    features, labels = _features(60, 40, noise=6.0)
    found = solve(features, labels, _CLASSES)
    losses = []
    for strength in head._STRENGTHS:
        monkeypatch.setattr(head, "_STRENGTHS", (strength,))
        losses.append(_score(solve(features, labels, _CLASSES).logits, labels)[1])
    assert _score(found.logits, labels)[1] == pytest.approx(min(losses), rel=1e-3)


def test_images_of_a_group_are_left_out_together() -> None:
    """Copies of an image in its group: what its copies teach says nothing of new images."""
    features, labels = _features(30, 40, noise=6.0)
    copies, of_copies, groups = features.repeat(4, axis=0), labels.repeat(4), np.arange(30).repeat(4)
    apart, together = (solve(copies, of_copies, _CLASSES, groups=known) for known in (None, groups))
    assert _score(apart.logits, of_copies)[0] == 1
    assert _score(together.logits, of_copies)[0] < 0.9


def test_a_solution_is_found_again_by_its_weight_decay_and_factor() -> None:
    features, labels = _features(60, 8, noise=6.0)
    found = solve(features, labels, _CLASSES)
    again = solve(features, labels, _CLASSES, weight_decay=found.weight_decay, factor=found.factor)
    assert np.allclose(again.weight, found.weight, rtol=1e-4, atol=1e-6)
    assert np.allclose(again.bias, found.bias, rtol=1e-4, atol=1e-6)


def _score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Accuracy and cross-entropy."""
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    return float((logits.argmax(axis=1) == labels).mean()), loss.item()


def test_a_feature_that_never_changes_has_no_part() -> None:
    features, labels = _features(60, 8, noise=1.0)
    features[:, 3] = 7.0
    found = solve(features, labels, _CLASSES)
    assert np.isfinite(found.weight).all()
    assert np.abs(found.weight[:, 3]).max() < 1e-6


def test_many_images_are_validated_on_some_of_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_zoo.training.head._MOST_VALIDATED", 30)
    features, labels = _features(90, 4, noise=1.0)
    found = solve(features, labels, _CLASSES)
    assert np.bincount(labels[found.validated]).tolist() == [10, 10, 10]


def test_features_that_are_not_finite_are_refused() -> None:
    features, labels = _features(9, 4, noise=1.0)
    features[3, 2] = np.nan
    with pytest.raises(TrainingError, match="not finite"):
        solve(features, labels, _CLASSES)


@pytest.mark.parametrize("layout", ["plain", "with a test split", "with three splits"])
def test_a_solved_head_is_fitted_to_held_out_pictures_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    """Once it is scored, and never to a test split of the user's own; its accuracy is that of new pictures."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(exporting, "MIN_IMAGES", 5)
    parts = {"plain": [""], "with a test split": ["train", "test"]}.get(layout, ["train", "val", "test"])
    for number, part in enumerate(parts):
        fill(tmp_path / "own" / part, range(10 * number, 10 * number + 10))
    dataset, run = f"folder:{tmp_path / 'own'}", RunDirectory(tmp_path / "run")
    recipe = recipe_for("all_cnn", dataset, image_size=32, given={"frozen": True}).override(
        frozen=True, optimizer="lbfgs", epochs=1
    )
    recipe = recipe.override(validate=False, ema_decay=0.0)
    train.start(recipe, run.path, device="cpu", data_dir=None, progress=SilentProgress())
    if layout == "with a test split":
        assert not run.refitted.exists()
        return
    scored, refitted = load_file(run.best), load_file(run.refitted)
    differ = {name for name, tensor in scored.items() if not torch.equal(tensor, refitted[name])}
    assert differ
    assert all(name.startswith("classifier.") for name in differ)
    exported = export_onnx(run.path, tmp_path / "alone")
    session, known = (
        Session(exported.path),
        cross_validated(run, load_for_run(run, run.recipe(), data_dir=None)[1].train),
    )
    assert known is not None
    images, logits = known
    expected = fit_calibration(logits, np.asarray(images.labels), calibrated_on="cross-validation")
    assert session.metadata.calibration == expected
    assert session.gaussians is not None
    said = _Said()
    split_file = run.split_file if layout == "plain" else None
    score = evaluate_dataset(
        session, tmp_path / "own", data_dir=None, progress=said, split_file=split_file
    ).accuracy
    if layout == "with three splits":  # whose test pictures it has never seen
        assert not exported.refitted
        assert session.metadata.test_accuracy == score == exported.verification.accuracy
        assert not any("new images" in line for line in said.lines)
        return
    before = replace(exported.verification, accuracy=0.125)
    after_comparison = export_onnx(run.path, tmp_path / "scored", scored=before)
    assert Session(after_comparison.path).metadata == replace(session.metadata, test_accuracy=0.125)
    assert session.metadata.refitted
    assert (session.metadata.test_accuracy, score) == (run.metrics().test_accuracy, 1.0)
    assert any("and finally on its test images, too" in line for line in said.lines)
    assert "measured before it was fitted to them, too" in model_card(exported.path, None)
