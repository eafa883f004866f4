"""Gradio without features that the page does not use and that visitors could abuse."""

import contextlib
import os
from types import SimpleNamespace
from typing import Any

_NEVER = 2**62
_STATUS_SECONDS = 5


def set_environment(folder: str) -> None:
    """Set what Gradio reads when it is imported. It keeps its files in `folder`."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(_NEVER)  # else a table is made after every event
    os.environ["GRADIO_TEMP_DIR"] = folder


def open_queue(page: Any, *, events_at_once: int) -> None:
    """Let the page's events run at once: they wait in the server's own queue, as its settings say."""
    # Else each event that comes or goes is told to all that wait: the square of their number.
    page.queue(
        status_update_rate=_STATUS_SECONDS,
        max_size=events_at_once,
        default_concurrency_limit=events_at_once,
        api_open=False,
    )


def trim(gradio_app: Any, page: Any, *, sessions: int) -> None:
    """Keep the state of the last `sessions` visitors of `page` only, and draw no plots; before the first event."""
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

    page.state_session_capacity = sessions
    gradio_app.state_holder = Sessions()
    gradio_app.state_holder.set_blocks(page)
    # Around every event it sets a backend of matplotlib, whose import takes a second on the event loop.
    gradio.utils.MatplotlibBackendMananger = contextlib.nullcontext
