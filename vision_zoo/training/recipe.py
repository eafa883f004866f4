"""A recipe: everything that decides what a training run computes, as typed data. Needs no torch."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from vision_zoo.errors import RunError, UsageError

Optimizer = Literal["adam", "adamw", "sgd"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One experiment.

    `report` names the published report it comes from and `reported` the figures printed there
    (fractions and seconds); `parameters` is the number of trainable parameters. `mean` and `std`
    normalise pixels scaled to [0, 1], one value a channel. With `patience`, `validation_fraction` of
    the training split is held out, training stops after that many epochs without a lower validation
    loss, and the best epoch's weights are kept; without it the last epoch's are. `test_curve` draws
    the test split's loss and accuracy per epoch; they never decide anything.
    """

    name: str
    architecture: str
    dataset: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    title: str = ""
    report: str | None = None
    reported: Mapping[str, float] = field(default_factory=dict)
    parameters: int | None = None
    architecture_arguments: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 10
    batch_size: int = 128
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    patience: int | None = None
    validation_fraction: float = 0.1
    test_curve: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        _require(
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", self.name) is not None,
            "name",
            self.name,
            "letters, digits, '.', '_' and '-': it becomes a file name",
        )
        for number in (self.epochs, self.batch_size, self.seed, self.patience or 1):
            _require(type(number) is int, "number", number, "a whole number")
        _require(len(self.mean) == len(self.std) > 0, "mean", self.mean, "one value a channel, as std")
        _require(all(value > 0 for value in self.std), "std", self.std, "values above 0")
        _require(self.epochs >= 1, "epochs", self.epochs, "at least 1")
        _require(self.batch_size >= 1, "batch size", self.batch_size, "at least 1")
        _require(
            math.isfinite(self.learning_rate) and self.learning_rate > 0,
            "learning rate",
            self.learning_rate,
            "a number above 0",
        )
        _require(self.weight_decay >= 0, "weight decay", self.weight_decay, "0 or more")
        _require(self.patience is None or self.patience >= 1, "patience", self.patience, "at least 1")
        _require(0 <= self.seed < 2**32, "seed", self.seed, "between 0 and 4294967295")
        _require(
            0 < self.validation_fraction < 1,
            "validation fraction",
            self.validation_fraction,
            "between 0 and 1",
        )
        _require(
            self.optimizer in get_args(Optimizer), "optimizer", self.optimizer, ", ".join(get_args(Optimizer))
        )

    def override(self, **changes: Any) -> "Recipe":
        """The same recipe with those of `changes` that are not None."""
        return dataclasses.replace(
            self, **{key: value for key, value in changes.items() if value is not None}
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, *, name: str) -> "Recipe":
        """Parse what `to_json` wrote.

        Raises:
            RunError: the text is not a recipe of this version.
        """
        try:
            value = json.loads(text)
            value["mean"], value["std"] = tuple(value["mean"]), tuple(value["std"])
            return cls(**value)
        except (ValueError, KeyError, TypeError, RecursionError, UsageError) as error:
            raise RunError(
                f"{name} is no recipe that this version can read ({error}); train again"
            ) from error


def _require(condition: bool, what: str, value: object, expected: str) -> None:
    if not condition:
        raise UsageError(f"{what} {value} is out of range; expected {expected}")
