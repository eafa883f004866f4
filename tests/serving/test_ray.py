"""The application for Ray Serve: its options, and what a replica answers. `soak/test_ray.py` starts Ray."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from tests.serving.server.conftest import CLASSIFY, infer_request
from vision_zoo.core.errors import UsageError


@pytest.fixture(scope="module")
def ray_app() -> Any:
    """The module, imported by the worker that tests it: Ray takes seconds."""
    return importlib.import_module("vision_zoo.serving.ray_app")


@pytest.mark.parametrize("wrong", [{"replicas": 0}, {"replica": 2}, {"cpus": "many"}, {"gpus": "inf"}])
def test_options_are_checked(ray_app: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ray_app.Options(**wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_batch": 0}, "max batch 0 is out of range"),
        ({"max_delay_ms": -1}, "max delay ms -1.0 is out of range"),
    ],
)
def test_limits_are_checked_before_anything_starts(
    ray_app: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ray_app.application(ray_app.Options(open_to_all=True, **options))


def test_a_cluster_wants_a_key(ray_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISION_ZOO_API_KEY", raising=False)
    with pytest.raises(UsageError, match="set an API key"):
        ray_app.application(ray_app.Options())
    monkeypatch.setenv("VISION_ZOO_API_KEY", "a key of sixteen characters")
    ray_app.application(ray_app.Options())


def test_a_replica_is_the_server_and_says_who_it_is(
    ray_app: Any, monkeypatch: pytest.MonkeyPatch, exported_model: Path, digit_png: Path
) -> None:
    built: list[Callable[[], ASGIApp]] = []
    ingress = ray_app.serve.ingress

    def kept(build: Callable[[], ASGIApp]) -> Any:
        built.append(build)
        return ingress(build)

    monkeypatch.setattr(ray_app.serve, "ingress", kept)
    ray_app.application(ray_app.Options(models_dir=exported_model.parent, open_to_all=True))
    node = SimpleNamespace(get_node_id=lambda: "0123456789abcdef")
    replica = SimpleNamespace(replica_id=SimpleNamespace(unique_id="r1"))
    monkeypatch.setattr(ray_app.ray, "get_runtime_context", lambda: node)
    monkeypatch.setattr(ray_app.serve, "get_replica_context", lambda: replica)
    with TestClient(built[0]()) as client:
        answer = client.post(CLASSIFY, content=digit_png.read_bytes())
        assert (answer.status_code, answer.json()["label"]) == (200, "7"), answer.text
        assert answer.headers["X-Served-By"] == "0123456789ab/r1"
        assert answer.headers["X-Request-ID"]
        assert client.post("/v2/models/nothing/infer", json=infer_request()).status_code == 404
