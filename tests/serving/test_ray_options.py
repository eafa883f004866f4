"""The application for Ray Serve: its options."""

from typing import Any

import pytest
from pydantic import ValidationError

from vision_zoo.core.errors import UsageError
from vision_zoo.serving.ray_app import Options, application


@pytest.mark.parametrize("wrong", [{"replicas": 0}, {"replica": 2}, {"cpus": "many"}, {"gpus": "inf"}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options(**wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(max_batch=0, open_to_all=True), "max batch 0 is out of range"),
        (Options(max_delay_ms=-1, open_to_all=True), "max delay ms -1.0 is out of range"),
    ],
)
def test_limits_are_checked_before_anything_starts(options: Options, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        application(options)


def test_a_cluster_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISION_ZOO_API_KEY", raising=False)
    with pytest.raises(UsageError, match="set an API key"):
        application(Options())
    monkeypatch.setenv("VISION_ZOO_API_KEY", "a key of sixteen characters")
    application(Options())
