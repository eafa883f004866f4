"""Optimisations of training steps that change results by rounding alone: layout, dropout, dense layers, allocator."""

import ctypes
import os
import sys

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from vision_zoo.architectures import onednn


def apply_speedups(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` itself, its dropout and dense layers quick and, for a GPU, which prefers that, its weights channels-last.

    On a CPU both formats take the same time, but for networks that choose theirs.
    """
    if device.type == "cuda":
        network.to(memory_format=torch.channels_last)
    elif onednn.is_faster():
        with_onednn(network)
    return with_fast_dropout(network)


_LEVELS = 2**16
_LOWEST = -(2**15)


class FastDropout(nn.Dropout):
    """`nn.Dropout` with 16 random bits per element from torch's generator.

    The probability is `p` to the nearest 1/65,536, and what is kept is scaled accordingly: the mean stays exact. Off
    the CPU, and in another type than float32, it is torch's own.
    """

    def forward(self, values: Tensor) -> Tensor:
        level = round(self.p * _LEVELS)
        quick = values.device.type == "cpu" and values.dtype == torch.float32
        if not (self.training and quick and 0 < level < _LEVELS):
            return super().forward(values)
        words = torch.empty((values.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        kept = torch.empty_like(values)  # of the same memory format, whatever that is
        in_memory = kept.as_strided((values.numel(),), (1,))
        torch.ge(words.view(torch.int16)[: values.numel()], _LOWEST + level, out=in_memory)
        return values * kept.mul_(_LEVELS / (_LEVELS - level))


def with_fast_dropout(network: nn.Module) -> nn.Module:
    """Replace each `nn.Dropout` in `network`, in place."""
    for module in list(network.modules()):
        for name, child in module._modules.items():  # `named_children` leaves out what is there twice
            if type(child) is nn.Dropout:
                module._modules[name] = FastDropout(child.p, child.inplace).train(child.training)
    return network


def with_onednn(network: nn.Module) -> nn.Module:
    """Replace each `nn.Linear` in `network` by one that oneDNN computes, in place; parameters stay the same objects."""
    for module in network.modules():
        if type(module) in (nn.Linear, NonDynamicallyQuantizableLinear):
            module.__class__ = OneDnnLinear
    return network


class OneDnnLinear(nn.Linear):
    """`nn.Linear` computed by oneDNN where that is faster."""

    def forward(self, inputs: Tensor) -> Tensor:
        return onednn.linear(inputs, self.weight, self.bias, training=self.training)


_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory for this process, and torch to ask for huge pages.

    Does nothing, and returns False, where the C library has no such setting. Call it before torch makes its
    first large tensor. The process keeps the most memory that it ever used.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
