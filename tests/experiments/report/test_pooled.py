"""Runs of several environments as one sample."""

from pathlib import Path
from typing import Any

import numpy as np

from vision_zoo.core.environment import Environment
from vision_zoo.core.results import DataUsed, RecipeResult, SeedResult, result_path
from vision_zoo.experiments.predictions import Predictions, predictions_path, write_predictions
from vision_zoo.experiments.report.pooled import Pooled, pool
from vision_zoo.recipes import find_recipe

_RECIPE = find_recipe("simple_cnn-mnist")
_LABELS = np.array([0, 1, 2])


def _document(
    cpu: str, accuracies: dict[int, float], variant: str = "original", threads: int = 2, **changes: Any
) -> RecipeResult:
    given: dict[str, Any] = {**dict.fromkeys(SeedResult.__dataclass_fields__), "inference_seconds": len(cpu)}
    return RecipeResult(
        recipe=_RECIPE.name,
        architecture=_RECIPE.architecture,
        settings=_RECIPE.settings(),
        parameters=1,
        data=DataUsed(variant=variant, sha256=""),
        environment=Environment(cpu=cpu, cores=2, memory_gib=8, machine="", system="", python=""),
        runs=[
            SeedResult(**{**given, "seed": seed, "test_accuracy": value, "threads": threads})
            for seed, value in accuracies.items()
        ],
        **changes,
    )


def _pooled(*documents: RecipeResult) -> Pooled:
    found = pool(documents)
    assert found is not None
    return found


def test_a_seed_counts_once_where_most_runs_are() -> None:
    found = _pooled(_document("few", {1: 0.1, 4: 0.4}), _document("many", {0: 0.0, 1: 0.11, 2: 0.2}))
    assert found.values("test_accuracy") == [0.0, 0.11, 0.2, 0.4]
    assert found.environments == {"many-2-cores": 3, "few-2-cores": 1}
    assert found.hardware == "many, 2 cores; few, 2 cores"


def test_of_two_runs_with_a_seed_the_first_environment_by_name_counts_if_both_have_as_many() -> None:
    first, second = _document("a", {0: 0.1}), _document("b", {0: 0.2})
    for found in (_pooled(first, second), _pooled(second, first)):
        assert found.values("test_accuracy") == [0.1]
        assert [(other.environment.cpu, run.test_accuracy) for other, run in found.repeated] == [("b", 0.2)]


def test_times_are_those_of_one_environment_and_of_runs_alone_on_all_cores() -> None:
    few, many = {5: 0.5}, {0: 0.0, 1: 0.1}
    assert _pooled(_document("few", few), _document("many", many)).values("inference_seconds") == [4, 4]
    shared = _document("many", many, runs_at_once=6)
    assert _pooled(_document("few", few), shared).values("inference_seconds") == [3]
    assert _pooled(shared).values("inference_seconds") == []
    one_thread = _document("many", many, threads=1)
    assert _pooled(_document("few", few), one_thread).values("inference_seconds") == [3]


def test_runs_on_another_copy_of_the_data_do_not_count() -> None:
    found = _pooled(_document("few", {4: 0.4}, "JPEG copy"), _document("many", {0: 0.0, 1: 0.1}))
    assert found.values("test_accuracy") == [0.0, 0.1]


def test_nothing_was_run() -> None:
    assert pool([]) is None


def test_predictions_are_those_of_the_runs_that_count(tmp_path: Path) -> None:
    documents = [_document("few", {1: 0.1, 4: 0.4}), _document("many", {0: 0.0, 1: 0.1, 2: 0.2})]
    for value, document in enumerate(documents):
        path = predictions_path(result_path(tmp_path, document.environment, document.recipe))
        predicted = {run.seed: np.full(3, value) for run in document.runs}
        write_predictions(path, Predictions(_LABELS, predicted))
    found = _pooled(*documents).predictions(tmp_path)
    assert found is not None
    assert {seed: int(array[0]) for seed, array in found.by_seed.items()} == {0: 1, 1: 1, 2: 1, 4: 0}
    assert _pooled(_document("other", {0: 0.0})).predictions(tmp_path) is None
