"""The weights that a run begins with: random ones, published ones, another run's, or fitted to the training images."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from vision_zoo.core.errors import RunError
from vision_zoo.data.dataset import Split
from vision_zoo.recipes.recipe import Recipe
from vision_zoo.training.classifier import ImageClassifier
from vision_zoo.training.pretrained import load_features_of_run, load_pretrained
from vision_zoo.training.run_directory import run_name

_PIXELS = 1_000_000
"""Of the training images that weights are fitted to."""


@dataclass(frozen=True)
class Origins:
    """Where a run's data and weights come from, as far as the user said so.

    `pretrained` is a file of the published weights that the recipe names, `transfer` the run that gives the feature
    layers' weights; without it, that is the run of the recipe's `transfer_from` beside the new one.
    """

    data_dir: Path | None = None
    pretrained: Path | None = None
    transfer: Path | None = None

    def to_record(self) -> dict[str, str | None]:
        """As JSON values, whole paths."""
        return {name: None if path is None else str(path.resolve()) for name, path in asdict(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Origins":
        """Of what `to_record` gave, among other things."""
        return cls(**{name: Path(record[name]) for name in cls.__dataclass_fields__ if record.get(name)})


def initialise(
    classifier: ImageClassifier, recipe: Recipe, training: Split, path: Path, origins: Origins
) -> None:
    """Give `classifier`, freshly built, the weights that a run of `recipe` in `path` begins with.

    Raises:
        DataError: the published weights are missing or damaged.
        RunError: the run that gives weights is missing, unfinished or another architecture's.
        UsageError: the architecture takes no published weights.
    """
    if hasattr(classifier.network, "initialise"):
        _, height, width, _ = training.images.shape
        count = max(1, min(len(training), _PIXELS // (height * width)))
        images = torch.from_numpy(np.ascontiguousarray(training.spread(count).images))
        cast("Any", classifier.network).initialise(classifier.normalise(images))
    if recipe.pretrained is not None:
        load_pretrained(classifier, recipe.pretrained, path=origins.pretrained, data_dir=origins.data_dir)
    if recipe.transfer_from is not None:
        load_features_of_run(
            classifier, origins.transfer or _source(recipe.transfer_from, recipe.seed, path.parent)
        )


def _source(name: str, seed: int, folder: Path) -> Path:
    source = folder / run_name(name, seed)
    if not (source / "recipe.json").is_file():
        raise RunError(
            f"the recipe starts from a run of {name}, and {source} is none; "
            "train that first or name one with --transfer RUN"
        )
    return source
