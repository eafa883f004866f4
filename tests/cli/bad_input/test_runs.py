"""Runs that are unfinished, damaged, or in the way."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed
from vision_zoo.experiments import report

Cli = Callable[..., Completed]


def test_a_run_that_exists_is_not_overwritten(cli: Cli, finished_run: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    assert "already holds a finished run" in cli("train", "simple_cnn-mnist_5k", "--out", finished_run).error
    assert before == {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}


def test_an_unfinished_run_is_not_exported(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    assert "is not finished" in cli("export", "run", "--onnx").error
    assert not (tmp_path / "exported").exists()


def test_a_damaged_checkpoint(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    (run / "metrics.json").unlink()
    last = run / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:1000])
    (run / "checkpoints" / "previous.pt").unlink()
    assert "last.pt is damaged" in cli("train", "--resume", "run").error
    best = run / "checkpoints" / "best.safetensors"
    best.write_bytes(b"\0" * 100)
    shutil.copy(finished_run / "metrics.json", run)
    assert "best.safetensors is damaged" in cli("export", "run", "--onnx").error


def test_a_recipe_name_cannot_leave_the_output_folder(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    recipe = (run / "recipe.json").read_text()
    (run / "recipe.json").write_text(recipe.replace('"simple_cnn-mnist_5k"', '"../evil"'))
    assert "it becomes a file name" in cli("export", "run", "--onnx", "--output-dir", "models").error
    assert not (tmp_path / "evil.onnx").exists()


def test_reproduce_refuses_a_run_with_other_settings(cli: Cli, finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "runs" / "simple_cnn-mnist_5k")
    assert "holds a run with other settings" in cli("reproduce", "simple_cnn-mnist_5k").error
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "docs").exists()


@pytest.mark.parametrize("content", ["# My results\n", None])
def test_reproduce_leaves_a_document_that_is_not_its_own(
    cli: Cli, tmp_path: Path, content: str | None
) -> None:
    mine = tmp_path / "docs" / "RESULTS.md"
    mine.parent.mkdir()
    mine.mkdir() if content is None else mine.write_text(content)
    refused = cli("reproduce", "simple_cnn-mnist_5k")
    assert "was not written by `vision-zoo reproduce`; choose another file with --document" in refused.error
    assert content is None or mine.read_text() == content
    (tmp_path / "runs").write_text("")  # where a run cannot be made
    mine.rename(tmp_path / "docs" / "other")
    report.write(mine, tmp_path / "results")
    before = mine.stat().st_mtime_ns
    assert "cannot write" in cli("reproduce", "simple_cnn-mnist_5k").error
    assert mine.stat().st_mtime_ns == before
