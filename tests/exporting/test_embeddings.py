"""Files with the output `embeddings`, and everything that reads a model's file reading them."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import vision_zoo as vz
from tests.conftest import Completed
from vision_zoo.artifact.metadata import METADATA_KEY
from vision_zoo.benchmark.sessions import bound_runner, placement
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import ExportError, UsageError
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.exporting.embeddings import WithEmbeddings
from vision_zoo.exporting.export import export_onnx, to_onnx
from vision_zoo.exporting.quantize import to_precision
from vision_zoo.exporting.verify import FULL_PRECISION, REDUCED_PRECISION, verify_embeddings
from vision_zoo.recipes import find_recipe
from vision_zoo.serving.session import Session
from vision_zoo.training.classifier import ImageClassifier, build_classifier
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.weights import load_weights

SHAPE = (28, 28, 1)


@pytest.fixture(scope="module")
def classifier(finished_run: Path) -> ImageClassifier:
    run = RunDirectory.open(finished_run)
    built = build_classifier(run.recipe(), find_dataset("mnist-5k"))
    load_weights(run.best, built.network)
    return built.eval()


@pytest.fixture(scope="module")
def few(mnist_5k: Splits) -> Split:
    return mnist_5k.test.take(np.arange(0, 1000, 10, dtype=np.int64))


def _logits(classifier: ImageClassifier, embeddings: np.ndarray) -> np.ndarray:
    *_, layer = (module for module in classifier.network.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        logits: np.ndarray = layer(torch.from_numpy(embeddings)).numpy()
    return logits


def test_the_last_layer_of_the_embeddings_is_the_logits(
    embedded_model: Path, exported_model: Path, classifier: ImageClassifier, few: Split
) -> None:
    session = Session(embedded_model, provider="cpu")
    assert session.metadata.embeddings == 128
    assert session.metadata.outputs == {"logits": 10, "probabilities": 10, "embeddings": 128}
    found = session.predict_all(np.array(few.images), batch_size=30)
    assert found.embeddings is not None
    assert found.embeddings.shape == (100, 128)
    np.testing.assert_allclose(_logits(classifier, found.embeddings), found.logits, atol=1e-4)
    without = Session(exported_model, provider="cpu").predict_all(np.array(few.images))
    assert without.embeddings is None
    np.testing.assert_allclose(without.logits, found.logits, atol=1e-5)
    session.run_once()


def test_a_file_without_them_says_nothing_of_them(exported_model: Path) -> None:
    model = onnx.load(exported_model)
    assert [output.name for output in model.graph.output] == ["logits", "probabilities"]
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    assert "embeddings" not in json.loads(entry.value)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_they_are_verified_in_fewer_bits(
    classifier: ImageClassifier, mnist_5k: Splits, few: Split, precision: Precision
) -> None:
    embedding = WithEmbeddings(classifier, SHAPE)
    content = to_precision(to_onnx(classifier, SHAPE, embedding), precision, mnist_5k.train)
    assert 0 < verify_embeddings(content, embedding, few, REDUCED_PRECISION) < 1


def test_embeddings_of_another_network_are_refused(classifier: ImageClassifier, few: Split) -> None:
    other = build_classifier(find_recipe("simple_cnn-mnist_5k"), find_dataset("mnist-5k")).eval()
    content = to_onnx(other, SHAPE, WithEmbeddings(other, SHAPE))
    embedding = WithEmbeddings(classifier, SHAPE)
    for tolerance in (FULL_PRECISION, REDUCED_PRECISION):
        with pytest.raises(ExportError, match="embeddings are not the checkpoint's"):
            verify_embeddings(content, embedding, few, tolerance)


def test_a_refused_export_with_embeddings_writes_nothing(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_zoo.exporting import export

    def refuse(*_: object) -> float:
        raise ExportError("refused")

    monkeypatch.setattr(export, "verify_embeddings", refuse)
    with pytest.raises(ExportError, match="refused"):
        export_onnx(finished_run, tmp_path / "models", embeddings=True)
    assert not (tmp_path / "models").exists()


def test_mirrored_images_count_as_in_the_logits(classifier: ImageClassifier, few: Split) -> None:
    flipping = ImageClassifier(classifier.network, mean=(0.1,), std=(0.3,), test_time_flip=True).eval()
    embedding = WithEmbeddings(flipping, SHAPE)
    with torch.no_grad():
        logits, embeddings = embedding(torch.from_numpy(np.array(few.images)))
    np.testing.assert_allclose(_logits(flipping, embeddings.numpy()), logits.numpy(), atol=1e-4)
    assert verify_embeddings(to_onnx(flipping, SHAPE, embedding), embedding, few) < 1e-3


class _Convolution(nn.Module):
    """Logits of a convolution, after a dense layer that is none of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.dense, self.last = nn.Linear(28, 28), nn.Conv2d(1, 10, 28)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(self.dense(images)).flatten(1)
        return logits


