"""The page's parts, and the page asked through its own API."""

import base64
import io
import itertools
import re
import urllib.request
from copy import copy
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, run_command
from vision_zoo.artifact.calibration import Calibration
from vision_zoo.core.errors import ImageError, SeveralFiguresError
from vision_zoo.data.dataset import Splits
from vision_zoo.images.preprocess import open_image, prepare
from vision_zoo.serving.demo import compare
from vision_zoo.serving.demo.answers import Answer, Inputs, answers
from vision_zoo.serving.demo.compare import compared
from vision_zoo.serving.demo.coverage import coverage_choice
from vision_zoo.serving.demo.inputs import EXAMPLES, drawn_file
from vision_zoo.serving.demo.verdict import message, verdict
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

    shown = Client(f"{served}/demo", verbose=False).predict(
        handle_file(digit_png), "mnist", api_name="/classify"
    )
    assert "models says <strong>7</strong>" in shown


def test_the_page_asks_no_other_machine_for_anything(served: str) -> None:
    page = urllib.request.urlopen(f"{served}/demo", timeout=60).read().decode()
    assert "fonts.googleapis" not in page
    assert not re.findall(r"""(?:src|href)=["']https?://(?!127\.0\.0\.1)[^"']+\.(?:js|css|woff2?)""", page)


def test_the_server_is_there_beside_the_page(served: str) -> None:
    assert urllib.request.urlopen(f"{served}/v2/health/ready", timeout=60).status == 200
    assert urllib.request.urlopen(served, timeout=60).url.startswith(f"{served}/demo")


def test_a_page_saves_nothing_unless_it_is_told_to(served: str) -> None:
    for event in ("save_drawing", "save_picture"):
        asked = httpx.post(f"{served}/demo/gradio_api/call/{event}", json={"data": []})
        assert (asked.status_code, asked.json()["error"]) == (404, "the page has no such event")


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
    with pytest.raises(ImageError, match=r"not a readable image|damaged"):
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
    with pytest.raises(SeveralFiguresError):
        answers([session], {session.metadata.input: SeveralFiguresError("two digits")})


def _saying(answer: Answer, label: str, share: float = 0.9, *, familiar: bool | None = True) -> Answer:
    """`answer`, but of another label."""
    return replace(answer, ranked=((label, share), ("0", 1 - share)), familiar=familiar)


def test_the_verdict_says_what_screen_readers_need_and_escapes_text(answer: Answer) -> None:
    shown = verdict([answer], key="")
    assert f'aria-label="{answer.session.name}: 3, ' in shown
    assert 'role="status">The model says <strong>3</strong>' in shown
    assert f'alt="What {answer.session.name} sees: 28 × 28 pixels"' in shown
    assert shown.count('role="listitem"') == 10
    assert "<table" not in shown
    hostile = _saying(answer, "<script>", familiar=False)
    assert "<script>" not in verdict([hostile, hostile], key="<script>") + message("<script>", key="<script>")


def test_the_most_accurate_model_is_the_headline_and_the_others_a_table(answer: Answer) -> None:
    shown = verdict([_saying(answer, "3"), _saying(answer, "4"), _saying(answer, "4", 0.75)], key="")
    assert "The most accurate of 3 models says <strong>3</strong>, 90.0\xa0%." in shown
    assert "0 of 2 others agree" in shown
    assert shown.count('<td class="other">4</td>') == 2
    assert "75.0\xa0%" in shown
    assert "1 of 1 others agree" in verdict([answer, answer], key="")


@pytest.mark.parametrize(
    ("familiar", "share", "why"),
    [
        ([False, True, True], 0.9, "the image is unlike the training data"),
        ([True, False, False], 0.9, "2 of 3 models find the image unlike their training data"),
        ([True, True, True], 0.4, "no label is more likely than not"),
    ],
)
def test_what_the_models_themselves_warn_of_is_no_answer(
    answer: Answer, familiar: list[bool], share: float, why: str
) -> None:
    shown = verdict([_saying(answer, "3", share, familiar=known) for known in familiar], key="")
    assert f"Unsure: {why}; the most accurate of 3 models guesses <strong>3</strong>" in shown
    assert ">Unsure</p>" in shown
    assert ("unreliable" in shown) is (False in familiar)
    unknown = [_saying(answer, "3", familiar=None), _saying(answer, "3", familiar=False)]
    assert "Unsure" not in verdict(unknown, key="")


