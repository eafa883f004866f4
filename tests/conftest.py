"""Shared fixtures. What is slow (training, exporting) is done once a session, by one of its workers."""

import functools
import gc
import json
import os
import socket
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from filelock import FileLock
from xdist.scheduler import LoadFileScheduling

from tests import warm
from vision_zoo.core.environment import usable_cores
from vision_zoo.core.progress import SilentProgress
from vision_zoo.data import find_dataset
from vision_zoo.data.dataset import Splits

# An answer may take longer than httpx's five seconds on a busy machine.
vars(httpx._config.DEFAULT_TIMEOUT_CONFIG).update(dict.fromkeys(("connect", "read", "write", "pool"), 60.0))
# Each client reads all certificates again, which takes longer than most requests.
vars(httpx._transports.default)["create_ssl_context"] = functools.cache(httpx.create_ssl_context)

ROOT = Path(__file__).resolve().parent.parent
_SECONDS = 300
_FEW = {"cifar10": {"train": 20}, "imagenette": {"train": 20, "val": 4}}
"""Of these datasets one image in so many of a split is decoded here, all of them in `soak/test_datasets.py`."""
_DEMO = "tests/serving/demo/"
_LONG = {"test_cli.py", "test_stopping.py", "test_train.py"}
"""Files that take half a minute of many tests, none of which is slow."""


@dataclass(frozen=True)
class Completed:
    """What a finished command left."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The one line that a failed command prints, checked to be one, last, and no traceback."""
        assert self.code != 0
        assert "Traceback" not in self.stderr
        lines = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.stderr
        assert self.stderr.splitlines()[-1] == lines[0]
        return lines[0].removeprefix("error: ")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, up to four: a third of the time a test waits for a process or a timeout."""
    return min(usable_cores() + 1, 4)


def pytest_configure(config: pytest.Config) -> None:
    """Let all workers of a session fork their commands from one process."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        warm.use_shared_server()
    elif config.getoption("numprocesses", None) and warm.share_server():
        config.option.tx = [f"popen//python={sys.executable} -m tests.worker"] * len(config.option.tx)


class _Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """A file of tests a worker, but for the demo's: they share servers and a browser, which take seconds to start."""

    def _split_scope(self, nodeid: str) -> str:
        return _DEMO if nodeid.startswith(_DEMO) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with most slow tests first: what the workers share at the end is short."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-slow[item.path], item.path.name not in _LONG))


def pytest_collection() -> None:
    """What is imported and collected stays to the end: to look through it for garbage takes a sixth of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _same_torch() -> Iterator[None]:
    """Leave torch with as many threads as training takes: with another number sums differ in their last bits."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ.get("OMP_NUM_THREADS", usable_cores())))
    if "torch.onnx" in sys.modules:
        warm.list_operators_once()
    if "vision_zoo.training.run_outputs" in sys.modules:
        warm.draw_nothing()


def _shared(factory: pytest.TempPathFactory) -> Path:
    """The folder of all workers of a session."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first worker to ask makes, for the others as well."""
    made = _shared(factory) / name
    with FileLock(f"{made}.lock"):
        if not made.exists():
            own = factory.mktemp(name)
            make(own / name)
            (own / name).rename(made)
    return made


