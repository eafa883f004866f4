"""Figures on the full datasets, through the shipped files. They need the real data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, run_command
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import RecipeResult, ZooModel, ZooResult, load_results
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Split, Splits
from vision_zoo.serving.evaluate import evaluate
from vision_zoo.serving.session import Session

ZOO = [entry for document in load_results(ROOT / "results", ZooResult) for entry in document.models]
REPEATED = load_results(ROOT / "results", RecipeResult)


Loader = Callable[[str], Splits]


def test_every_shipped_file_has_its_figures() -> None:
    shipped = {path.stem for path in (ROOT / "exported").glob("*.onnx")}
    assert {entry.model for entry in ZOO} == shipped


def check_accuracy(entry: ZooModel, test: Split, *, every: int = 1) -> None:
    """Score the shipped file on one in `every` images of `test`, evenly spread."""
    session = Session(ROOT / "exported" / f"{entry.model}.onnx", provider="cpu")
    labels = find_dataset(entry.dataset).labels
    score = evaluate(session, test.images[::every], test.labels[::every], labels, SilentProgress())
    variance = entry.test_accuracy * (1 - entry.test_accuracy)
    tolerance = (
        5e-4 if score.images == entry.test_images else 4 * (variance / score.images) ** 0.5 + 1 / score.images
    )
    assert score.accuracy == pytest.approx(entry.test_accuracy, abs=tolerance)


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.model)
def test_a_shipped_file_reaches_its_recorded_accuracy(entry: ZooModel, real_dataset: Loader) -> None:
    """On fewer images where one costs much; on all of them in `soak/test_datasets.py`."""
    test = real_dataset(entry.dataset).test
    check_accuracy(entry, test, every=max(1, round(entry.macs * len(test) / 1e10)))


@pytest.mark.parametrize("name", ["airbench-mnist", "mobilenet-mnist", "simple_cnn-mnist", "small_cnn-mnist"])
def test_a_model_of_digits_finds_clothes_unfamiliar(name: str, real_dataset: Loader) -> None:
    session = Session(ROOT / "exported" / f"{name}.onnx", provider="cpu")
    unlike = []
    for dataset in ("fashion-mnist", "mnist"):
        images = np.asarray(real_dataset(dataset).test.spread(1000).images)
        familiar = session.are_familiar(images, session.predict_all(images).logits)
        assert familiar is not None
        unlike.append(1 - familiar.mean())
    assert unlike[0] >= 0.95
    assert unlike[1] <= 0.02


def test_the_command_line_evaluates_a_shipped_file(data_dir: Path, tmp_path: Path) -> None:
    (recorded,) = (entry for entry in ZOO if entry.model == "simple_cnn-mnist")
    done = run_command(
        "evaluate", "simple_cnn-mnist", "--dataset", "mnist", "--data-dir", data_dir, "--json", cwd=tmp_path
    )
    assert done.code == 0, done.stderr
    assert done.json["images"] == recorded.test_images
    assert done.json["accuracy"] == pytest.approx(recorded.test_accuracy, abs=5e-4)
    assert done.json["accuracy"] >= 0.989


def test_rounded_weights_cost_a_fifth_of_a_point_at_most() -> None:
    for entry in ZOO:
        assert entry.test_accuracy >= entry.checkpoint_accuracy - 0.002


def test_figures_belong_to_the_recipes_as_they_are() -> None:
    from vision_zoo.recipes import find_recipe

    assert REPEATED
    for document in REPEATED:
        recipe = find_recipe(document.recipe)
        assert recipe.has_settings(document.settings), document.recipe
        if document.runs:
            assert document.parameters == recipe.parameters


def test_real_image_files_are_predicted(real_dataset: Loader, tmp_path: Path) -> None:
    from PIL import Image

    test = real_dataset("mnist").test
    for index in range(20):
        Image.fromarray(test.images[index].squeeze()).save(tmp_path / f"{index}.png")
    images = [tmp_path / f"{index}.png" for index in range(20)]
    predicted = run_command("predict", "simple_cnn-mnist", *images, "--json", cwd=tmp_path).json
    right = [entry["label"] == str(label) for entry, label in zip(predicted, test.labels[:20], strict=True)]
    assert sum(right) >= 19
