"""Every option that is a number has bounds, found by looking at the commands themselves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.exceptions import TyperException

from vision_zoo.cli import COMMANDS, app
from vision_zoo.core.errors import VisionZooError

_GROUP: Any = typer.main.get_command(app)

_HARMLESS = {
    "bench": ["--models-dir", "no-models"],
    "compare": ["--dataset", "mnist", "--data-dir", "no-data"],
    "demo": ["--models-dir", "nowhere"],
    "optimize": ["no-model"],
    "predict": ["no-model", "no-image.png"],
    "reproduce": ["simple_cnn-mnist", "--data-dir", "no-data"],
    "serve": ["--models-dir", "nowhere"],
    "train": ["simple_cnn-mnist", "--data-dir", "no-data"],
    "tune": ["small_cnn-mnist", "--data-dir", "no-data"],
}
"""Arguments with which a command fails after its numbers are checked and before anything is done."""

_ELSEWHERE = {
    ("train", "--image-size"),
    ("compare", "--image-size"),
    ("serve", "--max-body-mb"),
    ("serve", "--reload"),
}
"""Options that have tests of their own."""

_TEXTS = {
    ("bench", "--batch-sizes"): "{},8",
    ("optimize", "--batch-sizes"): "{},8",
    ("train", "--crop-scale"): "{},1",
    ("compare", "--crop-scale"): "{},1",
    ("compare", "--budget"): "{}",
    ("tune", "--grid"): "lr=0.1,{}",
    ("tune", "--range"): "lr=0.001:{}",
}
"""Options that hold numbers in a text."""


def _numbers() -> Iterator[tuple[str, str, str]]:
    for command in COMMANDS:
        for parameter in _GROUP.get_command(None, command).params:
            option = parameter.opts[-1]
            if parameter.type.name.split()[0] in ("int", "float") and (command, option) not in _ELSEWHERE:
                yield command, option, "{}"
    for (command, option), form in _TEXTS.items():
        yield command, option, form


def _outcome(command: str, *options: str) -> tuple[int, str]:
    """Exit code and message. Any other exception, which would be printed as unexpected, fails the test."""
    try:
        app([command, *_HARMLESS[command], *options], standalone_mode=False)
    except VisionZooError as error:
        return error.exit_code, str(error)
    except TyperException as error:
        return 2, error.format_message()
    raise AssertionError("the command was to fail")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no-models").mkdir()
    (tmp_path / "no-data").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("command", "option", "form"), list(_numbers()))
def test_numbers_have_bounds(command: str, option: str, form: str) -> None:
    more = ["--sampler", "tpe", "--trials", "2"] if option == "--range" else []
    for number in ("-5", "nan", "inf", "-inf", "1e400", "1e999", "x", ""):
        code, message = _outcome(command, f"{option}={form.format(number)}", *more)
        assert code == 2, (number, message)
        assert "\n" not in message
    for number in (
        "0",
        "1",
        "-0",
        str(10**12),
        str(10**30),
        "9" * 5000,
        "0.5",
        "1e-400",
        "٣",
        "²",
        "1_0",
        "0x1",
        " 1",
    ):
        code, message = _outcome(command, f"{option}={form.format(number)}", *more)
        assert code in (1, 2), (number, message)


def test_the_options_were_found() -> None:
    found = {(command, option) for command, option, _ in _numbers()}
    assert {("train", "--epochs"), ("train", "--lr"), ("compare", "--seeds"), ("predict", "--top")} <= found
    assert len(found) > 25


@pytest.mark.parametrize(
    ("command", "option", "too_large"),
    [
        ("train", "--epochs", "1000000000000"),
        ("train", "--lr", "1e300"),
        ("train", "--max-minutes", "1e300"),
        ("tune", "--jobs", "1000000000000"),
        ("tune", "--trials", "1000000000000"),
        ("reproduce", "--seeds", "1000000000000"),
        ("compare", "--seeds", "1000000000000"),
        ("compare", "--budget", "1000000000000"),
        ("bench", "--threads", "1000000000000"),
    ],
)
def test_what_would_never_end_is_refused(command: str, option: str, too_large: str) -> None:
    code, message = _outcome(command, option, too_large)
    assert code == 2
    assert "expected" in message
