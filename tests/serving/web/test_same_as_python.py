"""The page's inputs and answers are Python's. `soak/test_page_as_python.py` does the same with more of them."""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.conftest import ROOT
from tests.serving.web.cases import by_page, by_python, cases, classes_by_page
from tests.serving.web.conftest import SEVERAL, opened, shipped
from vision_zoo.artifact.familiarity import vectors_of
from vision_zoo.artifact.metadata import energy
from vision_zoo.data.dataset import Splits
from vision_zoo.serving.predict import label_sets
from vision_zoo.serving.session import Session
from vision_zoo.serving.web.page import write_page


def check_inputs(page: Page, count: int, session: Session) -> None:
    """The page's inputs of `count` pictures: within 1 level on 99 % of pixels, classes on 99.5 % of pictures."""
    chosen = list(cases(count))
    expected, found = [by_python(case) for case in chosen], by_page(page, chosen)
    pixels = close = classified = agreed = 0
    for case, own, its in zip(chosen, expected, found, strict=True):
        assert type(own) is type(its), (case.name, own, its)
        if isinstance(own, str) or isinstance(its, str):
            assert own == its, case.name
            continue
        pixels += own.size
        close += int((np.abs(own.astype(int) - its) <= 1).sum())
        if own.shape == session.metadata.input.shape:
            classified += 1
            one, other = session.predict(np.stack([own, its])).classes
            agreed += int(one == other)
    assert close >= 0.99 * pixels
    assert agreed >= 0.995 * classified


def check_answers(page: Page, images: np.ndarray, number: int, session: Session) -> None:
    """The page's classes of inputs are those of ONNX Runtime in Python, and so are its warnings."""
    prediction = session.predict_all(images)
    classes, familiar = classes_by_page(page, number, images)
    np.testing.assert_array_equal(classes, prediction.classes)
    threshold = session.metadata.ood_energy_threshold
    if session.gaussians is not None:
        scores = session.gaussians.scores(vectors_of(images, prediction.logits))
        distance = scores - session.gaussians.threshold
    elif threshold is None:
        assert set(familiar) == {None}
        return
    else:
        distance = energy(prediction.logits) - threshold
    sure = np.abs(distance) > 1e-3
    np.testing.assert_array_equal(np.array(familiar)[sure], distance[sure] >= 0)


def test_what_is_no_single_digit_is_worded_as_in_python() -> None:
    ours, its = (ROOT / "vision_zoo" / name for name in ("images/ink.py", "serving/web/ink.js"))
    worded = re.findall(r"""ImageError\(["`](.+?)["`]\)""", its.read_text(encoding="utf-8"))
    assert len(worded) == 2
    for message in worded:
        pattern = r"\{[^}]*\}".join(map(re.escape, re.split(r"\$\{[^}]*\}", message)))
        assert re.search(pattern, ours.read_text(encoding="utf-8")), message


def test_pictures_become_the_same_inputs(several: Page) -> None:
    check_inputs(several, 30, Session(*shipped("simple_cnn-mnist"), provider="cpu"))


def test_inputs_get_the_same_answers(several: Page, mnist_5k: Splits) -> None:
    for number, name in enumerate(SEVERAL[:2]):
        session = Session(*shipped(name), provider="cpu")
        check_answers(several, np.asarray(mnist_5k.test.images[::20]), number, session)


def test_a_calibrated_file_says_the_same(
    browser: Browser, calibrated_model: Path, web_runtime: Path, mnist_5k: Splits, tmp_path: Path
) -> None:
    session = Session(calibrated_model, provider="cpu")
    write_page(tmp_path / "page.html", [calibrated_model], runtime_folder=web_runtime)
    images = np.array(mnist_5k.test.images[::40])
    images[::2] = 255 - images[::2]
    Image.fromarray(images[0, ..., 0]).save(tmp_path / "inverted.png")
    for page in opened(browser, tmp_path / "page.html", viewport={"width": 1280, "height": 800}):
        check_answers(page, images, 0, session)
        page.locator("#coverage").select_option("90")
        page.locator("#file").set_input_files(tmp_path / "inverted.png")
        ((found, _),) = label_sets(session, [tmp_path / "inverted.png"], 90)
        expect(page.locator(".set")).to_have_text(f"90 % set: {', '.join(found.labels)}")
        expect(page.locator(".label")).to_have_text(found.label)
        page.locator("#coverage").select_option("")
        expect(page.locator(".set")).to_have_count(0)
