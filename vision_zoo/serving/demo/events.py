"""The events of the page, and validation of requests for them."""

import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson

from vision_zoo.serving.demo.uploads import PageFiles, foreign_file
from vision_zoo.serving.server.errors import RequestError

if TYPE_CHECKING:
    import gradio
    from gradio.block_function import BlockFunction

ONE_CALL = "call-"
"""Begins the name of the session of a program that gave none: it lasts for one event."""

_UNREAD_OF_ONE = 32
_UNREAD_SESSIONS = 256
_UNREAD_OF_ALL = 512
"""Answers must fit into memory; those that were asked for first are forgotten first."""
_SESSION = re.compile(r"[\w-]{1,64}")
_STREAMS_OF_ONE = 32
_STREAMS_OF_ALL = 1024


class Streams:
    """Streams of one kind that are open; for one event loop."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def count(self, session: str) -> int:
        return self._open.get(session, 0)

    @contextmanager
    def opened(self, session: str) -> Iterator[None]:
        """Count a stream as long as it is open; RequestError if the session has too many (429), or all together (503)."""
        retry = {"Retry-After": "1"}
        if self.count(session) >= _STREAMS_OF_ONE:
            raise RequestError(429, "this session has too many streams open; close some first", retry)
        if self._open.total() >= _STREAMS_OF_ALL:
            raise RequestError(503, "the server has too many streams open; try again later", retry)
        self._open[session] += 1
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]


class Reader:
    """An open stream of a session's answers; `finished` once it has told its end, when all were read."""

    finished = False


