"""The page, served for real by `vision-zoo demo` over the shipped models."""

import os
import re
import secrets
import shutil
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import onnx
import pytest
from playwright.sync_api import Browser, expect

from scripts.browser import chromium
from tests.conftest import ROOT
from tests.serving.server.conftest import ServerProcess, started
from vision_zoo.artifact import manifest
from vision_zoo.artifact.calibration import Calibration
from vision_zoo.artifact.metadata import metadata_of
from vision_zoo.exporting.calibrate import described_file

expect.set_options(timeout=300_000)  # by itself it waits for five seconds, too few on a busy machine


@dataclass
class Demo:
    """A running server with the page: its address, its process, and its log."""

    url: str
    process: ServerProcess
    log: Path

    def examples(self) -> list[str]:
        """Paths of the example pictures on the server."""
        config = httpx.get(f"{self.url}/demo/config", timeout=60).json()
        (gallery,) = [part for part in config["components"] if part["type"] == "gallery"]
        return [item["image"]["path"] for item in gallery["props"]["value"]]


SECRET = f"secret-{secrets.token_hex(16)}"
"""In the environment of every server."""


@contextmanager
def running(
    folder: Path,
    *arguments: str | Path,
    env: dict[str, str] | None = None,
    prefix: tuple[str, ...] = (),
    own: bool = False,
) -> Iterator[Demo]:
    """`vision-zoo` with `arguments` on a free port, told to stop at the end; its log lies in `folder`.

    `prefix` and `own` are as for a server without the page.
    """
    log = folder / "log"
    command = [*map(str, arguments), "--port", "0"]
    process = started(command, log, {"VISION_ZOO_SECRET": SECRET, **(env or {})}, prefix, own=own)
    try:
        yield Demo(_address(process, log), process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


_OF_EVERY_DATASET = (
    "airbench-mnist", "simple_cnn-mnist", "small_cnn-mnist", "vit_augmented-mnist", "basic_cnn-mnist", "mobilenet-mnist",
    "simple_cnn-fashion_mnist", "lenet-fashion_mnist",
    "simple_cnn-cifar10", "all_cnn-cifar10_gray-int8", "all_cnn_20_epochs-imagenette-int8",
)  # fmt: skip


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`vision-zoo demo` over shipped models of every dataset that say quickly what mattered to them.

    Of airbench-mnist, prediction sets of 80 % are of one label, those of 99 % of all.
    """
    folder, models = tmp_path_factory.mktemp("demo"), tmp_path_factory.mktemp("shipped")
    for name in _OF_EVERY_DATASET:
        shutil.copy(ROOT / "exported" / f"{name}.onnx", models)
    _calibrate(models / "airbench-mnist.onnx", {"80": 0.5, "99": 0.0})
    with running(folder, "demo", "--models-dir", models, own=True) as server:
        yield server


def _calibrate(path: Path, thresholds: dict[str, float]) -> None:
    """Let a model's file say that it has prediction sets."""
    model = onnx.load(path)
    metadata = metadata_of({entry.key: entry.value for entry in model.metadata_props}, name=path.name)
    calibration = Calibration(calibrated_on="nothing", images=100, temperature=1.0, set_thresholds=thresholds)
    described = replace(metadata, calibration=calibration)
    manifest.publish(path, described_file(model.SerializeToString(), described, None))


@pytest.fixture(scope="session")
def served(demo: Demo) -> str:
    """The address of a running `vision-zoo demo`."""
    return demo.url


@pytest.fixture(scope="session")
def few_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model of digits and one of clothes. Read only."""
    folder = tmp_path_factory.mktemp("few")
    for name in ("small_cnn-mnist", "simple_cnn-fashion_mnist"):
        shutil.copy(ROOT / "exported" / f"{name}.onnx", folder)
    return folder


_STUBS_ARE_LOGGED = """import sys

def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith(".pyi"):
        print("stub", arguments[0], file=sys.stderr)

sys.addaudithook(hook)
"""


@pytest.fixture(scope="session")
def small_page(few_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`vision-zoo serve --demo` over few models, with bodies of at most 1 MiB; it logs which stubs it opens."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "sitecustomize.py").write_text(_STUBS_ARE_LOGGED)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    arguments = ("serve", "--demo", "--models-dir", few_models, "--max-body-mb", "1")
    with running(folder, *arguments, env={"PYTHONPATH": path}, own=True) as server:
        yield server


def _address(process: ServerProcess, log: Path) -> str:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        found = re.search(r"at (http://\S+) \(Ctrl-C", log.read_text())
        if found:
            try:
                urllib.request.urlopen(f"{found.group(1)}/v2/health/ready", timeout=5)
            except OSError:
                pass
            else:
                return found.group(1)
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")  # while it is open, this process has a running event loop
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened
