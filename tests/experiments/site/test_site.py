"""A site of models: what is in it, and that it is written whole or not at all."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape
from playwright.sync_api import Browser, Page, expect

import vision_zoo as vz
from scripts.drawing import THREE, draw
from tests.conftest import ROOT, Completed, run_command
from tests.serving.hostile_models import with_metadata
from tests.serving.web.conftest import browser, opened
from vision_zoo.core.errors import ModelError, RunError, StorageError, UsageError
from vision_zoo.core.progress import SilentProgress
from vision_zoo.core.results import ZooResult, load_results
from vision_zoo.experiments.site import Site, picture, write_site
from vision_zoo.experiments.site.entries import file_names
from vision_zoo.serving.web import runtime
from vision_zoo.serving.web.runtime import Runtime

__all__ = ["browser"]

ODD = "7 <i>&\"ü'#%?"
LABELS = ["<script>alert(1)</script>", "a & b", '"quoted"', "ü 漢", "'", "x" * 200, "7", "8", "9", " "]
_SHIPPED = ("small_cnn-mnist", "simple_cnn-mnist")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two shipped models and one of a user with a name and labels of any letters. Read only."""
    folder = tmp_path_factory.mktemp("models")
    for name in _SHIPPED:
        shutil.copy(ROOT / "exported" / f"{name}.onnx", folder)
    own = with_metadata(
        folder / "small_cnn-mnist.onnx",
        labels=LABELS,
        dataset="folder-<b>mine</b>",
        recipe="own",
        refitted=True,
    )
    (folder / f"{ODD}.onnx").write_bytes(own)
    return folder


@pytest.fixture(scope="session")
def written(models: Path, web_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site of `models`, written by the command. Read only."""
    folder = tmp_path_factory.mktemp("site")
    done = run_command("site", "zoo", "--models-dir", models, "--runtime", web_runtime, "--json", cwd=folder)
    assert done.code == 0, done.stderr
    told = done.json
    assert told["site"] == "zoo/index.html"
    return Site(folder / "zoo", folder / told["site"], told["bytes"], tuple(told["models"]))


@pytest.fixture
def write(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Site]:
    """Write a site quickly, without what makes its models run, and with no results."""
    monkeypatch.setattr(runtime, "load_runtime", lambda _folder: Runtime(b"", b""))
    (tmp_path / "no results").mkdir()

    def run(folder: Path, **options: object) -> Site:
        defaults = {"models_dir": models, "results_dir": tmp_path / "no results", "progress": False}
        return vz.site(folder, **{**defaults, **options})  # type: ignore[arg-type]

    return run


class _Links(HTMLParser):
    """Where a page leads to, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}


def test_every_link_leads_to_a_page_of_the_site(written: Site) -> None:
    reached, waiting = set(), [written.page]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in _Links(page).found:
            if link.startswith(("https://", "data:")):
                continue
            assert re.fullmatch(r"[A-Za-z0-9_./-]+", link), link
            target = (page.parent / link).resolve()
            assert target.is_file(), link
            if target not in reached and target.suffix == ".html":
                waiting.append(target)
    listed = json.loads((written.path / "site.json").read_text())
    assert written.size == sum(path.stat().st_size for path in written.path.rglob("*") if path.is_file())
    files = {path.relative_to(written.path).as_posix() for path in written.path.rglob("*") if path.is_file()}
    assert set(listed["files"]) == files
    assert len([path for path in reached if path.parent.name == "try"]) == len(written.models) == 3
    assert {path for path in files if path.endswith(".html")} == {
        path.relative_to(written.path.resolve()).as_posix() for path in reached
    }


def test_the_table_says_what_the_files_and_the_results_say(written: Site) -> None:
    index = written.page.read_text()
    (row,) = re.findall(r"<tr><th[^>]*><a href=\"models/small_cnn-mnist.html\">.*?</tr>", index, re.DOTALL)
    cells = dict(re.findall(r'<td data-label="([^"]*)"[^>]*>([^<]*)</td>', row))
    (zoo,) = load_results(ROOT / "results", ZooResult)
    (entry,) = (one for one in zoo.models if one.model == "small_cnn-mnist")
    size = (ROOT / "exported" / "small_cnn-mnist.onnx").stat().st_size
    assert cells == {
        "accuracy": f"{entry.test_accuracy:.2%}",
        "p50 ms": str(zoo.rows_of_one_image()[entry.model].p50_ms),
        "MiB": f"{size / 2**20:.2f}",
        "parameters": "9,098",
        "test images": "10,000",
        "licence": "MIT",
    }
    (document,) = load_results(ROOT / "results", ZooResult)
    assert f"measured on {document.environment.description}" in index
    assert index.count('<a class="mark') == 2  # a model that is alone in its dataset is compared with none
    own = index.partition('<a href="models/7-i.html">')[2].partition("</tr>")[0]
    assert '"p50 ms">–<' in own
    assert "the images&#39; owner&#39;s" in own


def test_the_runtime_is_there_once(written: Site) -> None:
    scripts = sorted(written.path.glob("try/*.js"), key=lambda path: path.stat().st_size)
    assert scripts[-1].name == "onnxruntime-web.js"
    assert "Copyright (c) Microsoft Corporation" in scripts[-1].read_text()[:200]
    assert written.size < scripts[-1].stat().st_size + 2_500_000
    assert all(page.stat().st_size < 100_000 for page in written.path.rglob("*.html"))


def test_names_and_labels_are_text_and_no_markup(written: Site) -> None:
    for page in written.path.rglob("*.html"):
        text = page.read_text()
        assert "<i>" not in text.replace("<i>–</i>", "")
        assert "<b>" not in text
        assert "<script>alert" not in text
    card = (written.path / "models" / "7-i.html").read_text()
    assert all(f"<li>{escape(label)}</li>" in card for label in LABELS)
    assert "Their owner determines their licence" in card
    assert "before the file was fitted to the test images" in card
    assert "not listed in a manifest" in card


