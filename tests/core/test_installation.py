"""Commands in messages fit the way in which the package was installed."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from vision_zoo.core import installation


def _installed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, origin: dict[str, Any] | None, receipt: str | None = None
) -> None:
    """An installation in `folder`, with the records that installers leave."""
    about = folder / "site" / "vision_zoo-9.9.dist-info"
    about.mkdir(parents=True)
    requirements = [
        'torch>=2 ; extra == "train"',
        'scipy>=1; extra == "train"',
        "numpy",
        'ray; extra == "ray"',
    ]
    listed = "".join(f"Requires-Dist: {line}\n" for line in requirements)
    (about / "METADATA").write_text(f"Metadata-Version: 2.4\nName: vision-zoo\nVersion: 9.9\n{listed}")
    if origin is not None:
        (about / "direct_url.json").write_text(json.dumps(origin))
    if receipt is not None:
        (folder / receipt).touch()
    monkeypatch.syspath_prepend(about.parent)
    monkeypatch.setattr(installation, "_ROOT", about.parent)
    monkeypatch.setattr(installation, "_ENVIRONMENT", folder)


def test_a_checkout_is_installed_from_its_own_folder() -> None:
    words = shlex.split(installation.install_extra("train"))
    assert words[-2:] == ["--editable", f"{ROOT}[train]"]
    program = subprocess.run(
        [*words[: words.index("install")], "--version"], capture_output=True, check=False
    )
    assert program.returncode == 0


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        (None, "'vision-zoo[train]'"),
        ({"url": "https://example.org/vision_zoo.whl", "archive_info": {}},
         "'vision-zoo[train] @ https://example.org/vision_zoo.whl'"),
        ({"url": "https://example.org/zoo.git", "vcs_info": {"vcs": "git", "commit_id": "0123abcd"}},
         "'vision-zoo[train] @ git+https://example.org/zoo.git@0123abcd'"),
        ({"url": "file:///gone/vision_zoo.whl", "archive_info": {}}, "'torch>=2' 'scipy>=1'"),
    ],
    ids=["registry", "address", "repository", "gone"],
)  # fmt: skip
def test_the_source_is_the_one_that_was_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: dict[str, Any] | None, source: str
) -> None:
    _installed(monkeypatch, tmp_path, origin)
    assert installation.install_extra("train").endswith(f" install {source}")


def test_a_folder_or_wheel_that_is_still_there_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "my wheels" / "vision_zoo.whl"
    wheel.parent.mkdir()
    wheel.touch()
    _installed(monkeypatch, tmp_path / "environment", {"url": wheel.as_uri(), "archive_info": {}})
    assert installation.install_extra("train").endswith(f" install '{wheel}[train]'")


@pytest.mark.parametrize(
    ("receipt", "extra", "package"),
    [
        ("uv-receipt.toml", "uv tool install --force 'vision-zoo[train]'", "pip install numpy"),
        (
            "pipx_metadata.json",
            "pipx install --force 'vision-zoo[train]'",
            "pipx runpip vision-zoo install numpy",
        ),
    ],
)
def test_tools_have_their_own_commands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, receipt: str, extra: str, package: str
) -> None:
    _installed(monkeypatch, tmp_path, None, receipt)
    assert installation.install_extra("train") == extra
    assert installation.install("numpy").endswith(package)


def test_pip_is_that_of_this_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installation.install("numpy").startswith(f"{sys.executable} -m pip install")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert installation.install("numpy") == "pip install numpy"
    assert installation.uninstall("a", "b") == "pip uninstall a b"
