"""The models of a site: what their files, their datasets and the benchmarks say of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_zoo.artifact.familiarity import Gaussians
from vision_zoo.artifact.metadata import Metadata
from vision_zoo.core.benchmark_row import BenchmarkRow, row_of_file
from vision_zoo.core.environment import Environment
from vision_zoo.core.statistics import Interval, accuracy_interval
from vision_zoo.data.dataset import Dataset
from vision_zoo.data.own_folder import FOLDER_NAME
from vision_zoo.experiments.report.model_card import dataset_of, known_settings, licence_of, weights_of
from vision_zoo.experiments.site.measurements import Benchmark
from vision_zoo.serving.session import Session

_LONGEST_FILE_NAME = 80


@dataclass(frozen=True)
class Measured:
    """A row of a benchmark, and where it was measured."""

    environment: Environment
    row: BenchmarkRow


@dataclass(frozen=True, kw_only=True, eq=False)
class SiteModel:
    """A model of the site. `file_name` is that of its pages, without a suffix; `size` is in bytes.

    `gaussians` are those of familiar images, where the file has them; `settings` are what it was trained with, if known.
    """

    name: str
    file_name: str
    metadata: Metadata
    size: int
    verified: bool
    gaussians: Gaussians | None
    measured: tuple[Measured, ...]
    dataset: Dataset | None = field(repr=False)
    settings: Mapping[str, Any] | None

    @property
    def of(self) -> str:
        """The dataset, as people call it."""
        if self.dataset is not None:
            return self.dataset.title
        return self.metadata.dataset.removeprefix(FOLDER_NAME)

    @property
    def interval(self) -> Interval:
        """Wilson's 95 % interval of the test accuracy."""
        images = self.metadata.test_images
        return accuracy_interval(round(self.metadata.test_accuracy * images), images)

    @property
    def licence(self) -> str | None:
        """The model's; None for pictures of the user's own."""
        found = licence_of(self.metadata)
        return None if found is None else found.upper()

    @property
    def pretrained(self) -> str | None:
        """The weights that its features start from."""
        return weights_of(self.metadata)

    @property
    def is_of_copy(self) -> bool:
        """Whether its dataset is a re-encoded copy."""
        return "copy" in self.metadata.data_variant

    def p50_ms(self, environment: Environment | None) -> float | None:
        """The median latency of one image there, in milliseconds; None where it was not measured."""
        return next((one.row.p50_ms for one in self.measured if one.environment == environment), None)


def entry_of(
    session: Session, file_name: str, benchmarks: Sequence[Benchmark], results_dir: Path
) -> SiteModel:
    """The entry of a loaded model."""
    accuracy = session.metadata.test_accuracy
    rows = (
        (one.environment, row_of_file(one.rows, session.name, size=session.size, test_accuracy=accuracy))
        for one in benchmarks
    )
    return SiteModel(
        name=session.name,
        file_name=file_name,
        metadata=session.metadata,
        size=session.size,
        verified=session.verified,
        gaussians=session.gaussians,
        measured=tuple(Measured(environment, row) for environment, row in rows if row is not None),
        dataset=dataset_of(session.metadata),
        settings=known_settings(session, results_dir),
    )


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each of `names` that every file system and address takes, no two alike but for their case."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:_LONGEST_FILE_NAME] or "model"
        numbered = plain
        number = 1
        while numbered.casefold() in taken:
            number += 1
            numbered = f"{plain}-{number}"
        taken.add(numbered.casefold())
        found[name] = numbered
    return found


def common_environment(entries: Sequence[SiteModel], benchmarks: Sequence[Benchmark]) -> Environment | None:
    """Where most models were measured, the first of equals; None where none was."""
    counts = [sum(entry.p50_ms(one.environment) is not None for entry in entries) for one in benchmarks]
    return benchmarks[counts.index(max(counts))].environment if any(counts) else None
