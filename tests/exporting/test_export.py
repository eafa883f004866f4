import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from vision_zoo.artifact.metadata import METADATA_KEY
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import ExportError
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.exporting.export import OPSET, export_onnx, to_onnx
from vision_zoo.exporting.quantize import store_weights
from vision_zoo.exporting.verify import (
    FULL_PRECISION,
    REDUCED_PRECISION,
    Tolerance,
    Verification,
    require,
    verify_graph,
)
from vision_zoo.recipes import find_recipe
from vision_zoo.training.classifier import ImageClassifier, build_classifier, count_parameters
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.weights import load_weights


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> ImageClassifier:
    run = RunDirectory.open(finished_run)
    built = build_classifier(run.recipe(), find_dataset("mnist-5k"))
    load_weights(run.best, built.network)
    return built.eval()


def test_the_file_is_self_contained_and_says_what_it_is(exported_model: Path) -> None:
    model = onnx.load(exported_model, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    (entry,) = model.metadata_props
    metadata = json.loads(entry.value)
    assert entry.key == METADATA_KEY
    assert metadata["labels"] == list("0123456789")
    assert metadata["test_images"] == 1000
    assert metadata["parameters"] == 421_642
    assert metadata["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_preprocessing_is_in_the_graph(
    exported_model: Path, classifier: ImageClassifier, mnist_5k: Splits
) -> None:
    session = onnxruntime.InferenceSession(exported_model, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 7):
        images = np.array(mnist_5k.test.images[:batch])
        logits, probabilities = session.run(None, {"image": images})
        with torch.no_grad():
            expected = classifier(torch.from_numpy(images))
        np.testing.assert_allclose(logits, expected.numpy(), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(probabilities, expected.softmax(dim=1).numpy(), atol=1e-5)


def test_normalisation_is_one_multiply_add(exported_model: Path) -> None:
    operators = [node.op_type for node in onnx.load(exported_model).graph.node]
    assert operators.count("Mul") == operators.count("Add") == 1
    assert not {"Div", "Sub"} & set(operators)


def test_the_manifest_lists_the_file(exported_model: Path) -> None:
    listed = json.loads((exported_model.parent / "manifest.json").read_text())["models"][exported_model.name]
    assert listed["sha256"] == hashlib.sha256(exported_model.read_bytes()).hexdigest()
    assert listed["bytes"] == exported_model.stat().st_size


def test_exporting_twice_gives_the_same_bytes(
    exported_model: Path, finished_run: Path, tmp_path: Path
) -> None:
    assert export_onnx(finished_run, tmp_path).path.read_bytes() == exported_model.read_bytes()


@pytest.fixture(scope="module")
def negated(classifier: ImageClassifier) -> bytes:
    """A graph of the opposite weights."""
    return _other_weights(classifier, -2.0)


def _other_weights(classifier: ImageClassifier, change: float) -> bytes:
    changed = build_classifier(find_recipe("simple_cnn-mnist_5k"), find_dataset("mnist-5k"))
    changed.load_state_dict(classifier.state_dict())
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter.mul_(1 + change)
    return to_onnx(changed.eval(), (28, 28, 1))


def test_the_proof_refuses_when_predictions_differ(
    classifier: ImageClassifier, negated: bytes, mnist_5k: Splits
) -> None:
    with pytest.raises(ExportError, match="argmax agreement"):
        verify_graph(negated, classifier, mnist_5k.test)
    with pytest.raises(ExportError, match="largest logit difference"):
        verify_graph(_other_weights(classifier, 0.003), classifier, mnist_5k.test)


def test_a_refused_export_writes_nothing(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, negated: bytes
) -> None:
    from vision_zoo.exporting import export

    monkeypatch.setattr(export, "to_onnx", lambda *_: negated)
    with pytest.raises(ExportError, match="nothing was written"):
        export_onnx(finished_run, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_the_proof_refuses_what_does_not_run(classifier: ImageClassifier, mnist_5k: Splits) -> None:
    with pytest.raises(ExportError, match="cannot run the exported graph"):
        verify_graph(b"no model", classifier, mnist_5k.test)


@pytest.mark.parametrize(("weights", "share"), [("fp16", 0.52), ("int8", 0.27)])
def test_weights_in_fewer_bits_shrink_the_file_and_keep_the_accuracy(
    finished_run: Path, exported_model: Path, tmp_path: Path, weights: Precision, share: float
) -> None:
    exported = export_onnx(finished_run, tmp_path, weights=weights)
    assert exported.path.stat().st_size < share * exported_model.stat().st_size
    assert exported.verification.accuracy >= exported.verification.checkpoint_accuracy - 0.002
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert json.loads(model.metadata_props[0].value)["weights"] == weights


def test_the_matrices_of_a_recurrent_layer_take_eight_bits(mnist_5k: Splits) -> None:
    classifier = build_classifier(find_recipe("row_lstm-mnist"), find_dataset("mnist")).eval()
    # Every row is a step of the exported graph: one in four.
    test = replace(mnist_5k.test, images=mnist_5k.test.images[:, ::4])
    content = to_onnx(classifier, (7, 28, 1))
    stored = store_weights(content, "int8")
    assert len(content) - len(stored) > 2.9 * count_parameters(classifier)  # bytes, of four a parameter
    verification = verify_graph(stored, classifier, test, Tolerance(0.0, None, accuracy_loss=1.0))
    assert 0 < verification.max_logit_difference < 0.01  # of logits around 0.1, with random weights


def _few(split: Split, count: int) -> Split:
    return split.take(np.arange(count, dtype=np.int64))


@pytest.mark.parametrize(("images", "lost", "refused"), [(120, 1, False), (120, 2, True), (7, 1, False), (1000, 2, False),
                                                         (1000, 3, True)])  # fmt: skip
def test_a_file_in_fewer_bits_may_lose_one_image_however_few_there_are(
    images: int, lost: int, refused: bool
) -> None:
    verification = Verification(
        images, 1.0, 0.1, checkpoint_accuracy=1.0, accuracy=1 - lost / images, ood_energy_threshold=0.0
    )
    if refused:
        with pytest.raises(ExportError, match=f"it loses {lost} of {images:,} test images, expected at most"):
            require(verification, REDUCED_PRECISION, 1.0, images, largest_logit=1.0)
    else:
        require(verification, REDUCED_PRECISION, 1.0, images, largest_logit=1.0)
    with pytest.raises(ExportError, match="points below the checkpoint's"):
        require(verification, FULL_PRECISION, 1.0, images, largest_logit=1000.0)


def test_agreement_on_few_test_images_is_judged_on_more(
    classifier: ImageClassifier, negated: bytes, exported_model: Path, mnist_5k: Splits
) -> None:
    disagreeing = Tolerance(0.9, None, accuracy_loss=1.0)
    with pytest.raises(ExportError, match="on 500 images"):
        verify_graph(negated, classifier, _few(mnist_5k.test, 4), disagreeing, more=mnist_5k.train)
    content = exported_model.read_bytes()
    verification = verify_graph(content, classifier, _few(mnist_5k.test, 4), disagreeing, more=mnist_5k.train)
    assert verification.images == 4


def test_weights_that_lose_too_much_are_refused(
    classifier: ImageClassifier, negated: bytes, exported_model: Path, mnist_5k: Splits
) -> None:
    content = store_weights(exported_model.read_bytes(), "int8")
    with pytest.raises(ExportError, match="points below the checkpoint"):
        verify_graph(negated, classifier, mnist_5k.test, Tolerance(0.0, None, accuracy_loss=0.002))
    with pytest.raises(ExportError, match="does not predict what the checkpoint predicts"):
        verify_graph(content, classifier, mnist_5k.test, Tolerance(0.0, 1e-6, accuracy_loss=1.0))
