"""Attacks by JSON and by model files on a server of 1 GB: bounded, others are served, and it ends in time."""

import http.client
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from soak.limits import limited_memory
from soak.watching import LARGEST_GROWTH_MIB, LONGEST_END_SECONDS, LONGEST_LIVE_MS, OWN_SESSION, watched
from tests.serving import hostile_models
from tests.serving.server.conftest import INFER, Server, infer_request, running, tensor_body, until

_MEMORY = 2**30
_SIZE = 16 * 2**20 - 1000
_CONNECTIONS = 8


def _with_data(data: bytes) -> bytes:
    return tensor_body(batch=256, data=0).replace(b'"data": 0', b'"data": ' + data)


def _legal(nested: bool) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, (256, 28, 28, 1))
    return json.dumps(infer_request(256, data=(values if nested else values.ravel()).tolist())).encode()


def _repeated(part: bytes, last: bytes) -> bytes:
    return _with_data(b"[" + part * (_SIZE // len(part)) + last + b"]")


ATTACKS: dict[str, Callable[[], bytes]] = {
    "the largest request, flat": lambda: _legal(nested=False),
    "the largest request, nested": lambda: _legal(nested=True),
    "lists": lambda: _repeated(b"[],", b"[]"),
    "short lists": lambda: _with_data(b"[" + b"[]," * 10_000 + b"[]]"),
    "numbers": lambda: _repeated(b"0,", b"0"),
    "opened lists": lambda: _with_data(b"[" * _SIZE),
    "a long text and empty ones": lambda: _with_data(b'["' + b"a" * 300_000 + b'"' + b',""' * 783 + b"]"),
    "empty texts": lambda: _repeated(b'"",', b'""'),
    "objects": lambda: _repeated(b'{"a":1},', b"{}"),
    "opened objects": lambda: b'{"a":' * (_SIZE // 5),
    "blanks": lambda: _with_data(b"[" + b" " * _SIZE + b"0]"),
    "one number": lambda: _with_data(b"[" + b"1" * _SIZE + b"]"),
    "many data": lambda: b'{"inputs":[' + b'"data":[' * (_SIZE // 8),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_by_json_is_bounded(models: Path, tmp_path: Path, attack: Callable[[], bytes]) -> None:
    body = attack()
    with (
        limited_memory(_MEMORY) as prefix,
        running(models, tmp_path / "log", "--max-queue", "16", prefix=OWN_SESSION + prefix) as server,
    ):
        assert server.is_well()
        with watched(server) as seen, ThreadPoolExecutor(_CONNECTIONS) as threads:
            statuses = list(threads.map(lambda _: _ask(server, body), range(3 * _CONNECTIONS)))
        print({status: statuses.count(status) for status in set(statuses)}, seen)
        assert set(statuses) <= {200, 400, 503}
        assert seen["mib"] <= LARGEST_GROWTH_MIB
        assert seen["live_ms"] <= LONGEST_LIVE_MS
        assert server.is_well()


def _ask(server: Server, body: bytes) -> int:
    """The status of the answer; 503 where the server hung up on one large body too many, as it may."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("POST", INFER, body=body)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
        return 503
    finally:
        connection.close()


def test_harmful_models_are_refused_while_others_are_served(exported_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(exported_model, folder)
    with (
        limited_memory(_MEMORY) as prefix,
        running(folder, tmp_path / "log", "--reload", "0.1", prefix=OWN_SESSION + prefix) as server,
    ):
        assert server.is_well()
        with watched(server) as seen:
            (folder / "a.onnx").write_bytes(hostile_models.enormous(exported_model))
            (folder / "b.onnx").write_bytes(hostile_models.endless(exported_model))
            os.mkfifo(folder / "c.onnx")
            (folder / "d.onnx").symlink_to("/dev/zero")
            shutil.copy(exported_model, folder / "z.onnx")
            deadline = time.monotonic() + 120
            while server.log.read_text().count("model refused") < 4 and time.monotonic() < deadline:
                assert server.is_well()
        print(seen)
        assert seen["mib"] <= LARGEST_GROWTH_MIB
        assert seen["live_ms"] <= LONGEST_LIVE_MS
        until(lambda: '"model": "z"' in server.log.read_text() or '"model":"z"' in server.log.read_text())
        (folder / "e.onnx").write_bytes(hostile_models.endless(exported_model))
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < LONGEST_END_SECONDS
