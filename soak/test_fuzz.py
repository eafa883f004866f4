"""Ten thousand requests that nobody would send: no answer of 500 and above, and the server is well afterwards."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.serving.server.conftest import MODEL, Server, infer_request, running

_REQUESTS = 10_000
_BROKEN = 500


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(models, tmp_path_factory.mktemp("soak") / "log", "--read-seconds", "2", own=True) as started:
        yield started


def test_requests_made_from_the_api_description(server: Server) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    found: Any = schema.get_all_operations()
    operations = [operation.ok() for operation in found]
    assert len(operations) > 5
    for operation in operations:
        _fuzz(operation, server)
    assert server.is_well()


def _fuzz(operation: Any, server: Server) -> None:
    @given(case=operation.as_strategy())
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    def answers(case: "schemathesis.Case[Any]") -> None:
        answer = case.call(base_url=server.url)
        # A model that is there but cannot be loaded is the server's fault, and said so.
        assert answer.status_code < _BROKEN or (
            answer.status_code == 503 and "damaged" in case.formatted_path
        )

    answers()


def test_mutated_bytes(server: Server) -> None:
    import json

    chance = random.Random(0)
    ordinary = json.dumps(infer_request()).encode()
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for number in range(_REQUESTS):
            body = bytearray(ordinary)
            for _ in range(chance.choice((1, 1, 2, 5, 40))):
                _mutate(body, chance)
            path = f"/v2/models/{MODEL}/infer" if number % 4 else f"/v1/classify/{MODEL}"
            statuses[client.post(path, content=bytes(body), headers=_headers(chance)).status_code] += 1
    assert sum(statuses.values()) == _REQUESTS
    assert max(statuses) < _BROKEN, statuses
    assert len(statuses) > 1
    assert server.is_well()


def _mutate(body: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(body) or 1)
    match chance.randrange(5):
        case 0:
            body[place : place + 1] = bytes([chance.randrange(256)])
        case 1:
            del body[place : place + chance.randrange(1, 50)]
        case 2:
            body[place:place] = body[: chance.randrange(50)]
        case 3:
            body[place:place] = chance.choice(
                (b"[", b"{", b'"', b"1e999", b"-1", b"null", b"NaN", b"\0", b"\xff")
            )
        case _:
            body[place:] = b""


def _headers(chance: random.Random) -> dict[str, str]:
    choices: tuple[dict[str, str], ...] = (
        {},
        {"Inference-Header-Content-Length": str(chance.randrange(4000))},
        {"Content-Encoding": chance.choice(("gzip", "deflate", "br"))},
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    return chance.choices(choices, weights=(6, 2, 1, 1))[0]
