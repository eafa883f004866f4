"""What an ONNX graph consists of, against what torch says of the network."""

import numpy as np
import pytest
import torch

from vision_zoo.architectures import ARCHITECTURES
from vision_zoo.core.errors import ModelError
from vision_zoo.data import find_dataset
from vision_zoo.exporting.export import to_onnx
from vision_zoo.exporting.graph import summarise_graph
from vision_zoo.recipes import recipe_for
from vision_zoo.training.classifier import build_classifier, count_macs, count_parameters


@pytest.mark.parametrize(
    "architecture", ["bn_cnn", "mobilenet", "patch_lstm", "row_lstm", "simple_cnn", "vit"]
)
def test_layers_add_up_to_what_torch_counts(architecture: str) -> None:
    dataset = find_dataset("mnist")
    torch.manual_seed(0)
    classifier = build_classifier(recipe_for(architecture, "mnist"), dataset).eval()
    summary = summarise_graph(to_onnx(classifier, dataset.input.shape), name=architecture)
    assert architecture in ARCHITECTURES
    assert summary.opset == 18
    macs = sum(layer.macs for layer in summary.layers)
    assert macs == pytest.approx(count_macs(classifier, dataset), rel=0.02)
    parameters = sum(layer.parameters for layer in summary.layers)
    assert parameters == pytest.approx(count_parameters(classifier.network), rel=0.02)
    assert all(np.prod(layer.output) > 0 for layer in summary.layers)


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(ModelError, match="nonsense is not an ONNX file"):
        summarise_graph(b"nonsense", name="nonsense")
