"""Results of exported files: honesty of their probabilities, gains by optimization, and their pages in a browser."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vision_zoo.core.environment import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageMeasurement:
    """How often sets of a stated `target` coverage have the true label; fractions of the images.

    `by_threshold` is of the threshold alone, whose number of hits lies from `low` to `high` in 95 % of calibrations and
    test splits of this size (beta-binomial); `of_sets` is of the sets as they are given, never empty, with `mean_labels`.
    """

    target: float
    by_threshold: float
    low: float
    high: float
    of_sets: float
    mean_labels: float

    @property
    def is_within(self) -> bool:
        """Whether the threshold covers what it says."""
        return self.low <= self.by_threshold <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMeasurement:
    """What a score warns of in test images and in foreign data, with its threshold at 5 % of the calibration images."""

    false_alarms: float
    detected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedModel:
    """A calibrated copy of a shipped file, judged on `images` test images that it was not calibrated on.

    Calibration errors are expected ones, of 15 bins of equal width. `scores` are by name, `chosen` the file's own;
    `foreign` names the dataset they should detect.
    """

    model: str
    dataset: str
    foreign: str
    calibrated_on: str
    calibration_images: int
    images: int
    temperature: float
    error_before: float
    error_after: float
    coverage: Sequence[CoverageMeasurement]
    scores: Mapping[str, ScoreMeasurement]
    chosen: str
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRatio:
    """The time of one image with a temperature in the graph over that without, of both in turns.

    `ratio` is the median over `rounds` with new sessions each, of the ratio of the first deciles of the `calls` of each.
    `plain_ms` is the median of the first deciles without.
    """

    model: str
    ratio: float
    plain_ms: float
    rounds: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRatios:
    """Latency of one image on one thread."""

    environment: Environment
    models: Sequence[LatencyRatio] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyResult:
    """The calibrated copies of the shipped files, and their latency where it was measured."""

    schema: Literal[2] = 2
    kind: Literal["uncertainty"] = "uncertainty"
    environment: Environment
    models: Sequence[CalibratedModel] = ()
    latency: LatencyRatios | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfamiliarModel:
    """What scores by name detect of `foreign` data for one model, whose last dense layer takes so many `features`."""

    model: str
    dataset: str
    foreign: str
    features: int
    scores: Mapping[str, ScoreMeasurement]
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfamiliarResult:
    """Scores that were tried to tell unfamiliar photographs from those that models of CIFAR-10 know."""

    schema: Literal[2] = 2
    kind: Literal["unfamiliar"] = "unfamiliar"
    environment: Environment
    models: Sequence[UnfamiliarModel] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedGraph:
    """A version of a file with the session `options` that are the fastest for it.

    `accuracy` and `argmax_agreement` (with the file) are fractions of its test images; `milliseconds` are the median of a
    call by batch size; `speedup` is against the file with the usual options, in turns. One that was left out has a
    `reason` only.
    """

    graph: str
    options: str | None = None
    accuracy: float | None = None
    argmax_agreement: float | None = None
    milliseconds: Mapping[str, float] | None = None
    speedup: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizedModel:
    """What `vision-zoo optimize` found for a shipped file with the hash `sha256`, judged on `images` test images."""

    model: str
    sha256: str
    images: int
    original: TriedGraph
    chosen: TriedGraph
    others: Sequence[TriedGraph] = ()
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeResult:
    """The shipped files, optimized for one machine: each candidate was timed for `seconds` a batch size and round."""

    schema: Literal[2] = 2
    kind: Literal["optimize"] = "optimize"
    environment: Environment
    batch_sizes: Sequence[int]
    seconds: float
    models: Sequence[OptimizedModel] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage:
    """A page with `models`, opened `repetitions` times from disk, each time in a new browser.

    Seconds are from opening it to its first answer; `warm_milliseconds` are the median of one picture afterwards.
    """

    models: Sequence[str]
    bytes: int
    repetitions: int
    median_first_answer_seconds: float
    largest_first_answer_seconds: float
    warm_milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPageResult:
    """Pages of `export --html` in a browser."""

    schema: Literal[2] = 2
    kind: Literal["web_page"] = "web_page"
    environment: Environment
    browser: str
    pages: Sequence[WebPage]
