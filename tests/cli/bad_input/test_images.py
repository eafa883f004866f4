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
        (b"this is a text", "is not a readable image"),
        (b"", "is not a readable image"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image"),
    ],
    ids=["text", "empty", "truncated"],
)
def test_an_image_that_is_none(
    cli: Cli, exported_model: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    (tmp_path / "image.png").write_bytes(content)
    assert says in cli("predict", exported_model, "image.png").error


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (
            "https://example.org/a/seven.png",
            "https://example.org/a/seven.png is an address; expected an image file",
        ),
        ("file:///tmp/seven.png", "is an address; expected an image file: download it first"),
        ("data:image/png;base64," + "A" * 10_000, "is an address"),
        ("*.png", "no file matches *.png"),
        (".", ". has no image files; expected .apng, .avif"),
    ],
    ids=lambda text: str(text)[:20],
)
def test_what_is_no_image_file(cli: Cli, exported_model: Path, image: str, says: str) -> None:
    error = cli("predict", exported_model, image).error
    assert says in error
    assert len(error) < 300


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_one_bad_image_stops_no_other(
    cli: Cli, exported_model: Path, digit_png: Path, tmp_path: Path, json: list[str]
) -> None:
    from PIL import Image

    Image.new("L", (28, 28), 255).save(tmp_path / "blank.png")
    (tmp_path / "cut.png").write_bytes(digit_png.read_bytes()[:-30])
    done = cli("predict", exported_model, digit_png, "blank.png", "cut.png", "missing.png", digit_png, *json)
    assert (done.code, done.stdout.count("seven.png")) == (1, 2)
    assert done.error == "3 of 5 images could not be used"
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert [
        name in line for name, line in zip(("blank.png", "cut.png", "missing.png"), warnings, strict=True)
    ]


@pytest.mark.parametrize(
    "fault", [TypeError("required argument is not an integer"), MemoryError(), OSError(5, "I/O")]
)
def test_whatever_a_decoder_raises_is_the_images_fault(
    exported_model: Path, digit_png: Path, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    from vision_zoo.core.errors import ImageError
    from vision_zoo.serving.predict import classify_file
    from vision_zoo.serving.session import Session

    def fail(*arguments: object, **options: object) -> None:
        raise fault

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match=r"seven\.png"):
        classify_file(Session(exported_model, provider="cpu"), digit_png)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_is_no_image_and_is_not_waited_for(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe.png is not a file" in cli("predict", exported_model, "pipe.png").error
