"""The commands of the documents, run as they are printed in a folder that has what they name.

The tutorial's are run by tests/test_tutorial.py, those of Ray by soak/test_ray.py, README's first ones by
tests/test_project.py.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, free_port
from tests.experiments.test_hub import Hub
from tests.images.pictures import striped_picture

_DOCUMENTS = (
    "README.md", "docs/TRAINING.md", "docs/DATA.md", "docs/MODELS.md", "docs/CLASSROOM.md", "docs/DEPLOYING.md",
    "docs/BENCHMARKS.md",
)  # fmt: skip
_SECONDS = 600
_LEFT_OUT = {
    r"^make |^pip|^uv|^docker ": "installs or builds what the tests run in",
    r"ray start|^serve |serve run|^export RAY": "in soak/test_ray.py",
    r"^hf ": "asks for a password",
    r"^torchrun ": "in tests/training/test_distributed.py",
    r"^vision-zoo (reproduce|tune) ": "takes hours",
    r"^python -m http\.server": "never ends",
}
_SHORTER = {
    r"--budget \w+": "--budget 20s --architectures efficientnet_lite0 --seeds 1",
    r"bench(?= --)": "bench small_cnn-mnist",
    r"(?<=bench )(.*)": r"\1 --duration 0.05",
    r"(train simple_cnn-mnist)": r"\1 --max-steps 2 --out runs/again",
    r"(train --architecture (?:vit|mobilenet).*)": r"\1 --max-steps 2",
    r"(--distil .*)": r"\1 --distil-views 1 --max-steps 2",
    r"--fine-tune last --lr 1e-4 --epochs 8": "--fine-tune last --lr 1e-4 --epochs 1 --out runs/fine_tuned",
    r"path/to/pictures": "pictures",
    r"OWNER/": "somebody/",
}
"""What is said otherwise, so that it ends soon or means something."""


def _commands(document: str) -> list[str]:
    """The lines of its shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for text in lines if (line := re.sub(r"(^| +)# .*", "", text))]


def _shortened(line: str) -> str:
    for pattern, instead in _SHORTER.items():
        line = re.sub(pattern, instead, line, count=1)
    own = "folder:" in line or "picture.png" in line
    return re.sub(r"\bMODEL\b…?", "small_cnn-folder_others" if own else "simple_cnn-mnist", line)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digit_png: Path, data_dir: Path) -> Path:
    """Where the commands are run: images, a model of others like them, a copy of a shipped one to change, and its run."""
    made = tmp_path_factory.mktemp("documents")
    for place in ("docs/images/digit.png", "scans/1.png", "more/a/2.png"):
        (made / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(digit_png, made / place)
    for number in range(120):
        name = ("chair", "lamp", "table")[number % 3]
        for folder, seed in (("pictures", number), ("others", 1000 + number)):
            striped_picture(made / folder / name / f"{number}.jpg", number % 3, seed)
    shutil.copy(made / "pictures" / "lamp" / "1.jpg", made / "picture.png")
    (made / "exported").mkdir()
    shutil.copy(ROOT / "exported" / "simple_cnn-mnist.onnx", made / "exported")
    train = "vision-zoo train --architecture small_cnn --dataset folder:others --image-size 24 --epochs 3"
    calibrate = "vision-zoo calibrate small_cnn-folder_others --dataset folder:pictures"
    published = "vision-zoo train simple_cnn-mnist --max-steps 2"
    for line in (published, train, "vision-zoo export runs/small_cnn-folder_others", calibrate):
        done = _run(line, made, {"VISION_ZOO_DATA": str(data_dir)})
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """The address of a stand-in of the Hub."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.url
        server.shutdown()


def _environment(more: dict[str, str]) -> dict[str, str]:
    """Of a shell that finds the commands of this Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **more}


def _run(line: str, folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=_environment(env),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


class _Server:
    """The last server that a document starts, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def start(self, line: str) -> None:
        self.stop()
        self.port = free_port()
        *settings, command = re.split(r" (?=vision-zoo )", line)
        self._process = subprocess.Popen(
            ["sh", "-c", f"exec {command} --port {self.port}"],
            cwd=self._folder,
            env=_environment(dict(one.split("=") for one in settings)),
        )
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            assert self._process.poll() is None, line
            assert time.monotonic() < deadline, line
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/v2/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(timeout=_SECONDS) == 0
            self._process = None


def test_what_is_left_out_is_there() -> None:
    lines = [line for document in _DOCUMENTS for line in _commands(document)]
    for pattern in _LEFT_OUT:
        assert any(re.search(pattern, line) for line in lines), pattern


@pytest.mark.parametrize("document", _DOCUMENTS)
def test_the_commands_run(document: str, folder: Path, hub: str, web_runtime: Path, data_dir: Path) -> None:
    for made in ("runs/efficientnet_lite0-folder_pictures", "comparison"):  # by another document
        shutil.rmtree(folder / made, ignore_errors=True)
    env = {"HF_ENDPOINT": hub, "HF_TOKEN": "right", "VISION_ZOO_DATA": str(data_dir)}
    server, failed = _Server(folder), []
    try:
        for text in _commands(document):
            if any(re.search(pattern, text) for pattern in _LEFT_OUT):
                continue
            line = _shortened(text)
            if "vision-zoo serve" in line:
                server.start(line)
                continue
            if "--html" in line or "vision-zoo site" in line:
                line += f" --runtime {web_runtime}"
            done = _run(line.replace(":8000", f":{server.port}"), folder, env)
            if done.returncode:
                failed.append(f"{line}: {done.stderr.strip().splitlines()[-1:]}")
    finally:
        server.stop()
    assert not failed, "\n".join(failed)
