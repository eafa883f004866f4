"""Files that compute in fewer bits."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from vision_zoo.architectures.efficientnet_lite0 import InvertedResidual
from vision_zoo.benchmark.sessions import placement
from vision_zoo.core.choices import Precision
from vision_zoo.core.errors import ExportError, UsageError
from vision_zoo.data.dataset import Split
from vision_zoo.exporting import export
from vision_zoo.exporting.export import ExportedModel, export_onnx, to_onnx
from vision_zoo.exporting.quantize import to_precision
from vision_zoo.serving.session import Session
from vision_zoo.training.classifier import ImageClassifier


@pytest.fixture(scope="module", params=["fp16", "int8"])
def reduced(
    request: pytest.FixtureRequest, finished_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExportedModel:
    return export_onnx(finished_run, tmp_path_factory.mktemp("reduced"), precision=request.param)


def test_the_name_and_the_metadata_tell_the_precision(reduced: ExportedModel, exported_model: Path) -> None:
    session = Session(reduced.path, provider="cpu")
    precision = session.metadata.precision
    assert precision in ("fp16", "int8")
    assert reduced.path.name == f"simple_cnn-mnist_5k-{precision}.onnx"
    assert session.metadata.test_accuracy == reduced.verification.accuracy
    share = session.size / exported_model.stat().st_size
    assert share < (0.52 if precision == "fp16" else 0.28)


def test_little_is_lost_and_the_proof_says_how_much(reduced: ExportedModel) -> None:
    assert reduced.verification.images == 1000
    assert reduced.verification.checkpoint_accuracy - reduced.verification.accuracy <= 0.002 + 1e-9
    assert reduced.verification.argmax_agreement >= 0.98
    assert reduced.verification.max_logit_difference > 0


def test_the_graph_really_computes_in_it(reduced: ExportedModel) -> None:
    model = onnx.load(reduced.path)
    if "int8" in reduced.path.stem:
        kinds = {tensor.data_type for tensor in model.graph.initializer}
        assert {onnx.TensorProto.INT8, onnx.TensorProto.UINT8} <= kinds
        weights = [
            onnx.numpy_helper.to_array(tensor)
            for tensor in model.graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and tensor.dims and max(tensor.dims) > 32
        ]
        assert weights
        assert max(abs(int(weight.max())) for weight in weights) <= 64  # seven bits: reduce_range
        assert placement(Session(reduced.path, provider="cpu")).nodes["CPUExecutionProvider"] > 3
    else:
        types = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
        assert onnx.TensorProto.FLOAT16 in types
        assert onnx.TensorProto.FLOAT not in types


class _Depthwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6())
        blocks = [
            InvertedResidual(8, 8, kernel=3, stride=1, expansion=expansion, side=10) for expansion in (1, 4)
        ]
        self.layers = nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits


def test_depthwise_layers_have_all_bits_and_stay_among_integers() -> None:
    torch.manual_seed(0)
    classifier = ImageClassifier(_Depthwise(), mean=(0.5,) * 3, std=(0.5,) * 3).eval()
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), dtype=np.uint8)
    training = Split(images, np.zeros(8, dtype=np.int64))
    model = onnx.load_model_from_string(to_precision(to_onnx(classifier, (12, 12, 3)), "int8", training))
    values = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made_by = {output: node for node in model.graph.node for output in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    largest = [
        int(np.abs(values[made_by[node.input[1]].input[0]].astype(int)).max())
        if node.input[1] in made_by
        else None
        for node in convolutions
    ]
    # Stem and first depthwise in single precision; then projection, expansion, depthwise, projection.
    assert largest == [None, None, 64, 64, 127, 64]
    clips = [node for node in model.graph.node if node.op_type == "Clip"]
    assert len(clips) == 2  # those of the layers in single precision: among integers the range does it


def test_the_file_names_no_domain_that_it_does_not_use(reduced: ExportedModel) -> None:
    model = onnx.load(reduced.path)
    named = {entry.domain for entry in model.opset_import}
    assert named == {node.domain for node in model.graph.node} | {""}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_export_refuses_when_too_much_is_lost(
    precision: Precision, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(content: bytes, *arguments: object) -> bytes:
        model = onnx.load_model_from_string(to_precision(content, *arguments))  # type: ignore[arg-type]
        bias = next(
            tensor for tensor in model.graph.initializer if "classifier.3.bias" in tensor.name and tensor.dims
        )
        values = onnx.numpy_helper.to_array(bias).copy()
        values[0] += 40  # every image is a 0 then
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return bytes(model.SerializeToString())

    monkeypatch.setattr(export, "to_precision", damaged)
    with pytest.raises(
        ExportError, match=r"does not predict what the checkpoint predicts.*nothing was written"
    ):
        export_onnx(finished_run, tmp_path / "out", precision=precision)
    assert not (tmp_path / "out").exists()


def test_a_graph_that_cannot_be_converted_is_one_line(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "to_onnx", lambda *_arguments: b"nonsense")
    with pytest.raises(ExportError, match="cannot be converted to int8"):
        export_onnx(finished_run, tmp_path / "out", precision="int8")


def test_weights_are_for_single_precision(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--weights is for --precision fp32"):
        export_onnx(finished_run, tmp_path, precision="int8", weights="fp16")
