"""The report of a run as one page."""

import base64
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import vision_zoo as vz
from tests.conftest import Completed
from tests.serving.web.conftest import browser, opened
from tests.training.runs import QUICK
from vision_zoo.core import environment
from vision_zoo.core.class_metrics import class_metrics
from vision_zoo.core.predictions_file import image_predictions
from vision_zoo.core.results import EpochRecord
from vision_zoo.core.statistics import confusion_matrix
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import SourceFile, Split
from vision_zoo.training.run_directory import RunDirectory, RunMetrics
from vision_zoo.training.run_report import charts, report_page

__all__ = ["browser"]

_LABELS = ("cat", '<b>"dog"</b>', "owl")


def _page(
    truth: list[int],
    probabilities: list[list[float]],
    *,
    channels: int = 3,
    side: int = 12,
    labels: Sequence[str] = _LABELS,
) -> str:
    logits = np.log(np.array(probabilities, dtype=np.float32) + 1e-9)
    images = np.full((len(truth), side, side, channels), 200, dtype=np.uint8)
    files = tuple(SourceFile(f"cat/<{number}> & ä.png") for number in range(len(truth)))
    split = Split(images, np.array(truth), files)
    found = image_predictions(split.labels, logits, [file.name for file in files])
    matrix = confusion_matrix(found.labels, found.predictions, len(labels))
    accuracy = float(found.right.mean())
    metrics = RunMetrics(
        test_accuracy=accuracy,
        test_loss=0.1,
        train_accuracy=1.0,
        train_loss=0.0,
        epochs=1,
        steps=1,
        best_epoch=1,
        train_seconds=1.0,
        cpu_seconds=1.0,
        inference_seconds=1.0,
        test_images=len(truth),
        parameters=10,
        classes=class_metrics(matrix, labels),
        confusion_matrix=matrix.tolist(),
    )
    history = [EpochRecord(epoch=1, train_loss=0.0, train_accuracy=1.0, steps=1, seconds=1.0)]
    dataset = replace(find_dataset("mnist-5k"), labels=tuple(labels))
    return report_page(QUICK, dataset, split, history, found, metrics, environment.describe())


def _mistakes(page: str) -> str:
    return page.split('<ol class="pictures large">')[1].split("</ol>", maxsplit=1)[0] if "<ol" in page else ""


def test_the_surest_mistakes_come_first_with_both_labels() -> None:
    page = _page([0, 0, 1, 2], [[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.85, 0.1, 0.05], [0, 0.3, 0.7]])
    assert "2 of 4 test images are misclassified" in page
    shown = _mistakes(page)
    assert re.findall(r"<small>cat/&lt;(\d)&gt; &amp; ä.png</small>", shown) == ["2", "1"]
    assert "<b>cat</b> 85.0%" in shown
    assert "true: &lt;b&gt;&#34;dog&#34;&lt;/b&gt; 10.0%" in shown
    assert '<b>"dog"' not in page


def test_the_page_needs_nothing_from_elsewhere_and_shows_small_pictures() -> None:
    for channels in (1, 3):
        page = _page([0, 1], [[0, 1, 0], [1, 0, 0]], channels=channels, side=400)
        assert not re.search(r"https?://|<script|src=\"(?!data:)", page)
        first, second = re.findall(r'src="data:image/webp;base64,([^"]+)"', _mistakes(page))
        assert Image.open(io.BytesIO(base64.b64decode(first))).size == (160, 160)
        assert second == first


def test_of_many_mistakes_the_first_are_shown_and_of_none_the_classes() -> None:
    many = _page([1] * 100, [[0.5 + number / 1000, 0.2, 0] for number in range(100)])
    assert _mistakes(many).count("<img") == 60
    assert "The first 60, sorted by" in many
    assert "the most confident\n24 shown" in many
    none = _page([0, 1], [[1, 0, 0], [0, 1, 0]])
    assert "0 of 2 test images" in none
    assert not _mistakes(none)
    assert "100.0%" in none


