"""Mount the page in the server, behind the gateway and the login, within the limits of the server."""

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.routing import Mount

from vision_zoo.core.errors import ModelError
from vision_zoo.serving.demo.collection import Collection
from vision_zoo.serving.demo.events import PageEvents
from vision_zoo.serving.demo.gateway import Gateway
from vision_zoo.serving.demo.login import Login
from vision_zoo.serving.demo.runner import Runner
from vision_zoo.serving.demo.sessions import Sessions
from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.state import State

PAGE_PATH = "/demo"

_EVENTS_AT_ONCE = 64
_SESSIONS = 256
"""Gradio keeps the values of so many."""
_SWEEP_SECONDS = 30
_STATUS_SECONDS = 5
_POLL_SECONDS = 0.02
"""Between two looks for events that wait. Gradio's own 0.001 takes a twentieth of a core while nobody is there."""
_NEVER = 2**62


def import_gradio(folder: str) -> ModuleType:
    """Gradio, which keeps its files in `folder`, imported without what it does not need for this page."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(_NEVER)  # else a table is made after every event
    os.environ["GRADIO_TEMP_DIR"] = folder
    with _without_stubs():
        return import_module("gradio")


@contextmanager
def _without_stubs() -> Iterator[None]:
    """Let Gradio, while it is imported, write no stub for editors beside each component: half of its import.

    It writes none where the file of a class is not found.
    """
    find = inspect.getfile

    def find_no_class(of: Any) -> str:
        if isinstance(of, type):
            raise OSError
        return find(of)

    vars(inspect)["getfile"] = find_no_class
    try:
        yield
    finally:
        vars(inspect)["getfile"] = find


def _trim(gradio_app: Any, page: Any) -> None:
    """Keep the state of the last `_SESSIONS` visitors of `page` only, and draw no plots; before the first event."""
    import gradio.utils
    from gradio.state_holder import SessionState, StateHolder

    class Session(SessionState):  # type: ignore[misc]
        """Without a copy of all blocks as they are shown, 6 ms to make, and of the last drawing: for links to a state."""

        def __init__(self, blocks: Any) -> None:
            super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks=()))

        def _update_config(self, key: int) -> None:
            pass

        def _update_value_in_config(self, key: int, value: Any) -> None:
            pass

    class Sessions(StateHolder):  # type: ignore[misc]
        def __getitem__(self, session_id: str) -> Any:
            if session_id not in self.session_data:
                self.session_data[session_id] = Session(self.blocks)
            return super().__getitem__(session_id)

    page.state_session_capacity = _SESSIONS
    gradio_app.state_holder = Sessions()
    gradio_app.state_holder.set_blocks(page)
    # Around every event it sets a backend of matplotlib, whose import takes a second on the event loop.
    gradio.utils.MatplotlibBackendMananger = contextlib.nullcontext


def mount_page(app: FastAPI, state: State) -> Login | None:
    """Serve the page at `PAGE_PATH`; its login, where there is a key. ModelError if there is no model.

    StorageError if the folder for pictures cannot be written.
    """
    if not state.repository.sessions:
        raise ModelError("no models found; train one and export it, or pass --models-dir")
    settings = state.settings
    collection = None if settings.collect is None else Collection(settings.collect)
    files = PageFiles(settings.max_body_bytes)
    gradio = import_gradio(str(files.folder))
    from vision_zoo.serving.demo.page import build_page, mount_options

    page = build_page(lambda: state.repository.sessions, Runner(state, collection))
    # Events run at once: they wait in the server's own queue, as its settings say. Without the rate, each event that
    # comes or goes is told to all that wait: the square of their number.
    page.queue(
        status_update_rate=_STATUS_SECONDS,
        max_size=_EVENTS_AT_ONCE,
        default_concurrency_limit=_EVENTS_AT_ONCE,
        api_open=False,
    )
    page._queue.sleep_when_free = _POLL_SECONDS
    page._queue.progress_update_sleep_when_free = _STATUS_SECONDS
    # Not left to Starlette, whose redirects name a scheme and a host: a proxy may have others.
    app.router.add_route(
        PAGE_PATH, lambda _: RedirectResponse(f"{settings.root_path}{PAGE_PATH}/"), include_in_schema=False
    )
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
    gradio_app: Any = mounted.app
    _trim(gradio_app, page)
    mounted.app = Gateway(
        gradio_app,
        PageEvents(page, files),
        Sessions(page._queue, files, state.stopping),
        files,
        max_body_bytes=settings.max_body_bytes,
        read_seconds=settings.read_seconds,
    )
    # Every open page holds a connection that ends with this event alone: the server would wait for all of them.
    gradio_app.stop_event = state.stopping
    _keep_files(app, files)
    app.state.start_page = PAGE_PATH
    if settings.api_key is None:
        return None
    return Login(settings.api_key.encode(), PAGE_PATH, root_path=settings.root_path)


def _keep_files(app: FastAPI, files: PageFiles) -> None:
    """Sweep the files while the server runs, and remove them at its end."""
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
                yield
            finally:
                sweeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sweeping
                files.close()

    app.router.lifespan_context = lifespan
