"""Training steps in bfloat16 and in single precision: `results/<environment>/training_precision.json`.

    python -m benchmarks.training.precision [RECIPE…] [--rounds 5] [--threads 2]

Each round times so many steps of a recipe in one precision and as many in the other, in turn, and a large matrix product
in both, which gives the most that bfloat16 can gain on this processor. Only processors with bfloat16 instructions gain.
"""

import statistics
from copy import deepcopy
from dataclasses import replace
from typing import Any

from benchmarks.goals import print_goals
from benchmarks.training.command import keep, parser
from benchmarks.training.step_profile import seconds_of, stepper
from benchmarks.training.workload import TYPES, Prepared, each_on_cpu, matrix_rate
from vision_zoo.training.device import describe_environment

_RECIPES = ("simple_cnn-mnist", "airbench-cifar10", "airbench_large-cifar10")


def in_both(one: Prepared) -> dict[str, Prepared]:
    """The same in single precision and in bfloat16, each with a network of its own."""
    return {
        precision: replace(
            one, recipe=one.recipe.replace(precision=precision), classifier=deepcopy(one.classifier)
        )
        for precision in TYPES
    }


def measure(prepared: dict[str, Prepared], rounds: int, seconds: float = 4.0) -> dict[str, Any]:
    """Milliseconds of a step, and 10^9 operations a second of a matrix product, by precision, one a round.

    The steps of one round in single precision take about so many `seconds`.
    """
    take = {precision: stepper(one) for precision, one in prepared.items()}
    for warm_up in take.values():
        warm_up(2)
    steps = max(2, round(seconds / (seconds_of(lambda: take["fp32"](2)) / 2)))
    device = prepared["fp32"].device
    step_ms: dict[str, list[float]] = {precision: [] for precision in take}
    rates: dict[str, list[float]] = {precision: [] for precision in take}
    for number in range(rounds):
        for precision in sorted(take, reverse=number % 2 == 0):
            step_ms[precision].append(round(1e3 * seconds_of(lambda: take[precision](steps)) / steps, 3))  # noqa: B023
            rate = matrix_rate(device, seconds=seconds / 4, dtype=TYPES[precision])
            rates[precision].append(round(rate / 1e9, 1))
    return {
        "batch_size": prepared["fp32"].recipe.batch_size,
        "steps": steps,
        "step_ms": step_ms,
        "matrix_gflops": rates,
    }


def main() -> None:
    options = parser(__doc__, recipes=_RECIPES, rounds=5).parse_args()
    for name, one in each_on_cpu(options):
        measured = measure(in_both(one), options.rounds)
        path = keep("training_precision", describe_environment(one.device), {}, name, measured, options)
        medians = {precision: statistics.median(found) for precision, found in measured["step_ms"].items()}
        print(name, medians, flush=True)
    print_goals(path)
    print(path)


if __name__ == "__main__":
    main()
