"""Pictures of runs in RESULTS.md."""

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.figures import runs
from tests.conftest import ROOT
from vision_zoo.core import json_file
from vision_zoo.core.results import RecipeResult, load_results
from vision_zoo.experiments import report
from vision_zoo.experiments.predictions import predictions_path, read_predictions
from vision_zoo.recipes import RECIPES, find_recipe

_FOLDER = ROOT / "docs" / "images" / "recipes"


def test_every_published_recipe_that_was_run_has_its_pictures_in_the_report() -> None:
    linked = set(re.findall(r"\]\(images/recipes/(\S+)\.png\)", (ROOT / "docs" / "RESULTS.md").read_text()))
    run = {document.recipe for document in load_results(ROOT / "results", RecipeResult) if document.runs}
    published = {recipe.name for recipe in RECIPES.values() if recipe.report is not None}
    wanted = {f"{name}-{kind}" for name in run & published for kind in ("curves", "confusion", "samples")}
    assert len(wanted) >= 45
    assert wanted <= linked == {path.stem for path in _FOLDER.glob("*.png")}


def test_pictures_are_small_and_have_a_palette() -> None:
    assert sum(path.stat().st_size for path in _FOLDER.glob("*.png")) < 2 * 2**20
    for path in _FOLDER.glob("*.png"):
        with Image.open(path) as image:
            assert image.mode == "P"
            assert 300 <= image.width <= 500


def test_a_report_elsewhere_links_no_pictures_that_are_not_there(tmp_path: Path) -> None:
    assert "images/recipes" not in report.text(tmp_path / "RESULTS.md", ROOT / "results")


def test_a_picture_of_other_numbers_is_out_of_date(tmp_path: Path) -> None:
    curves = next(
        picture for picture in runs.pictures(ROOT / "results") if picture.name.endswith("-curves.png")
    )
    assert not curves.is_drawn(tmp_path)
    content = curves.png()
    (tmp_path / curves.name).write_bytes(content)
    assert curves.is_drawn(tmp_path)
    assert not dataclasses.replace(curves, source="other").is_drawn(tmp_path)
    with Image.open(io.BytesIO(content)) as image:
        assert image.width == 480


def test_curves_show_reported_values_at_their_epochs() -> None:
    recipe = find_recipe("basic_cnn-mnist")
    pictures = {picture.name: picture for picture in runs.pictures(ROOT / "results")}
    loss, accuracy = pictures["basic_cnn-mnist-curves.png"].draw().axes
    diamonds = [np.asarray(line.get_xydata()) for line in loss.lines if line.get_marker() == "D"]
    assert np.array_equal(diamonds[0], [[1, 0.6602], [2, 0.2304], [3, 0.1610]])
    dotted = [np.asarray(line.get_ydata()) for line in accuracy.lines if line.get_linestyle() == ":"]
    (final,) = {float(heights[0]) for heights in dotted if len(heights)}
    assert final == pytest.approx(100 * recipe.reported["test_accuracy"])


def test_predictions_give_the_confusion_matrix_of_every_run() -> None:
    for path in sorted((ROOT / "results").glob("*/lenet-fashion_mnist.json")):
        predictions = read_predictions(predictions_path(path))
        assert predictions is not None
        document = json_file.read(path, RecipeResult)
        for run in document.runs:
            matrix = predictions.confusion_matrix(run.seed, 10)
            assert matrix.sum(axis=1).tolist() == [1000] * 10
            assert np.trace(matrix) / 10_000 == pytest.approx(run.test_accuracy)
