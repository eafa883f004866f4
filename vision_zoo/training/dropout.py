"""Dropout that draws its random numbers four at a time: on a CPU, torch's own spends most of its time on drawing them."""

import torch
from torch import Tensor, nn

_LEVELS = 2**16
_LOWEST = -(2**15)


class QuickDropout(nn.Dropout):
    """`nn.Dropout` from 16 random bits an element, of torch's generator.

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


def with_quick_dropout(network: nn.Module) -> nn.Module:
    """`network` itself, each `nn.Dropout` in it replaced."""
    for module in list(network.modules()):
        for name, child in module._modules.items():  # `named_children` leaves out what is there twice
            if type(child) is nn.Dropout:
                module._modules[name] = QuickDropout(child.p, child.inplace).train(child.training)
    return network
