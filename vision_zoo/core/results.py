"""Results of repeated experiments: one JSON file per recipe and environment under `results/`.

    results/<environment>/<recipe>.json          the metrics of every seed
    results/<environment>/<recipe>-grid.json     every point of a grid search
    results/<environment>/timing.json            recipes timed in turn
    results/<environment>/own_folder*.json       folders of a few pictures a class, compared and audited
    results/<environment>/web_page.json          pages of `export --html` in a browser
    results/<environment>/zoo.json               the shipped files: accuracy, size, latency
    results/<environment>/uncertainty.json       calibrated copies of them: honesty of probabilities, sets and warnings
    results/<environment>/optimize.json          the shipped files, optimized for that machine
    results/<environment>/unfamiliar.json        scores that were tried on photographs that models do not know
Needs no torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from vision_zoo.core import json_file
from vision_zoo.core.benchmark_row import BenchmarkRow, rows_of_one_image
from vision_zoo.core.environment import Environment
from vision_zoo.core.model_results import (
    OptimizeResult,
    UncertaintyResult,
    UnfamiliarResult,
    WebPageResult,
)
from vision_zoo.core.own_folder_result import OwnFolderAuditResult, OwnFolderResult

SCHEMA_VERSION: Literal[2] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUsed:
    """The copy of a dataset that a run used, and the SHA-256 of its content."""

    dataset: str | None = None
    variant: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """Losses and accuracies after an epoch, with the steps and the seconds of training until then."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    steps: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a finished run reached. Accuracies are fractions, all times are in seconds.

    `…_loss_total` is the sum over batches of their mean losses: of the recipe's batches in training, of 1,000 images
    elsewhere.
    """

    test_accuracy: float
    test_loss: float
    train_accuracy: float
    train_loss: float
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    train_loss_total: float | None = None
    validation_loss_total: float | None = None
    test_loss_total: float | None = None
    epochs: int
    steps: int
    best_epoch: int
    train_seconds: float
    cpu_seconds: float
    feature_seconds: float | None = None
    inference_seconds: float

    @property
    def mean_accuracy(self) -> float | None:
        """The plain mean over the training, validation and test splits."""
        if self.validation_accuracy is None:
            return None
        return (self.train_accuracy + self.validation_accuracy + self.test_accuracy) / 3

    @property
    def all_train_seconds(self) -> float:
        """Seconds of training and validation, and of computing frozen features."""
        return self.train_seconds + (self.feature_seconds or 0.0)


@dataclass(frozen=True, kw_only=True)
class _Seeded:
    seed: int


@dataclass(frozen=True, kw_only=True)
class SeedResult(Metrics, _Seeded):
    """A finished run of a recipe."""

    versions: Mapping[str, str]
    threads: int
    history: Sequence[EpochRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedRun:
    """How far an interrupted run came."""

    seed: int
    epochs: int
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeResult:
    """The runs of a recipe in one environment. `parameters` is None until one of them is finished.

    `runs_at_once` is how many shared the device, where it was more than one: their times are not those of a run alone.
    """

    schema: Literal[2] = SCHEMA_VERSION
    kind: Literal["recipe"] = "recipe"
    recipe: str
    architecture: str
    settings: Mapping[str, Any]
    parameters: int | None
    data: DataUsed
    environment: Environment
    runs_at_once: int | None = None
    runs: Sequence[SeedResult] = ()
    unfinished: Sequence[UnfinishedRun] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The fields that a search varied."""

    batch_size: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    gamma: float | None = None
    step_epochs: int | None = None
    seed: int | None = None

    def values(self, fields: Iterable[str]) -> dict[str, int | float]:
        """Those of `fields`."""
        return {name: getattr(self, name) for name in fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class GridPoint(Point):
    """A run of a grid search, and what it reached unless it `diverged`."""

    diverged: bool | None = None
    validation_accuracy: float | None = None
    validation_loss: float | None = None
    test_accuracy: float | None = None
    train_accuracy: float | None = None
    epochs: int | None = None
    best_epoch: int | None = None
    train_seconds: float | None = None
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridResult:
    """A grid search: the `values` of every field, and the `chosen` ones."""

    schema: Literal[2] = SCHEMA_VERSION
    kind: Literal["grid"] = "grid"
    recipe: str
    settings: Mapping[str, Any]
    seed: int
    data: DataUsed
    environment: Environment
    values: Mapping[str, Sequence[int | float]]
    points: Sequence[GridPoint]
    chosen: Mapping[str, int | float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooModel:
    """A shipped file and its verification. `int8_speedup` is None where it was not measured."""

    model: str
    recipe: str
    architecture: str
    dataset: str
    data_variant: str
    parameters: int
    macs: int
    precision: str
    weights: str
    int8_speedup: float | None
    bytes: int
    test_accuracy: float
    test_images: int
    checkpoint_accuracy: float
    argmax_agreement: float
    max_logit_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooResult:
    """The shipped files."""

    schema: Literal[2] = SCHEMA_VERSION
    kind: Literal["zoo"] = "zoo"
    environment: Environment
    models: Sequence[ZooModel] = ()
    benchmark: Sequence[BenchmarkRow] = ()

    def rows_of_one_image(self) -> dict[str, BenchmarkRow]:
        """`rows_of_one_image` of the benchmark."""
        return rows_of_one_image(self.benchmark)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingResult:
    """Recipes that were timed in turn, on `images` images: `seconds` by what was timed and by recipe, one a round."""

    schema: Literal[2] = SCHEMA_VERSION
    kind: Literal["timing"] = "timing"
    environment: Environment
    images: int
    seconds: Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class _Header:
    schema: Any = None
    kind: Any = None


Result = TypeVar(
    "Result",
    RecipeResult,
    GridResult,
    ZooResult,
    TimingResult,
    OptimizeResult,
    OwnFolderAuditResult,
    OwnFolderResult,
    UncertaintyResult,
    UnfamiliarResult,
    WebPageResult,
)


def shipped_results() -> Path:
    """The folder of the results that come with the package: beside it in a checkout, inside an installed wheel."""
    package = Path(__file__).resolve().parent.parent
    beside = package.parent / "results"
    return beside if beside.is_dir() else package / "measured"


def result_path(results_dir: Path, environment: Environment, name: str) -> Path:
    """The path of the results called `name` that were measured in `environment`."""
    return results_dir / environment.folder_name / f"{name}.json"


def write_result(path: Path, document: Any) -> None:
    """Write results to `path`.

    Raises:
        StorageError: it cannot be written; the former results stay.
    """
    json_file.write(path, document, indent=1)


def load_results(results_dir: Path, kind: type[Result]) -> list[Result]:
    """Read all documents of `kind`, ordered by environment and name.

    Raises:
        RunError: one of them is damaged.
    """
    wanted = _Header(*(kind.__dataclass_fields__[name].default for name in ("schema", "kind")))
    found = (json_file.read_if_like(path, kind, wanted) for path in sorted(results_dir.glob("*/*.json")))
    return [document for document in found if document is not None]
