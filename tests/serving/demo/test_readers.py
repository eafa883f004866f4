"""Answers wait for the reader that comes for them."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from vision_zoo.serving.demo.events import PageEvents


def _events(session: str) -> PageEvents:
    """Of a page one of whose sessions has an answer that was not read."""
    answers: asyncio.Queue[str] = asyncio.Queue()
    answers.put_nowait("an answer")
    queue = SimpleNamespace(
        event_ids_to_events={},
        pending_event_ids_session={session: {"event"}},
        pending_messages_per_session={session: answers},
    )
    page: Any = SimpleNamespace(fns={}, _queue=queue)
    files: Any = None
    return PageEvents(page, files)


@pytest.mark.parametrize("finished", [True, False])
def test_what_was_answered_after_a_reader_had_finished_is_for_the_next(finished: bool) -> None:
    events = _events("page")
    with events.reading("page") as reader:
        reader.finished = finished  # or it left, and with it goes what it was to read
    assert events.expects("page") == finished
