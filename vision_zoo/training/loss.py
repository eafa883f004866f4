"""What training minimises."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from vision_zoo.recipes.recipe import Recipe

LossFunction = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats of logits `[batch, classes]` and labels int64 `[batch]`."""
    return functional.cross_entropy(logits, labels)


def cross_entropy_of_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy that takes probabilities for logits, as report A's patch-LSTM is trained."""
    return functional.cross_entropy(logits.softmax(dim=1), labels)


def loss_function(recipe: Recipe) -> LossFunction:
    """What the recipe's training minimises."""
    if recipe.label_smoothing and not recipe.softmax_before_loss:
        return partial(functional.cross_entropy, label_smoothing=recipe.label_smoothing)
    return scored_loss(recipe)


def scored_loss(recipe: Recipe) -> LossFunction:
    """The loss that is reported and decides early stopping: the recipe's, of the labels as they are."""
    return cross_entropy_of_softmax if recipe.softmax_before_loss else cross_entropy
