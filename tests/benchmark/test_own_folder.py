"""The benchmark of a user's own folder: what it draws, and what it keeps."""

import io
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.own_folder.__main__ import described, missing, with_run
from benchmarks.own_folder.comparison import row
from benchmarks.own_folder.folders import Folders, imagenette, made_once
from benchmarks.own_folder.rows import with_row
from benchmarks.own_folder.unusual import UNUSUAL, many_classes, measured
from vision_zoo.core.environment import describe
from vision_zoo.core.own_folder_result import FolderComparison, OwnFolderResult, UnusualFolder
from vision_zoo.core.results import load_results, result_path, write_result
from vision_zoo.data.imagenette import FOLDERS


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Imagenette with four pictures a class to train on and two to score on."""
    (tmp_path / "data" / "imagenette").mkdir(parents=True)
    content = io.BytesIO()
    Image.new("RGB", (8, 8)).save(content, "JPEG")
    with tarfile.open(tmp_path / "data" / "imagenette" / "imagenette2-160.tgz", "w:gz") as tar:
        for split, count in (("train", 4), ("val", 2)):
            for name in FOLDERS:
                for number in range(count):
                    member = tarfile.TarInfo(f"imagenette2-160/{split}/{name}/{split}_{number}.JPEG")
                    member.size = len(content.getvalue())
                    tar.addfile(member, io.BytesIO(content.getvalue()))
    return tmp_path / "data"


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.JPEG"))


def test_a_draw_is_the_same_every_time_and_new_pictures_are_new(tmp_path: Path, data_dir: Path) -> None:
    drawn = {}
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        make = partial(imagenette, data_dir=data_dir, images=2, seed=seed)
        folders = made_once(tmp_path / name, make)
        drawn[name] = _names(folders.own)
        assert len(drawn[name]) == len(_names(folders.new)) == 2 * len(FOLDERS)
        assert all("train_" in path for path in drawn[name])
        assert all("val_" in path for path in _names(folders.new))
    assert drawn["one"] == drawn["again"] != drawn["other"]

    def fail(_folders: object) -> None:
        raise AssertionError("it is there")

    made_once(tmp_path / "one", fail)


def _document(model: str, as_good: list[str]) -> dict[str, Any]:
    names = ("efficientnet_lite0", "alexnet_finetuned")
    models = [{"model": f"{name}-folder", "architecture": name, "test_accuracy": 0.95} for name in names]
    recommendation = {"model": f"{model}-folder", "as_good": [f"{name}-folder" for name in as_good]}
    return {
        "models": models,
        "recommendation": recommendation,
        "pareto_front": ["efficientnet_lite0-folder"],
        "left_out": {"vit": "no time"},
    }


def _run(
    model: str = "efficientnet_lite0", *as_good: str, draw: int = 0, repeat: int = 0
) -> FolderComparison:
    lines = [
        (3.0, "looking"),
        (21.5, "ready: /x/models/alexnet.onnx: 80.00% of 60 test images right (18 of 120 s)"),
        (30.0, "ready: /x/models/efficientnet.onnx: 95.00% of 60 test images right (26 of 120 s)"),
    ]
    new = {"accuracy": 0.957, "images": 1000}
    measured = {"budget_seconds": 120.0, "seconds": 118.0, "cpu_seconds": 200.0}
    return row(_document(model, list(as_good)), lines, new, draw=draw, repeat=repeat, **measured)


def test_a_row_has_the_first_answer_and_the_score_on_new_pictures() -> None:
    run = _run()
    assert (run.first_answer_seconds, run.first_answer_accuracy) == (21.5, 0.8)
    assert (run.recommended, run.new_accuracy, run.new_images) == ("efficientnet_lite0", 0.957, 1000)
    assert run.left_out == {"vit": "no time"}
    nothing = row(_document("none of them", []), [], {}, **dict.fromkeys(_MEASURED, 1))
    assert (nothing.recommended, nothing.new_accuracy, nothing.first_answer_seconds) == (None, None, None)


_MEASURED = ("draw", "repeat", "budget_seconds", "seconds", "cpu_seconds")


def test_runs_agree_where_the_model_is_the_same_or_not_told_apart() -> None:
    first, other = _run(), _run("alexnet_finetuned", repeat=1)
    undecided = _run("alexnet_finetuned", "efficientnet_lite0", repeat=1)
    assert first.agrees_with(_run(repeat=1))
    assert first.agrees_with(undecided)
    assert not first.agrees_with(other)
    assert "agree" in described("part", [first, undecided])
    assert "differ" in described("part", [first, other])


def test_what_is_kept_is_not_measured_again(tmp_path: Path) -> None:
    document = OwnFolderResult(environment=describe())
    for run in (_run(draw=1), _run(), _run(draw=1)):
        document = with_run(document, "imagenette-2m", run)
    kept = document.comparisons["imagenette-2m"]
    assert [run.draw for run in kept] == [0, 1]
    assert missing(kept, ((0, 0), (0, 1), (1, 0)), again=False) == [(0, 1)]
    assert len(missing(kept, ((0, 0), (0, 1), (1, 0)), again=True)) == 3
    write_result(result_path(tmp_path, describe(), "own_folder"), document)
    assert load_results(tmp_path, OwnFolderResult) == [document]


def test_every_photo_is_a_class_of_several_views(tmp_path: Path, data_dir: Path) -> None:
    folders = made_once(tmp_path / "many", partial(many_classes, data_dir=data_dir))
    for folder, views in ((folders.own, 5), (folders.new, 3)):
        counts = [len(list(place.iterdir())) for place in folder.iterdir()]
        assert counts == [views] * 4 * len(FOLDERS)


def test_a_folder_that_is_refused_has_a_row_that_says_why(tmp_path: Path) -> None:
    own = tmp_path / "pictures"
    (own / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(own / "cat" / "one.png")
    row = measured("5 pictures", Folders(own, tmp_path / "new"), tmp_path / "place", tmp_path)
    assert (row.pictures, row.classes, row.recommended) == (1, 1, None)
    assert row.refusal is not None
    assert row.refusal.startswith("error: ")
    other = UnusualFolder(name="gray", pictures=1, classes=1, seconds=1.0)
    assert with_row([other, row], row, UNUSUAL) == [row, other]
