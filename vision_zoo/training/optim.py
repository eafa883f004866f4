"""Loss functions, optimizers and learning rates by name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.recipes.recipe import Recipe
from vision_zoo.recipes.training_settings import OptimizerSettings

LossFunction = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy in nats of logits `[batch, classes]` and labels int64 `[batch]`."""
    return functional.cross_entropy(logits, labels)


def cross_entropy_of_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy that takes probabilities for logits, as report A's patch-LSTM is trained."""
    return functional.cross_entropy(logits.softmax(dim=1), labels)


def soft_cross_entropy(logits: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of the teacher's logits `targets` and `logits`, `[batch, classes]`, at a temperature."""
    wanted = (targets.float() / temperature).softmax(dim=1)
    return functional.cross_entropy(logits / temperature, wanted) * temperature**2


def balanced_weights(labels: NDArray[np.int64]) -> Tensor:
    """Weights of classes for `labels` `[n]`, float32 `[classes]`: their inverse frequencies, 1 in the mean of images."""
    counts = np.bincount(labels)
    return torch.from_numpy(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))).float()


def loss_function(recipe: Recipe, class_weights: Tensor | None = None) -> LossFunction:
    """What the recipe's training minimises, with the weights of classes, float32 `[classes]`, if there are any."""
    if class_weights is not None:
        return partial(_weighted, recipe, class_weights)
    if recipe.label_smoothing and not recipe.softmax_before_loss:
        return partial(functional.cross_entropy, label_smoothing=recipe.label_smoothing)
    return scored_loss(recipe)


def scored_loss(recipe: Recipe) -> LossFunction:
    """The loss that is reported: the recipe's, of the labels as they are."""
    return cross_entropy_of_softmax if recipe.softmax_before_loss else cross_entropy


def validation_loss(recipe: Recipe, class_weights: Tensor | None) -> LossFunction:
    """The loss that decides early stopping: the reported one, with the weights of classes if there are any."""
    if class_weights is None:
        return scored_loss(recipe)
    return partial(_weighted, recipe.replace(label_smoothing=0.0), class_weights)


def _weighted(recipe: Recipe, class_weights: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    softmax = recipe.softmax_before_loss
    losses = functional.cross_entropy(
        logits.softmax(dim=1) if softmax else logits,
        labels,
        reduction="none",
        label_smoothing=0.0 if softmax else recipe.label_smoothing,
    )
    return (losses * class_weights[labels]).mean()


_FACTOR, _MUON = "lr_factor", "muon_momentum"  # of a group of parameters


def build_optimizer(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
    """The recipe's optimizer over the trainable parameters, with torch's fused step where it has one."""
    parameters: list[Any] = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if recipe.optimizer.kind == "lbfgs":
        return torch.optim.LBFGS(parameters)
    settings = recipe.optimizer
    if settings.bias_lr_factor != 1 or settings.kind == "muon" or recipe.fine_tune is not None:
        parameters = _in_groups(parameters, network, recipe)
    classes: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "sgd": torch.optim.SGD,
        "muon": Muon,
    }
    options: dict[str, Any] = {"momentum": settings.momentum, "nesterov": True} if settings.momentum else {}
    return classes[settings.kind](
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True, **options
    )


def _in_groups(parameters: list[nn.Parameter], network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Groups of another learning rate: biases of batch normalisations, fine-tuned feature layers, and Muon's filters."""
    settings = recipe.optimizer
    normalisations = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    biases = {id(module.bias) for module in normalisations}
    tuned = [] if recipe.fine_tune is None else list(cast("nn.Module", network.features).parameters())
    features = {id(parameter) for parameter in tuned}
    filters = {id(one) for one in muon_filters(network)} if settings.kind == "muon" else set()
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for one in parameters:
        of_bias = settings.bias_lr_factor if id(one) in biases else 1.0
        of_feature = settings.feature_lr_factor if id(one) in features else 1.0
        groups.setdefault((id(one) in filters, of_bias, of_feature), []).append(one)
    return [
        _filter_group(group, settings)
        if of_filters
        else {
            "params": group,
            "lr": settings.learning_rate * of_bias * of_feature,
            "weight_decay": settings.weight_decay / of_bias,
            _FACTOR: of_bias * of_feature,
        }
        for (of_filters, of_bias, of_feature), group in sorted(groups.items(), key=_plain_first)
    ]


def _plain_first(entry: tuple[tuple[bool, float, float], Any]) -> tuple[bool, ...]:
    of_filters, *factors = entry[0]
    return (of_filters, *(factor != 1 for factor in factors))


def muon_filters(network: nn.Module) -> list[Tensor]:
    """What Muon trains: the filters of convolutions that see all channels."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return [module.weight for module in convolutions if module.groups == 1 and module.weight.requires_grad]


def _filter_group(filters: list[nn.Parameter], settings: OptimizerSettings) -> dict[str, Any]:
    return {
        "params": filters,
        "lr": settings.muon_learning_rate,
        "weight_decay": 0.0,
        "momentum": 0.0,
        "nesterov": False,
        _FACTOR: settings.muon_learning_rate / settings.learning_rate,
        _MUON: settings.momentum,
    }


class Muon(torch.optim.SGD):
    """SGD whose steps along filters are orthogonal matrices, in groups of parameters with a momentum for it.

    A filter bank `[outputs, inputs, height, width]` is a matrix of a row for each output. Its gradient, with momentum in
    Nesterov's form, is replaced by the nearest matrix whose rows or columns are orthonormal, and its norm is set to that
    of rows of length 1, so that the learning rate is relative to the weights. After K. Jordan,
    https://kellerjordan.github.io/posts/muon.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            if _MUON not in group:
                continue
            for filters in group["params"]:
                if filters.grad is not None:
                    filters.grad.copy_(self._direction(filters, filters.grad, group[_MUON]))
                    norm = torch.linalg.vector_norm(filters)
                    filters.mul_(len(filters) ** 0.5 / (norm + _TINY))
        return super().step(closure)

    def _direction(self, filters: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[filters]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        mean = state["momentum_buffer"].mul_(momentum).add_(gradient)
        direction = orthogonal(gradient.add(mean, alpha=momentum).flatten(1))
        return direction.view(filters.shape)


_COEFFICIENTS, _ITERATIONS, _TINY = (3.4445, -4.7750, 2.0315), 3, 1e-7


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest orthogonal matrix, of the same shape and type.

    By steps of the Newton-Schulz iteration with Jordan's coefficients: singular values above a fiftieth of the matrix's
    norm become 0.68 to 1.21.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = wide / (torch.linalg.vector_norm(wide) + _TINY)
    first, third, fifth = _COEFFICIENTS
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=third, alpha=fifth), x, beta=first)
    return x if wide is matrix else x.T


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Train every parameter with the learning rate `value` from now on, or its group's multiple of that."""
    for group in optimizer.param_groups:
        wanted = value * group.get(_FACTOR, 1.0)
        if isinstance(group["lr"], Tensor):  # where a CUDA graph reads it
            group["lr"].fill_(wanted)
        else:
            group["lr"] = wanted


def portable_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's state as one has it that no CUDA graph reads: it fits every device."""
    state: dict[str, Any] = optimizer.state_dict()
    groups = [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]
    return {**state, "param_groups": [_not_capturable(group) for group in groups]}


def _not_capturable(group: dict[str, Any]) -> dict[str, Any]:
    return {**group, "capturable": False} if "capturable" in group else group


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
