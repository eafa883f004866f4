"""A dense layer on frozen features, solved by logistic regression instead of trained in steps.

Every feature is divided by its standard deviation. L-BFGS minimises the sum of the cross-entropies plus the squared
weights over twice the strength C. Cross-validation chooses C, and one factor of the logits: those of the smallest
cross-entropy, which a few hundred images tell far better than accuracies. Nothing is random: the same features give the
same weights, whatever the seed.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vision_zoo.core.errors import TrainingError, UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import EpochRecord
from vision_zoo.core.tables import counted
from vision_zoo.data.dataset import Split
from vision_zoo.data.split import grouped_folds
from vision_zoo.data.split_rule import group_keys
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.evaluate import evaluate, scored
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import write_cross_validation
from vision_zoo.training.state import TrainingState

_STRENGTHS = tuple(10.0**exponent for exponent in (-4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1))
"""From the smoothest solution to the closest fit, of features whose mean square is 1."""
_FACTORS = tuple(10 ** (tenths / 20) for tenths in range(41))
_CONSTANT = 0.05  # of the features' mean standard deviation, added to each: some are nearly always 0
_FOLDS = 5
_MOST_VALIDATED = 2_000
"""Images that C is chosen on. It hardly depends on their number, and cross-validation is most of the work."""
_STEPS, _HISTORY, _PRECISION = 200, 20, 1e-6
_WORSE = 2
"""So many strengths in a row whose cross-entropy is above the lowest end the search."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A dense layer: `weight` float32 `[classes, features]`, `bias` float32 `[classes]`.

    `weight_decay` is that of the mean cross-entropy and standardised features, `factor` what the minimum of the loss is
    multiplied by, `steps` are those of L-BFGS.
    `validated` are the indices of the images of the cross-validation, and `logits`, float32 `[validated, classes]`, come
    from layers that were solved without them; both are empty without one.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    weight_decay: float
    factor: float
    steps: int
    validated: NDArray[np.int64]
    logits: NDArray[np.float32]


def solve(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    *,
    weight_decay: float | None = None,
    factor: float = 1.0,
    groups: NDArray[Any] | None = None,
) -> Solution:
    """Fit the dense layer to features `[images, features]` and labels `[images]`.

    Without a `weight_decay`, that of the mean cross-entropy and standardised features, cross-validation chooses it and
    the `factor` of the solution; images of one of the `groups` `[images]` are left out together.

    Raises:
        TrainingError: the features are not finite.
    """
    values = torch.from_numpy(np.array(features, dtype=np.float64))
    targets = torch.from_numpy(np.array(labels, dtype=np.int64))
    if not values.isfinite().all():
        raise TrainingError("the frozen features are not finite; check the pretrained weights")
    centre, deviations = values.mean(dim=0), values.std(dim=0, correction=0)
    scale = deviations + _CONSTANT * deviations.mean()
    scale = torch.where(scale > 0, scale, 1.0)
    values = (values - centre) / scale
    unit = float(values.square().mean().sqrt()) or 1.0
    values, scale = values / unit, scale * unit
    validated = _spread_over_classes(targets, _MOST_VALIDATED)
    if weight_decay is None:
        known = None if groups is None else groups[validated.numpy()]
        folds = list(_folds(targets[validated], known))
        chosen = _cross_validated(_turned(values[validated])[0], targets[validated], classes, folds)
    else:
        strength = 1 / (weight_decay * len(values))
        validated, chosen = validated[:0], _Chosen(strength, factor, torch.zeros(0, classes))
    turned, back = _turned(values) if len(values) <= _MOST_VALIDATED else (values, None)
    weight, bias, steps = _minimum(turned, targets, chosen.strength, _start(classes, turned.shape[1]))
    weight = (weight if back is None else weight @ back) / scale
    return Solution(
        weight=(chosen.factor * weight).float().numpy(),
        bias=(chosen.factor * (bias - weight @ centre)).float().numpy(),
        weight_decay=1 / (chosen.strength * len(values)),
        factor=chosen.factor,
        steps=steps,
        validated=validated.numpy(),
        logits=chosen.logits.float().numpy(),
    )


def _spread_over_classes(labels: Tensor, most: int) -> Tensor:
    """Indices of all images or, where they are more than `most`, of so many from all classes, ascending."""
    order = labels.argsort(stable=True)
    chosen = order[torch.linspace(0, len(order) - 1, min(most, len(order))).round().long()]
    return chosen.sort().values


def _turned(values: Tensor) -> tuple[Tensor, Tensor | None]:
    """Fewer coordinates with the same distances, where images are fewer than features, and the way back from them.

    The solution lies in the space that the images span, so that nothing is lost.
    """
    images, features = values.shape
    if images >= features:
        return values, None
    squares, vectors = torch.linalg.eigh(values @ values.T)
    kept = squares > squares[-1] * 1e-12
    lengths = squares[kept].sqrt()
    return vectors[:, kept] * lengths, (vectors[:, kept] / lengths).T @ values


