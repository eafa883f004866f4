"""The page within the server's limits: the queue, the deadline, and answers that nobody reads."""

import base64
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.demo.conftest import Demo, running
from tests.serving.demo.events import API, call, reference, upload
from tests.serving.server import bombs
from tests.serving.server.conftest import Server, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")


def _serve(few_models: Path, folder: Path, deadline: str) -> AbstractContextManager[Demo]:
    limits = ("--max-concurrency", "1", "--max-queue", "1", "--deadline", deadline)
    return running(folder, "serve", "--demo", "--models-dir", few_models, *limits)


@pytest.fixture(scope="module")
def hasty(few_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A server that has little time."""
    with _serve(few_models, tmp_path_factory.mktemp("hasty"), "3") as started:
        yield started


@pytest.fixture(scope="module")
def patient(few_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One that has all the time that a busy machine takes."""
    with _serve(few_models, tmp_path_factory.mktemp("patient"), "600") as started:
        yield started


@pytest.fixture
def client(patient: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=patient.url, timeout=60) as opened:
        yield opened


def _gauges(client: httpx.Client) -> tuple[float, float]:
    lines = [line.split() for line in client.get("/metrics").text.splitlines()]
    values = {words[0]: float(words[1]) for words in lines if words[0].startswith("vision_zoo_")}
    return values["vision_zoo_running"], values["vision_zoo_waiting"]


def _endless(server: Demo, client: httpx.Client) -> dict[str, Any]:
    """A picture whose decoding never ends: the process that is asked next is stopped."""
    until(lambda: _gauges(client) == (0, 0))  # one that was stopped before has been ended
    picture = bombs.png(1500)
    while True:  # on a busy machine its deadline may pass as well, and then its process is ending
        kind, (shown,) = call(client, "classify", [reference(upload(client, picture)), "mnist"])
        assert kind == "complete"
        decoders = bombs.children(Server(0, server.process, server.log))
        if "There is no digit" in shown and decoders:
            break
    for decoder in decoders:
        os.kill(decoder, signal.SIGSTOP)
    return reference(upload(client, picture))


def test_a_picture_that_takes_too_long_gives_its_place_up(hasty: Demo, digit_png: Path) -> None:
    with httpx.Client(base_url=hasty.url, timeout=60) as client:
        _assert_deadlines_are_kept(hasty, client, digit_png)


def _assert_deadlines_are_kept(hasty: Demo, client: httpx.Client, digit_png: Path) -> None:
    kind, (shown,) = call(client, "classify", [_endless(hasty, client), "mnist"])
    assert kind == "complete"
    assert "The deadline passed while the request ran." in shown
    kind, error = call(client, "explain_picture", [_endless(hasty, client), "mnist"])
    assert kind == "error"
    assert "The deadline passed" in error["error"]
    until(lambda: _gauges(client) == (0, 0))  # the decoder has been ended
    ordinary = reference(upload(client, digit_png.read_bytes()))
    # On a busy machine an ordinary picture may take too long as well.
    until(lambda: "says <strong>7</strong>" in call(client, "classify", [ordinary, "mnist"])[1][0])


def test_a_drawing_is_decoded_within_the_same_limits(client: httpx.Client) -> None:
    drawn = f"data:image/png;revision=1;base64,{base64.b64encode(bombs.webp(8000)).decode()}"
    (shown,) = call(client, "draw", [drawn])[1]
    assert "more than 16 million pixels" in shown


def test_answers_that_are_not_read_are_bounded(client: httpx.Client) -> None:
    """Of one session by refusing more, of all together by forgetting the first."""

    def ask(session: str | None) -> httpx.Response:
        body = {"data": [None, "mnist"], **({} if session is None else {"session_hash": session})}
        answer = client.post(f"{API}/call/classify", json=body)
        until(lambda: _gauges(client) == (0, 0))
        return answer

    statuses = [ask("unread").status_code for _ in range(40)]
    assert set(statuses) == {200, 429}
    events = [ask(None).json()["event_id"] for _ in range(300)]
    assert client.get(f"{API}/call/classify/{events[0]}").status_code == 404
    assert "complete" in client.get(f"{API}/call/classify/{events[-1]}").text


def test_streams_of_a_session_are_bounded_and_leave_nothing(client: httpx.Client) -> None:
    """One too many is refused; a session whose streams have ended may ask again."""
    with contextlib.ExitStack() as opened:
        statuses = [
            opened.enter_context(client.stream("GET", f"{API}/heartbeat/many")).status_code for _ in range(33)
        ]
    assert statuses == [200] * 32 + [429]

    body = {"data": [None, "mnist"], "session_hash": "left"}
    for _ in range(40):  # more than may be unread
        path = f"{API}/call/classify/{client.post(f'{API}/call/classify', json=body).json()['event_id']}"
        with client.stream("GET", path) as answer:
            assert answer.status_code == 200  # and away, before the answer comes or after it
        until(lambda: _gauges(client) == (0, 0))
    assert client.post(f"{API}/call/classify", json=body).status_code == 200


def test_unread_answers_of_all_sessions_are_bounded(client: httpx.Client) -> None:
    for number in range(40):
        for _ in range(20):
            body = {"data": [None, "mnist"], "session_hash": f"unread-{number}"}
            assert client.post(f"{API}/call/classify", json=body).status_code == 200
        until(lambda: _gauges(client) == (0, 0))
    first, last = (
        client.get(f"{API}/queue/data", params={"session_hash": f"unread-{number}"}) for number in (0, 39)
    )
    assert first.status_code == 404
    assert last.text.count("process_completed") == 20


def test_a_full_queue_is_one_line_and_keeps_no_server(
    patient: Demo, client: httpx.Client, digit_png: Path
) -> None:
    endless, waiting = _endless(patient, client), reference(upload(client, bombs.png(1500)))
    for picture in (endless, waiting):
        body = {"data": [picture, "mnist"]}
        assert client.post(f"{API}/call/classify", json=body).status_code == 200
        until(lambda: _gauges(client)[0] == 1)
    until(lambda: _gauges(client) == (1, 1))
    ordinary = reference(upload(client, digit_png.read_bytes()))
    kind, (shown,) = call(client, "classify", [ordinary, "mnist"])
    assert kind == "complete"
    assert "The server is busy; try again later." in shown
    assert shown.count("<p") == 1
    assert client.get("/v2/health/live").status_code == 200
    patient.process.terminate()
    assert patient.process.wait(timeout=300) == 0
    assert "Traceback" not in patient.log.read_text()
