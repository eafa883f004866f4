"""Files that are no images."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed

Cli = Callable[..., Completed]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"this is a text", "is not an image that can be read"),
        (b"", "is not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image"),
    ],
    ids=["text", "empty", "truncated"],
)
def test_an_image_that_is_none(
    cli: Cli, exported_model: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "image.png").write_bytes(content)
    assert says in cli("predict", exported_model, "image.png").error


def test_a_folder_where_an_image_is_expected(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    assert "expected an image file" in cli("predict", exported_model, tmp_path).error


def test_several_bad_images_are_one_line_that_names_them(
    cli: Cli, exported_model: Path, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("L", (28, 28), 255).save(tmp_path / "blank.png")
    (tmp_path / "text.png").write_text("text")
    error = cli("predict", exported_model, "blank.png", "text.png", "missing.png").error
    assert all(name in error for name in ("blank.png", "text.png", "missing.png", "3 of 3 images"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_is_no_image_and_is_not_waited_for(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe.png is not a file" in cli("predict", exported_model, "pipe.png").error
