import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import warm
from tests.conftest import Completed
from vision_zoo.cli import COMMANDS

Cli = Callable[..., Completed]


def test_help_names_every_command(cli: Cli) -> None:
    shown = cli("--help")
    assert shown.code == 0
    assert {"quickstart", "list", "train", "export", "evaluate", "bench", "predict", "demo"} <= set(COMMANDS)
    assert all(command in shown.stdout for command in COMMANDS)


def test_without_a_command_there_is_help(cli: Cli) -> None:
    assert cli() == cli("--help")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli: Cli, command: str) -> None:
    shown = cli(command, "--help")
    assert shown.code == 0
    assert f"vision-zoo {command}" in shown.stdout.replace("python -m vision_zoo", "vision-zoo")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list", "recipes"], ["list", "architectures"], ["list", "datasets"]]
)
def test_help_and_lists_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['vision-zoo', *{arguments!r}]\n"
        "from vision_zoo.cli import main\n"
        "try:\n    main()\nexcept SystemExit as exit:\n    assert not exit.code\n"
        "heavy = {'torch', 'torchvision', 'gradio', 'onnxruntime', 'onnx', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_version_is_printed(cli: Cli) -> None:
    from vision_zoo import __version__

    assert cli("--version").stdout == f"vision-zoo {__version__}\n"


@pytest.mark.parametrize("kind", ["recipes", "architectures", "datasets", "models"])
def test_lists_have_names(cli: Cli, kind: str, exported_model: Path) -> None:
    entries = cli("list", kind, "--json", "--models-dir", exported_model.parent).json
    assert entries
    assert all(isinstance(entry["name"], str) for entry in entries)
    table = cli("list", kind, "--models-dir", exported_model.parent)
    assert all(entry["name"] in table.stdout for entry in entries)


def test_a_damaged_model_is_listed_as_unusable(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    (entry,) = cli("list", "models", "--models-dir", tmp_path, "--json").json
    assert entry["name"] == "broken"
    assert "error" in entry


def test_the_whole_way_by_commands(cli: Cli, tmp_path: Path, digit_png: Path) -> None:
    trained = cli("train", "simple_cnn-mnist_5k", "--epochs", "1", "--out", "run", "--json")
    assert trained.code == 0, trained.stderr
    assert trained.json.keys() >= {"run", "test_accuracy", "train_seconds", "epochs"}
    assert trained.json["epochs"] == 1
    exported = cli("export", trained.json["run"], "--output-dir", "models", "--json").json
    assert exported["argmax_agreement"] == 1.0
    assert exported["max_logit_difference"] < 1e-3
    scored = cli("evaluate", exported["model"], "--json").json
    assert scored["dataset"] == "mnist-5k"
    assert scored["images"] == 1000
    assert scored["accuracy"] == pytest.approx(trained.json["test_accuracy"])
    assert sum(map(sum, scored["confusion_matrix"])) == 1000
    assert [scored["classes"], scored["top_5_accuracy"]] == [
        trained.json["classes"],
        trained.json["top_5_accuracy"],
    ]
    again = cli("train", "--resume", "run").stdout
    assert re.search(r"7 +\d+\.\d% +\d+\.\d% +\d+\.\d% +100\n", again)
    (predicted,) = cli("predict", "simple_cnn-mnist_5k", digit_png, "--models-dir", "models", "--json").json
    assert predicted.keys() == {"model", "image", "label", "probabilities"}
    assert predicted["model"] == "models/simple_cnn-mnist_5k.onnx"
    assert predicted["label"] == "7"
    assert sum(predicted["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_predict_top_limits_the_labels(cli: Cli, exported_model: Path, digit_png: Path) -> None:
    (predicted,) = cli("predict", exported_model, digit_png, "--top", "3", "--json").json
    assert len(predicted["probabilities"]) == 3
    assert list(predicted["probabilities"].values()) == sorted(
        predicted["probabilities"].values(), reverse=True
    )


def test_predict_answers_for_the_good_images_and_names_the_bad(
    cli: Cli, exported_model: Path, digit_png: Path
) -> None:
    done = cli("predict", exported_model, digit_png, "missing.png", "--json")
    assert len(done.json) == 1
    assert "1 of 2 images" in done.error
    assert "warning: missing.png" in done.stderr


def test_json_goes_alone_to_stdout(cli: Cli, exported_model: Path) -> None:
    done = cli("bench", exported_model, "--batch-sizes", "1", "--duration", "0.1", "--format", "json")
    assert done.code == 0, done.stderr
    (row,) = done.json["rows"]
    assert row["p50_ms"] > 0
    assert row["provider"] == "CPUExecutionProvider"
    assert "measuring" in done.stderr


def test_resume_needs_nothing_else_and_interruption_is_one_line(tmp_path: Path) -> None:
    arguments = ["train", "simple_cnn-mnist_5k", "--epochs", "50", "--out", "run"]
    process = warm.start(arguments, cwd=tmp_path, env=dict(os.environ), output=tmp_path)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "run" / "history.csv").exists():
            assert time.monotonic() < deadline
            assert process.exitcode is None
            time.sleep(0.05)
        os.kill(process.pid or 0, signal.SIGINT)
        process.join(300)
    finally:
        process.kill()
    assert process.exitcode == 130
    stderr = (tmp_path / "stderr").read_text()
    assert "Traceback" not in stderr
    said = r"error: interrupted; \d+ epochs?( and \d+ steps? of the next)? \(of 50 epochs\) are saved: .+"
    assert re.fullmatch(said, stderr.splitlines()[-1])
    assert "vision-zoo train --resume run" in stderr
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_resume_of_a_finished_run_reports_it_again(cli: Cli, finished_run: Path) -> None:
    assert cli("train", "--resume", finished_run, "--json").json["epochs"] == 2


def test_info_shows_everything_and_adds_up(cli: Cli, exported_model: Path) -> None:
    shown = cli("info", exported_model, "--json").json
    assert shown["labels"] == list("0123456789")
    assert shown["input"]["height"] == 28
    assert shown["opset"] == 18
    assert shown["listed_in_manifest"] is True
    assert sum(layer["parameters"] for layer in shown["layers"]) == shown["parameters"] == 421_642
    assert sum(layer["macs"] for layer in shown["layers"]) == shown["macs"]
    assert shown["operators"]["Conv"] == 2
    text = cli("info", exported_model).stdout
    assert "uint8 [batch, 28, 28, 1]" in text
    assert "421,642" in text


def _write_mnist(folder: Path) -> None:
    """MNIST's four files in full size, of empty images."""
    folder.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        header = b"\0\0\x08\x03" + np.array([count, 28, 28], dtype=">u4").tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(count * 28 * 28))
        header = b"\0\0\x08\x01" + np.array([count], dtype=">u4").tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes(count))


