"""Validation of requests for the events of the page."""

import secrets
from typing import TYPE_CHECKING, Any

import orjson

from vision_zoo.serving.demo.sessions import ONE_CALL, SESSION
from vision_zoo.serving.demo.uploads import PageFiles, foreign_file
from vision_zoo.serving.server.errors import RequestError

if TYPE_CHECKING:
    import gradio
    from gradio.block_function import BlockFunction


class PageEvents:
    """The events of `page`, Gradio's blocks, which may read `files`."""

    def __init__(self, page: "gradio.Blocks", files: PageFiles) -> None:
        from gradio.components import Image, State

        self._files = files
        self._functions: dict[int, BlockFunction] = {
            index: function for index, function in page.fns.items() if function.fn is not None
        }
        self._image, self._state = Image, State

    def checked(self, body: bytes, *, client: str, name: str | None) -> tuple[bytes, str]:
        """The body of an event, written anew from what was understood of `body`, which `client` sent; its session.

        `name` is the event's, where the path has it; else the body has its number.

        Raises:
            RequestError: malformed (400), no such event (404), a file that this session's client did not upload (403).
        """
        document = _parsed(body)
        index, function = self._function(document, name)
        session = document.get("session_hash")
        if session is None:
            session = f"{ONE_CALL}{secrets.token_hex(16)}"
        elif not isinstance(session, str) or not SESSION.fullmatch(session):
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
        checked = {"data": values, "session_hash": session, "fn_index": index}
        trigger = document.get("trigger_id")
        if isinstance(trigger, int):
            checked["trigger_id"] = trigger
        chosen = document.get("event_data")
        if isinstance(chosen, dict) and isinstance(chosen.get("index"), int):
            checked["event_data"] = {"index": chosen["index"], "value": None}
        return orjson.dumps(checked), session

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
