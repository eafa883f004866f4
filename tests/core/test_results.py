"""Results as files: what is in the repository is read and written again, and a damaged file is named."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.figures import sources, web_page
from tests.conftest import ROOT
from vision_zoo.core import json_file
from vision_zoo.core.environment import Environment
from vision_zoo.core.errors import RunError
from vision_zoo.core.model_results import OptimizeResult, WebPage, WebPageResult
from vision_zoo.core.results import (
    GridResult,
    RecipeResult,
    TimingResult,
    ZooResult,
    load_results,
    write_result,
)
from vision_zoo.experiments.quickstart import QuickstartResult

RESULTS = sorted((ROOT / "results").glob("*/*.json"))
KINDS = {
    "recipe": RecipeResult,
    "grid": GridResult,
    "timing": TimingResult,
    "zoo": ZooResult,
    "web_page": WebPageResult,
    "optimize": OptimizeResult,
}


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_is_written_again_as_it_was(path: Path, tmp_path: Path) -> None:
    former = path.read_text()
    document = json.loads(former)
    if document.get("kind") in KINDS:
        write_result(tmp_path / "again.json", json_file.read(path, KINDS[document["kind"]]))
        assert (tmp_path / "again.json").read_text() == former
    elif path.stem == "quickstart":
        again = json.loads(json_file.text(json_file.read(path, QuickstartResult)))
        for before, after in zip(document.pop("benchmark"), again.pop("benchmark"), strict=True):
            assert before.items() <= after.items()  # of an earlier version, with fewer columns
        assert again == document
    else:
        (tmp_path / "part.json").write_text(json.dumps(document["environment"]))
        environment = json_file.fields_of(json_file.read(tmp_path / "part.json", Environment))
        assert environment.items() <= document["environment"].items()


def test_results_are_kept_in_the_folder_of_their_environment() -> None:
    found = load_results(ROOT / "results", RecipeResult)
    assert len(found) == sum(json.loads(path.read_text()).get("kind") == "recipe" for path in RESULTS)
    for document in found:
        assert (ROOT / "results" / document.environment.folder_name / f"{document.recipe}.json").is_file()


def _lacks_a_key(zoo: dict[str, Any]) -> None:
    del zoo["models"][1]["test_accuracy"]


def _has_a_text_for_a_number(zoo: dict[str, Any]) -> None:
    zoo["benchmark"][3]["p50_ms"] = "fast"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_lacks_a_key, "Object missing required field `test_accuracy` - at `$.models[1]`"),
        (_has_a_text_for_a_number, "Expected `float | null`, got `str` - at `$.benchmark[3].p50_ms`"),
    ],
)
def test_a_damaged_result_is_named_with_its_key(damage: Any, said: str, tmp_path: Path) -> None:
    (path,) = (path for path in RESULTS if path.stem == "zoo")
    document = json.loads(path.read_text())
    damage(document)
    (tmp_path / "here").mkdir()
    damaged = tmp_path / "here" / "zoo.json"
    damaged.write_text(json.dumps(document))
    with pytest.raises(RunError, match=re.escape(f"{damaged} is damaged ({said}); restore it, or remove")):
        load_results(tmp_path, ZooResult)


@pytest.mark.parametrize("content", [b"", b"[1, 2", b"[]", b"\xff", b"[" * 100_000, b"{} {}"])
def test_what_is_no_json_object_is_damaged(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "zoo.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"^[^\n]+zoo.json is damaged \([^\n]+\); restore it[^\n]+$"):
        json_file.read(path, ZooResult)


def test_a_missing_file_is_none_or_an_error(tmp_path: Path) -> None:
    assert json_file.read_if_present(tmp_path / "zoo.json", ZooResult) is None
    with pytest.raises(RunError, match=r"zoo.json is missing; measure it$"):
        json_file.read(tmp_path / "zoo.json", ZooResult, hint="measure it")


def test_measured_pages_are_read_into_their_figure(tmp_path: Path) -> None:
    page = WebPage(
        models=["vit-mnist"],
        bytes=6_123_456,
        repetitions=10,
        median_first_answer_seconds=0.512,
        largest_first_answer_seconds=0.9,
        warm_milliseconds=3.25,
    )
    environment = Environment(cpu="Some CPU", cores=2, memory_gib=None, machine="", system="", python="")
    document = WebPageResult(environment=environment, browser="Chromium 150", pages=[page])
    write_result(tmp_path / "results" / "here" / "web_page.json", document)
    table = web_page.table(sources.load_results(tmp_path))
    assert "| `vit-mnist` | 6.1 | 0.51 | 0.90 | 3.2 |" in table
    assert "10 openings from disk, each in a new process of Chromium 150 on Some CPU, 2 cores" in table
    assert web_page.table({}) == "No measurement is kept yet."
