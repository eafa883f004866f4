from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Completed
from vision_zoo.cli import app
from vision_zoo.experiments import quickstart

Cli = Callable[..., Completed]


@pytest.mark.slow
def test_the_quickstart_reaches_its_accuracy_and_can_be_repeated(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = cli("quickstart", "--json")
    assert first.code == 0, first.stderr
    result = first.json
    assert result["test_accuracy"] >= 0.96
    assert result["epochs"] <= 4  # more than half of its processor time is training
    assert result["argmax_agreement"] == 1.0
    assert result["prediction"]["label"] == result["true_label"]
    assert {row["engine"] for row in result["benchmark"]} == {"onnxruntime", "torch"}
    assert Path(tmp_path / result["model"]).is_file()

    monkeypatch.setitem(quickstart._CHANGES, "epochs", 1)
    monkeypatch.setattr(quickstart, "_BENCHMARK", replace(quickstart._BENCHMARK, seconds=0.01))
    monkeypatch.chdir(tmp_path)
    app(["quickstart"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "1 epoch in" in said
    assert "Next steps:" in said
