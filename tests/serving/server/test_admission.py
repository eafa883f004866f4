"""A request's turn: one place for all that it needs, given up when nobody wants the answer."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from vision_zoo.serving.server.admission import Admission, Gone
from vision_zoo.serving.server.body import MemoryBudget
from vision_zoo.serving.server.errors import RequestError


def _soon() -> float:
    return time.monotonic() + 60


async def _run(
    admission: Admission,
    work: Callable[[], object],
    *,
    deadline: float | None = None,
    gone: Gone | None = None,
) -> None:
    async with admission.turn(deadline=deadline or _soon(), gone=gone) as turn:
        await turn.run(work, kind="x")


def test_a_turn_keeps_its_place_between_calls() -> None:
    order: list[str] = []

    async def request(admission: Admission, name: str) -> None:
        async with admission.turn(deadline=_soon()) as turn:
            await turn.run_in_thread(lambda: order.append(f"{name} decodes"))
            await asyncio.sleep(0)
            await turn.run(lambda: order.append(f"{name} runs"), kind="model")

    async def requests() -> None:
        admission = Admission(max_concurrency=1, max_queue=2)
        await asyncio.gather(*(request(admission, name) for name in "abc"))
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(requests())
    assert order == [f"{name} {what}" for name in "abc" for what in ("decodes", "runs")]


def test_a_thread_past_its_deadline_keeps_its_place_until_it_ends() -> None:
    release = threading.Event()

    async def requests() -> None:
        admission = Admission(max_concurrency=1, max_queue=0)
        with pytest.raises(RequestError) as raised:
            await _run(admission, release.wait, deadline=time.monotonic() + 0.05)
        assert raised.value.status == 504
        with pytest.raises(RequestError) as raised:
            await _run(admission, lambda: None)
        assert raised.value.status == 503
        release.set()
        while admission.running:
            await asyncio.sleep(0.01)
        await _run(admission, lambda: None)

    asyncio.run(requests())


@pytest.mark.parametrize("why", ["deadline", "client", "cancelled"])
def test_work_that_nobody_wants_is_stopped(why: str) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert stopped.wait(60)

    async def gone() -> None:
        if why != "client":
            await asyncio.Event().wait()
        while not begun.is_set():
            await asyncio.sleep(0.01)

    async def request(admission: Admission) -> None:
        deadline = time.monotonic() + (2 if why == "deadline" else 60)
        async with admission.turn(deadline=deadline, gone=gone) as turn:
            await turn.run_in_thread(work, stop=stopped.set)

    async def requests() -> None:
        admission = Admission(max_concurrency=1, max_queue=0)
        task = asyncio.create_task(request(admission))
        if why == "cancelled":
            while not begun.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        expected = {"deadline": 504, "client": 499, "cancelled": None}[why]
        assert getattr(outcome, "status", None) == expected
        assert stopped.is_set()
        while admission.running:
            await asyncio.sleep(0.01)

    asyncio.run(requests())


def test_a_client_that_leaves_the_queue_leaves_no_place_taken() -> None:
    async def requests() -> None:
        admission = Admission(max_concurrency=1, max_queue=1)
        async with admission.turn(deadline=_soon()):
            with pytest.raises(RequestError) as raised:
                await _run(admission, lambda: None, gone=lambda: asyncio.sleep(0))
            assert raised.value.status == 499
            assert admission.waiting == 0
        assert admission.running == 0

    asyncio.run(requests())


def test_the_budget_is_kept() -> None:
    budget = MemoryBudget(10)
    budget.take(6)
    with pytest.raises(RequestError) as raised:
        budget.take(5)
    assert raised.value.status == 503
    assert raised.value.headers["Retry-After"]
    budget.give_back(6)
    budget.take(10)


_STUCK = """
import asyncio, signal, threading, uvicorn
from vision_zoo.serving.server import shutdown
shutdown.GRACE_SECONDS = 0.5
signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it again when it has ended
async def app(scope, receive, send):
    message = await receive()
    assert message["type"] == "lifespan.startup"
    threading.Thread(target=threading.Event().wait).start()
    await send({"type": "lifespan.startup.complete"})
    print("started", flush=True)
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
shutdown.Server(uvicorn.Config(app, port=0, timeout_graceful_shutdown=1)).run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM")
def test_threads_that_never_end_do_not_keep_the_server() -> None:
    with subprocess.Popen([sys.executable, "-c", _STUCK], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.terminate()
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()