class PageEvents:
    """The events of `page`, Gradio's blocks, which may read `files`."""

    def __init__(self, page: "gradio.Blocks", files: PageFiles) -> None:
        from gradio.components import Image, State

        self._files = files
        self._queue = page._queue
        self._functions: dict[int, BlockFunction] = {
            index: function for index, function in page.fns.items() if function.fn is not None
        }
        self._image, self._state = Image, State
        self._streams = Streams()

    def checked(self, body: bytes, *, client: str, name: str | None) -> bytes:
        """The body of an event written anew from what was understood of `body`, which `client` sent.

        `name` is the event's, where the path has it; else the body has its number.

        Raises:
            RequestError: malformed (400), no such event (404), a file that this session's client did not upload (403),
                a session that does not read its answers (429), or too many others that do not (503).
        """
        document = _parsed(body)
        index, function = self._function(document, name)
        session = document.get("session_hash")
        if session is None:
            session = f"{ONE_CALL}{secrets.token_hex(16)}"
        elif not isinstance(session, str) or not _SESSION.fullmatch(session):
            raise RequestError(400, "session_hash must be 1 to 64 letters, digits, _ or -")
        values = self._values(document.get("data"), function)
        pictures = [
            value
            for value, block in zip(values, function.inputs, strict=True)
            if isinstance(block, self._image)
        ]
        paths = [None if picture is None else picture["path"] for picture in pictures]
        for path in paths:
            self._files.use(path, client=client, session=session)
        self._make_room(session)
        checked = {"data": values, "session_hash": session, "fn_index": index}
        trigger = document.get("trigger_id")
        if isinstance(trigger, int):
            checked["trigger_id"] = trigger
        chosen = document.get("event_data")
        if isinstance(chosen, dict) and isinstance(chosen.get("index"), int):
            checked["event_data"] = {"index": chosen["index"], "value": None}
        return orjson.dumps(checked)

    def expects(self, session: str) -> bool:
        """Whether a session has an answer to read, or will have one: not after its reader left while it was made."""
        return session in self._at_work() or self._has_answers(session)

    def session_of(self, event: str) -> str:
        """The session that asked for an event; empty where there is none."""
        asked = self._queue.event_ids_to_events.get(event)
        if asked is not None:
            return str(asked.session_hash)
        # A copy: other threads take events out meanwhile.
        pending = list(self._queue.pending_event_ids_session.items())
        return next((session for session, events in pending if event in events), "")

    @contextmanager
    def reading(self, session: str) -> Iterator[Reader]:
        """Count an open stream of a session's answers, then forget the unread ones; RequestError if too many."""
        reader = Reader()
        with self._streams.opened(session):
            try:
                yield reader
            finally:
                # Gradio drops what a session has asked for when one of its readers leaves: the others wait for nothing.
                # What was asked for and answered since a reader had finished is for the next one.
                read_on = self._streams.count(session) > 1 and self._has_answers(session)
                if reader.finished:
                    read_on = bool(self._queue.pending_event_ids_session.get(session))
                if not read_on and session not in self._at_work():
                    self._forget(session)

    def _make_room(self, session: str) -> None:
        """Forget answers that nobody reads, which Gradio keeps; RequestError for too many (429, of all sessions 503)."""
        unread = self._queue.pending_event_ids_session
        retry = {"Retry-After": "1"}
        if len(unread.get(session, ())) >= _UNREAD_OF_ONE:
            self._forget_lost(session)
        if len(unread.get(session, ())) >= _UNREAD_OF_ONE:
            raise RequestError(429, "too many answers of this session were not read; read them first", retry)
        if not self._is_full():
            return
        at_work = self._at_work()
        idle = [other for other in unread if other not in at_work and not self._streams.count(other)]
        for other in idle[: _UNREAD_SESSIONS // 4]:
            self._forget(other)
        if self._is_full():
            raise RequestError(503, "too many answers are not read; try again later", retry)

    def _is_full(self) -> bool:
        unread = self._queue.pending_event_ids_session
        return len(unread) >= _UNREAD_SESSIONS or sum(map(len, unread.values())) >= _UNREAD_OF_ALL

    def _at_work(self) -> set[str]:
        """The sessions that will have an answer. Of a copy: other threads take events out meanwhile."""
        return {event.session_hash for event in list(self._queue.event_ids_to_events.values()) if event.alive}

    def _has_answers(self, session: str) -> bool:
        messages = self._queue.pending_messages_per_session.get(session)
        return messages is not None and not messages.empty()

    def _forget(self, session: str) -> None:
        """Drop a session's answers."""
        self._queue.pending_event_ids_session.pop(session, None)
        self._queue.pending_messages_per_session.pop(session, None)
        if session.startswith(ONE_CALL):
            self._files.closed(session)

    def _forget_lost(self, session: str) -> None:
        """Drop the events whose answers went to a reader that had left."""
        if not self._has_answers(session):
            self._queue.pending_event_ids_session[session] &= self._queue.event_ids_to_events.keys()

    def _function(self, document: dict[str, Any], name: str | None) -> "tuple[int, BlockFunction]":
        wanted = document.get("fn_index")
        for index, function in self._functions.items():
            if (function.api_name == name) if name is not None else (type(wanted) is int and index == wanted):
                return index, function
        raise RequestError(404, "the page has no such event")

    def _values(self, data: Any, function: "BlockFunction") -> list[Any]:
        """One value per input; a program may leave out those that only the page knows."""
        if not isinstance(data, list):
            raise RequestError(400, "data must be a list of one value per input")
        shown = [block for block in function.inputs if not getattr(block, "skip_api", False)]
        if len(data) == len(shown) != len(function.inputs):
            given = iter(data)
            data = [None if getattr(block, "skip_api", False) else next(given) for block in function.inputs]
        if len(data) != len(function.inputs):
            raise RequestError(400, f"data has {len(data)} values; expected {len(shown)}")
        return [self._value(value, block) for value, block in zip(data, function.inputs, strict=True)]

    def _value(self, value: Any, block: Any) -> Any:
        if value is None or isinstance(block, self._state):
            return None
        if isinstance(block, self._image):
            path = value.get("path") if isinstance(value, dict) else None
            if not isinstance(path, str) or not self._files.knows(path):
                raise foreign_file()
            return {"path": path, "meta": {"_type": "gradio.FileData"}}
        if isinstance(value, dict | list):
            raise RequestError(400, "a value is a list or an object; expected text or a number")
        return value


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, "the body is not JSON") from error
    if not isinstance(document, dict):
        raise RequestError(400, "the body must be a JSON object")
    return document
