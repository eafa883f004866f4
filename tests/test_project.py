"""The repository itself: what must hold of its files."""

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts import update_documents
from scripts.figures.sources import load_results
from tests.conftest import ROOT, Completed
from vision_zoo import __version__

TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def test_the_lock_has_hashes_and_no_addresses() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    packages = re.findall(r"^([A-Za-z0-9._-]+)==", lock, flags=re.MULTILINE)
    assert {"torch", "torchvision", "onnx", "onnxruntime-gpu", "gradio", "typer", "numpy", "pytest"} <= set(
        packages
    )
    assert "://" not in lock
    assert lock.count("==") <= lock.count("--hash=sha256:")


def test_the_lock_satisfies_the_project() -> None:
    from packaging.requirements import Requirement

    lock = dict(
        re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(lock[requirement.name]), requirement.name


def test_the_requirements_without_cuda_are_the_project_s_but_for_the_runtime() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = [line.partition(";")[0] for line in project["dependencies"] if "onnxruntime-gpu" not in line]
    listed = (ROOT / "requirements-cpu.txt").read_text().splitlines()
    assert [line for line in listed if not line.startswith("#")] == expected


def test_the_pythons_of_make_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = [
        found for line in project["classifiers"] for found in re.findall(r"Python :: (3\.\d+)$", line)
    ]
    assert f"\nPYTHONS := {' '.join(versions)}\n" in (ROOT / "Makefile").read_text()


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_tree_is_small() -> None:
    size = {name: (ROOT / name).stat().st_size for name in TRACKED if (ROOT / name).is_file()}
    assert sum(size.values()) < 40 * 2**20
    assert sum(size[name] for name in size if name.startswith("exported/")) < 32 * 2**20


def test_every_security_guarantee_has_its_test() -> None:
    text = (ROOT / "docs" / "SECURITY.md").read_text()
    rows = [
        row
        for row in text.splitlines()
        if row.startswith("| ") and not row.startswith(("| guarantee", "| ---"))
    ]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`([a-z_/]+\.py)(?:::(\w+))?`", row)
        assert named, row
        for file, test in named:
            path = ROOT / file if file.startswith("soak/") else ROOT / "tests" / file
            assert f"def {test}" in path.read_text(), (file, test)


def test_a_drifted_document_is_noticed(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "BENCHMARKS.md").read_text()
    results = load_results(ROOT)
    assert update_documents.rewritten(text, results) == text
    zoo = next(document for document in results.values() if document.get("kind") == "zoo")
    zoo["models"][0]["test_accuracy"] = 0.1234
    assert "12.34%" in update_documents.rewritten(text, results)


def test_the_dockerfile_has_no_lint() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_copies_what_there_is() -> None:
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert copied
    assert all((ROOT / name).exists() for line in copied for name in line.split())


DOCUMENTS = sorted(name for name in TRACKED if re.fullmatch(r"(docs/)?[A-Z]+\.md", name))


def _anchors(document: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them, and those set by hand."""
    text = document.read_text()
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_of_documents_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", document.read_text()):
        path, _, anchor = target.partition("#")
        linked = document if not path else document.parent / path
        assert linked.exists(), target
        if anchor:
            assert anchor in _anchors(linked), target


def test_the_readme_is_an_introduction() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 250
    linked = {f"docs/{target}" for target in re.findall(r"\]\(docs/([A-Z]+\.md)", text)}
    assert linked == {name for name in DOCUMENTS if name.startswith("docs/")}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_in_documents_exist(name: str) -> None:
    from typer.main import get_command

    from vision_zoo.cli import app

    group: Any = get_command(app)
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", (ROOT / name).read_text(), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    for line in lines:
        words = shlex.split(line, comments=True)
        if "vision-zoo" not in words or "docker" in words:
            continue
        command, *arguments = words[words.index("vision-zoo") + 1 :]
        parameters = group.get_command(None, command).params
        known = {option for parameter in parameters for option in parameter.opts}
        assert {word.partition("=")[0] for word in arguments if word.startswith("--")} <= known, line


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    label, probability = done.stdout.split()
    assert label in "0123456789"
    assert 0 < float(probability) <= 1


@pytest.mark.slow
def test_the_readmes_commands_run(cli: Callable[..., Completed], tmp_path: Path, digit_png: Path) -> None:
    (block,) = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    (tmp_path / "docs" / "images").mkdir(parents=True)
    (tmp_path / "docs" / "images" / "digit.png").write_bytes(digit_png.read_bytes())
    for line in block.splitlines():
        command = line.removeprefix("$ vision-zoo ").split()
        done = cli(*command)
        assert done.code == 0, done.stderr
    assert done.json[0]["label"] == "7"


def test_the_shipped_models_are_what_the_manifest_lists() -> None:
    from vision_zoo.serving.session import Session

    listed = json.loads((ROOT / "exported" / "manifest.json").read_text())["models"]
    shipped = sorted(path.name for path in (ROOT / "exported").glob("*.onnx"))
    assert sorted(listed) == shipped
    for name in shipped:
        session = Session(ROOT / "exported" / name, provider="cpu")
        session.predict(np.zeros((1, *session.metadata.input.shape), dtype=np.uint8))


def test_dataclasses_of_arrays_are_not_compared_by_them() -> None:
    """`==` of arrays is an array: a comparison of two such dataclasses would raise."""
    classes = [
        (path, node)
        for folder in ("vision_zoo", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and _is_dataclass(node)
    ]
    with_arrays = {"NDArray", "Tensor", "Decoded"}
    for _ in range(3):  # classes that have such classes
        with_arrays |= {node.name for _, node in classes if _fields(node) & with_arrays}
    assert "InferRequest" in with_arrays
    for path, node in classes:
        if _fields(node) & with_arrays:
            assert any("eq=False" in ast.unparse(one) for one in node.decorator_list), f"{path}: {node.name}"


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(ast.unparse(one).startswith("dataclass") for one in node.decorator_list)


def _fields(node: ast.ClassDef) -> set[str]:
    """The words of its fields' types, but of functions and of help texts."""
    annotations = [line.annotation for line in node.body if isinstance(line, ast.AnnAssign)]
    types = [
        re.sub(r"^Annotated\[(.*?), .*", r"\1", ast.unparse(one), flags=re.DOTALL) for one in annotations
    ]
    return {word for text in types if "Callable" not in text for word in re.findall(r"\w+", text)}


def test_exported_files_name_no_machine() -> None:
    for path in (ROOT / "exported").glob("*.onnx"):
        content = path.read_bytes()
        assert not re.search(rb"\.py\W", content)
        assert b"site-packages" not in content
