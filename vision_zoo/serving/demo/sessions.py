"""The sessions of the page: what each has asked for, and streams of its answers.

Gradio's own streams forget all events of a session when one of its readers leaves, and a page leaves a stream that has
told its end although it asked for more meanwhile. Here a session lasts as long as it has a reader or a heartbeat.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import orjson

from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.errors import RequestError

if TYPE_CHECKING:
    from gradio.queueing import Queue

ONE_CALL = "call-"
"""Begins the name of the session of a program that gave none: it lasts for one event."""
SESSION = re.compile(r"[\w-]{1,64}")

_UNREAD_OF_ONE = 32
_UNREAD_SESSIONS = 256
_UNREAD_OF_ALL = 512
"""Answers must fit into memory; those that were asked for first are forgotten first."""
_STREAMS_OF_ONE = 32
_STREAMS_OF_ALL = 1024
_IDLE_SECONDS = 5
"""A page asks for the next event when one was answered; a stream each would be a connection each."""
_CLOSING_SECONDS = 2
_BEAT_SECONDS = 15
_RETRY = {"Retry-After": "1"}

Writer = Callable[[Any], bytes]


class _Streams:
    """Streams of one kind that are open; for one event loop."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def count(self, session: str) -> int:
        return self._open.get(session, 0)

    def require_room(self, session: str) -> None:
        """Raise RequestError if the session has too many streams open (429), or all together (503)."""
        if self.count(session) >= _STREAMS_OF_ONE:
            raise RequestError(429, "this session has too many streams open; close some first", _RETRY)
        if self._open.total() >= _STREAMS_OF_ALL:
            raise RequestError(503, "the server has too many streams open; try again later", _RETRY)

    @contextmanager
    def opened(self, session: str) -> Iterator[None]:
        """Count a stream as long as it is open."""
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]


