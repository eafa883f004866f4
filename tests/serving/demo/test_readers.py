"""Answers wait for the reader that comes for them."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tests.serving.demo.conftest import Demo, running
from tests.serving.demo.events import API
from tests.serving.server.conftest import until
from vision_zoo.serving.demo import sessions
from vision_zoo.serving.server.errors import RequestError

SESSION = "page"


@pytest.fixture(scope="module")
def own_demo(few_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A server that the last of these tests stops."""
    folder = tmp_path_factory.mktemp("readers")
    with running(folder, "serve", "--demo", "--models-dir", few_models) as demo:
        yield demo


@pytest.fixture
def client(own_demo: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own_demo.url, timeout=300) as opened:
        yield opened


def _ask(client: httpx.Client) -> str:
    body = {"data": [None, "mnist"], "session_hash": SESSION}
    return str(client.post(f"{API}/call/classify", json=body).raise_for_status().json()["event_id"])


def _as_page(client: httpx.Client) -> contextlib.AbstractContextManager[httpx.Response]:
    headers = {"Accept": "text/event-stream"}
    return client.stream("GET", f"{API}/queue/data", params={"session_hash": SESSION}, headers=headers)


def _messages(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in stream.iter_lines():
        if line:
            yield json.loads(line.removeprefix("data: "))


def _read_until(messages: Iterator[dict[str, Any]], kind: str, event: str | None = None) -> None:
    for message in messages:
        if message["msg"] == kind and message.get("event_id") == event:
            return
    raise AssertionError(f"no {kind} of {event}")


def test_a_page_reads_its_answers_however_its_streams_come_and_go(client: httpx.Client) -> None:
    with client.stream("GET", f"{API}/heartbeat/{SESSION}"):
        event = _ask(client)
        with _as_page(client) as stream:
            messages = _messages(stream)
            _read_until(messages, "process_completed", event)
            # The stream waits for what the page asks next.
            _read_until(messages, "process_completed", _ask(client))
            _read_until(messages, "close_stream")
            asked: list[str] = []
            asking = threading.Thread(target=lambda: asked.append(_ask(client)))
            asking.start()
        # An event is not given a name before the page has left the stream that told its end.
        asking.join()
        with _as_page(client) as stream:
            _read_until(_messages(stream), "process_completed", asked[0])
    # Nobody is left who reads, once the server has seen the page leave.
    until(lambda: _is_forgotten(client))


def _is_forgotten(client: httpx.Client) -> bool:
    with _as_page(client) as stream:
        return stream.status_code == 404


def test_a_program_reads_all_answers_and_is_told_the_end_at_once(client: httpx.Client) -> None:
    events = [_ask(client) for _ in range(3)]
    answers = client.get(f"{API}/queue/data", params={"session_hash": SESSION}).text
    read = [json.loads(line.removeprefix("data: ")) for line in answers.splitlines() if line]
    # Several are answered at a time.
    assert sorted(message["event_id"] for message in read if message["msg"] == "process_completed") == sorted(
        events
    )
    assert read[-1]["msg"] == "close_stream"
    until(lambda: client.get(f"{API}/call/classify/{events[0]}").status_code == 404)


def test_a_reader_that_is_refused_loses_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_STREAMS_OF_ALL", 0)
    answers: asyncio.Queue[str] = asyncio.Queue()
    answers.put_nowait("an answer")
    queue: Any = SimpleNamespace(
        event_ids_to_events={},
        pending_event_ids_session={SESSION: {"event"}},
        pending_messages_per_session={SESSION: answers},
    )
    files: Any = None
    waiting = sessions.Sessions(queue, files, asyncio.Event())

    async def read() -> None:
        async with waiting.reading(SESSION, sessions.write_message, page=True):
            raise AssertionError("it was not refused")

    async def live() -> None:
        async with waiting.alive(SESSION):
            raise AssertionError("it was not refused")

    for stream in (read, live):
        with pytest.raises(RequestError) as refused:
            asyncio.run(stream())
        assert refused.value.status == 503
        assert waiting.expects(SESSION)


def test_an_idle_stream_ends_when_the_server_stops(own_demo: Demo, client: httpx.Client) -> None:
    with client.stream("GET", f"{API}/heartbeat/{SESSION}"):
        event = _ask(client)
        with _as_page(client) as stream:
            messages = _messages(stream)
            _read_until(messages, "process_completed", event)
            own_demo.process.terminate()
            _read_until(messages, "close_stream")
        assert own_demo.process.wait(timeout=300) == 0
