"""Graphs: what is read from them, and that ONNX Runtime recognises what it can fuse."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from torch import nn

from vision_zoo.core import onnx_runtime
from vision_zoo.core.errors import ModelError
from vision_zoo.data.dataset import Split
from vision_zoo.exporting.export import to_onnx
from vision_zoo.exporting.graph import summarise_graph
from vision_zoo.exporting.verify import verify_graph
from vision_zoo.training.classifier import ImageClassifier


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="nonsense is not an ONNX file"):
        summarise_graph(b"nonsense", name="nonsense")


@pytest.mark.parametrize(("approximate", "fused"), [("none", "Gelu"), ("tanh", "Tanh")])
def test_gelu_is_exported_as_onnx_runtime_recognises_it(approximate: str, fused: str, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 10), nn.GELU(approximate=approximate))
    classifier = ImageClassifier(network, mean=(0.5,), std=(0.5,)).eval()
    content = to_onnx(classifier, (4, 4, 1))
    images = np.random.default_rng(0).integers(0, 256, (70, 4, 4, 1), dtype=np.uint8)
    verification = verify_graph(content, classifier, Split(images, np.zeros(70, dtype=np.int64)))
    assert verification.argmax_agreement == 1.0
    options = onnx_runtime.session_options()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnx_runtime.make_session(content, options)
    operators = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert fused in operators
