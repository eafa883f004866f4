"""How much work is let in: a few requests at a time, some that wait, and an answer at once for the rest."""

import asyncio
import functools
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vision_zoo.serving.server.errors import RequestError

Result = TypeVar("Result")

_INLINE_SECONDS = 0.001
"""A call expected to be shorter runs on the event loop: handing it to a thread would take as long."""
_SMOOTHING = 0.2
_RETRY_SECONDS = "1"


class Admission:
    """Bounded concurrency and a bounded queue, first come, first served; for one event loop.

    Args:
        max_concurrency: calls that run at once.
        max_queue: calls that wait.
    """

    def __init__(self, *, max_concurrency: int, max_queue: int) -> None:
        self._max_concurrency = max_concurrency
        self._max_queue = max_queue
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._threads = ThreadPoolExecutor(max_concurrency, thread_name_prefix="infer")
        self._expected: dict[str, float] = {}
        self.running = 0

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return len(self._waiting)

    async def run(
        self,
        work: Callable[[], Result],
        *,
        kind: str,
        images: int,
        deadline: float,
        gone: Callable[[], Awaitable[object]] | None = None,
    ) -> Result:
        """Do `work` when its turn comes.

        Args:
            work: a blocking call.
            kind: calls of the same kind take about the same time for each of their `images`.
            images: of this call.
            deadline: on `time.monotonic()`'s clock.
            gone: awaited while the call waits; when it returns, nobody wants the result any more.

        Raises:
            RequestError: the queue is full (503), the deadline has passed (504), or the client is gone (499).
        """
        await self._enter(deadline, gone)
        if time.monotonic() > deadline:
            self._pass_on()
            raise _late("the deadline passed before the request could run")
        if self._expected.get(kind, _INLINE_SECONDS) * images < _INLINE_SECONDS:
            try:
                return self._timed(work, kind, images)
            finally:
                self._pass_on()
        call = functools.partial(self._timed, work, kind, images)
        running = asyncio.get_running_loop().run_in_executor(self._threads, call)
        # A thread cannot be stopped: its place is taken until it ends, whether or not anybody still waits.
        running.add_done_callback(self._thread_ended)
        done, _ = await asyncio.wait({running}, timeout=max(0.0, deadline - time.monotonic()))
        if not done:
            raise _late("the deadline passed while the model ran")
        return running.result()

    def close(self) -> None:
        """Wait for the threads to end."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _enter(self, deadline: float, gone: Callable[[], Awaitable[object]] | None) -> None:
        if self.running >= self._max_concurrency:
            await self._wait(deadline, gone)
        else:
            self.running += 1

    async def _wait(self, deadline: float, gone: Callable[[], Awaitable[object]] | None) -> None:
        """Queue up; `running` counts this call when its turn has come."""
        if len(self._waiting) >= self._max_queue:
            raise RequestError(503, "the server is busy; try again later", {"Retry-After": _RETRY_SECONDS})
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        leaves: asyncio.Future[object] | None = None if gone is None else asyncio.ensure_future(gone())
        awaited: set[asyncio.Future[Any]] = {turn} if leaves is None else {turn, leaves}
        try:
            await asyncio.wait(
                awaited, timeout=max(0.0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
            )
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        finally:
            if leaves is not None and not leaves.done():
                leaves.cancel()
        if turn.done():
            return
        self._give_up(turn)
        if leaves is not None and leaves.done():
            raise RequestError(499, "the client closed the connection")
        raise RequestError(
            504, "the deadline passed while the request waited", {"Retry-After": _RETRY_SECONDS}
        )

    def _give_up(self, turn: "asyncio.Future[None]") -> None:
        if turn.done():
            self._pass_on()
        else:
            self._waiting.remove(turn)

    def _pass_on(self) -> None:
        """Let the next call run in this one's place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    def _thread_ended(self, running: "asyncio.Future[Result]") -> None:
        if not running.cancelled():
            running.exception()  # looked at, also where the deadline has passed and nobody else does
        self._pass_on()

    def _timed(self, work: Callable[[], Result], kind: str, images: int) -> Result:
        # This thread's own time: what it waits for a busy machine says nothing of the call.
        started = time.thread_time()
        result = work()
        seconds = (time.thread_time() - started) / images
        before = self._expected.get(kind, seconds)
        self._expected[kind] = before + _SMOOTHING * (seconds - before)
        return result


def _late(message: str) -> RequestError:
    return RequestError(504, message, {"Retry-After": _RETRY_SECONDS})
