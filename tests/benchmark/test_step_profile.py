"""The profile of training steps."""

import pytest

from benchmarks.training.step_profile import KINDS, measure, shares
from benchmarks.training.workload import Workload, prepare


def test_operations_belong_to_the_kind_that_their_names_say() -> None:
    names = {
        "aten::convolution_backward": "convolution",
        "aten::mkldnn_convolution": "convolution",
        "aten::addmm": "matrix product",
        "mkldnn::_linear_pointwise": "matrix product",
        "aten::mkldnn_rnn_layer": "matrix product",
        "aten::max_pool2d_with_indices": "pooling",
        "aten::native_batch_norm": "normalisation",
        "aten::threshold_backward": "activation",
        "Optimizer.step#Adam.step": "optimizer",
        "aten::copy_": "memory",
        "AddmmBackward0": "other",
    }
    found = shares((name, 2.0**number) for number, name in enumerate(names))
    expected = dict.fromkeys([*KINDS, "other"], 0.0)
    for number, kind in enumerate(names.values()):
        expected[kind] += 2.0**number / (2 ** len(names) - 1)
    assert found == pytest.approx(expected)


def test_steps_are_timed_and_their_operations_counted() -> None:
    found = measure(prepare(Workload("simple_cnn-mnist_5k", 256, 1, 1), None), rounds=2, seconds=0.05)
    assert len(found["step_ms"]) == len(found["floor_ms"]) == 2
    assert min(found["step_ms"] + found["floor_ms"]) > 0
    assert sum(found["shares"].values()) == pytest.approx(1, abs=0.001)
    assert {kind for kind, part in found["shares"].items() if part} >= {
        "convolution",
        "matrix product",
        "pooling",
    }
