"""`vision-zoo compare` as a user has it: a folder of pictures, one command, a page and a served model."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Completed
from tests.experiments.compare.clock import compare_by_looks
from tests.images.pictures import striped_picture
from vision_zoo.cli import app
from vision_zoo.core import json_file
from vision_zoo.core.errors import DataError, Interrupted, RunError, RunInUseError, VisionZooError
from vision_zoo.core.progress import SilentProgress, progress_on_stderr
from vision_zoo.experiments import compare
from vision_zoo.experiments.compare.document import ComparisonResult
from vision_zoo.experiments.compare.journal import Journal
from vision_zoo.experiments.compare.page import page as write_page
from vision_zoo.experiments.compare.settings import ComparisonSettings
from vision_zoo.experiments.compare.work import Work
from vision_zoo.training.run_directory import locked

_ARCHITECTURES = "small_cnn,simple_cnn"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of forty pictures in mixed modes, and a broken file."""
    folder = tmp_path_factory.mktemp("own") / "stripes"
    for label, name in enumerate(("across", "down", "slanted")):
        for number in range(40):
            mode = ("RGB", "L", "RGBA", "P")[number % 4]
            striped_picture(folder / name / f"{number}.png", label, 100 * label + number, mode)
    (folder / "down" / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.mark.slow
def test_from_a_folder_to_a_recommendation(
    cli: Callable[..., Completed],
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [
        "compare", "--dataset", f"folder:{pictures}", "--image-size", "24",
        "--architectures", _ARCHITECTURES, "--budget", "30s",
        "--seeds", "2", "--max-latency-ms", "200", "--out", "own", "--json",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    compare_by_looks(monkeypatch, 0.12)
    app(arguments, standalone_mode=False)
    done = capsys.readouterr()
    assert "broken.png" in done.err
    document = json.loads(done.out)
    assert document == json.loads((tmp_path / "own" / "comparison.json").read_text())
    assert document["data"]["train_images"] == 96
    assert [Path(name).name for name in document["data"]["skipped_files"]] == ["broken.png"]
    compared = {model["architecture"] for model in document["models"]}
    assert compared == set(_ARCHITECTURES.split(","))
    assert not document["left_out"]
    best = max(document["models"], key=lambda model: float(model["test_accuracy"]))
    assert best["test_accuracy"] > 0.8  # a third by chance
    for model in document["models"]:
        low, high = model["accuracy_interval"]
        assert low <= model["test_accuracy"] <= high
        assert model["p50_ms"] > 0
        assert set(model["class_accuracies"]) == {"across", "down", "slanted"}
        assert len(model["seed_accuracies"]) == 2
    name = document["recommendation"]["model"]
    assert name in {model["model"] for model in document["models"]}

    page = (tmp_path / "own" / "comparison.html").read_text()
    assert f"Recommended: {name}" in page
    assert "vision-zoo serve --models-dir own/models" in page
    assert "worst classes" not in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#)', page)  # namespaces are names, not addresses

    predicted = cli("predict", name, pictures / "down" / "0.png", "--models-dir", "own/models", "--json")
    assert predicted.code == 0, predicted.stderr

    again = cli(*arguments)  # everything is there
    assert again.code == 0, again.stderr
    assert json.loads(again.stdout) == document
    assert "finished" in again.stderr
    read = json_file.read(tmp_path / "own" / "comparison.json", ComparisonResult)
    moved = [replace(model, path=f"my models/{model.model}.onnx") for model in read.models]
    reasons = {"vit": "no time", "lenet": "a limit", "mobilenet": "no time"}
    write_page(tmp_path / "moved.html", replace(read, models=moved, left_out=reasons))
    page = (tmp_path / "moved.html").read_text()
    assert "vision-zoo serve --models-dir &#39;my models&#39;" in page
    assert f"vision-zoo predict &#39;my models/{name}.onnx&#39; IMAGE" in page
    assert "vit, mobilenet" in page

    other = cli(*arguments[:-3], "--out", "own", "--seeds", "3")
    assert other.code == 1
    assert "holds a comparison with other settings (seeds); choose another folder with --out" in other.stderr


def test_an_interrupted_comparison_says_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not how one of its runs would."""

    def stopped(_: object) -> set[str]:
        raise Interrupted("interrupted; continue with `vision-zoo train --resume out/runs/small_cnn`")

    monkeypatch.setattr(Work, "run", stopped)
    settings = ComparisonSettings(dataset="mnist-5k", architectures=("small_cnn",))
    with pytest.raises(Interrupted, match=r"^interrupted; run the same command again to continue$"):
        compare.compare(settings, out=tmp_path / "out", data_dir=None, progress=SilentProgress())


def test_images_that_are_not_there_leave_no_folder(tmp_path: Path) -> None:
    settings = ComparisonSettings(dataset=f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="does not exist"):
        compare.compare(settings, out=tmp_path / "out", data_dir=None, progress=SilentProgress())
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_run_or_of_another_process_is_left_alone(tmp_path: Path) -> None:
    settings = ComparisonSettings(dataset="mnist-5k", architectures=("small_cnn",))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    with pytest.raises(RunError, match=r"holds a single run; choose another folder with --out"):
        compare.compare(settings, out=tmp_path / "run", data_dir=None, progress=SilentProgress())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.json"]
    with locked(tmp_path / "own"), pytest.raises(RunInUseError, match="in use by another training process"):
        compare.compare(settings, out=tmp_path / "own", data_dir=None, progress=SilentProgress())


@pytest.mark.slow
def test_of_many_classes_the_worst_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in range(30):
        for number in range(4):
            striped_picture(
                tmp_path / "own" / f"class{label:03d}" / f"{number}.png", label, 1000 * label + number
            )
    monkeypatch.chdir(tmp_path)
    compare_by_looks(monkeypatch, 0.18)
    arguments = [
        "compare", "--dataset", "folder:own", "--image-size", "24", "--architectures", "small_cnn", "--budget", "10s",
        "--seeds", "1", "--out", "out",
    ]  # fmt: skip
    app(arguments, standalone_mode=False)
    said = capsys.readouterr().out
    assert "recommended: small_cnn-folder_own" in said
    document = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert document["data"]["classes"] == 30
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert "worst classes" in page
    warning = document["recommendation"]["warning"]  # ten seconds may teach it nothing
    assert ("warning" in said) == (warning is not None) == ('class="warning"' in page)


def test_a_second_call_says_what_it_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_self: Work) -> set[str]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Work, "run", interrupted)
    settings = compare.ComparisonSettings(dataset="mnist-5k", budget_seconds=60)
    said = []
    for _ in range(2):
        with progress_on_stderr() as shown, pytest.raises(Interrupted, match="run the same command again"):
            compare.compare(settings, out=tmp_path / "out", data_dir=None, progress=shown)
        said.append("going on with the comparison in" in capsys.readouterr().err)
        Journal(tmp_path / "out" / "journal.json", settings.to_json()).keep("rung", [1, 0.5])
    assert said == [False, True]


def test_bad_input_is_one_line(pictures: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(pictures / "down", few / "down")
    striped_picture(few / "single" / "0.png", 0, 0)
    for arguments, said in (
        (("--dataset", f"folder:{few}"), "'single' has 1"),
        (("--dataset", "folder:nowhere"), "does not exist"),
        (
            ("--dataset", f"folder:{pictures}", "--budget", "soon"),
            "is not a duration; expected for example 20m",
        ),
        (("--dataset", f"folder:{pictures}", "--architectures", "resnet"), "resnet"),
        (
            ("--dataset", f"folder:{pictures}", "--min-accuracy", "90"),
            "--min-accuracy 90.0 is out of range; expected 0 to 1",
        ),
        (
            (
                "--dataset",
                f"folder:{pictures}",
                "--architectures",
                "small_cnn",
                "--max-latency-ms",
                "0.000001",
            ),
            "breaks a limit before any training",
        ),
    ):
        with pytest.raises(VisionZooError) as refused:
            app(["compare", *arguments, "--out", str(tmp_path / "out")], standalone_mode=False)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)
