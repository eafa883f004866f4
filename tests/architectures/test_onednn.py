"""Dense layers by oneDNN compute what torch's do."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.architectures import build, onednn
from vision_zoo.training.speedups import OneDnnLinear, apply_speedups


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor on which oneDNN is faster, for any size."""
    monkeypatch.setattr(onednn, "is_faster", lambda: True)
    monkeypatch.setattr(onednn, "_FEW_PRODUCTS", 0)


def _values_and_gradients(compute: object, *inputs: Tensor | None, transposed: bool) -> list[Tensor]:
    given = [None if one is None else one.clone().requires_grad_() for one in inputs]
    assert callable(compute)
    outputs = compute(*given)
    weights = torch.linspace(-1, 1, outputs.numel()).reshape(
        outputs.shape[::-1] if transposed else outputs.shape
    )
    outputs.backward(weights.permute(*reversed(range(weights.ndim))) if transposed else weights)
    return [outputs.detach(), *(one.grad for one in given if one is not None and one.grad is not None)]


@pytest.mark.usefixtures("faster")
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 12), (2, 3, 12), (1, 12)])
def test_values_and_gradients_are_torchs(shape: tuple[int, ...], with_bias: bool, transposed: bool) -> None:
    torch.manual_seed(0)
    inputs, weight, bias = torch.randn(shape), torch.randn(7, 12), torch.randn(7) if with_bias else None

    def ours(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        return onednn.linear(x, w, b, training=True)

    expected = _values_and_gradients(functional.linear, inputs, weight, bias, transposed=transposed)
    found = _values_and_gradients(ours, inputs, weight, bias, transposed=transposed)
    assert len(found) == len(expected) == 3 + with_bias
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.usefixtures("faster")
def test_frozen_weights_and_images_have_no_gradients() -> None:
    weight = torch.randn(7, 12)
    inputs = torch.randn(5, 12, requires_grad=True)
    onednn.linear(inputs, weight, None, training=True).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(inputs.grad, weight.sum(0).expand(5, -1))
    assert weight.grad is None
    trained = torch.randn(7, 12, requires_grad=True)
    onednn.linear(torch.ones(5, 12), trained, None, training=True).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(trained.grad, torch.full((7, 12), 5.0))


def _took_onednn(monkeypatch: pytest.MonkeyPatch, inputs: Tensor, *, training: bool = True) -> bool:
    taken: list[None] = []
    product = onednn._product

    def counted(*given: Tensor) -> Tensor:
        taken.append(None)
        return product(*given)

    monkeypatch.setattr(onednn, "_product", counted)
    onednn.linear(inputs, torch.zeros(1024, inputs.shape[1], dtype=inputs.dtype), None, training=training)
    return bool(taken)


def test_it_is_for_training_large_layers_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "is_faster", lambda: True)
    large = torch.zeros(32, 32)
    assert _took_onednn(monkeypatch, large)
    assert not _took_onednn(monkeypatch, large, training=False)
    assert not _took_onednn(monkeypatch, large[:31])
    assert not _took_onednn(monkeypatch, large.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not _took_onednn(monkeypatch, large)
    monkeypatch.setattr(onednn, "is_faster", lambda: False)
    assert not _took_onednn(monkeypatch, large)


def test_processors_with_half_used_vectors_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor, instructions, expected in (
        ("AuthenticAMD", ["avx2", "avx512f"], True),
        ("AuthenticAMD", ["avx2"], False),
        ("GenuineIntel", ["avx2", "avx512f"], False),
        ("", [], False),
    ):
        monkeypatch.setattr(onednn, "cpu_vendor", lambda vendor=vendor: vendor)
        monkeypatch.setattr(onednn, "vector_instructions", lambda found=instructions: found)
        assert onednn.is_faster.__wrapped__() is expected
    monkeypatch.setattr(onednn, "cpu_vendor", lambda: "AuthenticAMD")
    monkeypatch.setattr(onednn, "vector_instructions", lambda: ["avx512f"])
    monkeypatch.setattr(onednn, "_of_torch", lambda: None)
    assert not onednn.is_faster.__wrapped__()


@pytest.mark.usefixtures("faster")
def test_a_transformer_trains_with_it() -> None:
    """All its dense layers are replaced, and it computes what it did."""
    torch.manual_seed(0)
    network = build("vit", channels=1, image_size=28, classes=10, arguments={"dropout": 0.0})
    images = torch.rand(4, 1, 28, 28)
    found: list[list[Tensor]] = []
    for _ in range(2):
        network.zero_grad()
        network(images).square().sum().backward()
        found.append([one.grad.clone() for one in network.parameters() if one.grad is not None])
        apply_speedups(network, torch.device("cpu"))
    assert not any(type(module) is nn.Linear for module in network.modules())
    assert sum(isinstance(module, OneDnnLinear) for module in network.modules()) == 14
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
