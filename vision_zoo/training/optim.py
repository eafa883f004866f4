"""Optimizers and learning rates by name."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

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
    options: dict[str, Any] = {"momentum": recipe.momentum, "nesterov": True} if recipe.momentum else {}
    return build(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True, **options)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Train every parameter with the learning rate `value` from now on."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # where a CUDA graph reads it
            group["lr"].fill_(value)
        else:
            group["lr"] = value


def portable_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's state as one has it that no CUDA graph reads: it fits every device."""
    state: dict[str, Any] = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": [_not_capturable(group) for group in groups]}


def _not_capturable(group: dict[str, Any]) -> dict[str, Any]:
    return {**group, "capturable": False} if "capturable" in group else group
