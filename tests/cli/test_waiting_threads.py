"""How long OpenMP's threads spin before they sleep: beside other work, long spinning makes training many times slower."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vision_zoo import __main__, cli

_SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
    ids=["by default", "a number of the user's", "a policy of the user's"],
)
def test_threads_soon_sleep_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], spins: str | None
) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    monkeypatch.setattr(os, "environ", kept | given)
    monkeypatch.setattr(cli, "main", lambda: None)
    __main__.main()
    assert os.environ.get("GOMP_SPINCOUNT") == spins


@pytest.mark.skipif(sys.platform != "linux", reason="torch comes with another OpenMP there")
def test_it_is_set_before_libgomp_is_loaded(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in _SETTINGS}
    done = subprocess.run(
        [sys.executable, "-m", "vision_zoo", "export", "nowhere", "--onnx"],
        cwd=tmp_path,
        env={**environment, "OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr
