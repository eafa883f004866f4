"""The app of a Hugging Face Space in a process of its own."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from gradio_client import Client, handle_file

from tests.conftest import ROOT, free_port
from vision_zoo.experiments.site.space import write_space

_SECONDS = 120


def test_a_space_starts_and_answers(digit_png: Path, tmp_path: Path) -> None:
    write_space(tmp_path / "space", [ROOT / "exported" / "simple_cnn-mnist.onnx"])
    port = str(free_port())
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=tmp_path / "space",
        env={**os.environ, "GRADIO_SERVER_PORT": port, "GRADIO_ANALYTICS_ENABLED": "False"},
    )
    try:
        deadline = time.monotonic() + _SECONDS
        while not _answers(address):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.5)
        client = Client(address, verbose=False)
        answer = client.predict("simple_cnn-mnist", handle_file(digit_png), api_name="/classify")
        assert answer["label"] == "7"
    finally:
        process.kill()
        process.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/config", timeout=10).close()
    except OSError:
        return False
    return True