@pytest.fixture(scope="session", autouse=True)
def _isolated_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The tests neither use nor fill the user's cache; workers of one session decode every dataset once."""
    own = tmp_path_factory.mktemp("cache")
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = _shared(tmp_path_factory) / "decoded"
        shared.mkdir(exist_ok=True)
        (own / "vision-zoo").mkdir()
        (own / "vision-zoo" / "decoded").symlink_to(shared)
    with pytest.MonkeyPatch.context() as patch:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        patch.setenv(  # the browser was downloaded into it
            "PLAYWRIGHT_BROWSERS_PATH",
            os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or str(cache / "ms-playwright"),
        )
        patch.setenv("XDG_CACHE_HOME", str(own))
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real datasets.

    Tests that need it are skipped where VISION_ZOO_DATA is unset, and say so; where it is set they run,
    and fail if the data is not there.
    """
    folder = os.environ.get("VISION_ZOO_DATA")
    if not folder:
        pytest.skip("needs the real datasets: set VISION_ZOO_DATA to a folder that has them")
    return Path(folder)


@pytest.fixture(scope="session")
def real_dataset(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Splits]:
    """Load a real dataset by name, or the part of it that `_FEW` says, which one worker decodes for all."""

    def load(name: str) -> Splits:
        dataset, folder, archive = find_dataset(name), data_dir, name.partition("-")[0]
        if archive in _FEW:
            folder = _made_once(
                tmp_path_factory, archive, lambda made: _write_few_images(data_dir / archive, made / archive)
            )
            dataset = replace(dataset, train_images=None, test_images=None)
        with FileLock(_shared(tmp_path_factory) / "datasets.lock"):
            return dataset.load(folder)

    return load


def _write_few_images(dataset: Path, folder: Path) -> None:
    (archive,) = dataset.glob("*.t*")
    folder.mkdir(parents=True)
    with tarfile.open(archive) as source, tarfile.open(folder / "few.tar", "w") as few:
        for number, member in enumerate(source):
            split = next((part for part in _FEW[dataset.name] if f"/{part}/" in f"/{member.name}"), "")
            if member.isfile() and number % _FEW[dataset.name].get(split, 1) == 0:
                few.addfile(member, source.extractfile(member))


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def run_command(*arguments: str | Path, cwd: Path, env: dict[str, str] | None = None) -> Completed:
    """Run `vision-zoo` as a user does, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "vision_zoo", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def cli(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Completed]:
    """`vision-zoo` in an empty folder, in a process that has imported torch already."""
    output = tmp_path_factory.mktemp("output")

    def run(
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> Completed:
        texts = [str(argument) for argument in arguments]
        environment = {**os.environ, **(env or {})}
        code = warm.run(
            texts, cwd=tmp_path, env=environment, output=output, seconds=_SECONDS, prepare=prepare
        )
        return Completed(code, (output / "stdout").read_text(), (output / "stderr").read_text())

    return run


@pytest.fixture(scope="session")
def mnist_5k() -> Splits:
    return find_dataset("mnist-5k").load()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two epochs on mnist-5k. Read only."""
    from vision_zoo.recipes import find_recipe
    from vision_zoo.training import plots, run_outputs, train

    def make(folder: Path) -> None:
        recipe = find_recipe("simple_cnn-mnist_5k").override(epochs=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run_outputs, "plots", plots)  # which draw
            train.start(recipe, folder, device="cpu", data_dir=None, progress=SilentProgress())

    return _made_once(tmp_path_factory, "run", make)


@pytest.fixture(scope="session")
def exported_model(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`finished_run` as a verified ONNX file, with its manifest beside it. Read only."""
    from vision_zoo.exporting.export import export_onnx

    def make(folder: Path) -> None:
        folder.mkdir()
        export_onnx(finished_run, folder)

    (model,) = _made_once(tmp_path_factory, "exported", make).glob("*.onnx")
    return model


@pytest.fixture(scope="session")
def embedded_model(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`exported_model` with embeddings. Read only."""
    from vision_zoo.exporting.export import export_onnx

    def make(folder: Path) -> None:
        folder.mkdir()
        export_onnx(finished_run, folder, embeddings=True)

    (model,) = _made_once(tmp_path_factory, "embedded", make).glob("*.onnx")
    return model


@pytest.fixture(scope="session")
def calibrated_model(exported_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`exported_model`, calibrated on half of its test images. Read only."""
    from vision_zoo.exporting.calibrate import calibrate_file

    made = _made_once(
        tmp_path_factory, "calibrated", lambda folder: calibrate_file(exported_model, output_dir=folder)
    )
    (model,) = made.glob("*.onnx")
    return model


@pytest.fixture(scope="session")
def web_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ONNX Runtime Web, fetched by npm. Read only."""
    from vision_zoo.serving.web.runtime import fetch

    return _made_once(tmp_path_factory, "onnxruntime-web", fetch)


@pytest.fixture(scope="session")
def digit_png(mnist_5k: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real handwritten 7 as an image file."""
    from PIL import Image

    index = int(np.flatnonzero(np.asarray(mnist_5k.test.labels) == 7)[0])
    path = tmp_path_factory.mktemp("images") / "seven.png"
    Image.fromarray(mnist_5k.test.images[index].squeeze()).save(path)
    return path
