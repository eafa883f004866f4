"""`vision-zoo bench` when it is interrupted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from vision_zoo import benchmark
from vision_zoo.cli import app
from vision_zoo.core.errors import Interrupted
from vision_zoo.core.results import BenchmarkRow

_BENCHMARK = benchmark.benchmark


def _interrupted(*arguments: object, **options: object) -> Iterator[BenchmarkRow]:
    """The first row, then Ctrl-C."""
    yield next(_BENCHMARK(*arguments, **options))  # type: ignore[arg-type]
    raise KeyboardInterrupt


def _run(exported_model: Path, *arguments: str) -> object:
    """The exit code."""
    line = ["bench", str(exported_model), "--batch-sizes", "1,8", "--duration", "0.05", *arguments]
    return app(line, standalone_mode=False)


@pytest.mark.parametrize("table_format", ["table", "json", "csv", "md", "html"])
def test_what_was_measured_is_written(
    table_format: str, exported_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "benchmark", _interrupted)
    output = tmp_path / "rows"
    with pytest.raises(
        Interrupted, match=r"^interrupted; .*rows has what was measured until then: 1 row"
    ) as caught:
        _run(exported_model, "--format", table_format, "--output", str(output))
    assert caught.value.exit_code == 130
    if table_format == "json":
        (row,) = json.loads(output.read_text())["rows"]
        assert row["batch"] == 1
    assert exported_model.stem in output.read_text()


def test_without_a_file_or_a_row_nothing_is_written(
    exported_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "benchmark", _interrupted)
    assert _run(exported_model) == 130
    assert not capsys.readouterr().out

    def at_once(*_arguments: object, **_options: object) -> Iterator[BenchmarkRow]:
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "benchmark", at_once)
    assert _run(exported_model, "--output", str(tmp_path / "rows")) == 130
    assert not (tmp_path / "rows").exists()