def test_file_names_are_plain_and_differ() -> None:
    names = file_names(["a b", "a-b", "A b", "漢", "..", "-", "x" * 300, "b"])
    assert [*names.values()] == ["a-b", "a-b-2", "A-b-3", "model", "model-2", "model-3", "x" * 80, "b"]


def test_without_measurements_the_picture_shows_operations_and_says_so(
    write: Callable[..., Site], tmp_path: Path
) -> None:
    index = write(tmp_path / "zoo").page.read_text()
    assert "Accuracy against operations" in index
    assert "No latency of these files was measured" in index
    assert "measured on" not in index
    assert "median on" not in (tmp_path / "zoo" / "models" / "small_cnn-mnist.html").read_text()


def test_latencies_of_a_benchmark_are_shown_for_the_very_files(
    write: Callable[..., Site], models: Path, tmp_path: Path
) -> None:
    (measured,) = (ROOT / "results").glob("*/zoo.json")
    shipped = json.loads(measured.read_text())
    rows = [row for row in shipped["benchmark"] if row["model"] in _SHIPPED]
    for row in rows:
        row["p50_ms"] = 123.456
        row["bytes"] += row["model"] == "simple_cnn-mnist"  # another file of the same name
    (tmp_path / "bench.json").write_text(json.dumps({"environment": shipped["environment"], "rows": rows}))
    index = write(tmp_path / "zoo", bench=tmp_path / "bench.json").page.read_text()
    assert index.count('"p50 ms">123<') == 1
    assert index.count('"p50 ms">–<') == 2
    with pytest.raises(RunError, match=r"missing\.json is missing; write it with `vision-zoo bench"):
        write(tmp_path / "zoo", bench=tmp_path / "missing.json")


def test_a_folder_with_other_files_is_left_alone(
    cli: Callable[..., Completed], models: Path, write: Callable[..., Site], tmp_path: Path
) -> None:
    folder = tmp_path / "zoo"
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "cat.png").write_bytes(b"cat")
    with pytest.raises(StorageError) as caught:
        write(folder)
    assert str(caught.value).startswith(
        f"{folder} has files that are no part of a site, such as photos/cat.png;"
    )
    assert cli("site", folder, "--models-dir", models).error == str(caught.value)
    (folder / "photos" / "cat.png").unlink()
    (folder / "photos").rmdir()
    write(folder)
    first = folder / "models" / "small_cnn-mnist.html"
    first.write_text("changed")
    write(folder, title="Again")
    assert "Again" in first.read_text()
    (folder / "CNAME").write_text("example.org")
    with pytest.raises(StorageError, match="such as CNAME"):
        write(folder)
    assert (folder / "CNAME").read_text() == "example.org"
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file is not a folder; expected"):
        write(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "linked")
    assert write(tmp_path / "link").page.is_file()
    assert (tmp_path / "link").is_symlink()


def test_a_site_that_cannot_be_finished_leaves_the_former_one(
    write: Callable[..., Site], models: Path, tmp_path: Path
) -> None:
    write(tmp_path / "zoo", title="Former")
    broken = tmp_path / "broken"
    shutil.copytree(models, broken)
    (broken / "z.onnx").write_bytes(b"no model")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelError, match=r"z\.onnx"):
        write(tmp_path / "zoo", models_dir=broken)
    assert "Former" in (tmp_path / "zoo" / "index.html").read_text()
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(ModelError):
        write(tmp_path / "new", models_dir=broken)
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(UsageError, match="a site needs models of different names; got none"):
        write_site(tmp_path / "new", [], SilentProgress(), results_dir=tmp_path)


def test_labels_of_a_panel_meet_neither_each_other_nor_a_point() -> None:
    values = [
        picture.Value("", f"model {n}", f"model {n}", 0.01 * 1.5**n, 0.9 + 0.01 * (n % 5)) for n in range(12)
    ]
    drawn = picture.panel("", values)
    labels = [mark.label for mark in drawn.marks if mark.label is not None]
    assert len(labels) > 6
    assert len({(label.x, label.y) for label in labels}) == len(labels)
    assert all(
        picture.LEFT <= mark.x <= picture.RIGHT and picture.TOP <= mark.y <= picture.BOTTOM
        for mark in drawn.marks
    )
    one_place = picture.panel("", [picture.Value("", "a", "a", 1.0, 1.0)] * 2)
    assert len(one_place.marks) == 2


@pytest.fixture
def opened_site(browser: Browser, written: Site) -> Iterator[Page]:
    yield from opened(browser, written.page, beside=written.path, viewport={"width": 1280, "height": 800})


def test_a_model_is_tried_from_disk_without_a_network(opened_site: Page, written: Site) -> None:
    page = opened_site
    page.get_by_role("link", name="Try small_cnn-mnist").click()
    expect(page.locator("#said")).to_have_text("Draw a digit, large.")
    draw(page, THREE)
    expect(page.locator("#said")).to_contain_text("The model says 3")
    page.get_by_role("link", name="About").click()
    expect(page.locator("h1")).to_have_text("small_cnn-mnist")
    page.get_by_role("link", name="All models").click()
    page.get_by_role("link", name=ODD, exact=True).click()
    page.get_by_role("link", name="Try it").click()
    expect(page.locator("#said")).to_have_text("Draw a digit, large.")
    draw(page, THREE)
    expect(page.locator(".label")).to_have_text("ü 漢")
    for place in ("try/7-i.html", "models/7-i.html", "index.html"):
        page.set_viewport_size({"width": 320, "height": 800})
        page.goto((written.path / place).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, place
