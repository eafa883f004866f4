"""Calibration against simple implementations of the same, and what becomes of a file."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from tests.images.pictures import write_class_folders
from vision_zoo.artifact import manifest
from vision_zoo.artifact.familiarity import FALSE_ALARMS, Gaussians, vectors_of
from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core.errors import DataError, ExportError, ModelError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data.dataset import Splits
from vision_zoo.exporting import calibration_images, export
from vision_zoo.exporting.calibrate import calibrate_file, described_file, read_file, with_temperature
from vision_zoo.exporting.calibration import (
    fit_calibration,
    fit_familiarity,
    fit_temperature,
    log_likelihood,
    set_threshold,
)
from vision_zoo.exporting.verify import run_graph
from vision_zoo.serving.session import Session


def _drawn(count: int, sharpness: float, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits `[count, 10]`, `sharpness` times too large, and labels drawn from their true probabilities."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, 10))
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)
    return (sharpness * logits).astype(np.float32), labels.astype(np.int64)


@pytest.mark.parametrize("sharpness", [0.4, 1.7, 3.0])
def test_the_temperature_minimises_the_negative_log_likelihood(sharpness: float) -> None:
    logits, labels = _drawn(2000, sharpness, seed=1)
    found = fit_temperature(logits, labels)
    best = minimize_scalar(
        lambda t: -log_likelihood(logits.astype(np.float64) / t, labels), bounds=(0.1, 10), method="bounded"
    )
    assert found == pytest.approx(best.x, rel=1e-3)
    assert found == pytest.approx(sharpness, rel=0.1)


def test_a_temperature_that_gains_nothing_is_one() -> None:
    assert fit_temperature(*_drawn(500, 1.0, seed=3)) == 1.0


@pytest.mark.parametrize("coverage", [0.9, 0.95, 0.99])
def test_sets_have_the_true_label_at_the_stated_rate(coverage: float) -> None:
    """The mean over many calibrations is exact: between the coverage and 1 / (n + 1) more."""
    generator = np.random.default_rng(0)
    given = generator.random((4000, 150)).astype(np.float32)
    rates = [
        1 - set_threshold(row, coverage) for row in given
    ]  # uniform: the rate of one at least as probable
    error = np.std(rates) / np.sqrt(len(rates))
    assert coverage - 4 * error <= np.mean(rates) <= coverage + 1 / 151 + 4 * error


def test_the_threshold_is_the_quantile_with_its_correction() -> None:
    given = (np.arange(1, 100) / 100).astype(np.float32)  # of 99 images: the first of 100 ranks keeps all
    assert set_threshold(given, 0.99) == pytest.approx(0.01)
    assert set_threshold(given, 0.9) == pytest.approx(0.1)
    assert set_threshold(given[:98], 0.99) == 0.0


def test_scores_are_log_densities_and_false_alarms_are_as_many_as_said() -> None:
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (4000, 8, 8, 1), dtype=np.uint8)
    logits = (generator.normal(0, 1, (4000, 3)) + 8 * np.eye(3)[generator.integers(0, 3, 4000)]).astype(
        np.float32
    )
    found = fit_familiarity(images[:2000], logits[:2000])
    assert found is not None
    vectors = vectors_of(images[2000:], logits[2000:])
    expected = [
        multivariate_normal(mean, np.linalg.inv(factor.T.astype(np.float64) @ factor)).logpdf(vectors)
        for mean, factor in zip(found.means, found.factors, strict=True)
    ]
    constant = 0.5 * vectors.shape[1] * np.log(2 * np.pi)
    np.testing.assert_allclose(found.scores(vectors), np.max(expected, axis=0) + constant, atol=0.05)
    assert (~found.are_familiar(images[2000:], logits[2000:])).mean() == pytest.approx(FALSE_ALARMS, abs=0.02)
    assert not found.are_familiar(images[2000:] // 2, logits[2000:]).any()
    again = Gaussians.from_json(found.to_json(), 3, name="m")
    np.testing.assert_array_equal(again.scores(vectors), found.scores(vectors))


def test_many_classes_and_small_images_have_no_gaussians() -> None:
    assert fit_familiarity(np.zeros((5, 8, 8, 1), np.uint8), np.zeros((5, 21), np.float32)) is None
    assert fit_familiarity(np.zeros((5, 3, 8, 1), np.uint8), np.zeros((5, 2), np.float32)) is None


@pytest.mark.parametrize(
    "change", [{"gaussians": 11}, {"values": "AAAA"}, {"threshold": "x"}, {"values": "?"}]
)
def test_damaged_gaussians_are_refused(change: dict[str, object], calibrated_model: Path) -> None:
    session = Session(calibrated_model, provider="cpu")
    assert session.gaussians is not None
    text = json.dumps(json.loads(session.gaussians.to_json()) | change)
    with pytest.raises(ModelError, match="unreadable metadata of familiar images"):
        Gaussians.from_json(text, 10, name="m")


def test_a_calibrated_file_has_the_same_logits_and_honest_probabilities(
    exported_model: Path, calibrated_model: Path, mnist_5k: Splits, tmp_path: Path
) -> None:
    before, after = (Session(path, provider="cpu") for path in (exported_model, calibrated_model))
    first, second = (session.predict_all(np.asarray(mnist_5k.test.images)) for session in (before, after))
    np.testing.assert_array_equal(second.logits, first.logits)
    np.testing.assert_array_equal(second.classes, first.classes)
    calibration = after.metadata.calibration
    assert calibration is not None
    assert (calibration.calibrated_on, calibration.images) == ("half of the test split", 500)
    assert list(calibration.set_thresholds) == ["90", "95", "99"]
    assert replace(after.metadata, calibration=None) == before.metadata
    labels = np.asarray(mnist_5k.test.labels)
    scaled = first.logits.astype(np.float64) / calibration.temperature
    assert log_likelihood(scaled, labels) >= log_likelihood(first.logits.astype(np.float64), labels)
    expected = np.exp(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))
    np.testing.assert_allclose(second.probabilities, expected, atol=1e-5)
    assert manifest.read(calibrated_model.parent).keys() == {calibrated_model.name}
    again = calibrate_file(calibrated_model, output_dir=tmp_path)
    assert again.path.read_bytes() == calibrated_model.read_bytes()


def test_the_graph_has_one_operator_more_at_most(exported_model: Path) -> None:
    content = exported_model.read_bytes()
    hotter = onnx.load_model_from_string(with_temperature(with_temperature(content, 3.0), 2.0))
    nodes = len(onnx.load_model_from_string(content).graph.node)
    assert len(hotter.graph.node) == nodes + 1
    cold = onnx.load_model_from_string(with_temperature(hotter.SerializeToString(), 1.0))
    assert len(cold.graph.node) == nodes
    zeros = np.zeros((2, 28, 28, 1), dtype=np.uint8)
    for former, new in zip(
        run_graph(content, zeros), run_graph(cold.SerializeToString(), zeros), strict=True
    ):
        np.testing.assert_array_equal(new, former)


def test_an_export_is_calibrated_on_the_validation_split(
    finished_run: Path, mnist_5k: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    validation = mnist_5k.train.spread(400)
    monkeypatch.setattr(export, "training_splits", lambda *_: {"validation": validation})
    session = Session(export.export_onnx(finished_run, tmp_path).path, provider="cpu")
    calibration = session.metadata.calibration
    assert calibration is not None
    assert session.gaussians is not None
    given = session.predict_all(np.asarray(validation.images))
    expected = fit_calibration(given.logits, np.asarray(validation.labels), calibrated_on="validation split")
    assert calibration == replace(expected, set_thresholds=calibration.set_thresholds)
    assert calibration.set_thresholds == pytest.approx(expected.set_thresholds, abs=1e-5)


def test_what_cannot_be_calibrated_is_refused(
    exported_model: Path, mnist_5k: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = Session(exported_model, provider="cpu").metadata
    few = calibration_images.CalibrationImages(mnist_5k.test.spread(99), "pictures", None)
    with monkeypatch.context() as patch:
        patch.setattr("vision_zoo.exporting.calibrate.images_for", lambda *_, **__: few)
        with pytest.raises(UsageError, match="cannot be calibrated on 99 images"):
            calibrate_file(exported_model, output_dir=tmp_path)
    seen = replace(few, split=mnist_5k.test, calibrated_on=calibration_images.HELD_OUT)
    with pytest.raises(DataError, match="it was trained on what its recipe holds out now"):
        calibration_images.require_unseen(replace(metadata, test_accuracy=0.9), seen, 0.99)
    calibration_images.require_unseen(replace(metadata, test_accuracy=0.9), seen, 0.91)
    with pytest.raises(UsageError, match="expected folder:PATH"):
        calibration_images.images_for(metadata, dataset="mnist", data_dir=None)
    with pytest.raises(UsageError, match="is not at hand"):
        calibration_images.images_for(replace(metadata, dataset="folder:a"), dataset=None, data_dir=None)
    model = onnx.load(exported_model)
    next(node for node in model.graph.node if node.op_type == "Softmax").op_type = "LogSoftmax"
    with pytest.raises(ExportError, match="not a softmax"):
        with_temperature(model.SerializeToString(), 2.0)
    (tmp_path / "no.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not an ONNX file"):
        calibrate_file(tmp_path / "no.onnx")
    assert not list(tmp_path.glob("*mnist*"))


def test_images_that_a_file_was_trained_on_do_not_calibrate_it(
    exported_model: Path, mnist_5k: Splits, tmp_path: Path
) -> None:
    """The folder's name and the accuracy on them together tell; another folder may be called so, or be easier."""
    content, metadata, _ = read_file(exported_model)
    photos = write_class_folders(tmp_path / "photos", mnist_5k.train.spread(200))
    other = write_class_folders(tmp_path / "other", mnist_5k.test.spread(200))
    said: list[str] = []

    class Lines(SilentProgress):
        def line(self, text: str) -> None:
            said.append(text)

    def calibrate(dataset: str | None, **changes: object) -> Metadata:
        path = tmp_path / "model.onnx"
        changed = replace(metadata, dataset="folder-photos", **changes)  # type: ignore[arg-type]
        manifest.publish(path, described_file(content, changed, None))
        said.clear()
        done = calibrate_file(path, dataset=dataset, output_dir=tmp_path / "done", progress=Lines()).path
        return Session(done, provider="cpu").metadata

    with pytest.raises(DataError, match=r"was trained on a folder of this name.*or another name if"):
        calibrate(photos, test_accuracy=0.5)
    for dataset, accuracy, warned in ((photos, 0.99, True), (other, 0.5, True), (other, 0.99, False)):
        for refitted in (False, True):  # which has no test images left, but these may be new
            calibration = calibrate(dataset, test_accuracy=accuracy, refitted=refitted).calibration
            assert calibration is not None
            assert calibration.images == 200
            assert any("if it was trained on these, its sets contain" in line for line in said) is warned
    with pytest.raises(UsageError, match=r"fitted to its test images.*pass --dataset folder:PATH"):
        calibrate(None, refitted=True)
    with pytest.raises(UsageError, match="outside it with --output-dir"):
        calibrate_file(exported_model, dataset=other, output_dir=tmp_path / "other" / "done")


def test_a_few_test_images_tell_little(exported_model: Path) -> None:
    metadata = Session(exported_model, provider="cpu").metadata
    few = replace(metadata, test_accuracy=0.0, test_images=2)
    assert not calibration_images.looks_seen(few, 120, 0.33)
    assert calibration_images.looks_seen(replace(few, test_images=1000), 120, 0.33)


def test_images_held_out_by_the_recipe_are_used(data_dir: Path, exported_model: Path) -> None:
    metadata = replace(
        Session(exported_model, provider="cpu").metadata, recipe="small_cnn-mnist", dataset="mnist"
    )
    found = calibration_images.images_for(metadata, dataset=None, data_dir=data_dir)
    assert (found.calibrated_on, len(found.split)) == (calibration_images.HELD_OUT, 10_000)
    assert found.rest is not None
    assert len(found.rest) == 10_000
