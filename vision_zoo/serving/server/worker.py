"""A server process beside others on one port, and its line to the supervisor that has started it."""

import asyncio
import itertools
import json
import pickle
import socket
import sys
from collections.abc import Callable
from typing import Any

from vision_zoo.core.errors import VisionZooError
from vision_zoo.serving.server import logs
from vision_zoo.serving.server.errors import RequestError

Report = dict[str, Any]
"""What is added up over all workers: `metrics`, the page of one, and `statistics`, by model."""

MAX_LINE_BYTES = 64 * 2**20
_SECONDS = 5.0


class Questions:
    """Questions on a link that wait for their answers, by number."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Report]] = {}

    async def ask(self, writer: asyncio.StreamWriter, kind: str, seconds: float) -> Report:
        """Send a question of this `kind`, and wait for its answer; TimeoutError if it does not come."""
        number = next(self._numbers)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        writer.write(message(kind, number))
        try:
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            del self._waiting[number]

    def answer(self, number: int, value: Report) -> None:
        """Take an answer; of a question that nobody waits for any more, it is dropped."""
        if number in self._waiting and not self._waiting[number].done():
            self._waiting[number].set_result(value)


class Link:
    """A worker's line to its supervisor; messages are lines of JSON: a kind, a number and a value.

    `report` is set by the application.
    """

    report: Callable[[], Report]

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._questions = Questions()

    async def open(self, stop: Callable[[], None]) -> None:
        """Tell that the worker is ready, and give its reports from now on; `stop` it when the supervisor ends."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._control, limit=MAX_LINE_BYTES)
        self._writer.write(message("ready"))
        self._listening = asyncio.create_task(self._listen(reader, stop))

    def fail(self, error: VisionZooError) -> None:
        """Tell why the worker cannot start; before `open`."""
        self._control.sendall(message("failed", value=str(error)))

    async def total(self) -> Report:
        """What all workers report together; RequestError (503) if the supervisor does not answer."""
        try:
            return await self._questions.ask(self._writer, "ask", _SECONDS)
        except TimeoutError as error:
            raise RequestError(503, "the other server processes do not answer; try again later") from error

    async def _listen(self, reader: asyncio.StreamReader, stop: Callable[[], None]) -> None:
        async for line in reader:
            kind, number, value = json.loads(line)
            if kind == "report":
                self._writer.write(message(kind, number, self.report()))
            else:
                self._questions.answer(number, value)
        stop()


def message(kind: str, number: int = 0, value: Any = None) -> bytes:
    """A line of the link."""
    return json.dumps([kind, number, value]).encode() + b"\n"


def main() -> None:
    """Serve on the socket, and be linked by the other, whose descriptors are the last arguments; settings are read."""
    from vision_zoo.serving.server.run import serve_on

    control, opened = (socket.socket(fileno=int(number)) for number in sys.argv[-2:])
    settings = pickle.load(sys.stdin.buffer)  # noqa: S301  (the supervisor's)
    link = Link(control)
    with logs.never_waiting(), control, opened:
        try:
            serve_on(opened, settings, link)
        except VisionZooError as error:
            link.fail(error)
            sys.exit(error.exit_code)
