"""Pictures that are saved with a label: once, under safe names, within limits, and as training reads them."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from vision_zoo.core.errors import ImageError, StorageError, UsageError
from vision_zoo.data import find_dataset
from vision_zoo.images.decode import open_image
from vision_zoo.serving.demo import collection
from vision_zoo.serving.demo.collection import Collection, class_folder

LABELS = ("cat", "dog", "T-shirt/top")
PIXELS = 1_000_000


def _file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _noise(seed: int, *shape: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def test_a_picture_is_saved_once_as_it_is_and_without_metadata(tmp_path: Path) -> None:
    kept, picture = Collection(tmp_path / "kept"), _noise(0, 20, 30, 3)
    about = PngImagePlugin.PngInfo()
    about.add_text("Author", "somebody")
    exif = Image.Exif()
    exif[0x0112] = 6
    for content in (_file(picture, pnginfo=about), _file(picture), _file(picture, "BMP")):
        saved = kept.save(content, "cat", LABELS, max_pixels=PIXELS)
        assert saved.path.parent == tmp_path / "kept" / "cat"
    assert not saved.new
    assert _files(tmp_path / "kept") == [f"cat/{saved.path.name}"]
    with Image.open(saved.path) as opened:
        assert (np.asarray(opened) == np.asarray(picture)).all()
        assert opened.info == {}
    turned = kept.save(_file(picture, "JPEG", exif=exif), "cat", LABELS, max_pixels=PIXELS).path
    with Image.open(turned) as opened:
        assert opened.size == (20, 30)
        assert not opened.getexif()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_pictures_keep_their_pixels_in_the_fewest_channels(tmp_path: Path, mode: str) -> None:
    gray = _noise(1, 9, 7)
    given = gray.convert(mode) if mode != "CMYK" else gray.convert("RGB").convert(mode)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    content = _file(given, kind)
    path = Collection(tmp_path).save(content, "dog", LABELS, max_pixels=PIXELS).path
    with Image.open(path) as opened:
        assert opened.mode == "L" or mode in ("CMYK", "P")
        assert (np.asarray(opened.convert("RGBA")) == np.asarray(open_image(content).convert("RGBA"))).all()
    drawing = Image.new("RGBA", (9, 9))
    drawing.putpixel((4, 4), (0, 0, 0, 255))
    with Image.open(
        Collection(tmp_path).save(_file(drawing), "dog", LABELS, max_pixels=PIXELS).path
    ) as opened:
        assert opened.mode == "LA"


def test_labels_are_those_of_the_models_and_their_folders_have_safe_names(tmp_path: Path) -> None:
    kept, content = Collection(tmp_path), _file(_noise(2, 8, 8))
    assert kept.save(content, "T-shirt/top", LABELS, max_pixels=PIXELS).path.parent.name == "T-shirt_top"
    for label in ("mouse", "../cat", "/etc", "", "CAT"):
        with pytest.raises(UsageError, match="is not a label of these models"):
            kept.save(content, label, LABELS, max_pixels=PIXELS)
    odd = (
        "..",
        ".",
        "...",
        "@x",
        "test",
        "Train",
        "nul",
        "COM1.x",
        "x" * 201,
        "ü" * 101,
        " ",
        "a/b",
        "A:b",
    )
    for label in odd:
        with pytest.raises(UsageError, match="cannot be the name of a folder"):
            class_folder(label, odd)
    assert class_folder(".hidden", (".hidden",)) == "hidden"
    assert class_folder("../../etc", ("../../etc",)) == "_.._etc"
    assert class_folder("a\u202eb\0", ("a\u202eb\0",)) == "a_b_"
    assert _files(tmp_path) == [f"T-shirt_top/{next((tmp_path / 'T-shirt_top').iterdir()).name}"]


def test_the_same_picture_is_not_saved_with_two_labels(tmp_path: Path) -> None:
    kept, content = Collection(tmp_path), _file(_noise(3, 8, 8))
    kept.save(content, "cat", LABELS, max_pixels=PIXELS)
    with pytest.raises(UsageError, match="this picture was saved as cat before; move cat/"):
        kept.save(content, "dog", LABELS, max_pixels=PIXELS)
    assert len(_files(tmp_path)) == 1


def test_the_folder_is_limited_in_pictures_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [_file(_noise(seed, 16, 16)) for seed in range(20)]
    few = Collection(tmp_path / "few", max_pictures=3)

    def attempt(content: bytes) -> bool:
        try:
            return few.save(content, "cat", LABELS, max_pixels=PIXELS).new
        except StorageError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, contents)) == 3
    assert len(_files(tmp_path / "few")) == 3
    with pytest.raises(StorageError, match=r"is full \(3 files, 0 MiB\); nothing was saved"):
        few.save(_file(_noise(99, 4, 4)), "cat", LABELS, max_pixels=PIXELS)
    (tmp_path / "small" / "cat").mkdir(parents=True)
    (tmp_path / "small" / "cat" / "own.jpg").write_bytes(bytes(1000))
    with pytest.raises(StorageError, match="is full"):
        Collection(tmp_path / "small", max_bytes=1100).save(contents[0], "cat", LABELS, max_pixels=PIXELS)
    with pytest.raises(ImageError, match="has more than 100 pixels"):
        few.save(contents[0], "cat", LABELS, max_pixels=100)
    monkeypatch.setattr(collection, "MAX_PICTURE_BYTES", 200)
    with pytest.raises(ImageError, match="MiB as PNG; make it smaller"):
        Collection(tmp_path / "bytes").save(contents[0], "cat", LABELS, max_pixels=PIXELS)
    assert _files(tmp_path / "bytes") == []


def test_links_are_neither_followed_nor_replaced(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "kept", tmp_path / "elsewhere"
    elsewhere.mkdir()
    kept, content = Collection(folder), _file(_noise(4, 8, 8))
    (folder / "cat").symlink_to(elsewhere)
    with pytest.raises(StorageError, match="is no plain folder of pictures"):
        kept.save(content, "cat", LABELS, max_pixels=PIXELS)
    path = kept.save(content, "dog", LABELS, max_pixels=PIXELS).path
    other = tmp_path / "precious"
    other.write_text("precious")
    path.unlink()
    path.symlink_to(other)
    with pytest.raises(StorageError, match="has a link to one"):
        kept.save(content, "dog", LABELS, max_pixels=PIXELS)
    assert (path.is_symlink(), other.read_text(), list(elsewhere.iterdir())) == (True, "precious", [])
    (folder / "T-shirt_top").write_text("a file")
    with pytest.raises(StorageError, match="is no plain folder of pictures"):
        kept.save(_file(_noise(5, 8, 8)), "T-shirt/top", LABELS, max_pixels=PIXELS)
    with pytest.raises(StorageError, match="cannot write"):
        Collection(folder / "T-shirt_top")


def test_what_is_no_picture_is_not_saved(tmp_path: Path) -> None:
    kept = Collection(tmp_path)
    with pytest.raises(ImageError):
        kept.save(b"no picture", "cat", LABELS, max_pixels=PIXELS)
    with pytest.raises(ImageError, match="this kind of picture cannot be saved; expected PNG"):
        kept.save(_file(_noise(6, 8, 8), "TIFF"), "cat", LABELS, max_pixels=PIXELS)
    assert _files(tmp_path) == []


def test_what_is_saved_is_a_dataset(tmp_path: Path) -> None:
    kept = Collection(tmp_path)
    for seed in range(20):
        kept.save(_file(_noise(seed, 12, 10)), LABELS[seed % 2], LABELS, max_pixels=PIXELS)
    splits = find_dataset(f"folder:{tmp_path}").load()
    assert len(splits.train) + len(splits.test) == 20
    assert not splits.skipped
