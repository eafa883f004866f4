"""What each speed-up of training steps gains: `results/<environment>/training_speedups.json`.

    python -m benchmarks.training.speedups [RECIPE…] [--rounds 5] [--threads 2]

Each round times so many steps of a recipe with the speed-up and as many without it, in turn.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from benchmarks.training.command import keep, parser
from benchmarks.training.step_profile import seconds_of, stepper
from benchmarks.training.workload import Prepared, each_on_cpu
from vision_zoo.architectures import onednn
from vision_zoo.training.device import describe_environment


@dataclass(frozen=True)
class Speedup:
    """How training goes without it: a network that is `changed`, and `without`, in which its steps are taken."""

    name: str
    without: Callable[[], AbstractContextManager[None]] = nullcontext
    changed: Callable[[nn.Module], object] = lambda _network: None


@contextmanager
def _mkl() -> Iterator[None]:
    with patch.object(onednn, "is_faster", lambda: False):
        yield


_ONEDNN = Speedup("dense layers by oneDNN", without=_mkl)
_CHANNELS_LAST = Speedup(
    "channels-last", changed=lambda network: network.to(memory_format=torch.contiguous_format)
)
SPEEDUPS = {
    "vit-mnist": _ONEDNN,
    "basic_cnn-mnist": _ONEDNN,
    "bn_cnn-fashion_mnist": _ONEDNN,
    "alexnet_finetuned-cifar10": _ONEDNN,
    "airbench-mnist": _CHANNELS_LAST,
    "airbench-cifar10": _CHANNELS_LAST,
}


def measure(
    prepared: Prepared, speedup: Speedup, rounds: int, seconds: float = 3.0
) -> dict[str, list[float]]:
    """Milliseconds of a step `with` and `without` the speed-up, one a round of about so many `seconds`."""
    plain = replace(prepared, classifier=deepcopy(prepared.classifier))
    speedup.changed(plain.classifier.network)
    fast = stepper(prepared)
    with speedup.without():
        slow = stepper(plain)
        slow(2)
    fast(2)
    steps = max(2, round(seconds / 2 / (seconds_of(lambda: fast(2)) / 2)))
    found: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(rounds):
        found["with"].append(round(1e3 * seconds_of(lambda: fast(steps)) / steps, 3))
        with speedup.without():
            found["without"].append(round(1e3 * seconds_of(lambda: slow(steps)) / steps, 3))
    return found


def main() -> None:
    options = parser(__doc__, recipes=tuple(SPEEDUPS), rounds=5).parse_args()
    for name, prepared in each_on_cpu(options):
        speedup = SPEEDUPS.get(name, _ONEDNN)
        measured: dict[str, Any] = {
            "speedup": speedup.name,
            "precision": prepared.recipe.precision,
            "step_ms": measure(prepared, speedup, options.rounds),
        }
        path = keep("training_speedups", describe_environment(prepared.device), {}, name, measured, options)
        print(name, {arm: statistics.median(times) for arm, times in measured["step_ms"].items()}, flush=True)
    print(path)


if __name__ == "__main__":
    main()
