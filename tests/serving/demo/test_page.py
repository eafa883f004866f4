"""The page's parts, and the page asked through its own API."""

import base64
import io
import itertools
import re
import urllib.request
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, run_command
from vision_zoo.core.errors import ImageError
from vision_zoo.data.dataset import Splits
from vision_zoo.images.preprocess import open_image, prepare
from vision_zoo.serving.demo import compare
from vision_zoo.serving.demo.answers import Answer, Inputs, answers
from vision_zoo.serving.demo.cards import cards
from vision_zoo.serving.demo.compare import scatter
from vision_zoo.serving.demo.examples import EXAMPLES
from vision_zoo.serving.demo.inputs import drawn_file
from vision_zoo.serving.explain import heat_map, occlusion
from vision_zoo.serving.models import list_models
from vision_zoo.serving.session import Session


@pytest.fixture(scope="module")
def session(exported_model: Path) -> Session:
    return Session(exported_model, provider="cpu")


@pytest.fixture(scope="module")
def three(mnist_5k: Splits) -> Image.Image:
    index = int(np.flatnonzero(np.asarray(mnist_5k.test.labels) == 3)[0])
    return Image.fromarray(mnist_5k.test.images[index].squeeze())


def _inputs(session: Session, image: Image.Image) -> Inputs:
    return {session.metadata.input: prepare(image, session.metadata.input)}


@pytest.fixture(scope="module")
def answer(session: Session, three: Image.Image) -> Answer:
    (found,) = answers([session], _inputs(session, three))
    return found


def test_an_uploaded_picture_is_answered_over_the_pages_api(served: str, digit_png: Path) -> None:
    from gradio_client import Client, handle_file

    shown, _ = Client(f"{served}/demo", verbose=False).predict(
        handle_file(digit_png), "mnist", api_name="/classify"
    )
    assert "models say <strong>7</strong>" in shown


def test_the_page_asks_no_other_machine_for_anything(served: str) -> None:
    page = urllib.request.urlopen(f"{served}/demo", timeout=60).read().decode()
    assert "fonts.googleapis" not in page
    assert not re.findall(r"""(?:src|href)=["']https?://(?!127\.0\.0\.1)[^"']+\.(?:js|css|woff2?)""", page)


def test_the_server_is_there_beside_the_page(served: str) -> None:
    assert urllib.request.urlopen(f"{served}/v2/health/ready", timeout=60).status == 200
    assert urllib.request.urlopen(served, timeout=60).url.startswith(f"{served}/demo")


def test_a_port_in_use_is_one_clear_line(served: str, tmp_path: Path) -> None:
    port = served.rpartition(":")[2]
    done = run_command("demo", "--port", port, "--models-dir", ROOT / "exported", cwd=tmp_path)
    assert f"cannot listen on 127.0.0.1:{port}" in done.error


def test_a_folder_without_models_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    arguments, traced = ("demo", "--port", "0", "--models-dir", "models"), {"PYTHONPROFILEIMPORTTIME": "1"}
    done = run_command(*arguments, cwd=tmp_path, env=traced)
    assert "no models found" in done.error
    assert "fastapi" in done.stderr
    assert "gradio" not in done.stderr  # which takes seconds to import


def _drawing(strokes: Image.Image) -> str:
    """A pad's value: black where `strokes` is light, on nothing."""
    pixels = Image.new("RGBA", strokes.size)
    pixels.putalpha(strokes)
    content = io.BytesIO()
    pixels.save(content, "PNG")
    return f"data:image/png;revision=1;base64,{base64.b64encode(content.getvalue()).decode()}"


@pytest.mark.parametrize("drawing", [None, "", {}, 3, "blank;revision=4", "data:text/html,x"])
def test_an_untouched_pad_is_no_drawing(drawing: object) -> None:
    assert drawn_file(drawing) is None


@pytest.mark.parametrize("text", ["A", "", "é", "QUJD\n", "=QUJ"])
def test_a_damaged_drawing_is_refused_when_it_is_read(text: str) -> None:
    drawing = drawn_file(f"data:image/png;revision=1;base64,{text}")
    assert drawing is not None
    with pytest.raises(ImageError, match=r"not an image|damaged"):
        open_image(drawing())


def test_a_drawing_is_answered_with_what_the_model_sees(session: Session, three: Image.Image) -> None:
    canvas = Image.new("L", (280, 280))
    canvas.paste(three.resize((140, 140)), (100, 40))
    drawing = drawn_file(_drawing(canvas))
    assert drawing is not None
    (found,) = answers([session], _inputs(session, open_image(drawing())))
    assert found.label == "3"
    assert found.pixels.shape == (28, 28, 1)
    assert found.milliseconds > 0


