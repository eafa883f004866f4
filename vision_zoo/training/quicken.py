"""What makes a network's steps quicker and leaves what it computes: another memory format, another source of chance."""

import torch
from torch import nn

from vision_zoo.training.dropout import with_quick_dropout


def quickened(network: nn.Module) -> nn.Module:
    """`network` itself, its weights channels-last and its dropout quick."""
    network.to(memory_format=torch.channels_last)
    return with_quick_dropout(network)