def _folds(labels: Tensor, groups: NDArray[Any] | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Indices (kept, left out), every class spread evenly over the folds as far as groups let it; none is empty."""
    fold = torch.zeros_like(labels)
    fold[labels.argsort(stable=True)] = torch.arange(len(labels)) % _FOLDS
    if groups is not None:
        fold = torch.from_numpy(grouped_folds(labels.numpy(), groups, folds=_FOLDS, seed=0))
    for number in range(_FOLDS):
        kept, out = (fold != number).nonzero()[:, 0], (fold == number).nonzero()[:, 0]
        if len(kept) and len(out):
            yield kept, out


@dataclass(frozen=True, eq=False)
class _Chosen:
    """A strength, the factor of its logits, and the logits of images that were left out, times it."""

    strength: float
    factor: float
    logits: Tensor


def _cross_validated(
    values: Tensor, labels: Tensor, classes: int, folds: Sequence[tuple[Tensor, Tensor]]
) -> _Chosen:
    starts = [_start(classes, values.shape[1])] * len(folds)
    found: list[tuple[float, _Chosen]] = []
    for strength in _STRENGTHS:
        logits = values.new_zeros((len(labels), classes))
        for number, (kept, out) in enumerate(folds):
            weight, bias, _ = _minimum(values[kept], labels[kept], strength, starts[number])
            starts[number] = weight, bias
            logits[out] = values[out] @ weight.T + bias
        losses = {factor: functional.cross_entropy(factor * logits, labels).item() for factor in _FACTORS}
        factor = min(losses, key=losses.__getitem__)
        found.append((losses[factor], _Chosen(strength, factor, factor * logits)))
        best = min(range(len(found)), key=lambda index: found[index][0])
        if len(found) - best > _WORSE:
            break
    return found[best][1]


def _start(classes: int, features: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(classes, features, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)


def _minimum(
    values: Tensor, labels: Tensor, strength: float, start: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, int]:
    """Weight, bias and the number of steps from `start`."""
    weight, bias = (tensor.clone().requires_grad_() for tensor in start)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=_STEPS,
        history_size=_HISTORY,
        tolerance_grad=_PRECISION,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        decay = weight.square().sum() / (2 * strength * len(values))
        value = functional.cross_entropy(values @ weight.T + bias, labels) + decay
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    steps = int(optimizer.state[weight]["n_iter"])
    return weight.detach(), bias.detach(), steps


def solve_head(
    run: RunDirectory,
    recipe: Recipe,
    state: TrainingState,
    head: nn.Module,
    features: Split,
    progress: Progress,
) -> Solution:
    """Give `head` the weights that fit `features` best, and `state` one epoch with the cross-validation's scores.

    Raises:
        UsageError: the head is not one dense layer.
        TrainingError: the features are not finite.
    """
    dense = _dense_layer(head, recipe)
    labels, by = np.asarray(features.labels), recipe.data.group_by
    groups = None if by is None else group_keys([file.name for file in features.files], by)
    started = time.perf_counter(), time.process_time()
    solution = solve(
        np.asarray(features.images),
        labels,
        dense.out_features,
        weight_decay=recipe.optimizer.weight_decay or None,
        groups=groups,
    )
    _give(dense, solution)
    state.train_seconds = time.perf_counter() - started[0]
    state.cpu_seconds = time.process_time() - started[1]
    fitted = evaluate(head, features)
    measured = {}
    described = f"{counted(solution.steps, 'step')}, training accuracy {fitted.accuracy:.2%}"
    if len(solution.validated):
        score = scored(torch.from_numpy(solution.logits), labels[solution.validated])
        write_cross_validation(run, features, solution.validated, score)
        measured = {"validation_loss": score.loss, "validation_accuracy": score.accuracy}
        described += f", accuracy in cross-validation {score.accuracy:.2%}"
    state.epoch, state.steps = 1, solution.steps
    state.history = [
        EpochRecord(
            epoch=1,
            steps=solution.steps,
            seconds=round(state.train_seconds, 3),
            train_loss=fitted.loss,
            train_accuracy=fitted.accuracy,
            **measured,
        )
    ]
    state.remember_best(measured.get("validation_loss", 0.0))
    run.write_history(state.history)
    progress.line(f"solved the dense layer of {recipe.architecture}: {described}")
    return solution


def solve_again(recipe: Recipe, head: nn.Module, parts: Sequence[Split], found: Solution) -> None:
    """Give `head` the weights that fit the features of all `parts`, of which the first gave the solution `found`.

    The strength C is that of `found`, which cross-validation chose on fewer images still.
    """
    dense = _dense_layer(head, recipe)
    labels = np.concatenate([part.labels for part in parts])
    weight_decay = found.weight_decay * len(parts[0]) / len(labels)
    features = np.concatenate([part.images for part in parts]).astype(np.float32)
    _give(dense, solve(features, labels, dense.out_features, weight_decay=weight_decay, factor=found.factor))


def _give(dense: nn.Linear, solution: Solution) -> None:
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(solution.weight))
        dense.bias.copy_(torch.from_numpy(solution.bias))


def _dense_layer(head: nn.Module, recipe: Recipe) -> nn.Linear:
    layers = [layer for layer in head.modules() if any(True for _ in layer.parameters(recurse=False))]
    if len(layers) == 1 and isinstance(layers[0], nn.Linear) and layers[0].bias is not None:
        return layers[0]
    raise UsageError(
        f"lbfgs fits one dense layer on frozen features, but {recipe.architecture} has another head; choose another "
        "optimizer"
    )
