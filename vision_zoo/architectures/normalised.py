"""Convolutions with batch normalisation, trained fast where its statistics are frozen."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_WIDEST = 3
"""Columns of a depthwise kernel whose gradient oneDNN computes fast; wider ones take ten times as long."""


class Normalised(nn.Sequential):
    """`nn.ZeroPad2d` or none, `nn.Conv2d`, `nn.BatchNorm2d`, and `nn.ReLU6` or none, one after the other.

    In training with frozen statistics, as in fine-tuning, it computes the same as one convolution: its weights are
    multiplied by those of the normalisation, through which all of them have their gradients. Images, the largest
    tensors, are then read and written half as often. They are channels-last, which suits depthwise convolutions.
    """

    def forward(self, images: Tensor) -> Tensor:
        layers: list[Any] = list(self)
        sides = layers.pop(0).padding if isinstance(layers[0], nn.ZeroPad2d) else (0, 0, 0, 0)
        convolution, normalisation, *activation = layers
        if not self.training or normalisation.training:
            normalised: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
            return normalised
        factor = normalisation.weight * (normalisation.running_var + normalisation.eps).rsqrt()
        weight = convolution.weight * factor.view(-1, 1, 1, 1)
        bias = normalisation.bias - normalisation.running_mean * factor
        images = images.contiguous(memory_format=torch.channels_last)
        padding = sides[0]
        if len(set(sides)) > 1:
            images, padding = functional.pad(images, sides), 0
        computed = _convolution(images, weight, bias, convolution.stride[0], padding)
        return functional.relu6(computed, inplace=True) if activation else computed


def _convolution(images: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
    groups = images.shape[1] // weight.shape[1]
    if groups == 1 or images.device.type != "cpu":
        return functional.conv2d(images, weight, bias, stride, padding, groups=groups)
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        images, weight, bias = images.to(dtype), weight.to(dtype), bias.to(dtype)
    convolved: Tensor = DepthwiseConvolution.apply(images, weight, bias, stride, padding)
    return convolved


class DepthwiseConvolution(torch.autograd.Function):
    """torch's depthwise convolution, with gradients that oneDNN computes fast.

    Takes images `[batch, channels, height, width]`, weights `[channels, 1, kernel, kernel]`, biases `[channels]`, all
    float32 or bfloat16, stride and padding.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(images, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_images = None
        if ctx.needs_input_grad[0]:
            of_images = _gradient_of_images(gradient, images, weight, stride, padding)
        of_weight = _gradient_of_weight(gradient, images, weight, stride, padding)
        return of_images, of_weight, gradient.sum((0, 2, 3)), None, None


def _gradient_of_images(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """In single precision for a stride, where bfloat16 takes twenty times as long."""
    dtype = images.dtype if stride == 1 else torch.float32
    shaped_like = images if dtype == images.dtype else torch.empty_like(images, dtype=dtype)
    found = _backward(gradient.to(dtype), shaped_like, weight.to(dtype), stride, padding, (True, False))[0]
    return found.to(images.dtype)


def _gradient_of_weight(
    gradient: Tensor, images: Tensor, weight: Tensor, stride: int, padding: int
) -> Tensor:
    """A few columns of the kernel at a time."""
    kernel = weight.shape[3]
    if kernel <= _WIDEST:
        return _backward(gradient, images, weight, stride, padding, (False, True))[1]
    padded = functional.pad(images, (padding,) * 4)
    reach = (gradient.shape[3] - 1) * stride
    parts = []
    for first in range(0, kernel, _WIDEST):
        columns = weight[..., first : first + _WIDEST]
        read = padded[..., first : first + reach + columns.shape[3]]
        parts.append(_backward(gradient, read, columns, stride, 0, (False, True))[1])
    return torch.cat(parts, dim=3)


def _backward(
    gradient: Tensor,
    images: Tensor,
    weight: Tensor,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor]:
    of_images, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient,
        images,
        weight,
        None,
        [stride] * 2,
        [padding] * 2,
        [1, 1],
        False,
        [0, 0],
        len(weight),
        [*wanted, False],
    )
    return of_images, of_weight
