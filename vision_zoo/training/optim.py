"""Optimizers and learning rates by name."""

from collections.abc import Callable

import torch
from torch import nn

from vision_zoo.training.recipe import Recipe


def build_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer over the trainable parameters, with torch's fused step."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    classes: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
    }
    build = classes[recipe.optimizer]
    return build(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Train every parameter with the learning rate `value` from now on."""
    for group in optimizer.param_groups:
        group["lr"] = value
