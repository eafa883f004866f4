"""Repeated experiments, and the report on them."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.warm import CONTEXT
from vision_zoo.core.errors import Interrupted, RunError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import EpochRecord, RecipeResult, SeedResult
from vision_zoo.experiments import report
from vision_zoo.experiments.report.figures import formatted, values_of
from vision_zoo.experiments.reproduce import Folders, reproduce_all
from vision_zoo.recipes import RECIPES, find_recipe
from vision_zoo.recipes.recipe import Recipe

QUICK = find_recipe("simple_cnn-mnist_5k").override(architecture="small_cnn", epochs=1, batch_size=500)
PUBLISHED = [recipe for recipe in RECIPES.values() if recipe.report is not None]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(runs=tmp_path / "runs", results=tmp_path / "results", data=None)


def _reproduce(recipe: Recipe, folders: Folders, seeds: int, progress: SilentProgress | None = None) -> Path:
    (path,) = reproduce_all(
        [recipe], seeds=seeds, folders=folders, device="cpu", progress=progress or SilentProgress()
    )
    return path


class _Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


class _InterruptInSecondEpoch(SilentProgress):
    def describe(self, description: str) -> None:
        if description.startswith("epoch 2/"):
            raise KeyboardInterrupt


def test_what_is_missing_is_run_and_what_is_there_stays(folders: Folders) -> None:
    path = _reproduce(QUICK, folders, seeds=1)
    first = json.loads(path.read_text())["runs"][0]
    progress = _Lines()
    _reproduce(QUICK, folders, seeds=2, progress=progress)
    runs = json.loads(path.read_text())["runs"]
    assert [run["seed"] for run in runs] == [0, 1]
    assert runs[0] == first
    assert not [line for line in progress.lines if "seed 0" in line]
    assert runs[0]["test_accuracy"] != runs[1]["test_accuracy"]
    assert {"train_seconds", "cpu_seconds", "history", "versions"} <= set(runs[0])


def test_runs_may_begin_with_another_seed(folders: Folders) -> None:
    (path,) = reproduce_all(
        [QUICK], seeds=1, first_seed=3, folders=folders, device="cpu", progress=SilentProgress()
    )
    assert [run["seed"] for run in json.loads(path.read_text())["runs"]] == [3]


def test_changed_settings_are_run_anew(folders: Folders) -> None:
    path = _reproduce(QUICK, folders, seeds=1)
    with pytest.raises(RunError, match="other settings"):
        _reproduce(QUICK.override(learning_rate=0.002), folders, seeds=1)
    (folders.runs / QUICK.name).rename(folders.runs / "away")
    _reproduce(QUICK.override(learning_rate=0.002), folders, seeds=1)
    assert json.loads(path.read_text())["settings"]["learning_rate"] == 0.002


def test_an_interrupted_run_says_how_far_it_came_and_goes_on(folders: Folders) -> None:
    recipe = QUICK.override(epochs=3)
    with pytest.raises(Interrupted):
        _reproduce(recipe, folders, seeds=1, progress=_InterruptInSecondEpoch())
    (path,) = folders.results.glob("*/*.json")
    assert json.loads(path.read_text())["unfinished"][0]["epochs"] == 1
    _reproduce(recipe, folders, seeds=1)
    document = json.loads(path.read_text())
    assert document["unfinished"] == []
    assert document["runs"][0]["epochs"] == 3


def _reproduce_from_a_source(name: str, folders: Folders) -> None:
    """In a process of its own."""
    RECIPES["source"] = QUICK.override(name="source")
    start = "missing" if name == "broken" else "source"
    _reproduce(QUICK.override(name=name, transfer_from=start, frozen=True), folders, seeds=2)


def test_processes_share_a_source_run_and_a_folder_of_results(folders: Folders) -> None:
    """Two recipes that start from the same run, each in a process of its own; a third one is refused at once."""
    started = [
        CONTEXT.Process(target=_reproduce_from_a_source, args=(name, folders))
        for name in ("one", "other", "broken")
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0, 0, 1]
    found = {path.stem: json.loads(path.read_text())["runs"] for path in folders.results.glob("*/*.json")}
    assert {name: [run["seed"] for run in runs] for name, runs in found.items()} == {
        name: [0, 1] for name in ("source", "one", "other")
    }


def _document(recipe: Recipe, *accuracies: float) -> dict[str, Any]:
    times = {"train_seconds": 10.0, "cpu_seconds": 18.0, "inference_seconds": 1.0}
    counts = {"epochs": 1, "steps": 1, "best_epoch": 1, "threads": 2}
    scores = {"test_loss": 0.1, "train_accuracy": 0.9, "train_loss": 0.1}
    run = {**times, **counts, **scores, "history": [], "versions": {"torch": "2"}}
    return {
        "schema": 2,
        "kind": "recipe",
        "recipe": recipe.name,
        "architecture": recipe.architecture,
        "settings": recipe.settings(),
        "parameters": 1,
        "data": {"variant": "original", "sha256": ""},
        "environment": {
            "cpu": "A processor",
            "cores": 2,
            "memory_gib": 8,
            "machine": "",
            "system": "",
            "python": "3.12",
        },
        "runs": [{**run, "seed": seed, "test_accuracy": value} for seed, value in enumerate(accuracies)],
        "unfinished": [],
    }


def test_the_report_sets_the_mean_of_all_seeds_beside_the_published_figure(tmp_path: Path) -> None:
    recipe = find_recipe("simple_cnn-mnist")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "x.json").write_text(json.dumps(_document(recipe, 0.99, 0.992)))
    text = report.text(tmp_path / "RESULTS.md", tmp_path)
    (row,) = [line for line in text.splitlines() if line.startswith("| `simple_cnn-mnist` | 99.03%")]
    assert "99.10% ± 0.14 (99.00 to 99.20) | 2 | +0.07 | cannot be told yet: 1 more run |" in row
    assert "A processor, 2 cores" in text
    for other in PUBLISHED:
        assert f"`{other.name}`" in text


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        ([0.985], None),  # one run tells nothing of chance
        ([0.99, 0.9902], None),  # holds
        # Student's t of two degrees of freedom is 4.303: 98 % ± 4.303 x 0.1 x sqrt(1 + 1/3) points
        ([0.979, 0.98, 0.981], ("97.50% and 98.50%", "above it")),
        ([0.975, 0.98, 0.985], ("95.52% and 100.00%", "inside")),
    ],
)
def test_a_shortfall_says_what_seeds_alone_may_do(
    accuracies: list[float], said: tuple[str, str] | None, tmp_path: Path
) -> None:
    recipe = find_recipe("simple_cnn-mnist")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "x.json").write_text(json.dumps(_document(recipe, *accuracies)))
    text = report.text(tmp_path / "RESULTS.md", tmp_path)
    assert ("Another run is expected" in text) == (said is not None)
    if said:
        assert (
            f"between {said[0]} (95% prediction interval of 3 runs); the report's single run lies {said[1]}."
            in text
        )


def test_runs_that_never_learnt_are_counted_and_make_no_interval(tmp_path: Path) -> None:
    recipe = find_recipe("bn_cnn_without_bn-fashion_mnist")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "x.json").write_text(json.dumps(_document(recipe, 0.862, 0.1, 0.1)))
    text = report.text(tmp_path / "RESULTS.md", tmp_path)
    assert (
        f"- `{recipe.name}`: 2 of 3 runs stayed at chance level (10%) and are excluded from the verdict"
        in text
    )
    assert "is 9% to 99%. The other reaches 86.20%." in text
    assert "Another run is expected" not in text


def test_a_companion_says_how_much_of_a_gap_it_explains(tmp_path: Path) -> None:
    recipe, companion = find_recipe("optimized_cnn-mnist"), find_recipe("optimized_cnn_without_flip-mnist")
    epoch = {"train_loss": 0.1, "train_accuracy": 0.9, "seconds": 1.0}
    curve = [
        {**epoch, "epoch": 1, "steps": 938, "test_accuracy": 0.9},
        {**epoch, "epoch": 2, "steps": 1876, "test_accuracy": 0.99},
    ]
    other = _document(companion, 0.99)
    other["runs"][0]["history"] = curve
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "own.json").write_text(json.dumps(_document(recipe, 0.98)))
    (tmp_path / "here" / "other.json").write_text(json.dumps(other))
    text = report.text(tmp_path / "RESULTS.md", tmp_path)
    assert "`optimized_cnn_without_flip-mnist` reaches 99.00%: +1.00 points from the mean above" in text
    assert "reaches the reported 98.95% in 1 of 1 runs, after 1,876 steps" in text


def test_companions_belong_to_a_published_recipe() -> None:
    companions = [recipe for recipe in RECIPES.values() if recipe.companion_of is not None]
    assert companions
    assert {recipe.companion_of for recipe in companions} <= {recipe.name for recipe in PUBLISHED}


def test_figures_of_other_settings_are_not_reported(tmp_path: Path) -> None:
    document = _document(find_recipe("simple_cnn-mnist"), 0.99) | {"settings": {"epochs": 1}}
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "x.json").write_text(json.dumps(document))
    assert report.measured(tmp_path, ["simple_cnn-mnist"]) == []


def test_the_published_recipes_are_all_there() -> None:
    assert len(PUBLISHED) == 22
    assert all(recipe.reported and recipe.parameters for recipe in PUBLISHED)
    by_report = {name: sum(recipe.report == name for recipe in PUBLISHED) for name in "ABCDE"}
    assert by_report == {"A": 6, "B": 2, "C": 5, "D": 4, "E": 5}


_EPOCH = {"epoch": 1, "steps": 10, "seconds": 1.0, "train_loss": 0.5, "train_accuracy": 0.8}


def _result(recipe: Recipe, **run: Any) -> RecipeResult:
    document = _document(recipe, 0.9)
    document["parameters"] = 1_340_650
    document["runs"][0] |= {"history": [_EPOCH, _EPOCH | {"epoch": 2, "train_loss": 0.25}], **run}
    return msgspec.convert(document, RecipeResult)


@pytest.mark.parametrize(
    ("measure", "values", "shown"),
    [
        ("test_accuracy", [0.9], "90.00%"),
        ("test_accuracy_in_abstract", [0.9], "90.00%"),
        ("train_loss_epoch_1", [0.5], "0.5000"),
        ("train_loss_last_epoch", [0.25], "0.2500"),
        ("train_loss_epoch_3", [], None),
        ("mean_accuracy", [pytest.approx(0.8)], "80.00%"),
        ("train_loss_total", [12.5], "12.500"),
        ("test_loss_total", [], None),
        ("parameters", [1_340_650], "1,340,650"),
        ("steps", [290], "290"),
    ],
)
def test_every_kind_of_reported_metric_is_found_in_a_result(
    measure: str, values: list[float], shown: str | None
) -> None:
    run = {"steps": 290, "validation_accuracy": 0.7, "train_accuracy": 0.8, "train_loss_total": 12.5}
    document = _result(QUICK, **run)
    found = values_of(document, measure)
    assert found == values
    if shown is not None:
        assert formatted(measure, found[0]) == shown


def test_reported_metrics_are_those_that_a_result_can_have() -> None:
    of_run = {*SeedResult.__dataclass_fields__, "mean_accuracy", "parameters"}
    for recipe in RECIPES.values():
        for measure in recipe.reported:
            found = re.fullmatch(r"(.+?)(_epoch_\d+|_last_epoch|_in_abstract|)", measure)
            assert found is not None
            name, suffix = found.groups()
            known = EpochRecord.__dataclass_fields__ if "epoch" in suffix else of_run
            assert name in known, (recipe.name, measure)


def test_what_a_report_prints_of_a_recipe_that_was_not_run_is_shown(tmp_path: Path) -> None:
    text = report.text(tmp_path / "RESULTS.md", tmp_path)
    assert "| `alexnet_finetuned-mnist` | inference seconds | 16.98 | – | 0 |" in text
    assert "| `small_cnn-mnist` | train loss total | 12.664 | – | 0 |" in text
    assert "| `all_cnn-imagenette` | parameters | 1,146,634 | – | 0 |" in text
    assert "| `vit_standardized-mnist` | train loss epoch 1 |" not in text  # shown where it was run
