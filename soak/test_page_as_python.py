"""The page in one file, in Chromium: the same inputs and answers as Python, for many pictures and every test image."""

import json
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from tests.conftest import ROOT
from tests.serving.web.conftest import browser, opened, shipped
from tests.serving.web.test_same_as_python import check_answers, check_inputs
from vision_zoo.data import find_dataset
from vision_zoo.serving.session import Session
from vision_zoo.serving.web.page import write_page

__all__ = ["browser"]

_MODELS = [
    Path(name).stem for name in json.loads((ROOT / "exported" / "manifest.json").read_text())["models"]
]
_IMAGES = 1000


def _page(web_runtime: Path, folder: Path, name: str) -> Path:
    write_page(folder / "page.html", shipped(name), runtime_folder=web_runtime)
    return folder / "page.html"


def test_five_hundred_pictures_become_the_same_inputs(
    browser: Browser, web_runtime: Path, tmp_path: Path
) -> None:
    session = Session(*shipped("airbench-mnist"), provider="cpu")
    for page in opened(browser, _page(web_runtime, tmp_path, "airbench-mnist")):
        check_inputs(page, 500, session)


@pytest.mark.parametrize("name", _MODELS)
def test_a_thousand_test_images_get_the_same_answers(
    name: str, browser: Browser, web_runtime: Path, tmp_path: Path, data_dir: Path
) -> None:
    session = Session(*shipped(name), provider="cpu")
    images = find_dataset(session.metadata.dataset).load(data_dir).test.images
    chosen = np.linspace(0, len(images) - 1, _IMAGES).astype(int)
    for page in opened(browser, _page(web_runtime, tmp_path, name)):
        for part in np.array_split(chosen, 20):
            check_answers(page, np.asarray(images[part]), 0, session)
