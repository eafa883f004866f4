"""Admission control: a few requests run, some wait, the rest are refused immediately."""

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from vision_zoo.serving.server.errors import RequestError

Result = TypeVar("Result")
Gone = Callable[[], Awaitable[object]]

_INLINE_SECONDS = 0.001
"""A call expected to be shorter runs on the event loop: handing it to a thread would take as long."""
_SMOOTHING = 0.2
_FIRST_CALLS, _TIMED_CALLS = 8, 128
"""The first calls of a kind are timed, then one of so many: to ask the system twice may take as long as a model."""
RETRY_SECONDS = "1"


class Admission:
    """Bounded concurrency and a bounded queue of requests, first come, first served; for one event loop."""

    def __init__(self, *, max_concurrency: int, max_queue: int) -> None:
        self._max_concurrency = max_concurrency
        self._max_queue = max_queue
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.threads = ThreadPoolExecutor(max_concurrency, thread_name_prefix="infer")
        self.expected: dict[str, float] = {}
        self.running = 0
        self._calls: dict[str, int] = {}
        self._collected = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting) + self._collected

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Count a request that waits for others to run with; RequestError (503) if the queue is full."""
        self._check_queue()
        self._collected += 1
        try:
            yield
        finally:
            self._collected -= 1

    @property
    def is_free(self) -> bool:
        """Whether there is a place, and nobody waits for one."""
        return self.running < self._max_concurrency and not self._waiting

    def is_short(self, kind: str, *, units: int) -> bool:
        """Whether a call of this `kind` is done on the event loop."""
        return self.expected.get(kind, _INLINE_SECONDS) * units < _INLINE_SECONDS

    def timed(self, work: Callable[[], Result], kind: str, units: int) -> Result:
        """Do `work`, and learn from some of the calls of a `kind` how long they take per unit."""
        calls = self._calls[kind] = self._calls.get(kind, 0) + 1
        if calls > _FIRST_CALLS and calls % _TIMED_CALLS:
            return work()
        # This thread's own time: what it waits for a busy machine says nothing of the call.
        started = time.thread_time()
        result = work()
        seconds = (time.thread_time() - started) / max(1, units)
        before = self.expected.get(kind, seconds)
        self.expected[kind] = before + _SMOOTHING * (seconds - before)
        return result

    @contextlib.asynccontextmanager
    async def turn(
        self, *, deadline: float, gone: Gone | None = None, is_counted: bool = False
    ) -> AsyncIterator["Turn"]:
        """Wait for a place among those that run, and keep it for everything that the request needs.

        Args:
            deadline: on `time.monotonic()`'s clock.
            gone: awaited meanwhile; when it returns, nobody wants the answer any more.
            is_counted: whether the queue has counted already what waits here.

        Raises:
            RequestError: the queue is full (503), the deadline has passed (504), or the client is gone (499).
        """
        if self.running >= self._max_concurrency:
            if not is_counted:
                self._check_queue()
            await self._wait(deadline, gone)
        else:
            self.running += 1
        turn = Turn(self, deadline, gone)
        try:
            yield turn
        finally:
            turn.end()

    def close(self) -> None:
        """Let no thread begin anything; those that run are not waited for, they may take any time."""
        self.threads.shutdown(wait=False, cancel_futures=True)

    async def _wait(self, deadline: float, gone: Gone | None) -> None:
        """Queue up; `running` counts this request when its turn has come."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await _first_of(turn, deadline, gone, "the deadline passed while the request waited")
        except BaseException:
            if turn.done():
                self.pass_on()
            else:
                self._waiting.remove(turn)
            raise

    def _check_queue(self) -> None:
        if self.waiting >= self._max_queue:
            raise RequestError(503, "the server is busy; try again later", {"Retry-After": RETRY_SECONDS})

    def pass_on(self) -> None:
        """Let the next request run in this one's place."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1


class Turn:
    """A request's place among those that run, made by `Admission.turn`; for one task.

    `began` and `waited` are nanoseconds of `time.perf_counter_ns()`: its beginning, and the wait before it.
    """

    def __init__(self, admission: Admission, deadline: float, gone: Gone | None) -> None:
        self._admission = admission
        self.deadline = deadline
        self._gone = gone
        self._has_place = True
        self._thread: asyncio.Future[Any] | None = None
        self.began = self.waited = 0

    async def run(self, work: Callable[[], Result], *, kind: str, units: int = 1) -> Result:
        """Do `work`, a blocking call, on the event loop where it is short, else in a thread.

        Calls of the same `kind` take about the same time per unit; this one has `units` images or bytes.

        Raises:
            RequestError: the deadline has passed (504), or the client is gone (499).
        """
        if not self._admission.is_short(kind, units=units):
            return await self.run_in_thread(functools.partial(self._admission.timed, work, kind, units))
        if time.monotonic() > self.deadline:
            raise _late("the deadline passed before the request could run")
        return self._admission.timed(work, kind, units)

    async def run_in_thread(
        self, work: Callable[[], Result], *, stop: Callable[[], None] | None = None
    ) -> Result:
        """Do `work`, a blocking call, in a thread; `stop` makes it return soon when nobody wants its result any more.

        Raises:
            RequestError: the deadline has passed (504), or the client is gone (499).
        """
        if time.monotonic() > self.deadline:
            raise _late("the deadline passed before the request could run")
        running = asyncio.get_running_loop().run_in_executor(self._admission.threads, work)
        self._thread = running
        try:
            await _first_of(running, self.deadline, self._gone, "the deadline passed while the request ran")
        except BaseException:
            if stop is not None:
                stop()
            raise
        return running.result()

    async def wait_for(self, wanted: "asyncio.Future[Any]") -> None:
        """Wait for what others do; raises as `run`."""
        await _first_of(wanted, self.deadline, self._gone, "the deadline passed while the request waited")

    def give_up(self) -> None:
        """Let another request run in this one's place, of which the rest is short."""
        if self._has_place:
            self._has_place = False
            self._admission.pass_on()

    def end(self) -> None:
        """Give the place up: at once, or when the thread that fills it has ended."""

        def ended(running: "asyncio.Future[Any]") -> None:
            if not running.cancelled():
                running.exception()  # looked at, since nobody else may
            self.give_up()

        if self._thread is None:
            self.give_up()
        elif self._thread.done():
            ended(self._thread)
        else:
            # A thread cannot be stopped: its place is taken until it ends, whether or not anybody still waits.
            self._thread.add_done_callback(ended)


async def _first_of(wanted: "asyncio.Future[Any]", deadline: float, gone: Gone | None, message: str) -> None:
    """Wait until `wanted` is done; RequestError if the deadline comes first (504), or the client leaves first (499)."""
    leaves: asyncio.Future[object] | None = None if gone is None else asyncio.ensure_future(gone())
    awaited: set[asyncio.Future[Any]] = {wanted} if leaves is None else {wanted, leaves}
    try:
        await asyncio.wait(
            awaited, timeout=max(0.0, deadline - time.monotonic()), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        if leaves is not None and not leaves.done():
            leaves.cancel()
    if wanted.done():
        return
    if leaves is not None and leaves.done():
        raise RequestError(499, "the client closed the connection")
    raise _late(message)


def _late(message: str) -> RequestError:
    return RequestError(504, message, {"Retry-After": RETRY_SECONDS})
