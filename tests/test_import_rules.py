"""The import rules: serving runs without torch, training without gradio, and neither knows the other."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "vision_zoo"
BOTH_HALVES = {
    "benchmark",
    "cli",
    "comparison",
    "doctor",
    "grid_search",
    "inspection",
    "listing",
    "model_card",
    "quickstart",
    "report",
    "reproduce",
    "shared_search",
}
FORBIDDEN = {
    "serving": {
        "torch",
        "torchvision",
        "onnx",
        "onnxscript",
        "safetensors",
        "matplotlib",
        "vision_zoo.training",
    },
    "training": {"gradio", "fastapi", "uvicorn", "vision_zoo.serving"},
}
HEAVY = {
    "torch",
    "torchvision",
    "onnx",
    "onnxruntime",
    "gradio",
    "fastapi",
    "matplotlib",
    "ray",
    "tensorboard",
}
TORCH_FREE = (
    "training/recipe.py",
    "training/recipes",
    "training/datasets",
    "training/architectures/__init__.py",
)
SOURCES = sorted(PACKAGE.rglob("*.py"))


def _imports(node: ast.AST, *, module_level_only: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        elif not (module_level_only and isinstance(child, ast.FunctionDef)):
            yield from _imports(child, module_level_only=module_level_only)


def _imported(path: Path, forbidden: set[str], *, module_level_only: bool = False) -> set[str]:
    names = set(_imports(ast.parse(path.read_text()), module_level_only=module_level_only))
    return {name for name in names for banned in forbidden if name == banned or name.startswith(f"{banned}.")}


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_each_half_keeps_to_itself(path: Path) -> None:
    half = _relative(path).split("/")[0]
    if half in FORBIDDEN:
        assert not _imported(path, FORBIDDEN[half])
    elif not BOTH_HALVES & {path.stem, *path.relative_to(PACKAGE).parent.parts}:
        assert not _imported(path, {"vision_zoo.training", "vision_zoo.serving"})


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_nothing_heavy_is_imported_at_module_level_where_it_must_not(path: Path) -> None:
    name = _relative(path)
    if name.startswith("training/") and not name.startswith(TORCH_FREE):
        return
    # The server is FastAPI's and the page Gradio's: each is imported when one is started.
    allowed = {"fastapi"} if name.startswith("serving/server/") else set()
    if name.startswith("serving/demo/"):
        allowed = {"fastapi", "gradio"}
    if name == "serving/ray_app.py":  # `serve run` imports it
        allowed = {"ray"}
    assert not _imported(path, HEAVY - allowed, module_level_only=True)


def test_the_rules_would_notice() -> None:
    tree = ast.parse("def f():\n    from torch import nn\n")
    assert set(_imports(tree, module_level_only=False)) == {"torch.nn"}
    assert not set(_imports(tree, module_level_only=True))


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
    says = "error: this needs the package torch, of the extra `train`: "
    assert done.stderr.startswith(says)
    assert done.stderr.endswith(f"pip install --editable '{ROOT}[train]'\n")
