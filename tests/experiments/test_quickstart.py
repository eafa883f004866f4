from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Completed

Cli = Callable[..., Completed]


@pytest.mark.slow
def test_the_quickstart_reaches_its_accuracy_and_can_be_repeated(cli: Cli, tmp_path: Path) -> None:
    first = cli("quickstart", "--json")
    assert first.code == 0, first.stderr
    result = first.json
    assert result["test_accuracy"] >= 0.96
    assert result["argmax_agreement"] == 1.0
    assert result["prediction"]["label"] == result["true_label"]
    assert {row["engine"] for row in result["benchmark"]} == {"onnxruntime", "torch"}
    assert Path(tmp_path / result["model"]).is_file()
    again = cli("quickstart")
    assert again.code == 0, again.stderr
    assert "Next steps:" in again.stdout
