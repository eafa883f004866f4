"""Shutdown within a deadline, regardless of threads."""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

GRACE_SECONDS = 3.0
"""For what follows when running requests have been given their time: closing, and threads that end by themselves."""

_LOG = logging.getLogger("vision_zoo.server")


class Server(uvicorn.Server):
    """uvicorn's server; `GRACE_SECONDS` after its `timeout_graceful_shutdown` the process ends without its threads.

    `run` returns when the server is told to stop, where uvicorn would raise the signal again. From then on signals do
    nothing: one that came while the interpreter exits would end the process as if it had failed.
    """

    _told = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals that stop the server; for the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, signal.SIG_IGN if self._told else handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.force_exit = self.force_exit or (self.should_exit and sig == signal.SIGINT)
        self.stop()

    def stop(self) -> None:
        """Begin to end, as a signal does."""
        self.should_exit = True
        if not self._told:
            self._told = True
            seconds = (self.config.timeout_graceful_shutdown or 0) + GRACE_SECONDS
            # Neither the event loop nor the interpreter's exit is waited for: both wait for threads.
            threading.Thread(target=_end_process, args=(seconds,), daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down; Ctrl-C for the second time ends the requests that run."""
        await super().shutdown(sockets)
        if self.force_exit:  # uvicorn leaves the application out then
            await self.lifespan.shutdown()


def _end_process(seconds: float) -> None:
    # In a thread, as the log may be a pipe that nobody reads. Begun now: Python 3.12 begins none while it exits.
    said = threading.Timer(seconds, _LOG.error, args=("giving up work that does not end: exiting",))
    said.daemon = True
    said.start()
    time.sleep(seconds)
    said.join(timeout=1)
    os._exit(0)
