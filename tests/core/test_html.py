"""Pages are templates in which every value is escaped."""

from pathlib import Path

import pytest

from vision_zoo.core.html import render

_PAGE = """{% extends "base.html" %}{% from "table.html" import table with context %}
{% block title %}{{ name }}{% endblock %}{% block body %}{{ table(rows, name) }}{% endblock %}"""


def test_whatever_a_name_holds_is_text(tmp_path: Path) -> None:
    template = tmp_path / "own.html"
    template.write_text(_PAGE)
    hostile = '<script>alert("1")</script>'
    page = render(template, name=hostile, rows=[{"label": hostile, hostile: 1.5}, {"label": None}])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4  # the title, the caption, a column and a cell


def test_columns_of_numbers_are_aligned_right(tmp_path: Path) -> None:
    template = tmp_path / "own.html"
    template.write_text(_PAGE)
    page = render(template, name="results", rows=[{"model": "lenet", "p50 ms": "0.2"}, {"model": "vit"}])
    assert '<th class="number">p50 ms</th>' in page
    assert "<th>model</th>" in page


def test_a_value_that_was_forgotten_is_an_error(tmp_path: Path) -> None:
    template = tmp_path / "own.html"
    template.write_text(_PAGE)
    with pytest.raises(Exception, match="is undefined"):
        render(template, name="results")
