"""A page whose server collects pictures: what visitors save, and what they cannot."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.serving.demo.conftest import running
from tests.serving.demo.events import call, reference, upload
from vision_zoo.images.decode import open_image

_SHIP = ROOT / "vision_zoo" / "serving" / "demo" / "pictures" / "ship.png"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("collected") / "pictures"


@pytest.fixture(scope="module")
def client(kept: Path, few_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A visitor of the page that collects into `kept`."""
    folder = tmp_path_factory.mktemp("collecting")
    with (
        running(folder, "demo", "--models-dir", few_models, "--collect", kept) as started,
        httpx.Client(base_url=started.url) as visitor,
    ):
        yield visitor


def _pictures(folder: Path) -> list[str]:
    return sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("*.png"))


def _drawing() -> str:
    image = Image.new("RGBA", (280, 280))
    image.paste((0, 0, 0, 255), (120, 40, 150, 240))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;revision=1;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_drawings_and_pictures_are_saved_with_a_label_of_the_models(client: httpx.Client, kept: Path) -> None:
    drawing = _drawing()
    assert "Saved" not in call(client, "draw", [drawing])[1][0]
    assert _pictures(kept) == []
    for label, said in ((None, "Choose the right label first."), ("10", "not a label of these models")):
        assert said in call(client, "save_drawing", [drawing, label])[1][0]
    assert "There is no picture to save." in call(client, "save_drawing", ["blank;revision=2", "1"])[1][0]
    assert _pictures(kept) == []
    assert "Saved as 1." in call(client, "save_drawing", [drawing, "1"])[1][0]
    assert "It was saved as 1 before." in call(client, "save_drawing", [drawing, "1"])[1][0]
    assert "this picture was saved as 1 before" in call(client, "save_drawing", [drawing, "7"])[1][0].lower()
    for dataset, label, said in (
        ("fashion-mnist", "T-shirt/top", "Saved as T-shirt/top."),
        ("mnist", "Bag", "not a label of these models"),
    ):
        picture = reference(upload(client, _SHIP.read_bytes()))
        assert said in call(client, "save_picture", [picture, dataset, label])[1][0]
    assert _pictures(kept) == ["1", "T-shirt_top"]
    (path,) = (kept / "T-shirt_top").iterdir()
    assert (np.asarray(open_image(path).convert("RGB")) == np.asarray(open_image(_SHIP).convert("RGB"))).all()


def test_a_file_that_the_visitor_did_not_upload_is_not_saved(client: httpx.Client, kept: Path) -> None:
    before = _pictures(kept)
    for path in (_SHIP, Path("/etc/hostname"), *kept.rglob("*.png")):
        data = [reference(path), "fashion-mnist", "Bag"]
        assert client.post("/demo/gradio_api/call/save_picture", json={"data": data}).status_code == 403
    assert _pictures(kept) == before
