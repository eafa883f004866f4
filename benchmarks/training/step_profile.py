"""What training steps spend their time on: `results/<environment>/training_profile.json`.

    python -m benchmarks.training.step_profile [RECIPE…] [--rounds 3] [--threads 1]

Each round times a recipe's steps without the profiler, a large matrix product in their precision for the floor, and then
profiles as many steps with torch's. The profiler adds some microseconds to every operation, so shares are of profiled
time, and times are not.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.training.command import keep, parser
from benchmarks.training.workload import TYPES, Prepared, each_on_cpu, matrix_rate
from vision_zoo.training.augment import draw
from vision_zoo.training.classifier import count_macs
from vision_zoo.training.device import describe_environment
from vision_zoo.training.loader import Loader
from vision_zoo.training.optim import build_optimizer
from vision_zoo.training.speedups import apply_speedups
from vision_zoo.training.step import EagerStep

_RECIPES = (
    "simple_cnn-mnist", "small_cnn-mnist", "lenet-fashion_mnist", "basic_cnn-mnist", "patch_lstm-mnist",
    "row_lstm-mnist", "mobilenet-mnist", "vit-mnist", "bn_cnn-fashion_mnist", "airbench-cifar10",
)  # fmt: skip
KINDS = {
    "convolution": ("conv",),
    "matrix product": (
        "::mm",
        "::bmm",
        "addmm",
        "baddbmm",
        "mkldnn_linear",
        "linear_pointwise",
        "attention",
        "lstm",
        "mkldnn_rnn",
    ),
    "pooling": ("pool",),
    "normalisation": ("batch_norm", "layer_norm"),
    "activation": (
        "relu",
        "threshold",
        "clamp_min",
        "sigmoid",
        "tanh",
        "gelu",
        "softmax",
        "dropout",
        "random_",
        "::ge",
    ),
    "optimizer": ("Optimizer.", "_fused_"),
    "memory": ("copy_", "fill_", "zero_", "empty", "index", "::cat", "_to_copy", "clone", "contiguous"),
}
"""Kinds of operations by what their names contain, the first that fits; everything else is `other`."""


def shares(times: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The part of each kind of operation in the `times` of operations by name, in [0, 1]; they add up to 1."""
    spent = dict.fromkeys([*KINDS, "other"], 0.0)
    for operation, seconds in times:
        kind = next(
            (kind for kind, names in KINDS.items() if any(name in operation for name in names)), "other"
        )
        spent[kind] += seconds
    return {kind: seconds / sum(spent.values()) for kind, seconds in spent.items()}


def stepper(prepared: Prepared) -> Callable[[int], None]:
    """Takes so many steps of the recipe's training."""
    classifier, recipe = prepared.classifier, prepared.recipe
    apply_speedups(classifier.network, prepared.device)
    step = EagerStep(classifier, build_optimizer(recipe, classifier.network), recipe)
    loader = Loader(prepared.train, batch_size=recipe.batch_size, seed=0, device=prepared.device)
    generator = torch.Generator().manual_seed(0)

    def take(steps: int) -> None:
        classifier.train()
        taken = 0
        while taken < steps:
            for batch in islice(loader.epoch(taken), steps - taken):
                changes = None
                if recipe.augmentation is not None:
                    changes = draw(batch.size, recipe.augmentation, generator, side=batch.images.shape[1])
                step(batch, changes)
                taken += 1

    return take


def seconds_of(work: Callable[[], None]) -> float:
    """How long `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(prepared: Prepared, rounds: int, seconds: float = 3.0) -> dict[str, Any]:
    """Milliseconds of a step and of its arithmetic at the rate of a matrix product, and the shares of operations.

    The steps of one round take about so many `seconds`.
    """
    take = stepper(prepared)
    take(3)
    steps = max(3, round(seconds / (seconds_of(lambda: take(3)) / 3)))
    # A picture that is classified may be seen twice; one that is trained on is not.
    views = 2 if prepared.recipe.test_time_flip else 1
    macs = count_macs(prepared.classifier, prepared.dataset) / views
    operations = 6 * macs * prepared.recipe.batch_size
    dtype = TYPES[prepared.recipe.precision]
    step_ms, floor_ms, found = [], [], []
    for _ in range(rounds):
        step_ms.append(1e3 * seconds_of(lambda: take(steps)) / steps)
        floor_ms.append(1e3 * operations / matrix_rate(prepared.device, seconds=seconds / 3, dtype=dtype))
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            take(steps)
        found.append(shares((row.key, row.self_cpu_time_total) for row in profiled.key_averages()))
    return {
        "batch_size": prepared.recipe.batch_size,
        "steps": steps,
        "step_ms": [round(one, 3) for one in step_ms],
        "floor_ms": [round(one, 3) for one in floor_ms],
        "shares": {kind: round(statistics.median(one[kind] for one in found), 4) for kind in found[0]},
    }


def main() -> None:
    made = parser(__doc__, recipes=_RECIPES, rounds=3)
    made.set_defaults(threads=1)
    options = made.parse_args()
    for name, prepared in each_on_cpu(options):
        measured = measure(prepared, options.rounds)
        path = keep("training_profile", describe_environment(prepared.device), {}, name, measured, options)
        print(name, f"{statistics.median(measured['step_ms']):.2f} ms", measured["shares"], flush=True)
    print(path)


if __name__ == "__main__":
    main()