def test_a_chosen_coverage_has_its_own_parts(answer: Answer) -> None:
    known = copy(answer.session)
    calibration = Calibration(
        calibrated_on="x", images=100, temperature=1.0, set_thresholds={"90": 0.2, "99": 0.0}
    )
    known.metadata = replace(known.metadata, calibration=calibration)
    sure = replace(answer, session=known, ranked=(("3", 0.7), ("<5>", 0.2), ("8", 0.06), ("9", 0.04)))
    strange = replace(sure, familiar=False)
    shown = verdict([sure, sure, strange, answer], key="")
    parts = re.findall(r'data-coverage="(\d*)"( hidden)?>([^<]*)</span>', shown)
    assert {hidden for rate, hidden, _ in parts if rate} == {" hidden"}
    assert {hidden for rate, hidden, _ in parts if not rate} == {""}
    assert [text for rate, _, text in parts if rate == "99"] == [
        "3",
        "99 % set: 3, &lt;5&gt;, 8, 9",
        "99 % set",
        "3, &lt;5&gt;, 8 and 1 more",
        "unknown ⚠",
        "no set",
    ]
    first = re.findall(r'data-coverage="90" hidden>([^<]*)</span>', verdict([strange], key=""))
    assert first == ["unknown", "90 % set: 3, &lt;5&gt;"]
    assert "data-coverage" not in verdict([answer], key="")
    assert coverage_choice([answer.session]) == ""
    assert re.findall('value="(.*?)"', coverage_choice([answer.session, known])) == ["", "90", "99"]


def test_noise_is_unlike_the_test_images_and_a_digit_is_like_them(session: Session, answer: Answer) -> None:
    assert session.metadata.ood_energy_threshold is not None
    assert answer.familiar is True
    black = np.zeros((1, 28, 28, 1), dtype=np.uint8)
    familiar = session.are_familiar(black, np.zeros((1, 10), dtype=np.float32))
    assert familiar is not None
    assert not familiar[0]


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


_ROW = {"dataset": "mnist", "accuracy %": 98.0, "p50 ms": 0.1, "p99 ms": None, "MiB": 0.5, "parameters": 1234}


def test_the_models_of_one_dataset_are_compared() -> None:
    rows = [
        {**_ROW, "model": "a-mnist"},
        {**_ROW, "model": "b<-mnist", "accuracy %": 99.0, "p50 ms": 0.4},
        {**_ROW, "model": "c-mnist", "accuracy %": 97.0, "p50 ms": 0.2},
        {**_ROW, "model": "d-mnist", "accuracy %": 96.0, "p50 ms": None},
        {**_ROW, "model": "another", "dataset": "cifar10"},
    ]
    shown = compared(rows, "mnist")
    assert shown.count("<circle") == 3
    assert shown.count('r="5.5" fill="none"') == 1  # c is beaten
    assert "another" not in shown
    names = re.findall(r'<th scope="row"><b>(\d)</b>(.*?)</th>', shown)
    assert names == [("1", "b&lt;-mnist"), ("2", "a-mnist"), ("3", "c-mnist"), ("4", "d-mnist")]
    assert "<td>1,234</td>" in shown


def test_models_of_ones_own_are_not_measured_yet(session: Session) -> None:
    shipped = next(path for path in list_models(ROOT / "exported").values())
    other = copy(session)
    other.path = shipped  # another file of the name of one that was measured
    rows, how = compare.shipped([session, other])
    assert how == "Not measured yet: press the button."
    shown = compared(rows, session.metadata.dataset)
    assert "svg" not in shown
    assert shown.count("<tr>") == 3


def test_numbers_in_the_plot_do_not_cover_each_other() -> None:
    points = [(0.06, 99.04), (0.12, 99.09), (0.17, 98.64), (0.24, 98.29), (1.86, 98.41), (0.25, 98.3)]
    rows = [
        {**_ROW, "model": str(number), "accuracy %": accuracy, "p50 ms": latency}
        for number, (latency, accuracy) in enumerate(points)
    ]
    plot = compared(rows, "mnist")
    circles = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', plot)]
    texts = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="middle">[1-6]</text>', plot)
    numbers = [(float(x), float(y) - 4.5) for x, y in texts[-len(rows) :]]
    assert len(numbers) == len(circles) == len(rows)
    for (x, y), (other_x, other_y) in itertools.combinations([*numbers, *circles], 2):
        assert abs(x - other_x) >= 7 or abs(y - other_y) >= 10 or {(x, y), (other_x, other_y)} <= {*circles}


def test_examples_are_what_the_best_models_of_their_dataset_take_them_for() -> None:
    for example in EXAMPLES:
        if example.name in ("trousers", "ship"):
            file = {
                "fashion-mnist": "simple_cnn-fashion_mnist",
                "cifar10": "efficientnet_lite0_fine_tuned-cifar10-int8",
            }
            best = Session(ROOT / "exported" / f"{file[example.dataset]}.onnx", provider="cpu")
            (found,) = answers([best], _inputs(best, example.picture()))
            assert found.label.lower() in example.name
