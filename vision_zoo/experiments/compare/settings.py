"""Settings of a comparison: candidates, budget and limits. Checked before anything is loaded."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from vision_zoo.architectures import ARCHITECTURES, find_architecture
from vision_zoo.artifact.metadata import PRECISIONS
from vision_zoo.core.bounds import MAX_SEEDS, require_between, require_choice
from vision_zoo.core.choices import DeviceName, Precision
from vision_zoo.core.errors import UsageError
from vision_zoo.data import find_dataset
from vision_zoo.recipes.options import COMPARED
from vision_zoo.recipes.settings import lookup
from vision_zoo.serving.providers import PROVIDERS

STUDENT = "truncated_efficientnet_lite0"
"""The network that learns from a head on frozen features; it is compared, though no list of architectures has it."""
_SECONDS = {"s": 1, "m": 60, "h": 3600, "": 60}
_SHORTEST = 10.0
_LONGEST = 30 * 86_400
_LARGEST_LIMIT = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a recommended model must keep to: milliseconds of one image (p50), MiB of its file, a fraction right."""

    max_latency_ms: float | None = None
    max_size_mb: float | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for values out of range."""
        for option, value in (("--max-latency-ms", self.max_latency_ms), ("--max-size-mb", self.max_size_mb)):
            if value is not None:
                require_between(option, value, 0, _LARGEST_LIMIT, above=True)
        if self.min_accuracy is not None:
            require_between("--min-accuracy", self.min_accuracy, 0, 1)

    def broken_by(self, *, p50_ms: float, size_mb: float, accuracy: float | None = None) -> list[str]:
        """Which limits a model breaks, in words; without an accuracy that one is not looked at."""
        broken = []
        if self.max_latency_ms is not None and p50_ms > self.max_latency_ms:
            broken.append(f"{p50_ms:.3g} ms, more than {self.max_latency_ms:g}")
        if self.max_size_mb is not None and size_mb > self.max_size_mb:
            broken.append(f"{size_mb:.3g} MiB, more than {self.max_size_mb:g}")
        if self.min_accuracy is not None and accuracy is not None and accuracy < self.min_accuracy:
            broken.append(f"{accuracy:.2%} accuracy, less than {self.min_accuracy:.2%}")
        return broken


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """`budget_seconds` is for everything; the search takes half of it, other seeds half of the rest.

    `changes` are settings of every recipe, of `COMPARED`.
    """

    dataset: str
    architectures: tuple[str, ...] = (*ARCHITECTURES, STUDENT)
    seeds: int = 3
    budget_seconds: float = 1200.0
    provider: str = "auto"
    precisions: tuple[Precision, ...] = ("fp32",)
    limits: Limits = field(default_factory=Limits)
    image_size: int | None = None
    device: DeviceName = "auto"
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises UsageError or UnknownNameError for values out of range."""
        for name in self.architectures:
            find_architecture(name)
        for name, value in self.changes.items():
            lookup(COMPARED, name).accept(value)
        if len(set(self.architectures)) < len(self.architectures) or not self.architectures:
            raise UsageError(
                "--architectures is empty or has duplicates; expected a list such as lenet,mobilenet"
            )
        require_choice("provider", self.provider, PROVIDERS)
        for precision in self.precisions:
            require_choice("precision", precision, PRECISIONS)
        require_between("seeds", self.seeds, 1, MAX_SEEDS)
        if not _SHORTEST <= self.budget_seconds <= _LONGEST:
            raise UsageError(
                f"a budget of {self.budget_seconds:g} s is too {'short' if self.budget_seconds < _SHORTEST else 'long'}; "
                f"expected {_SHORTEST:g} s to {_LONGEST // 86_400} days, such as 20m"
            )

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what it holds decides whether a comparison is the same one."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # lists instead of tuples
        if not self.changes:  # an earlier version did not have them
            del values["changes"]
        return values


def settings_of(
    dataset: str,
    architectures: Sequence[str],
    precisions: str | Sequence[str],
    *,
    budget: str,
    **others: Any,
) -> ComparisonSettings:
    """Settings as a user gives them: precisions as a list or its text, the budget as text.

    Raises:
        UsageError, UnknownNameError, PluginError: values out of range.
    """
    listed = precisions.split(",") if isinstance(precisions, str) else precisions
    return ComparisonSettings(
        dataset=dataset,
        architectures=tuple(name.strip() for name in architectures),
        budget_seconds=parse_budget(budget),
        precisions=tuple(cast("Precision", name.strip()) for name in listed),
        **others,
    )


def default_folder(settings: ComparisonSettings) -> Path:
    """Where a comparison goes when the user does not say.

    Raises:
        UnknownNameError, DataError: no such dataset.
    """
    name = find_dataset(settings.dataset, image_size=settings.image_size).name
    return Path("runs") / "compare" / name.replace("/", "_")


def parse_budget(text: str) -> float:
    """Seconds of `20m`, `90s`, `1.5h` or plain minutes.

    Raises:
        UsageError: the text is none of them.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip().lower())
    if found is None:
        raise UsageError(f"budget {text!r} is not a duration; expected for example 20m, 90s or 1h")
    return float(found[1]) * _SECONDS[found[2]]
