"""ONNX Runtime Web: where it comes from, and what is said where it does not come."""

import shutil
import sys
from pathlib import Path

import pytest

from vision_zoo.core.errors import MissingExtraError, WebRuntimeError
from vision_zoo.serving.web import runtime
from vision_zoo.serving.web.runtime import SCRIPT, VERSION, WASM, load_runtime


def _npm(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An npm that runs `script` in Python, and an empty cache."""
    path = folder / "npm"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


@pytest.mark.parametrize("place", ["", "dist", "node_modules/onnxruntime-web/dist"])
def test_a_folder_with_the_package_is_read(place: str, web_runtime: Path, tmp_path: Path) -> None:
    shutil.copytree(web_runtime, tmp_path / "given" / place, dirs_exist_ok=True)
    loaded = load_runtime(tmp_path / "given")
    assert loaded.wasm.startswith(b"\0asm")
    assert VERSION.encode() in loaded.script


def test_it_is_fetched_once_into_the_cache(
    web_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetched: list[Path] = []

    def fetch(target: Path) -> None:
        fetched.append(target)
        shutil.copytree(web_runtime, target)

    monkeypatch.setattr(runtime, "fetch", fetch)
    assert load_runtime() == load_runtime()
    assert fetched == [tmp_path / "vision-zoo" / "onnxruntime-web" / VERSION]


def test_what_is_damaged_in_the_cache_is_fetched_again(
    web_runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cached = runtime.cache_folder()
    shutil.copytree(web_runtime, cached)
    (cached / WASM).write_bytes(b"\0asm")
    monkeypatch.setattr(
        runtime, "fetch", lambda target: shutil.copytree(web_runtime, target, dirs_exist_ok=True)
    )
    assert len(load_runtime().wasm) > 1_000_000


def test_without_npm_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingExtraError, match=r"npm, which is not installed; pass --runtime DIR .*web"):
        load_runtime()


def test_without_a_registry_npm_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "npm error code ENOTFOUND\\nnpm error network request to the registry failed"
    _npm(tmp_path, f"import sys; sys.exit('{said}')", monkeypatch)
    with pytest.raises(
        WebRuntimeError, match=r"\(network request to the registry failed\); .* --runtime DIR"
    ):
        load_runtime()


def test_another_package_than_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _npm(tmp_path, "open('onnxruntime-web.tgz', 'wb').write(b'something else')", monkeypatch)
    with pytest.raises(WebRuntimeError, match="not the published one"):
        load_runtime()
    assert not list(runtime.cache_folder().glob("*"))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (None, "does not exist"),
        ({}, "has none of its files"),
        ({SCRIPT: b""}, "does not hold onnxruntime-web"),
        ({SCRIPT: b"", WASM: b"\0asm"}, "as published"),
    ],
)
def test_another_folder_is_refused(files: dict[str, bytes] | None, expected: str, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    for name, content in (files or {}).items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    if files == {}:
        folder.mkdir()
    with pytest.raises(WebRuntimeError, match=expected):
        load_runtime(folder)
