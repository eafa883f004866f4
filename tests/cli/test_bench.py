"""What `vision-zoo bench` prints and writes, also when it is interrupted."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vision_zoo import benchmark
from vision_zoo.cli import app
from vision_zoo.core.benchmark_row import BenchmarkRow
from vision_zoo.core.errors import Interrupted
from vision_zoo.core.progress import SilentProgress


@pytest.fixture(scope="module")
def row(exported_model: Path) -> BenchmarkRow:
    """What one measurement gives."""
    settings = benchmark.BenchmarkSettings(batch_sizes=(1,), seconds=0.05)
    (measured,) = benchmark.benchmark([exported_model], settings, SilentProgress(), raw=True)
    return measured


def _measuring(*rows: BenchmarkRow, interrupted: bool = False) -> Callable[..., Iterator[BenchmarkRow]]:
    """A benchmark that gives these rows, and then is interrupted, or ends."""

    def measure(*_arguments: object, **_options: object) -> Iterator[BenchmarkRow]:
        yield from rows
        if interrupted:
            raise KeyboardInterrupt

    return measure


def _run(exported_model: Path, *arguments: str) -> object:
    """The exit code."""
    line = ["bench", str(exported_model), "--batch-sizes", "1,8", "--duration", "0.05", *arguments]
    return app(line, standalone_mode=False)


_FORMATS = pytest.mark.parametrize("table_format", ["table", "json", "csv", "md", "html"])


@_FORMATS
def test_every_format_is_printed_or_written(
    table_format: str,
    row: BenchmarkRow,
    exported_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "benchmark", _measuring(row))
    output = tmp_path / "rows"
    assert not _run(exported_model, "--format", table_format, "--output", str(output))
    written = output.read_text()
    assert "CPUExecutionProvider" in written
    assert written.rstrip().endswith("</html>") == (table_format == "html")
    if table_format != "html":
        capsys.readouterr()
        assert not _run(exported_model, "--format", table_format)
        assert "CPUExecutionProvider" in capsys.readouterr().out


@_FORMATS
def test_what_was_measured_is_written(
    table_format: str,
    row: BenchmarkRow,
    exported_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(benchmark, "benchmark", _measuring(row, interrupted=True))
    output = tmp_path / "rows"
    with pytest.raises(Interrupted, match=r"^interrupted; .*rows has the results so far: 1 row") as caught:
        _run(exported_model, "--format", table_format, "--output", str(output))
    assert caught.value.exit_code == 130
    if table_format == "json":
        (written,) = json.loads(output.read_text())["rows"]
        assert written["batch"] == 1
    assert exported_model.stem in output.read_text()


def test_without_a_file_or_a_row_nothing_is_written(
    row: BenchmarkRow,
    exported_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(benchmark, "benchmark", _measuring(row, interrupted=True))
    assert _run(exported_model) == 130
    assert not capsys.readouterr().out

    monkeypatch.setattr(benchmark, "benchmark", _measuring(interrupted=True))
    assert _run(exported_model, "--output", str(tmp_path / "rows")) == 130
    assert not (tmp_path / "rows").exists()