def test_the_doctor_looks_at_everything(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    _write_mnist(tmp_path / "data" / "mnist" / "MNIST" / "raw")
    done = cli("doctor", "--models-dir", exported_model.parent, "--data-dir", tmp_path / "data", "--json")
    found = done.json
    states = {finding["check"]: finding["state"] for finding in found}
    assert {"machine", "Python", "ONNX Runtime", "models", "provider cpu", "provider cuda", "data"} <= set(
        states
    )
    assert states["provider cpu"] == states["models"] == states["data"] == "ok"


@pytest.mark.parametrize("left", ["nothing", "empty folders", "a part of the files", "a part of a file"])
def test_a_dataset_is_there_only_when_it_loads(
    cli: Cli, exported_model: Path, tmp_path: Path, left: str
) -> None:
    raw = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    if left == "nothing":
        (tmp_path / "data" / "mnist").mkdir(parents=True)
    elif left == "empty folders":
        raw.mkdir(parents=True)
    else:
        _write_mnist(raw)
        if left == "a part of the files":
            (raw / "t10k-labels-idx1-ubyte").unlink()
        else:
            (raw / "train-images-idx3-ubyte").write_bytes((raw / "train-images-idx3-ubyte").read_bytes()[:-1])
    done = cli("doctor", "--models-dir", exported_model.parent, "--data-dir", tmp_path / "data", "--json")
    assert done.code != 0
    (finding,) = [entry for entry in done.json if entry["check"] == "data"]
    assert finding["state"] == "problem"
    assert "mnist cannot be loaded: " in finding["detail"]
    assert str(tmp_path / "data" / "mnist") in finding["remedy"]


def test_the_doctor_finds_a_damaged_model_and_fails(cli: Cli, exported_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(exported_model.parent, folder)
    damaged = bytearray((folder / exported_model.name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / exported_model.name).write_bytes(bytes(damaged))
    done = cli("doctor", "--models-dir", folder, env={"VISION_ZOO_DATA": ""})
    assert "PROBLEM models" in done.stdout
    assert "does not match its checksum" in done.stdout
    assert "problem" in done.error


def test_the_doctor_says_which_models_are_hidden(
    exported_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_zoo.cli import doctor

    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        shutil.copy(exported_model, folder)
        shutil.copy(exported_model.parent / "manifest.json", folder)
    found = {exported_model.stem: first / exported_model.name}
    monkeypatch.setattr(doctor, "model_folders", lambda _: [first, second])
    monkeypatch.setattr(doctor, "list_models", lambda _: found)
    monkeypatch.delenv("VISION_ZOO_DATA", raising=False)
    details = [entry.detail for entry in doctor.diagnose() if entry.check == "models"]
    assert details == [
        f"1 of 1 in {first} are usable",
        f"0 of 0 in {second} are usable; 1 have the name of a model in another folder",
    ]


def test_the_doctor_finds_two_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    from vision_zoo.cli import doctor

    monkeypatch.setattr(
        doctor, "installed_runtimes", lambda: {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}
    )
    monkeypatch.delenv("VISION_ZOO_DATA", raising=False)
    (finding,) = [entry for entry in doctor.diagnose() if entry.check == "ONNX Runtime"]
    assert finding.state == "problem"
    assert "pip uninstall onnxruntime onnxruntime-gpu; then " in finding.remedy
    assert "pip install onnxruntime" in finding.remedy


@pytest.mark.parametrize(("installed", "smaller"), [("onnxruntime-gpu", True), ("onnxruntime", False)])
def test_the_doctor_says_how_to_do_without_cuda_where_there_is_no_driver(
    monkeypatch: pytest.MonkeyPatch, installed: str, smaller: bool
) -> None:
    from vision_zoo.cli import doctor

    monkeypatch.setattr(doctor, "driver_missing", lambda: "no driver")
    monkeypatch.setattr(doctor, "installed_runtimes", lambda: {installed: "1.31.1"})
    (finding,) = doctor._cuda()
    assert finding.state == "note"
    assert ("pip uninstall onnxruntime-gpu; then " in finding.remedy) == smaller


def test_bench_takes_scenarios_and_precisions(cli: Cli, exported_model: Path) -> None:
    arguments = ("--batch-sizes", "1", "--duration", "0.1", "--scenario", "offline,server", "--rate", "300")
    rows = cli(
        "bench", exported_model, *arguments, "--precision", "fp32", "--provider", "cpu", "--json"
    ).json["rows"]
    assert [(row["scenario"], row["rate"]) for row in rows] == [("offline", None), ("server", 300)]
