"""The page of the worst mistakes."""

import base64
import io
import re

import numpy as np
from PIL import Image

from vision_zoo.core.class_metrics import class_metrics
from vision_zoo.core.statistics import confusion_matrix
from vision_zoo.data.dataset import SourceFile, Split
from vision_zoo.data.mistakes import mistakes_page

_LABELS = ("cat", '<b>"dog"</b>', "owl")


def _page(truth: list[int], probabilities: list[list[float]], *, channels: int = 3, side: int = 12) -> str:
    labels, given = np.array(truth), np.array(probabilities)
    images = np.full((len(truth), side, side, channels), 200, dtype=np.uint8)
    files = tuple(SourceFile(f"cat/<{number}> & ä.png") for number in range(len(truth)))
    classes = class_metrics(confusion_matrix(labels, given.argmax(axis=1), len(_LABELS)), _LABELS)
    return mistakes_page(Split(images, labels, files), given, _LABELS, classes, title="a & b")


def test_the_surest_mistakes_come_first_with_both_labels() -> None:
    page = _page([0, 0, 1, 2], [[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0.85, 0.1, 0.05], [0, 0.3, 0.7]])
    assert "2 of 4 test images are misclassified" in page
    assert re.findall(r"<small>cat/&lt;(\d)&gt; &amp; ä.png</small>", page) == ["2", "1"]
    assert "<b>cat</b> 85.0%" in page
    assert "true: &lt;b&gt;&#34;dog&#34;&lt;/b&gt; 10.0%" in page
    assert "<b>&lt;b&gt;" in page
    assert '<b>"dog"' not in page


def test_the_page_needs_nothing_from_elsewhere_and_shows_small_pictures() -> None:
    for channels in (1, 3):
        page = _page([0, 1], [[0, 1, 0], [1, 0, 0]], channels=channels, side=400)
        assert not re.search(r"https?://|<script|<link", page)
        first, second = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
        picture = Image.open(io.BytesIO(base64.b64decode(first)))
        assert (picture.size, picture.mode) == ((160, 160), "L" if channels == 1 else "RGB")
        assert second == first


def test_of_many_mistakes_the_first_are_shown_and_of_none_the_classes() -> None:
    many = _page([1] * 100, [[0.5 + number / 1000, 0.2, 0] for number in range(100)])
    assert many.count("<img") == 60
    assert "The first 60, sorted by" in many
    assert "cat/&lt;99&gt;" in many
    assert "cat/&lt;39&gt;" not in many
    none = _page([0, 1], [[1, 0, 0], [0, 1, 0]])
    assert "0 of 2 test images" in none
    assert "<img" not in none
    assert "100.0%" in none
