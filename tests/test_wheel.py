"""The built wheel, installed as the Dockerfile does it, where there is no torch."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, free_port

pytestmark = pytest.mark.slow
_UV = Path(sys.executable).parent / "uv"


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _steps(dockerfile: str) -> tuple[list[str], list[str]]:
    """What the Dockerfile's first stage copies from the checkout, and its commands."""
    stage = dockerfile.partition("\nFROM ")[2].partition("\nFROM ")[0]
    copied = re.findall(r"^COPY (.+) \S+$", stage, flags=re.MULTILINE)
    commands = re.findall(r"^RUN ((?:.*\\\n)*.*)$", stage, flags=re.MULTILINE)
    return [name for names in copied for name in names.split()], commands


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of the environment that the Dockerfile's commands make, run here in other folders.

    Packages come from uv's cache, as hard links, and are compiled when they are first imported.
    """
    folder = tmp_path_factory.mktemp("image")
    source = folder / "source"
    source.mkdir()
    names, commands = _steps((ROOT / "Dockerfile").read_text())
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    for name in names:
        assert f"!{name}" in sent, f"{name} is not sent to the builder"
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    _run(sys.executable, "-m", "venv", folder / "base", cwd=folder)  # the base image's Python and pip
    path = f"{folder / 'base' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(["set -e", *commands])
    for place in ("/opt/vision-zoo", "/wheels", "/tmp/uv.txt"):
        script = script.replace(place, str(folder / Path(place).name))
    for option in (" --no-cache", " --compile-bytecode"):  # which cost minutes and change no answer
        assert f"{option} " in script
        script = script.replace(f"{option} ", " ")
    _run("env", f"PATH={path}", "sh", "-c", script, cwd=source)
    return folder / "vision-zoo" / "bin"


def test_the_image_has_what_the_lock_lists(installed: Path, tmp_path: Path) -> None:
    listed = _run(_UV, "pip", "list", "--python", installed / "python", "--format", "json", cwd=tmp_path)
    found = {package["name"]: package["version"] for package in json.loads(listed)}
    assert found.pop("vision-zoo")
    lock = re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert found.items() <= set(lock)
    assert "gradio" in found


def test_a_file_with_another_hash_than_the_lock_lists_is_not_installed(tmp_path: Path) -> None:
    entry = re.search(r"^filelock==(?:.*\\\n)*.*$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert entry is not None
    (tmp_path / "lock").write_text(re.sub("sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", entry[0]))
    options = ("--target", tmp_path / "site", "--no-cache", "--constraints", tmp_path / "lock")
    done = subprocess.run(
        [_UV, "pip", "install", "--python", sys.executable, *options, "filelock"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Hash mismatch" in done.stderr


def test_it_predicts_with_the_models_it_carries_and_without_torch(
    installed: Path, digit_png: Path, tmp_path: Path
) -> None:
    packages = json.loads(
        _run(_UV, "pip", "list", "--python", installed / "python", "--format", "json", cwd=tmp_path)
    )
    assert not {"torch", "torchvision", "onnx"} & {package["name"] for package in packages}
    listed = json.loads(_run(installed / "vision-zoo", "list", "models", "--json", cwd=tmp_path))
    assert {entry["name"] for entry in listed} == {path.stem for path in (ROOT / "exported").glob("*.onnx")}
    assert not [entry for entry in listed if "error" in entry]
    digits = [entry["name"] for entry in listed if entry["dataset"] == "mnist"]
    output = _run(installed / "vision-zoo", "predict", digits[0], digit_png, "--json", cwd=tmp_path)
    assert json.loads(output)[0]["label"] == "7"
    code = "import sys, vision_zoo as vz; print({vz.load(name).classify(sys.argv[1])[0].label for name in sys.argv[2:]})"
    assert _run(installed / "python", "-c", code, digit_png, *digits, cwd=tmp_path) == "{'7'}\n"


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv, to be refused what is read-only")
def test_it_serves_without_a_home_and_where_nothing_but_tmp_can_be_written(
    installed: Path, digit_png: Path, tmp_path: Path
) -> None:
    working, temporary, log = tmp_path / "working", tmp_path / "tmp", tmp_path / "log"
    for folder in (working, temporary):
        folder.mkdir()
    before = _files(installed.parent)
    for folder in (working, *(path for path in installed.parent.rglob("*") if path.is_dir())):
        folder.chmod(0o555)
    # Without its capabilities even root is refused what permissions forbid.
    capabilities = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    environment = {"HOME": "/nonexistent", "TMPDIR": str(temporary), "PATH": os.environ["PATH"]}
    command = [*capabilities, str(installed / "vision-zoo"), "serve", "--port", str(free_port())]
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, cwd=working, env=environment, stderr=stderr)
    try:
        url = f"http://127.0.0.1:{command[-1]}"
        _until_ready(f"{url}/v2/health/ready", process, log)
        answer = httpx.post(f"{url}/v1/classify/simple_cnn-mnist", content=digit_png.read_bytes(), timeout=60)
        assert (answer.status_code, answer.json()["label"]) == (200, "7")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.wait()
        for folder in (working, *(path for path in installed.parent.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
    assert "Traceback" not in log.read_text()
    assert _files(installed.parent) == before
    assert not list(working.iterdir())


def _until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_it_has_the_pictures_of_the_page(installed: Path, tmp_path: Path) -> None:
    code = "from vision_zoo.serving.demo.inputs import EXAMPLES; print(sum(one.picture().width for one in EXAMPLES))"
    assert int(_run(installed / "python", "-c", code, cwd=tmp_path)) == 5 * 192


def test_it_writes_a_page_in_one_file(installed: Path, web_runtime: Path, tmp_path: Path) -> None:
    command = ("export", "small_cnn-mnist", "--html", "page.html", "--runtime", web_runtime)
    _run(installed / "vision-zoo", *command, cwd=tmp_path)
    assert "window.visionZoo" in (tmp_path / "page.html").read_text()


def test_what_needs_torch_says_so(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed / "vision-zoo", "train", "simple_cnn-mnist_5k"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "of the extra `train` is required: " in done.stderr
    assert "Traceback" not in done.stderr
    _, _, command = done.stderr.rstrip().partition("of the extra `train` is required: ")
    program, *words = shlex.split(command)
    assert program == "uv", "uv made the environment, which has no pip"
    planned = subprocess.run(
        [_UV, *words, "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert planned.returncode == 0, planned.stderr
    assert "+ torch==" in planned.stderr
