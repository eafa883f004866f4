"""What a run was trained with is recorded, and whatever uses its data later refuses other data."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Completed
from tests.images.pictures import striped_picture
from tests.training.runs import CLASSES, InterruptAfter, fill, trained
from vision_zoo.core.errors import DataError, Interrupted, RunError, VisionZooError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.experiments.search.grid_search import search_grid
from vision_zoo.exporting.export import export_onnx
from vision_zoo.recipes import recipe_for
from vision_zoo.serving.session import Session
from vision_zoo.training import train
from vision_zoo.training.run_data import load_for_run, read_recorded, require_runs_on
from vision_zoo.training.run_directory import RunDirectory


def refusal(run: Path, folder: Path, output: Path) -> str:
    """What export says of the folder, checked to be one line, before anything is written."""
    with pytest.raises(RunError) as refused:
        export_onnx(run, output, dataset=f"folder:{folder}")
    assert not output.exists()
    message = str(refused.value)
    assert "\n" not in message
    assert "another architecture" not in message
    return message


def test_a_run_records_labels_splits_and_hashes(plain: tuple[Path, Path]) -> None:
    folder, run = plain
    labels = json.loads((run / "labels.json").read_text())
    assert (labels["labels"], labels["dataset"]) == (list(CLASSES), "folder-p")
    assert (labels["input"]["height"], labels["input"]["channels"]) == (16, 3)
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["split"] for row in rows} == {"train", "validation", "test", "left out"}
    assert {row["file"] for row in rows} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*.png")
    }
    for row in rows:
        assert row["sha256"] == hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest()
        assert row["label"] == ("" if row["split"] == "left out" else row["file"].split("/")[0])
    with (run / "predictions.csv").open(newline="") as file:
        predicted = [row["file"] for row in csv.DictReader(file)]
    assert predicted == [row["file"] for row in rows if row["split"] == "test"]
    truth = RunDirectory.open(run).predictions().labels
    assert [CLASSES[label] for label in truth] == [name.split("/")[0] for name in predicted]


def test_a_built_in_dataset_has_indices_and_old_predictions_stay_readable(
    finished_run: Path, tmp_path: Path
) -> None:
    recorded = read_recorded(RunDirectory.open(finished_run))
    assert recorded is not None
    assert [row.file for row in recorded.rows[:2]] == ["0", "1"]
    assert len(recorded.rows) == 5000
    old = RunDirectory(tmp_path)
    old.predictions_file.write_text("label,prediction,confidence\n3,5,0.5000\n1,1,0.9000\n")
    read = old.predictions()
    assert (read.labels.tolist(), read.predictions.tolist()) == ([3, 1], [5, 1])
    assert (read.files, read.label_ranks) == (["0", "1"], None)


def _rename_class(folder: Path) -> None:
    (folder / "fish").rename(folder / "zebrafish")


def _remove_class(folder: Path) -> None:
    shutil.rmtree(folder / "fish")


def _add_class(folder: Path) -> None:
    fill(folder, range(100, 104), ("new",))


def _add_pictures(folder: Path) -> None:
    fill(folder, range(20, 24))


def _remove_picture(folder: Path) -> None:
    (folder / "fish" / "3.png").unlink()


def _change_picture(folder: Path) -> None:
    striped_picture(folder / "fish" / "3.png", 0, 999)


def _move_picture(folder: Path) -> None:
    (folder / "fish" / "3.png").rename(folder / "parachute" / "30.png")


def _mend_picture(folder: Path) -> None:
    striped_picture(folder / "fish" / "damaged.png", 1, 999)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_rename_class, "the class 'fish' is now called 'zebrafish'"),
        (_remove_class, "the class 'fish' is gone (9 files)"),
        (_add_class, "the class 'new' is new"),
        (_add_pictures, "12 files added (cassette/20.png, cassette/21.png, cassette/22.png and 9 more)"),
        (_remove_picture, "1 file gone (fish/3.png)"),
        (_change_picture, "1 file changed (fish/3.png)"),
        (_move_picture, "1 file moved (fish/3.png to parachute/30.png)"),
        (_mend_picture, "1 file changed (fish/damaged.png)"),
    ],
)
def test_a_changed_folder_is_refused_and_the_change_is_named(
    plain: tuple[Path, Path], tmp_path: Path, change: Callable[[Path], None], says: str
) -> None:
    folder = shutil.copytree(plain[0], tmp_path / "p")
    change(folder)
    assert says in refusal(plain[1], folder, tmp_path / "models")
    run = shutil.copytree(plain[1], tmp_path / "run")
    (run / "metrics.json").unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for go_on in (train.resume, train.finish):
        with pytest.raises(VisionZooError) as refused:
            go_on(run, device="cpu", data_dir=tmp_path, progress=SilentProgress())
        assert says in str(refused.value)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("test", "tset", "the split folder 'test' is now called 'tset'"),
        ("test", "Testing", "the split folder 'test' is now called 'Testing'"),
        ("test", "../away", "the split folder 'test' is gone (9 files)"),
        ("test/fish", "test/carp", "the class 'fish' is now called 'carp'"),
    ],
)
def test_a_moved_split_is_refused(
    split: tuple[Path, Path], tmp_path: Path, old: str, new: str, says: str
) -> None:
    folder = shutil.copytree(split[0], tmp_path / "s")
    (folder / old).rename(folder / new)
    if "carp" in new:
        (folder / "train" / "fish").rename(folder / "train" / "carp")
    assert says in refusal(split[1], folder, tmp_path / "models")


def test_what_is_no_data_may_come_and_go(plain: tuple[Path, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(plain[0], tmp_path / "other name")
    fill(folder / "__MACOSX", range(2), ("fish",))
    (folder / "fish" / "notes.txt").write_text("new")
    (folder / "empty").mkdir()
    run = RunDirectory.open(plain[1])
    dataset, splits = load_for_run(run, run.recipe(), data_dir=None, dataset=f"folder:{folder}")
    assert (dataset.name, dataset.labels) == ("folder-p", CLASSES)
    assert np.array_equal(np.asarray(splits.test.labels), run.predictions().labels)


def test_a_moved_folder_is_exported_where_it_is_named(
    cli: Callable[..., Completed], plain: tuple[Path, Path], tmp_path: Path
) -> None:
    here = fill(tmp_path / "here", range(4))
    run = trained(here, tmp_path / "run")
    moved = here.rename(tmp_path / "there")
    lost = cli("export", "run", "--onnx", "--output-dir", "models")
    assert "does not exist; restore it, or pass its new location with --dataset folder:PATH" in lost.error
    assert not (tmp_path / "models").exists()
    unnamed = cli("export", "run", "--onnx", "--output-dir", "models", "--dataset", moved)
    assert f"--dataset folder:{moved}" in unnamed.error
    beside = cli("export", "run", "--onnx", "--output-dir", "models", "--dataset", "there")
    assert "--dataset folder:there" in beside.error
    empty = cli("export", "run", "--onnx", "--output-dir", "models", "--dataset", "folder:")
    assert "'folder:' names no folder" in empty.error
    (run / "metrics.json").unlink()
    unnamed = cli("train", "--resume", "run", "--dataset", moved)
    assert f"--dataset folder:{moved}" in unnamed.error
    resumed = cli("train", "--resume", "run", "--dataset", f"folder:{moved}", "--json")
    assert resumed.code == 0, resumed.stderr
    exported = cli("export", "run", "--onnx", "--output-dir", "models", "--data-dir", "there", "--json")
    assert exported.code == 0, exported.stderr
    session = Session(tmp_path / exported.json["model"], provider="cpu")
    assert session.metadata.labels == CLASSES
    assert session.metadata.dataset == "folder-here"
    assert (tmp_path / "models" / "manifest.json").is_file()
    other = cli("export", "run", "--onnx", "--dataset", "mnist")
    assert "omit --dataset" in other.error


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(plain: tuple[Path, Path], tmp_path: Path) -> None:
    recipe = RunDirectory.open(plain[1]).recipe().override(epochs=3, batch_size=4)
    with pytest.raises(Interrupted):
        train.start(recipe, tmp_path / "run", device="cpu", data_dir=None, progress=InterruptAfter(6))
    before = (tmp_path / "run" / "split.csv").read_bytes()
    train.resume(tmp_path / "run", device="cpu", data_dir=None, progress=SilentProgress())
    assert (tmp_path / "run" / "split.csv").read_bytes() == before
    assert RunDirectory.open(tmp_path / "run").finished


def test_searches_and_comparisons_do_not_mix_data(
    cli: Callable[..., Completed], plain: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(plain[0], tmp_path / "p")
    shutil.copytree(plain[1], tmp_path / "out" / "runs" / "small_cnn-folder_p")
    run = RunDirectory.open(plain[1])
    dataset, splits = load_for_run(run, run.recipe(), data_dir=None)
    require_runs_on(tmp_path / "out" / "runs", lambda _recipe: (dataset, splits))
    _rename_class(folder)
    done = cli("compare", "--dataset", "folder:p", "--image-size", "16", "--out", "out", "--budget", "20s")
    assert "the class 'fish' is now called 'zebrafish'" in done.error
    recipe = recipe_for("small_cnn", f"folder:{folder}", image_size=16)
    with pytest.raises(RunError, match="'zebrafish'"):
        search_grid(
            recipe,
            {"learning_rate": [0.1]},
            out=tmp_path / "out" / "runs",
            jobs=1,
            device="cpu",
            data_dir=None,
            results_dir=None,
            progress=SilentProgress(),
        )


def test_a_folder_that_is_not_there_any_more(plain: tuple[Path, Path], tmp_path: Path) -> None:
    run = RunDirectory.open(plain[1])
    with pytest.raises(DataError, match="does not exist"):
        load_for_run(run, run.recipe(), data_dir=None, dataset=f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="does not exist"):
        load_for_run(run, run.recipe(), data_dir=tmp_path / "nowhere")
