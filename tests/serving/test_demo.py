"""The page, served for real and asked through its own API."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import run_command
from vision_zoo.serving.demo import NOTHING, answer, drawn_image
from vision_zoo.serving.session import Session
from vision_zoo.training.datasets.dataset import Splits


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(exported_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `vision-zoo demo`."""
    url = f"http://127.0.0.1:{(port := _free_port())}"
    command = [
        sys.executable,
        "-m",
        "vision_zoo",
        "demo",
        "--port",
        str(port),
        "--models-dir",
        str(exported_model.parent),
    ]
    process = subprocess.Popen(
        command,
        cwd=tmp_path_factory.mktemp("demo"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ.copy(),
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(url, timeout=5)
                break
            except OSError:
                assert process.poll() is None, process.stdout.read() if process.stdout else ""
                assert time.monotonic() < deadline
                time.sleep(0.2)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_a_dropped_image_is_classified(served: str, digit_png: Path) -> None:
    from gradio_client import Client, handle_file

    label, _, line = Client(served, verbose=False).predict(
        handle_file(digit_png), "simple_cnn-mnist_5k", api_name="/classify"
    )
    assert label["label"] == "7"
    assert "CPUExecutionProvider" in line


def test_the_page_asks_no_other_machine_for_anything(served: str) -> None:
    page = urllib.request.urlopen(served, timeout=10).read().decode()
    assert "fonts.googleapis" not in page
    assert not re.findall(r"""(?:src|href)=["']https?://(?!127\.0\.0\.1)[^"']+\.(?:js|css|woff2?)""", page)


def test_a_port_in_use_is_one_clear_line(served: str, exported_model: Path, tmp_path: Path) -> None:
    port = served.rpartition(":")[2]
    done = run_command("demo", "--port", port, "--models-dir", exported_model.parent, cwd=tmp_path)
    assert f"cannot listen on 127.0.0.1:{port}" in done.error


@pytest.mark.parametrize(
    "drawing", [None, {}, {"layers": []}, {"layers": [np.zeros((280, 280, 4), dtype=np.uint8)]}]
)
def test_an_untouched_pad_is_no_drawing(drawing: dict[str, object] | None) -> None:
    assert drawn_image(drawing) is None


def test_a_drawing_is_answered_with_what_the_model_sees(exported_model: Path, mnist_5k: Splits) -> None:
    index = int(np.flatnonzero(np.asarray(mnist_5k.test.labels) == 3)[0])
    canvas = np.zeros((280, 280, 4), dtype=np.uint8)
    canvas[40:180, 100:240, 3] = np.asarray(
        Image.fromarray(mnist_5k.test.images[index].squeeze()).resize((140, 140))
    )
    ranked, seen, _ = answer(Session(exported_model, provider="cpu"), drawn_image({"layers": [canvas]}))
    assert ranked is not None
    assert max(ranked, key=lambda label: ranked[label]) == "3"
    assert seen is not None


def test_nothing_is_answered_with_nothing(exported_model: Path) -> None:
    session = Session(exported_model, provider="cpu")
    assert answer(session, None) == NOTHING
    assert answer(session, Image.new("L", (280, 280), 255)) == NOTHING
