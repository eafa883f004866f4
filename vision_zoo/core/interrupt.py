"""Handling of Ctrl-C and SIGTERM between steps, so that the saved state is complete."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DeferredInterrupt:
    """While `installed`, a signal raises KeyboardInterrupt; within a `with` block of this object, at the block's end.

    A second signal within the block raises at once; `torn` says then that the block was left half-way. Signals that the
    process ignores stay ignored. Does nothing outside the main thread, which alone receives signals. Where Python drops
    the exception, as in a finalizer or a callback from C, the next block raises it again unless `caught` was called.
    """

    def __init__(self) -> None:
        self._inside = False
        self.pending = False
        self.torn = False
        self._raised = False

    def caught(self) -> None:
        """The KeyboardInterrupt has arrived where it is handled."""
        self._raised = False

    def agree(self) -> None:
        """Stop at the end of the present block, as a signal within it would."""
        self.pending = True

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals this way until the block ends."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._raised = False
        former = {number: signal.getsignal(number) for number in _SIGNALS}
        handled = [number for number, handler in former.items() if handler not in (signal.SIG_IGN, None)]
        for number in handled:
            signal.signal(number, self._received)
        try:
            yield
        finally:
            for number in handled:
                signal.signal(number, former[number])

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        if self._inside and not self.pending:
            self.pending = True
            return
        self.torn = self._inside
        self._raised = True
        raise KeyboardInterrupt

    def __enter__(self) -> None:
        if self._raised:
            raise KeyboardInterrupt
        self._inside = True

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._inside = False
        if self.pending:
            self.pending = False
            if kind is None:
                raise KeyboardInterrupt


class SharedInterrupt(DeferredInterrupt):
    """Of several processes, which get a signal at different moments and have to stop after the same step.

    A signal only becomes `pending`, however often it comes. After `agree` the end of the block raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        super().__init__()
        self._agreed = False

    def agree(self) -> None:
        """All processes stop at the end of their present block."""
        self._agreed = True

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self.pending = True

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._agreed and kind is None:
            self._agreed = self.pending = False
            raise KeyboardInterrupt
