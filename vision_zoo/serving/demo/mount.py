"""The page as a part of the server: in front of it the gateway and the login, behind it the server's own limits."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI
from starlette.routing import Mount

from vision_zoo.errors import VisionZooError
from vision_zoo.serving.demo.events import PageEvents
from vision_zoo.serving.demo.gateway import Gateway
from vision_zoo.serving.demo.login import Login
from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.state import State

if TYPE_CHECKING:
    from vision_zoo.serving.demo.widgets import Run

Result = TypeVar("Result")

PAGE_PATH = "/demo"

_EVENTS_AT_ONCE = 64
_SESSIONS = 256
"""Gradio keeps the last values of so many: their drawings must fit into memory."""
_SWEEP_SECONDS = 30


def mount_page(app: FastAPI, state: State) -> Login | None:
    """Serve the page at `PAGE_PATH`; the login that its visitors need, where there is a key.

    Raises:
        ModelError: there is no model for it.
    """
    settings = state.settings
    files = PageFiles(settings.max_body_bytes)
    # Gradio reads its settings from here, some when it is imported.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(files.folder)
    import gradio

    from vision_zoo.serving.demo.page import build_page, mount_options

    page = build_page(lambda: state.repository.sessions, _run(state))
    page.state_session_capacity = _SESSIONS
    # Events wait in the server's own queue, which is shorter or longer as its settings say.
    page.queue(max_size=_EVENTS_AT_ONCE, default_concurrency_limit=_EVENTS_AT_ONCE, api_open=False)
    gradio.mount_gradio_app(
        app,
        page,
        path=PAGE_PATH,
        show_error=False,
        allowed_paths=[],
        max_file_size=settings.max_body_bytes,
        **mount_options(),
    )
    # Gradio checks references to files only where it believes that it was launched.
    page.has_launched = True
    files.keep_examples()
    mounted = app.router.routes[-1]
    if not isinstance(mounted, Mount):
        raise TypeError("Gradio has not mounted the page as the last route")
    gradio_app = mounted.app
    mounted.app = Gateway(
        gradio_app,
        PageEvents(page, files),
        files,
        max_body_bytes=settings.max_body_bytes,
        read_seconds=settings.read_seconds,
    )
    _end_with_the_server(app, files, gradio_app)
    app.state.start_page = PAGE_PATH
    if settings.api_key is None:
        return None
    return Login(settings.api_key.encode(), PAGE_PATH, root_path=settings.root_path)


def _run(state: State) -> "Run":
    async def run(work: Callable[[], Result], *, units: int) -> Result:
        deadline = time.monotonic() + state.settings.deadline_seconds
        try:
            return await state.admission.run(work, kind="page", images=max(1, units), deadline=deadline)
        except RequestError as error:
            raise VisionZooError(error.message) from error

    return run


def _end_with_the_server(app: FastAPI, files: PageFiles, gradio_app: Any) -> None:
    """Sweep the files while the server runs; when it is told to stop, let open pages go and remove the files."""
    inner = app.router.lifespan_context

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            await asyncio.to_thread(files.sweep)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with inner(app):
            sweeping = asyncio.create_task(sweep())
            try:
                with _told_to_stop(gradio_app.stop_event):
                    yield
            finally:
                sweeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sweeping
                files.close()

    app.router.lifespan_context = lifespan


@contextmanager
def _told_to_stop(event: asyncio.Event) -> Iterator[None]:
    """Set `event` at SIGTERM and SIGINT.

    Every open page holds a connection that never ends by itself: the server would wait for all of them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(event.set)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
