"""Which architecture to deploy for a dataset. Needs torch, once the function is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_zoo.api.arguments import checked, optional_path, progress_shown
from vision_zoo.core.bounds import require_choice
from vision_zoo.core.choices import DEVICES

if TYPE_CHECKING:
    from vision_zoo.experiments.compare.document import ComparisonResult


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        path: Folder of its output.
        page: The HTML page.
        model: The recommended ONNX file; None if no model is within the limits.
        accuracy: Fraction of the test images that it classifies correctly.
        reason: Why it is recommended, or why no model is.
        document: The content of `vision-zoo compare --json`.
    """

    path: Path
    page: Path
    model: Path | None
    accuracy: float | None
    reason: str
    document: "ComparisonResult"


@checked
def compare(
    dataset: str,
    *,
    architectures: Sequence[str] | None = None,
    seeds: int = 3,
    budget: str | float = "20m",
    precision: str | Sequence[str] = "fp32",
    max_latency_ms: float | None = None,
    max_size_mb: float | None = None,
    min_accuracy: float | None = None,
    image_size: int | None = None,
    provider: str = "auto",
    device: str = "auto",
    data_dir: str | Path | None = None,
    out: str | Path | None = None,
    progress: bool = True,
    **changes: Any,
) -> Comparison:
    """Train architectures on a dataset within a budget, measure them, and recommend one; called again it goes on.

    `budget` is the time for everything, such as `20m`, or minutes; `architectures` are all without a list, and a small
    network that learns from a head on frozen features; `precision` is one or several. Latency is the median of one image,
    size MiB of the file, `min_accuracy` a fraction. `changes` are settings of every recipe by their names in recipe.json,
    such as `batch_size`, `learning_rate`, `rotation` and `group_by`.

    Raises:
        UsageError: arguments that are out of range.
        RunError: the folder holds another comparison.
        DataError: the data is not there, or no architecture could be compared on it.
        DeviceError, Interrupted, MissingExtraError, PluginError, StorageError, UnknownNameError: see `core.errors`.
    """
    chosen_device = require_choice("device", device, DEVICES)
    from vision_zoo.architectures import REGISTRY
    from vision_zoo.experiments import compare as comparing

    faults: list[str] = []
    if architectures is None:
        listed, faults = REGISTRY.entries()
        architectures = [*listed, comparing.STUDENT]
    settings = comparing.settings_of(
        dataset,
        architectures,
        precision,
        seeds=seeds,
        budget=str(budget),
        provider=provider,
        limits=comparing.Limits(
            max_latency_ms=max_latency_ms, max_size_mb=max_size_mb, min_accuracy=min_accuracy
        ),
        image_size=image_size,
        device=chosen_device,
        changes={name: value for name, value in changes.items() if value is not None},
    )
    folder = optional_path(out) or comparing.default_folder(settings)
    with progress_shown(progress) as shown:
        for fault in faults:
            shown.line(f"warning: {fault}")
        document = comparing.compare(settings, out=folder, data_dir=optional_path(data_dir), progress=shown)
    recommended = document.recommendation
    chosen = next((model for model in document.models if model.model == recommended.model), None)
    return Comparison(
        folder,
        folder / comparing.PAGE,
        None if chosen is None else Path(chosen.path),
        None if chosen is None else chosen.test_accuracy,
        recommended.reason,
        document,
    )
