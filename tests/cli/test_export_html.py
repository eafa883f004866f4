"""`vision-zoo export MODEL… --html FILE`."""

from collections.abc import Callable
from pathlib import Path

import vision_zoo as vz
from tests.conftest import Completed

Cli = Callable[..., Completed]


def test_models_are_written_into_one_page(cli: Cli, web_runtime: Path, tmp_path: Path) -> None:
    models = ("small_cnn-mnist", "simple_cnn-mnist")
    written = cli("export", *models, "--html", "digits.html", "--runtime", web_runtime)
    assert written.code == 0, written.stderr
    assert written.stdout.startswith("digits.html: small_cnn-mnist, simple_cnn-mnist in one page of 5.")
    page = tmp_path / "digits.html"
    told = cli("export", *models, "--html", "digits.html", "--runtime", web_runtime, "--json").json
    assert told == {"html": "digits.html", "bytes": page.stat().st_size, "models": list(models)}
    assert "https://" not in page.read_text().partition('id="runtime-script"')[0]


def test_python_writes_the_same_page(web_runtime: Path, tmp_path: Path) -> None:
    for name, models in {"one": "small_cnn-mnist", "listed": ["small_cnn-mnist"]}.items():
        page = vz.export_html(models, tmp_path / name, runtime=web_runtime)
        assert page.models == ("small_cnn-mnist",)
        assert page.size == page.path.stat().st_size
    assert (tmp_path / "one").read_bytes() == (tmp_path / "listed").read_bytes()