def test_of_many_classes_the_confusions_are_listed_and_the_page_stays_small() -> None:
    labels = [f"class {number}" for number in range(60)]
    rng = np.random.default_rng(0)
    page = _page(rng.integers(0, 60, 3000).tolist(), rng.dirichlet(np.ones(60), 3000).tolist(), labels=labels)
    assert "A matrix of 60 classes is too large" in page
    assert page.count('class="cell sheet"') == 600
    assert len(page) < 2**20
    assert all(f'id="{name}"' in page for name in re.findall(r'href="#(cell[^"]+)"', page))


def test_curves_show_the_splits_that_were_scored_and_take_losses_that_overflowed() -> None:
    history = [
        EpochRecord(
            epoch=epoch,
            train_loss=loss,
            train_accuracy=0.5,
            validation_loss=1.0,
            validation_accuracy=0.25,
            steps=epoch,
            seconds=1.0,
        )
        for epoch, loss in ((1, 2.0), (2, float("inf")), (3, 1.0))
    ]
    loss, accuracy = charts.curves(history)
    assert [line.split for line in loss.lines] == ["train", "validation"]
    assert [dot.text for dot in loss.lines[0].dots] == ["train, epoch 1: 2", "train, epoch 3: 1"]
    assert loss.lines[0].dots[0].y < loss.lines[0].dots[1].y
    assert [text for _, text in accuracy.x_ticks] == ["1", "2", "3"]
    assert all(charts.TOP <= y <= charts.BOTTOM for y, _ in (*loss.y_ticks, *accuracy.y_ticks))


def test_runs_of_earlier_versions_have_a_report_too(finished_run: Path, tmp_path: Path) -> None:
    new = vz.report(finished_run, tmp_path / "new.html").read_text(encoding="utf-8")
    old = tmp_path / "old"
    old.mkdir()
    for name in (
        "recipe.json",
        "environment.json",
        "labels.json",
        "split.csv",
        "metrics.json",
        "history.csv",
    ):
        (old / name).write_bytes((finished_run / name).read_bytes())
    lines = (finished_run / "predictions.csv").read_text().splitlines()
    (old / "predictions.csv").write_text("\n".join(",".join(line.split(",")[:3]) for line in lines) + "\n")
    page = vz.report(old)
    assert page == old / "report.html"
    known, less = (
        re.findall(r"<td[^>]*>(\d)</td><td[^>]*>\d+\.\d+%", text) for text in (new, page.read_text())
    )
    assert (known[-5:], less[-2:]) == (["1", "2", "3", "4", "5"], ["1", "5"])
    accuracy = RunDirectory.open(finished_run).metrics().test_accuracy
    assert f"{accuracy:.2%}" in new


def test_the_command_writes_the_page_and_refuses_unfinished_runs(
    cli: Callable[..., Completed], finished_run: Path, tmp_path: Path
) -> None:
    done = cli("report", finished_run, "--out", "pages/run.html", "--json")
    assert done.json["report"] == "pages/run.html"
    assert done.json["bytes"] == (tmp_path / "pages" / "run.html").stat().st_size
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "recipe.json").write_bytes((finished_run / "recipe.json").read_bytes())
    assert "half is not finished; continue with" in cli("report", "half").error


@pytest.fixture
def shown(browser: Browser, finished_run: Path, tmp_path: Path) -> Iterator[Page]:
    page = vz.report(finished_run, tmp_path / "run.html")
    yield from opened(browser, page, viewport={"width": 1280, "height": 800})


def test_a_cell_of_the_confusion_matrix_shows_its_images(shown: Page) -> None:
    cell = shown.locator(".matrix td.wrong a").first
    cell.focus()
    shown.keyboard.press("Enter")
    panel = shown.locator(".cell:target")
    expect(panel).to_be_visible()
    expect(panel.locator("img")).to_have_count(int(cell.inner_text()))
    assert panel.locator("img").first.evaluate("image => image.complete && image.naturalWidth") == 28
    panel.get_by_role("link", name="Close").click()
    expect(shown.locator(".cell:visible")).to_have_count(0)
    shown.set_viewport_size({"width": 320, "height": 800})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 320
