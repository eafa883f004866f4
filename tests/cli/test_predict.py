"""`predict` on many images: what it takes, how it answers, and what becomes of images that cannot be used."""

import csv
import functools
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.conftest import ROOT, Completed
from vision_zoo.core.errors import ImageError
from vision_zoo.images.preprocess import InputFormat, prepare
from vision_zoo.serving.explain import heat_map_paths
from vision_zoo.serving.models import find_model
from vision_zoo.serving.pictures import Source, find_pictures
from vision_zoo.serving.predict import Classified, classify, classify_each
from vision_zoo.serving.session import Session

Cli = Callable[..., Completed]

DIGIT = ROOT / "docs" / "images" / "digit.png"
MODEL = "simple_cnn-mnist"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of digits, with names that need care, and files that are none."""
    folder = tmp_path / "pictures"
    names = (
        "b.png",
        "a,b.png",
        'new\nline "quoted".png',
        "one\rtwo.png",
        "sub/c.png",
        "sub/deep/.hidden.png",
    )
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(DIGIT, folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def _read_from(path: Path) -> None:
    sys.stdin = path.open()


def _rows(done: Completed) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


def test_a_folder_is_its_images_in_the_order_of_their_names(cli: Cli, pictures: Path) -> None:
    found = ("a,b.png", "b.png", 'new\nline "quoted".png', "one\rtwo.png", "sub/c.png")
    names = [f"pictures/{name}" for name in found]
    done = cli("predict", MODEL, "pictures", "--format", "csv")
    assert done.code == 0, done.stderr
    # The standard output is read with every line break as \n.
    assert [row["image"] for row in _rows(done)] == [name.replace("\r", "\n") for name in names]
    assert {row["label"] for row in _rows(done)} == {"5"}
    assert list(_rows(done)[0]) == ["image", "label", "probability"]
    assert [entry["image"] for entry in cli("predict", MODEL, "pictures", "--json").json] == names
    text = cli("predict", MODEL, "pictures").stdout.splitlines()
    assert len(text) == 5
    assert text[2].startswith(r"""'pictures/new\nline "quoted".png': 5: """)


def test_patterns_lists_and_stdin_are_taken_as_well(cli: Cli, pictures: Path, tmp_path: Path) -> None:
    def images(*arguments: str, **options: object) -> list[str]:
        done = cli("predict", MODEL, *arguments, "--json", **options)
        assert done.code == 0, done.stderr
        return [entry["image"] for entry in done.json]

    assert images("pictures/**/?.png") == ["pictures/b.png", "pictures/sub/c.png"]
    assert images("pictures/s*", "pictures/b.png") == ["pictures/sub/c.png", "pictures/b.png"]
    (pictures / "[1].png").write_bytes(DIGIT.read_bytes())
    assert images("pictures/[1].png") == ["pictures/[1].png"]
    (tmp_path / "names").write_text("pictures/b.png\n\npictures/sub\n")
    assert images("--files-from", "names") == ["pictures/b.png", "pictures/sub/c.png"]
    (tmp_path / "zero").write_bytes(b'pictures/new\nline "quoted".png\0pictures/b.png\0')
    from_stdin = functools.partial(_read_from, tmp_path / "zero")
    assert images("--files-from", "-", prepare=from_stdin)[0] == 'pictures/new\nline "quoted".png'
    assert images("-", "pictures/b.png", prepare=functools.partial(_read_from, DIGIT))[0] == "-"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["empty"], "empty has no image files; expected .apng"),
        (["none/*.png"], "no file matches none/*.png"),
        ([""], "the name of an image is empty"),
        (["-", "--files-from", "-"], "not both"),
        (["--files-from", "missing"], "cannot read missing: No such file or directory; expected a text file"),
        (["--files-from", "blank"], "blank lists no image"),
        (["-"], "standard input is empty"),
        (["x.png", "--threshold", "nan"], "--threshold nan is out of range; expected 0 to 1"),
        (["x.png", "--threshold", "90"], "--threshold 90.0 is out of range"),
        (["x.png", "--format", "xml"], "not one of 'text', 'csv', 'json'"),
        ([], "needs an IMAGE, or --files-from FILE"),
    ],
    ids=str,
)
def test_what_names_no_image(cli: Cli, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank").write_text("\n")
    done = cli("predict", MODEL, *arguments, prepare=functools.partial(_read_from, Path(os.devnull)))
    assert says in done.error


def test_what_is_unknown_is_said_and_is_an_exit_code_of_its_own(cli: Cli, tmp_path: Path) -> None:
    ImageOps.mirror(Image.open(DIGIT)).save(tmp_path / "doubtful.png")
    (doubtful,) = cli("predict", MODEL, "doubtful.png", "--json").json
    likely = max(doubtful["probabilities"].values())
    above = "0.999"
    assert likely < 0.99
    unknown = cli("predict", MODEL, "doubtful.png", "--threshold", above, "--format", "csv")
    assert (unknown.code, _rows(unknown)[0]["label"]) == (3, "unknown")
    text = cli("predict", MODEL, "doubtful.png", "--threshold", above, "--top", "1")
    assert text.stdout == f"doubtful.png: unknown ({doubtful['label']}: {likely:.2%})\n"
    one_is_known = cli("predict", MODEL, "doubtful.png", DIGIT, "--threshold", above, "--json")
    assert one_is_known.code == 0
    assert [entry["label"] for entry in one_is_known.json] == ["unknown", "5"]
    assert one_is_known.json[0]["probabilities"] == pytest.approx(doubtful["probabilities"], abs=1e-6)
    assert cli("predict", MODEL, "doubtful.png", "missing.png", "--threshold", above).code == 1


def test_csv_has_columns_for_further_labels(cli: Cli) -> None:
    row, same = _rows(cli("predict", MODEL, DIGIT, DIGIT, "--format", "csv", "--top", "99"))
    assert len(row) == 1 + 2 * 10
    assert row == same
    assert row["label"] == "5"
    assert float(row["probability"]) >= float(row["probability_2"]) >= float(row["probability_10"])


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(find_model(MODEL), provider="cpu")


def test_many_images_are_answered_in_their_order_and_as_one_by_one(session: Session) -> None:
    several = [Source(str(DIGIT)), Source("missing.png"), Source("no content", ImageError("none"))] * 70
    answers = list(classify_each(session, several))
    assert [source for source, _ in answers] == several
    (expected,) = classify(session, [DIGIT])
    for source, answer in answers:
        if source.name != str(DIGIT):
            assert isinstance(answer, ImageError)
            assert (answer.__traceback__, answer.__cause__) == (
                None,
                None,
            )  # their frames would hold the image
            continue
        assert isinstance(answer, Classified)
        assert [label for label, _ in answer.ranked] == [label for label, _ in expected]
        assert answer.ranked[0][1] == pytest.approx(expected[0][1], abs=1e-5)


def test_no_more_images_are_read_than_are_asked_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_zoo.serving import predict

    decoded = []

    def count(image: Image.Image, target: InputFormat) -> NDArray[np.uint8]:
        decoded.append(image)
        return prepare(image, target)

    monkeypatch.setattr(predict, "prepare", count)
    monkeypatch.setattr(predict, "usable_cores", lambda: 2)
    answers = classify_each(session, [Source(str(DIGIT))] * 2000)
    next(answers)
    del answers
    assert len(decoded) <= 64 * 5


def test_a_folder_that_cannot_be_read_is_one_input_of_several(tmp_path: Path) -> None:
    """Neither the pictures beside it nor those of other inputs are lost, and links to nothing are named."""
    folder = tmp_path / "loop"
    folder.mkdir()
    (folder / "again").symlink_to(folder)
    (folder / "itself.png").symlink_to(folder / "itself.png")
    (folder / "lost.png").symlink_to(folder / "nowhere.png")
    shutil.copy(DIGIT, folder / "five.png")
    *found, loop, digit = find_pictures([str(folder), str(DIGIT)])
    assert found == [Source(str(folder / name)) for name in ("five.png", "itself.png", "lost.png")]
    assert "are the same folder, by a link" in str(loop.content)
    assert digit == Source(str(DIGIT))
    answers = [answer for _, answer in classify_each(Session(find_model(MODEL), provider="cpu"), found)]
    assert [isinstance(answer, ImageError) for answer in answers] == [False, True, True]


def test_heat_maps_lie_where_their_images_do(cli: Cli, pictures: Path, tmp_path: Path) -> None:
    (pictures / "b.jpg").write_bytes(DIGIT.read_bytes())
    done = cli("predict", MODEL, "pictures", "missing.png", "--explain", "maps", "--json")
    assert "1 of 7 images" in done.error
    maps = [entry["explanation"] for entry in done.json]
    assert maps[:3] == ["maps/pictures/a,b.png", "maps/pictures/b.png", "maps/pictures/b-2.png"]
    for path in maps:
        with Image.open(tmp_path / path) as shown:
            assert (shown.size, shown.mode) == ((336, 336), "RGB")
            assert len(shown.convert("HSV").getchannel("H").getcolors() or ()) > 1
    assert sum(path.is_file() for path in (tmp_path / "maps").rglob("*")) == len(maps) == 6
    (tmp_path / "file").touch()
    assert "cannot write file" in cli("predict", MODEL, DIGIT, "--explain", "file").error


def test_no_heat_map_lies_outside_the_folder(tmp_path: Path) -> None:
    names = ["../above.png", "beside.png", "-", "/elsewhere/x.png"]
    paths = heat_map_paths(tmp_path, names)
    assert list(paths) == names
    assert all(tmp_path in path.resolve().parents for path in paths.values())
    assert heat_map_paths(tmp_path, ["a/b/1.png", "a/b/2.png"]) == {
        "a/b/1.png": tmp_path / "1.png",
        "a/b/2.png": tmp_path / "2.png",
    }


def test_one_image_starts_no_thread_and_reads_no_dataset(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys\n"
        f"sys.argv = ['vision-zoo', 'predict', {MODEL!r}, {str(DIGIT)!r}, '--provider', 'cpu']\n"
        "from vision_zoo.cli import main\n"
        "try:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code\n"
        "late = {'concurrent.futures', 'vision_zoo.data', 'rich', 'torch', 'gradio'} & set(sys.modules)\n"
        "assert not late, late\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
