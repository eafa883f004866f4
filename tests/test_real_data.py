"""Figures on the full datasets, through the shipped files. They need the real data."""

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_command

RESULTS = sorted(
    path for path in (ROOT / "results").rglob("*.json") if "runs" in json.loads(path.read_text())
)


@pytest.mark.parametrize("result", RESULTS, ids=lambda path: path.stem)
def test_the_shipped_file_reaches_the_recorded_accuracy(result: Path, data_dir: Path, tmp_path: Path) -> None:
    recorded = json.loads(result.read_text())
    done = run_command(
        "evaluate",
        recorded["recipe"],
        "--dataset",
        recorded["data"]["dataset"],
        "--data-dir",
        data_dir,
        "--json",
        cwd=tmp_path,
    )
    assert done.code == 0, done.stderr
    assert done.json["images"] == recorded["runs"][0]["test_images"]
    assert done.json["accuracy"] == pytest.approx(recorded["runs"][0]["onnx_test_accuracy"], abs=5e-4)


def test_simple_cnn_on_mnist_reaches_its_figure() -> None:
    recorded = [json.loads(path.read_text()) for path in RESULTS if path.stem == "simple_cnn-mnist"]
    assert recorded
    assert all(entry["runs"][0]["onnx_test_accuracy"] >= 0.989 for entry in recorded)


def test_real_image_files_are_predicted(data_dir: Path, tmp_path: Path) -> None:
    from PIL import Image

    from vision_zoo.training.datasets import find_dataset

    test = find_dataset("mnist").load(data_dir).test
    for index in range(20):
        Image.fromarray(test.images[index].squeeze()).save(tmp_path / f"{index}.png")
    images = [tmp_path / f"{index}.png" for index in range(20)]
    predicted = run_command("predict", "simple_cnn-mnist", *images, "--json", cwd=tmp_path).json
    right = [entry["label"] == str(label) for entry, label in zip(predicted, test.labels[:20], strict=True)]
    assert sum(right) >= 19
