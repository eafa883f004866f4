"""Sets of labels and `unknown`: Python, the command line and the server say the same."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import vision_zoo as vz
from tests.conftest import Completed
from tests.serving.server.conftest import CLASSIFY, running
from vision_zoo.api import LabelSet
from vision_zoo.artifact.calibration import Calibration, label_set
from vision_zoo.core.errors import UsageError
from vision_zoo.data.dataset import Splits

Cli = Callable[..., Completed]


def test_a_set_is_never_empty() -> None:
    ranked = [("a", 0.6), ("b", 0.3), ("c", 0.1)]
    assert label_set(ranked, 0.25) == ("a", "b")
    assert label_set(ranked, 0.9) == ("a",)
    assert label_set(ranked, 0.0) == ("a", "b", "c")


def test_coverage_is_a_fraction_or_in_per_cent() -> None:
    calibration = Calibration(
        calibrated_on="x", images=100, temperature=1.0, set_thresholds={"90": 0.5, "99": 0.1}
    )
    assert calibration.threshold(0.9) == calibration.threshold(90) == 0.5
    with pytest.raises(UsageError, match=r"no prediction sets of coverage 95 %; expected one of 90 %, 99 %"):
        calibration.threshold(0.95)


@pytest.fixture(scope="module")
def pictures(mnist_5k: Splits, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Digits, and a striped square."""
    stripes = np.zeros((28, 28), dtype=np.uint8)
    stripes[4:24:2, 4:24] = 255
    folder = tmp_path_factory.mktemp("pictures")
    images = [*mnist_5k.test.images[3::130, ..., 0], stripes]
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_python_command_line_and_server_agree(
    calibrated_model: Path, exported_model: Path, pictures: list[Path], cli: Cli, tmp_path: Path
) -> None:
    classifier = vz.load(calibrated_model)
    sets = classifier.classify(list(map(str, pictures)), coverage=0.99)
    assert classifier.classify(pictures[0], coverage=99) == sets[0]
    assert {found.label for found in sets[:-1]} <= {*"0123456789", "unknown"}
    assert max(len(found.labels) for found in sets) > 1
    assert (sets[-1].label, sets[-1].familiar) == ("unknown", False)
    expected = [(found.label, [one.label for one in found.labels]) for found in sets]

    done = cli("predict", calibrated_model, *pictures, "--coverage", "99", "--json")
    assert done.code == 0, done.stderr
    assert [(entry["label"], entry["set"]) for entry in done.json] == expected
    last = cli("predict", calibrated_model, pictures[-1], "--coverage", "0.99")
    assert last.code == 3
    assert ": unknown (" in last.stdout
    assert f"; set: {', '.join(expected[-1][1])}\n" in last.stdout
    rows = cli(
        "predict", calibrated_model, *pictures, "--coverage", "99", "--format", "csv"
    ).stdout.splitlines()
    assert rows[0] == "image,label,probability,set"
    assert [row.rsplit(",", 1)[1] for row in rows[1:]] == [" | ".join(labels) for _, labels in expected]
    assert "not calibrated" in cli("predict", exported_model, pictures[0], "--coverage", "95").error

    with (
        running(calibrated_model.parent, tmp_path / "log") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        files = [("file", (path.name, path.read_bytes())) for path in pictures]
        results = client.post(f"{CLASSIFY}?coverage=0.99", files=files).json()["results"]
        assert [(result["label"], result["set"]) for result in results] == expected
        plain = client.post(CLASSIFY, content=pictures[-1].read_bytes()).json()
        assert "set" not in plain
        refused = client.post(f"{CLASSIFY}?coverage=0.5", content=pictures[0].read_bytes())
        assert (refused.status_code, "no prediction sets of coverage" in json.dumps(refused.json())) == (
            400,
            True,
        )


def test_coverage_and_top_are_not_given_together(calibrated_model: Path, digit_png: Path) -> None:
    classifier = vz.load(calibrated_model)
    with pytest.raises(UsageError, match="omit top"):
        classifier.classify(digit_png, top=1, coverage=0.9)  # type: ignore[call-overload]
    assert classifier.classify([], coverage=0.9) == []
    assert isinstance(classifier.classify(digit_png, coverage=0.9), LabelSet)