def test_a_network_without_a_last_dense_layer_has_no_embeddings() -> None:
    for network in (_Convolution(), nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())):
        with pytest.raises(ExportError, match="does not end in a dense layer"):
            WithEmbeddings(ImageClassifier(network, mean=(0.5,), std=(0.5,)).eval(), SHAPE)


def test_benchmarks_and_info_read_a_file_with_three_outputs(
    embedded_model: Path, few: Split, cli: Callable[..., Completed]
) -> None:
    session = Session(embedded_model, provider="cpu")
    images = np.array(few.images[:3])
    bound: Any = bound_runner(session, images)()
    np.testing.assert_allclose(bound[0], session.predict(images).logits, atol=1e-6)
    assert placement(session).copies == 0
    assert cli("info", embedded_model, "--json").json["embeddings"] == 128
    assert "embeddings: float32 [batch, 128]" in cli("info", embedded_model).stdout
    assert cli("evaluate", embedded_model, "--json").json["images"] == 1000


def test_the_commands_write_them(
    finished_run: Path, embedded_model: Path, digit_png: Path, tmp_path: Path, cli: Callable[..., Completed]
) -> None:
    exported = cli("export", finished_run, "--output-dir", "models", "--embeddings", "--json").json
    assert exported["embeddings"] == 128
    assert (tmp_path / exported["model"]).read_bytes() == embedded_model.read_bytes()
    model = vz.load(embedded_model, provider="cpu")
    expected = model.embed(digit_png)
    assert expected.shape == (128,)
    inputs = (digit_png, "missing.png", digit_png)
    assert cli("predict", embedded_model, *inputs, "--embeddings", "rows.npy").code == 1
    rows = np.load(tmp_path / "rows.npy")
    assert rows.shape == (2, 128)
    assert rows.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(rows, model.embed([digit_png, digit_png]), atol=1e-5)
    np.testing.assert_allclose(rows[0], expected, atol=1e-5)
    assert cli("predict", embedded_model, digit_png, "--embeddings", "rows.npz", "--format", "csv").code == 0
    with np.load(tmp_path / "rows.npz") as archive:
        assert archive["names"].tolist() == [str(digit_png)]
        np.testing.assert_allclose(archive["embeddings"], rows[:1], atol=1e-5)
    assert model.embed([]).shape == (0, 128)


def test_where_there_are_none_they_are_refused(
    exported_model: Path, digit_png: Path, tmp_path: Path, cli: Callable[..., Completed]
) -> None:
    refused = functools.partial(cli, "predict", exported_model, digit_png, "--embeddings")
    assert "has no embeddings; export its run again with" in refused("rows.npy").error
    assert "rows.csv is no .npy or .npz file" in refused("rows.csv").error
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="has no embeddings"):
        vz.load(exported_model, provider="cpu").embed(digit_png)
