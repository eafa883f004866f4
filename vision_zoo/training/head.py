"""Training of a dense layer on frozen features to its optimum."""

import time

import numpy as np
import torch
from torch import nn

from vision_zoo.core.errors import UsageError
from vision_zoo.core.progress import Progress
from vision_zoo.core.results import EpochRecord
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.evaluate import evaluate, scored
from vision_zoo.training.logistic import solve
from vision_zoo.training.run_directory import RunDirectory
from vision_zoo.training.run_outputs import write_predictions
from vision_zoo.training.state import TrainingState


def solve_head(
    run: RunDirectory,
    recipe: Recipe,
    state: TrainingState,
    head: nn.Module,
    features: Split,
    progress: Progress,
) -> None:
    """Give `head` the weights that fit `features` best, and `state` one epoch with the cross-validation's scores.

    Raises:
        UsageError: the head is not one dense layer.
        TrainingError: the features are not finite.
    """
    dense = _dense_layer(head, recipe)
    labels = np.asarray(features.labels)
    started = time.perf_counter(), time.process_time()
    solution = solve(
        np.asarray(features.images),
        labels,
        dense.out_features,
        weight_decay=recipe.optimizer.weight_decay or None,
    )
    with torch.no_grad():
        dense.weight.copy_(torch.from_numpy(solution.weight))
        dense.bias.copy_(torch.from_numpy(solution.bias))
    state.train_seconds = time.perf_counter() - started[0]
    state.cpu_seconds = time.process_time() - started[1]
    fitted = evaluate(head, features)
    measured = {}
    described = f"{solution.steps} steps, training accuracy {fitted.accuracy:.2%}"
    if len(solution.validated):
        out = features.take(solution.validated)
        score = scored(torch.from_numpy(solution.logits), out.labels)
        write_predictions(run, out, score, run.cross_validation_file)
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


def _dense_layer(head: nn.Module, recipe: Recipe) -> nn.Linear:
    layers = [layer for layer in head.modules() if any(True for _ in layer.parameters(recurse=False))]
    if len(layers) == 1 and isinstance(layers[0], nn.Linear) and layers[0].bias is not None:
        return layers[0]
    raise UsageError(
        f"lbfgs solves one dense layer on frozen features, and the head of {recipe.architecture} is another; choose "
        "another optimizer"
    )
