"""The API's description: every status that a path is answered with, and no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.server import bombs
from tests.serving.server.conftest import MODEL, Server, running, tensor_body

_KEY = "a-key-for-the-description"
_HARD_TO_PROVOKE = {408, 500, 503, 504}
"""Late bodies, failures, a server that is busy or stops, and deadlines: each has tests of its own."""


@pytest.fixture(scope="module")
def keyed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key and takes bodies of a megabyte."""
    log = tmp_path_factory.mktemp("keyed") / "log"
    with running(models, log, "--max-body-mb", "1", env={"VISION_ZOO_API_KEY": _KEY}) as started:
        yield started


def _answered(client: httpx.Client, method: str, path: str, body: bytes) -> set[int]:
    """The statuses of a good request and of many that are not."""

    def ask(model: str = MODEL, content: bytes = body, **headers: str) -> int:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.request(
            method,
            path.replace("{model}", model),
            content=content if method == "POST" else None,
            headers={"Authorization": f"Bearer {_KEY}"} | given,
        ).status_code

    good = ask()
    assert good == 200
    return {
        good,
        ask("nothing"),
        ask("damaged"),
        ask(content=b"{"),
        ask(content=bytes(2 * 2**20)),
        ask(content=bombs.png(28)),
        ask(Authorization="Bearer wrong"),
        ask(Content_Encoding="none of ours"),
        ask(Host="elsewhere.example"),
        ask(Host="no host"),
        ask(Origin="https://elsewhere.example"),
    }


def test_it_lists_the_statuses_that_are_answered(keyed: Server, digit_png: Path) -> None:
    bodies = {
        "/v1/classify/{model}": digit_png.read_bytes(),
        "/v2/models/{model}/infer": tensor_body(),
        "/v2/repository/index": b"{}",
    }
    headers = {"Authorization": f"Bearer {_KEY}"}
    with httpx.Client(base_url=keyed.url, timeout=60) as client:
        paths: dict[str, dict[str, Any]] = client.get("/openapi.json", headers=headers).json()["paths"]
        assert bodies.keys() < paths.keys()
        for path, operations in paths.items():
            for method, operation in operations.items():
                listed = {int(status) for status in operation["responses"] if status != "default"}
                answered = _answered(client, method.upper(), path, bodies.get(path, b""))
                assert answered <= listed, path
                assert listed - answered <= _HARD_TO_PROVOKE, path
