"""The moving average of a network's weights, which is scored and kept instead of them (Polyak averaging)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """The exponential moving average of the trained parameters and the running statistics of `network`.

    After `steps` steps its decay is `decay`, or less where they are few: (1 + steps) / (10 + steps). `values` are those
    of the average by their names in the network's state; what is not trained is not among them.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self._network = network
        trained = [(name, tensor) for name, tensor in network.named_parameters() if tensor.requires_grad]
        buffers = [(name, tensor) for name, tensor in network.named_buffers() if tensor.is_floating_point()]
        self._source = {name: tensor.detach() for name, tensor in trained + buffers}
        self.values = {name: tensor.clone() for name, tensor in self._source.items()}

    def update(self, steps: int) -> None:
        """Take in the weights after so many steps."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self.values.values()), list(self._source.values()), 1 - decay)

    def restore(self, values: Mapping[str, Tensor]) -> None:
        """Go on from `values`, which have the same names."""
        for name, tensor in self.values.items():
            tensor.copy_(values[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the network the average's weights, and its own again at the end."""
        own = {name: tensor.clone() for name, tensor in self._source.items()}
        self.apply()
        try:
            yield
        finally:
            for name, tensor in self._source.items():
                tensor.copy_(own[name])

    def apply(self) -> None:
        """Give the network the average's weights for good."""
        for name, tensor in self._source.items():
            tensor.copy_(self.values[name])
