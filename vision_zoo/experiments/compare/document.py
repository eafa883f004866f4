"""`comparison.json`: what a comparison measured, and what it recommends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vision_zoo.core.environment import Environment
from vision_zoo.core.json_file import null


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedData:
    """The dataset, with the number of images in each split."""

    dataset: str
    variant: str
    classes: int
    image_size: int
    train_images: int
    validation_images: int | None = None
    test_images: int
    skipped_files: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedModel:
    """An exported file. Accuracies are fractions, intervals have 95 % confidence.

    `accuracy_interval` is over test images, `seed_interval` over the runs of `seed_accuracies`, None for one run.
    `validation_accuracy` is None where all training images are trained on; of a solved head it is that of its
    cross-validation. `class_accuracies` are None for a class without test images. `memory_mib` is None and `robustness`
    empty where the budget had no time for them. `came_to_its_end` says that early stopping or the last epoch ended the
    run, not the budget. `finalist` says that it was trained with all seeds. `refitted_images` is how many images the file
    was fitted to after all that was measured, None where it is as it was measured.
    """

    model: str
    architecture: str
    precision: str
    path: str
    test_accuracy: float
    test_images: int
    accuracy_interval: tuple[float, float]
    seed_accuracies: Mapping[int, float]
    seed_interval: tuple[float, float] | None
    validation_accuracy: float | None
    epochs: int
    came_to_its_end: bool
    train_seconds: float
    p50_ms: float
    p99_ms: float | None
    images_per_second: float
    provider: str
    size_mb: float
    memory_mib: float | None
    parameters: int
    calibration_error: float
    class_accuracies: Mapping[str, float | None]
    robustness: Mapping[str, float]
    finalist: bool = False
    refitted_images: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A model against the most accurate one on the same images, with a p-value corrected for the number of models.

    The images are the test images, and between two solved heads those of their cross-validation, too.
    """

    best: str
    model: str
    points: float
    only_best_right: int
    only_model_right: int
    p_value: float
    worse: bool


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`model` is None if no model is within the limits; `reason` explains the choice.

    `warning` is there where the model may have learnt nothing.
    """

    model: str | None
    reason: str
    as_good: Sequence[str] = ()
    warning: str | None = null()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonResult:
    """A finished comparison. `left_out` and `not_exported` say why, by architecture."""

    schema: Literal[1] = 1
    kind: Literal["comparison"] = "comparison"
    settings: Mapping[str, Any]
    environment: Environment
    data: ComparedData
    seconds: float
    models: Sequence[ComparedModel]
    pareto_front: Sequence[str]
    comparisons: Sequence[Difference]
    left_out: Mapping[str, str]
    not_exported: Mapping[str, str]
    recommendation: Recommendation

    def reasons(self) -> dict[str, str]:
        """Architectures that have no file, those with the same reason in one list, by the reason."""
        found: dict[str, list[str]] = {}
        for name, why in {**self.left_out, **self.not_exported}.items():
            found.setdefault(why, []).append(name)
        return {why: ", ".join(names) for why, names in found.items()}
