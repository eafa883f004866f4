"""Dense layers computed by oneDNN, for processors on which torch's are slow.

torch multiplies matrices of single precision with MKL, which uses half of the vectors of AMD's processors with AVX-512.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vision_zoo.core.environment import cpu_vendor, vector_instructions

_FEW_PRODUCTS = 2**20
"""Below so many multiplications calling oneDNN costs more than it gains."""


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None, *, training: bool) -> Tensor:
    """`functional.linear`, whose results differ by rounding.

    Takes inputs `[..., n]`, weights `[outputs, n]` and biases `[outputs]`, returns `[..., outputs]`. Out of training, off
    the CPU, and in another type than float32, it is torch's own.
    """
    many = inputs.numel() * len(weight) >= _FEW_PRODUCTS
    plain = inputs.device.type == "cpu" and inputs.dtype == torch.float32
    if not (training and many and plain and is_faster()) or torch.is_autocast_enabled("cpu"):
        return functional.linear(inputs, weight, bias)
    rows: Tensor = _Product.apply(inputs.reshape(-1, inputs.shape[-1]), weight, bias)
    return rows.view(*inputs.shape[:-1], len(weight))


@cache
def is_faster() -> bool:
    """Whether this processor is one of those, and torch has oneDNN's dense layer."""
    return cpu_vendor() == "AuthenticAMD" and "avx512f" in vector_instructions() and _of_torch() is not None


def _of_torch() -> Any:
    """What torch's compiler calls; None where this torch has none."""
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


class _Product(torch.autograd.Function):
    """Of rows `[n, inputs]`, weights `[outputs, inputs]` and biases `[outputs]` or None."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        rows, weight = ctx.saved_tensors
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(gradient, weight.t()) if of_rows else None,
            _product(gradient.t(), rows.t()) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    computed: Tensor = _of_torch()(rows, weight, bias, "none", [], "")
    return computed
