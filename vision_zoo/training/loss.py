"""What training minimises."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from vision_zoo.training.recipe import Recipe

LossFunction = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats of logits `[batch, classes]` and labels int64 `[batch]`."""
    return functional.cross_entropy(logits, labels)


def cross_entropy_of_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy that takes probabilities for logits, as report A's patch-LSTM is trained."""
    return functional.cross_entropy(logits.softmax(dim=1), labels)


def loss_function(recipe: Recipe) -> LossFunction:
    """The recipe's loss."""
    return cross_entropy_of_softmax if recipe.softmax_before_loss else cross_entropy
