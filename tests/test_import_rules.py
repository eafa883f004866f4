"""The import rules: serving runs without torch, training without gradio, and neither knows the other."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "vision_zoo"


def test_the_layers_hold_and_a_breach_would_be_noticed(tmp_path: Path) -> None:
    lint = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config"]
    contracts = (ROOT / "pyproject.toml").read_text()
    turned = tmp_path / "pyproject.toml"
    turned.write_text(contracts.replace('    "images",\n    "core",\n', '    "core",\n    "images",\n'))
    assert turned.read_text() != contracts
    held, broken = (
        subprocess.run([*lint, str(config)], cwd=ROOT, capture_output=True, text=True, check=False)
        for config in (ROOT / "pyproject.toml", turned)
    )
    assert held.returncode == 0, held.stdout
    assert broken.returncode == 1
    assert "vision_zoo.core is not allowed" not in held.stdout
    assert "is not allowed to import vision_zoo.core" in broken.stdout


def test_nothing_outside_the_tests_needs_them() -> None:
    for folder in ("vision_zoo", "scripts", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not re.search(r"^\s*(from|import) tests\b", path.read_text(), re.MULTILINE), path


_WITHOUT_TORCH = """
import importlib.abc, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "onnx", "onnxscript", "mlxtend", "safetensors", "matplotlib",
                                  "tensorboard"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def _without_torch(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH + code],
        cwd=folder,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_predict_bench_and_lists_run_where_torch_cannot_be_imported(
    exported_model: Path, digit_png: Path, tmp_path: Path
) -> None:
    commands = [
        ["predict", str(exported_model), str(digit_png)],
        ["bench", str(exported_model), "--batch-sizes", "1", "--duration", "0.1"],
        ["list", "models", "--models-dir", str(exported_model.parent)],
        ["list", "recipes"],
    ]
    code = f"""
from vision_zoo.cli import main
for command in {commands!r}:
    sys.argv = ["vision-zoo", *command]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, command
"""
    done = _without_torch(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "seven.png: 7" in done.stdout


_RECIPES = {"vision_zoo.recipes", "vision_zoo.architectures", "importlib.metadata"}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], {"msgspec", "numpy", "vision_zoo.core.registry", *_RECIPES}),
        (["--version"], {"msgspec", "numpy", "vision_zoo.cli.train", *_RECIPES}),
        (["predict", "--help"], {"msgspec", "numpy", "vision_zoo.cli.train", *_RECIPES}),
        (["predict", "simple_cnn-mnist", "DIGIT"], {"vision_zoo.cli.train", *_RECIPES}),
    ],
)
def test_a_command_loads_only_what_it_needs(
    arguments: list[str], unwanted: set[str], digit_png: Path, tmp_path: Path
) -> None:
    words = [str(digit_png) if word == "DIGIT" else word for word in arguments]
    code = f"""
import sys
from vision_zoo.cli import main
sys.argv = ["vision-zoo", *{words!r}]
try:
    main()
except SystemExit as exit:
    assert not exit.code
loaded = {unwanted!r} & set(sys.modules)
assert not loaded, loaded
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_package_loads_and_classifies_where_torch_cannot_be_imported(
    exported_model: Path, digit_png: Path, tmp_path: Path
) -> None:
    code = f"""
import vision_zoo as vz
model = vz.load({str(exported_model)!r})
print(model.classify({str(digit_png)!r})[0].label)
try:
    vz.train("simple_cnn-mnist_5k")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = _without_torch(code, tmp_path)
    assert done.returncode == 0, done.stderr
    label, refused = done.stdout.splitlines()
    assert label == "7"
    assert refused.startswith("MissingExtraError the package torch of the extra `train` is required: ")


def test_every_serving_module_imports_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in sorted((PACKAGE / "serving").rglob("*.py"))
    ]
    code = f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)\n"
    done = _without_torch(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_training_without_its_extra_says_how_to_get_it(tmp_path: Path) -> None:
    code = (
        "sys.argv = ['vision-zoo', 'train', 'simple_cnn-mnist_5k']\nfrom vision_zoo.cli import main\nmain()\n"
    )
    done = _without_torch(code, tmp_path)
    assert done.returncode == 1
    says = "error: the package torch of the extra `train` is required: "
    assert done.stderr.startswith(says)
    assert done.stderr.endswith(f"pip install --editable '{ROOT}[train]'\n")