class Sessions:
    """The sessions of `queue`, Gradio's, which own `files`; streams end early once `stopping` is set."""

    def __init__(self, queue: "Queue", files: PageFiles, stopping: asyncio.Event) -> None:
        self._queue = queue
        self._files = files
        self._stopping = stopping
        self._readers = _Streams()
        self._heartbeats = _Streams()
        self._asking: Counter[str] = Counter()
        self._closing: dict[str, asyncio.Event] = {}

    def expects(self, session: str) -> bool:
        """Whether a session has an answer to read, or will have one."""
        return session in self._at_work() or self._has_answers(session)

    def of_event(self, event: str) -> str:
        """The session that asked for an event; empty where there is none."""
        asked = self._queue.event_ids_to_events.get(event)
        if asked is not None:
            return str(asked.session_hash)
        # A copy: other threads take events out meanwhile.
        pending = list(self._queue.pending_event_ids_session.items())
        return next((session for session, events in pending if event in events), "")

    @asynccontextmanager
    async def asking(self, session: str) -> AsyncIterator[None]:
        """Around the request for an event: the session's stream stays open, or was seen to be closed by its reader.

        Else a page could believe, when it learns the event's name, that the closed stream will bring the answer.
        """
        self._asking[session] += 1
        try:
            if closing := self._closing.get(session):
                await closing.wait()
            yield
        finally:
            self._asking[session] -= 1
            if not self._asking[session]:
                del self._asking[session]

    @asynccontextmanager
    async def alive(self, session: str) -> AsyncIterator[None]:
        """Around a session's heartbeat; RequestError if too many."""
        self._heartbeats.require_room(session)
        try:
            with self._heartbeats.opened(session):
                self._files.opened(session)
                try:
                    yield
                finally:
                    await anyio.to_thread.run_sync(self._files.closed, session)
        finally:
            await self._leave(session, set(self._queue.pending_event_ids_session.get(session, ())))

    @asynccontextmanager
    async def reading(
        self, session: str, write: Writer, *, page: bool
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Around a stream of the answers of `session`, each as `write` has it; RequestError if too many.

        It ends when all were read: at once, or after a while if the reader is a page.
        """
        self._readers.require_room(session)
        told: list[bool] = []
        # What is asked for from now on is for a later reader, should this one leave.
        asked = set(self._queue.pending_event_ids_session.get(session, ()))
        try:
            with self._readers.opened(session):
                yield self._answers(session, write, told, page=page)
        finally:
            if closing := self._closing.pop(session, None):
                closing.set()
            if not told:
                await self._leave(session, asked)
            elif not self._queue.pending_event_ids_session.get(session):
                self._forget(session)

    async def _answers(
        self, session: str, write: Writer, told: list[bool], *, page: bool
    ) -> AsyncIterator[bytes]:
        """The session's messages, until it waits for none."""
        from gradio.server_messages import (
            CloseStreamMessage,
            HeartbeatMessage,
            ProcessCompletedMessage,
            UnexpectedErrorMessage,
        )

        idle = 0
        while (messages := self._queue.pending_messages_per_session.get(session)) is not None:
            asked = self._queue.pending_event_ids_session.get(session, set())
            if not asked and messages.empty() and not self._asking[session]:
                stays = page and self._heartbeats.count(session) and not self._stopping.is_set()
                if not stays or idle >= _IDLE_SECONDS:
                    told.append(True)
                    if stays:
                        self._closing[session] = asyncio.Event()
                    yield write(CloseStreamMessage())
                    if stays:
                        await asyncio.sleep(_CLOSING_SECONDS)  # the page leaves as soon as it has read that
                    return
            try:
                message = await asyncio.wait_for(messages.get(), 1)
            except TimeoutError:
                idle += 1
                if idle % _BEAT_SECONDS == 0:
                    yield write(HeartbeatMessage())
                continue
            idle = 0
            if isinstance(message, ProcessCompletedMessage) and message.event_id is not None:
                asked.discard(message.event_id)
            yield write(message)
        yield write(
            UnexpectedErrorMessage(message="the server has forgotten this session", session_not_found=True)
        )

    def make_room(self, session: str) -> None:
        """Forget answers that nobody reads, which Gradio keeps; RequestError for too many (429, of all sessions 503)."""
        unread = self._queue.pending_event_ids_session
        if len(unread.get(session, ())) >= _UNREAD_OF_ONE:
            raise RequestError(429, "too many answers of this session were not read; read them first", _RETRY)
        if not self._is_full():
            return
        at_work = self._at_work()
        idle = [other for other in unread if other not in at_work and not self._readers.count(other)]
        for other in idle[: _UNREAD_SESSIONS // 4]:
            self._forget(other)
        if self._is_full():
            raise RequestError(503, "too many answers are not read; try again later", _RETRY)

    def _is_full(self) -> bool:
        unread = self._queue.pending_event_ids_session
        return len(unread) >= _UNREAD_SESSIONS or sum(map(len, unread.values())) >= _UNREAD_OF_ALL

    def _at_work(self) -> set[str]:
        """The sessions that will have an answer. Of a copy: other threads take events out meanwhile."""
        return {event.session_hash for event in list(self._queue.event_ids_to_events.values()) if event.alive}

    def _has_answers(self, session: str) -> bool:
        messages = self._queue.pending_messages_per_session.get(session)
        return messages is not None and not messages.empty()

    async def _leave(self, session: str, events: set[str]) -> None:
        """Drop events of a session if nobody is left who would read their answers."""
        if self._readers.count(session) or self._heartbeats.count(session):
            return
        with anyio.CancelScope(shield=True):
            for event in events:
                await self._queue.clean_events(event_id=event)
        pending = self._queue.pending_event_ids_session.get(session, set())
        pending -= events
        if not pending:
            self._forget(session)

    def _forget(self, session: str) -> None:
        """Drop a session's answers."""
        self._queue.pending_event_ids_session.pop(session, None)
        self._queue.pending_messages_per_session.pop(session, None)
        if session.startswith(ONE_CALL):
            self._files.closed(session)


def write_message(message: Any) -> bytes:
    """A message as the page reads it."""
    return b"data: " + orjson.dumps(message.model_dump(), default=str) + b"\n\n"


def write_result(message: Any) -> bytes:
    """A message as a program reads it that asked for one event; nothing for those that only the page shows."""
    from gradio.server_messages import HeartbeatMessage, ProcessCompletedMessage, UnexpectedErrorMessage

    if isinstance(message, ProcessCompletedMessage):
        output = message.model_dump()["output"]
        kind, data = ("complete", output.get("data")) if message.success else ("error", output)
    elif isinstance(message, UnexpectedErrorMessage):
        kind, data = "error", message.message
    elif isinstance(message, HeartbeatMessage):
        kind, data = "heartbeat", None
    else:
        return b""
    return f"event: {kind}\ndata: ".encode() + orjson.dumps(data, default=str) + b"\n\n"
