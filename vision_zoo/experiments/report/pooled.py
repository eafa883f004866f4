"""The runs of a recipe in all environments as one sample: accuracy depends on the seed, hardly on the hardware."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_zoo.core.results import RecipeResult, SeedResult, result_path
from vision_zoo.experiments.predictions import Predictions, predictions_path, read_predictions
from vision_zoo.experiments.report.figures import values_of


@dataclass(frozen=True, eq=False)
class Pooled:
    """The documents of a recipe on the same copy of the data, the one with the most runs first, then by environment.

    The same seed begins with the same weights everywhere, so it counts once: in the first document that has it.
    """

    documents: Sequence[RecipeResult]

    @property
    def main(self) -> RecipeResult:
        """The document with the most runs."""
        return self.documents[0]

    @property
    def timed(self) -> Sequence[SeedResult]:
        """The runs whose times count: of the first document that has runs which used a GPU or all cores alone."""
        return next(filter(None, map(_timed, self.documents)), ())

    @cached_property
    def sources(self) -> Mapping[int, tuple[RecipeResult, SeedResult]]:
        """By seed, in their order, the document that counts and its run."""
        found: dict[int, tuple[RecipeResult, SeedResult]] = {}
        for document in self.documents:
            for run in document.runs:
                found.setdefault(run.seed, (document, run))
        return dict(sorted(found.items()))

    @property
    def runs(self) -> list[SeedResult]:
        """One run a seed."""
        return [run for _, run in self.sources.values()]

    def values(self, measure: str) -> list[float]:
        """The measure of every run that has it; of times those of `timed`."""
        runs = self.timed if measure.endswith("_seconds") else self.runs
        return values_of(replace(self.main, runs=runs), measure)

    @property
    def repeated(self) -> list[tuple[RecipeResult, SeedResult]]:
        """The runs that do not count, since another run has the same seed."""
        return [
            (document, run)
            for document in self.documents
            for run in document.runs
            if self.sources[run.seed][0] is not document
        ]

    @property
    def environments(self) -> dict[str, int]:
        """How many of the runs were made in each environment, by its folder."""
        return dict(
            Counter(document.environment.folder_name for document, _ in self.sources.values()).most_common()
        )

    @property
    def hardware(self) -> str:
        """The environments' descriptions."""
        counts = Counter(document.environment.description for document, _ in self.sources.values())
        return "; ".join(name for name, _ in counts.most_common())

    def predictions(self, results_dir: Path) -> Predictions | None:
        """Those of every run that counts and has some, on the same images; None if no run has."""
        labels: NDArray[np.int64] | None = None
        by_seed: dict[int, NDArray[np.int64]] = {}
        for document in self.documents:
            place = result_path(results_dir, document.environment, document.recipe)
            stored = read_predictions(predictions_path(place))
            if stored is None or (labels is not None and not np.array_equal(labels, stored.labels)):
                continue
            labels = stored.labels
            by_seed |= {
                seed: stored.by_seed[seed]
                for seed, (source, _) in self.sources.items()
                if source is document and seed in stored.by_seed
            }
        return None if labels is None else Predictions(labels, dict(sorted(by_seed.items())))


def _timed(document: RecipeResult) -> list[SeedResult]:
    environment = document.environment
    if document.runs_at_once is not None:
        return []
    return [run for run in document.runs if environment.gpu is not None or run.threads == environment.cores]


def pool(documents: Sequence[RecipeResult]) -> Pooled | None:
    """The documents that are of the same copy of the data as the one with the most runs; None if there are none."""
    most_first = sorted(
        documents, key=lambda document: (-len(document.runs), document.environment.folder_name)
    )
    alike = [document for document in most_first if document.data.variant == most_first[0].data.variant]
    return Pooled(alike) if alike else None
