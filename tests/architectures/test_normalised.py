"""Fine-tuning's short cut through frozen batch normalisation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vision_zoo.architectures import normalised
from vision_zoo.architectures.efficientnet_lite0 import InvertedResidual
from vision_zoo.architectures.normalised import Normalised

_SHAPES = [(3, 1), (3, 2), (5, 1), (5, 2)]


def _block(kernel: int, stride: int, *, trained: bool = True) -> InvertedResidual:
    """With statistics and weights of its normalisations that are not those of a new one."""
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, kernel=kernel, stride=stride, expansion=6, side=12)
    for layer in block.modules():
        layer.training = trained and not isinstance(layer, nn.BatchNorm2d)
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.running_var):
                nn.init.uniform_(tensor, 0.5, 2.0)  # type: ignore[arg-type]
            for tensor in (layer.bias, layer.running_mean):
                nn.init.normal_(tensor)  # type: ignore[arg-type]
    return block


def _images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 8, 12, 12, generator=generator).requires_grad_()


def _computed(block: InvertedResidual, images: Tensor) -> dict[str, Tensor]:
    """The outputs, and the gradients of their weighted sum."""
    outputs = block(images)
    torch.manual_seed(2)
    (outputs * torch.randn(outputs.shape)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in block.named_parameters()}
    found = {"outputs": outputs.detach(), "images": images.grad, **gradients}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def _plainly(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    with monkeypatch.context() as patched:
        patched.setattr(Normalised, "forward", nn.Sequential.forward)
        return compute()


def _differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    assert found.keys() == expected.keys()
    return {name: float((found[name] - expected[name]).norm() / expected[name].norm()) for name in expected}


@pytest.mark.parametrize(("kernel", "stride"), _SHAPES)
def test_outputs_and_gradients_are_those_of_the_layers(
    kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _plainly(monkeypatch, lambda: _computed(_block(kernel, stride), _images()))
    found = _computed(_block(kernel, stride), _images())
    assert len(found) == 2 + 9
    assert max(_differences(found, expected).values()) < 1e-5


@pytest.mark.parametrize(("kernel", "stride"), _SHAPES)
def test_in_bfloat16_they_are_as_near_as_those_of_the_layers(
    kernel: int, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded() -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            return _computed(_block(kernel, stride), _images())

    exact = _computed(_block(kernel, stride), _images())
    usual = _differences(_plainly(monkeypatch, rounded), exact)
    assert max(_differences(rounded(), exact).values()) < 1.5 * max(usual.values())


@pytest.mark.parametrize("trained", [False, True])
def test_nothing_changes_in_evaluation_nor_with_statistics_of_the_batch(
    trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute() -> dict[str, Tensor]:
        return _computed(_block(3, 1, trained=False).train(trained), _images())

    expected = _plainly(monkeypatch, compute)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in compute().items())


def test_a_step_has_neither_normalisations_nor_gradients_of_wide_kernels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widths, backward = [], normalised._backward

    def recorded(gradient: Tensor, images: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        if rest[-1] == (False, True):
            widths.append(weight.shape[3])
        return backward(gradient, images, weight, *rest)

    monkeypatch.setattr(normalised, "_backward", recorded)
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda *_: pytest.fail("a normalisation was computed"))
    _computed(_block(5, 1), _images())
    assert widths == [3, 2]