def test_models_that_can_use_a_picture_answer_without_the_others(session: Session, answer: Answer) -> None:
    target = replace(session.metadata.input, resample="lanczos")
    other = copy(session)
    other.metadata = replace(session.metadata, input=target, test_accuracy=1.0)
    refused = ImageError("there is no digit")
    (found,) = answers([session, other], {session.metadata.input: answer.pixels, target: refused})
    assert found.session is session
    with pytest.raises(ImageError, match="there is no digit"):
        answers([session, other], {session.metadata.input: ImageError("another reason"), target: refused})


def test_nothing_is_answered_with_nothing() -> None:
    assert "Draw something" in cards([], nothing="Draw something")


def test_cards_say_what_screen_readers_need_and_escape_labels(answer: Answer) -> None:
    shown = cards([answer], nothing="")
    assert f'aria-label="{answer.session.name}: 3, ' in shown
    assert 'role="status"' in shown
    hostile = Answer(answer.session, answer.pixels, (("<script>", 1.0),), 1.0, familiar=False)
    assert "<script>" not in cards([hostile], nothing="")
    assert "Unlike the training data" in cards([hostile], nothing="")
    assert "2 models say" in cards([answer, answer], nothing="")


def test_noise_is_unlike_the_test_images_and_a_digit_is_like_them(session: Session, answer: Answer) -> None:
    assert session.metadata.ood_energy_threshold is not None
    assert answer.familiar is True
    assert session.metadata.is_familiar(np.zeros(10, dtype=np.float32)) is False


def test_covering_the_stroke_matters_and_covering_the_border_does_not(answer: Answer) -> None:
    importance = occlusion(answer.session, answer.pixels)
    assert importance.shape == (28, 28)
    inside = importance[8:20, 8:20]
    assert np.abs(inside).max() > 5 * np.abs(importance[:2]).max()
    assert heat_map(answer.pixels, importance).size == (336, 336)


def test_models_are_compared_with_shipped_figures_and_measured() -> None:
    sessions = [Session(path, provider="cpu") for path in list_models(ROOT / "exported").values()]
    rows, how = compare.shipped(sessions)
    assert len(rows) == len(sessions)
    assert all(row["p50 ms"] > 0 for row in rows)
    assert "Measured on" in how
    measured = compare.measure(sessions[0])
    assert measured is not None
    assert measured["p50 ms"] > 0
    assert measured.keys() == rows[0].keys()


def test_the_picture_of_the_comparison_names_every_model() -> None:
    rows = [
        {"model": "a-mnist", "dataset": "mnist", "accuracy %": 98.0, "p50 ms": 0.1},
        {"model": "b<-mnist", "dataset": "mnist", "accuracy %": 99.0, "p50 ms": 0.4},
        {"model": "c-mnist", "dataset": "mnist", "accuracy %": 97.0, "p50 ms": 0.2},
    ]
    drawn = scatter(rows)
    assert drawn.count("<circle") == 3
    assert drawn.count('r="5.5" fill="none"') == 1  # c is beaten
    assert "b&lt;" in drawn
    assert "Nothing has been measured" in scatter([])


def test_names_in_the_picture_of_the_comparison_do_not_cover_each_other() -> None:
    points = [(0.06, 99.04), (0.12, 99.09), (0.17, 98.64), (0.24, 98.29), (1.86, 98.41), (0.25, 98.3)]
    rows = [
        {"model": f"a_long_name_{number}-mnist", "accuracy %": accuracy, "p50 ms": latency}
        for number, (latency, accuracy) in enumerate(points)
    ]
    pattern = r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(start|end)">a_long'
    found = re.findall(pattern, scatter(rows))
    assert len(found) == len(rows)
    width = 7 * len("a_long_name_0-mnist")
    boxes = [(float(x) - width * (anchor == "end"), float(y)) for x, y, anchor in found]
    for (x, y), (other_x, other_y) in itertools.combinations(boxes, 2):
        assert abs(x - other_x) >= width - 1 or abs(y - other_y) >= 12


def test_examples_are_what_the_best_models_of_their_dataset_take_them_for() -> None:
    for example in EXAMPLES:
        if example.name in ("trousers", "ship"):
            file = {"fashion-mnist": "simple_cnn-fashion_mnist", "cifar10": "airbench_large-cifar10-int8"}
            best = Session(ROOT / "exported" / f"{file[example.dataset]}.onnx", provider="cpu")
            (found,) = answers([best], _inputs(best, example.picture()))
            assert found.label.lower() in example.name
