"""Networks operator for operator as the reports print them, which is how other loops train them.

The zoo's own compute the same functions with less work: they pool before ReLU, and make one convolution of two that
have nothing between them.
"""

import copy

from torch import nn

from vision_zoo.architectures.bn_cnn import LinearPair


def as_printed(network: nn.Module) -> nn.Module:
    """A copy of `network` with the same weights and the same function, in the printed order of operators."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _restore(module)
    return network


def _restore(layers: nn.Sequential) -> None:
    for index, layer in enumerate(layers):
        if isinstance(layer, LinearPair):
            layers[index] = nn.Sequential(layer.pointwise, layer.spatial)
        elif isinstance(layer, nn.MaxPool2d) and index + 1 < len(layers):
            following = layers[index + 1]
            if isinstance(following, nn.ReLU):
                layers[index], layers[index + 1] = following, layer
