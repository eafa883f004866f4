"""Several server processes on one port: started, replaced when they end, and stopped together."""

import asyncio
import contextlib
import json
import logging
import pickle
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from types import FrameType
from typing import Any

from vision_zoo.core.errors import DeviceError
from vision_zoo.serving.server import logs
from vision_zoo.serving.server.listening import announce, listen
from vision_zoo.serving.server.metrics import add_pages
from vision_zoo.serving.server.model_statistics import add_statistics
from vision_zoo.serving.server.settings import ServerSettings
from vision_zoo.serving.server.worker import MAX_LINE_BYTES, Questions, Report, message

_LOG = logging.getLogger("vision_zoo.server")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from vision_zoo.serving.server.worker import main; main()"
)
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_REPORT_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 30.0
_GRACE_SECONDS = 6.0
"""After the time for running requests: a worker ends by itself before."""


def serve(settings: ServerSettings) -> None:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT; running requests are finished first.

    Raises:
        DeviceError: the port is in use or may not be opened, or a process cannot start; the message is its own.
    """
    logs.configure()
    opened = listen(settings.host, settings.port, count=settings.workers)
    try:
        asyncio.run(Supervisor(settings, opened).run())
    finally:
        for one in opened:
            one.close()


class Supervisor:
    """Keeps a process for each of the sockets `opened`.

    A process that ends is replaced by another on the same socket: connections that wait there are not lost.
    """

    def __init__(self, settings: ServerSettings, opened: Sequence[socket.socket]) -> None:
        self._settings = settings
        self._opened = opened
        self._workers = [_Worker(settings, one, self._total) for one in opened]
        self._ended: Report = {"metrics": "", "statistics": {}}  # of processes that have ended, together
        self._begun = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve until a signal; DeviceError if the first process cannot start."""
        loop = asyncio.get_running_loop()

        def handle(number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop, number)

        for number in _SIGNALS:
            signal.signal(number, handle)
        try:
            # What is wrong with the settings or the models is told once.
            first, *others = self._workers
            keeping = [asyncio.ensure_future(self._keep(first))]
            await _first_of(first.ready.wait(), keeping[0])
            self._begun = first.ready.is_set()
            if self._begun:
                keeping += [asyncio.ensure_future(self._keep(worker)) for worker in others]
                await _first_of(asyncio.gather(*(worker.ready.wait() for worker in others)), *keeping)
                if not self._stopping.is_set():
                    announce(self._settings, self._opened[0])
            await asyncio.gather(*keeping)
        finally:
            self._signal(signal.SIGKILL)
            for number in _SIGNALS:  # while the interpreter exits, none of them makes it a failure
                signal.signal(number, signal.SIG_IGN)

    def _stop(self, number: int) -> None:
        """Stop all workers; the second SIGINT ends the requests that run."""
        again = self._stopping.is_set()
        self._stopping.set()
        if not again:
            seconds = self._settings.drain_seconds + _GRACE_SECONDS
            asyncio.get_running_loop().call_later(seconds, self._signal, signal.SIGKILL)
        self._signal(signal.SIGINT if again and number == signal.SIGINT else signal.SIGTERM)

    def _signal(self, number: int) -> None:
        for worker in self._workers:
            worker.signal(number)

    async def _keep(self, worker: "_Worker") -> None:
        """Fill a worker's place until the server stops; DeviceError if the very first process cannot start."""
        seconds = 0.0
        while not self._stopping.is_set():
            code = await worker.live()
            was_ready = worker.ready.is_set()
            worker.ready.clear()
            if worker.last is not None:
                self._ended, worker.last = _added([], [self._ended, worker.last]), None
            if self._stopping.is_set():
                return
            if not (was_ready or self._begun):
                raise DeviceError(
                    worker.failure or f"a server process ended (exit code {code}) before it served"
                )
            _LOG.error("a server process ended and is replaced", extra={"exit_code": code})
            seconds = 0.0 if was_ready else min(max(1.0, 2 * seconds), _LONGEST_RETRY_SECONDS)
            await _first_of(self._stopping.wait(), asyncio.sleep(seconds))

    async def _total(self) -> Report:
        reports = await asyncio.gather(*(worker.report() for worker in self._workers))
        return _added([report for report in reports if report is not None], [self._ended])


class _Worker:
    """A place for a process; `last` is what the one that fills it reported last, `failure` why it could not start."""

    def __init__(
        self, settings: ServerSettings, opened: socket.socket, total: Callable[[], Awaitable[Report]]
    ) -> None:
        self._settings = settings
        self._opened = opened
        self._total = total
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter
        self._questions = Questions()
        self._answering: set[asyncio.Future[None]] = set()
        self.ready = asyncio.Event()
        self.failure: str | None = None
        self.last: Report | None = None

    async def live(self) -> int:
        """Start a process, listen to it, and wait for its end: the exit code."""
        own, other = socket.socketpair()
        with other:
            self._process = process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _START, json.dumps([str(path) for path in sys.path])),
                *(str(other.fileno()), str(self._opened.fileno())),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=(other.fileno(), self._opened.fileno()),
                process_group=0,  # Ctrl-C is for the supervisor
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=own, limit=MAX_LINE_BYTES)
        try:
            if process.stdin is not None:
                process.stdin.write(pickle.dumps(self._settings))
                process.stdin.close()
            async for line in reader:
                if line.endswith(b"\n"):  # else it died in the middle of one
                    self._receive(*json.loads(line))
            return await process.wait()
        finally:
            self._writer.close()

    def signal(self, number: int) -> None:
        """Send a signal to the process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def report(self) -> Report | None:
        """What the process reports now, or reported last if it does not answer; None if it has not begun."""
        if not self.ready.is_set():
            return None
        with contextlib.suppress(TimeoutError):
            self.last = await self._questions.ask(self._writer, "report", _REPORT_SECONDS)
        return self.last

    def _receive(self, kind: str, number: int, value: Any) -> None:
        if kind == "ready":
            self.ready.set()
        elif kind == "failed":
            self.failure = value
        elif kind == "ask":
            answering = asyncio.ensure_future(self._answer(number))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
        else:
            self._questions.answer(number, value)

    async def _answer(self, number: int) -> None:
        self._writer.write(message("total", number, await self._total()))


def _added(live: Sequence[Report], ended: Sequence[Report]) -> Report:
    """Reports of processes as that of one."""
    pages = [[report["metrics"] for report in reports] for reports in (live, ended)]
    return {
        "metrics": add_pages(*pages),
        "statistics": add_statistics(report["statistics"] for report in (*live, *ended)),
    }


async def _first_of(*waited: Awaitable[object]) -> None:
    """Wait until one of them is done; the others go on only if they are tasks."""
    tasks = {asyncio.ensure_future(one) for one in waited}
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks.difference(waited):
        task.cancel()
