"""Decoder processes for large or unusual image files: a process can be killed, a thread cannot."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vision_zoo.core.errors import BlankImageError, ImageError, SeveralFiguresError
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.serving.server.admission import RETRY_SECONDS, Turn
from vision_zoo.serving.server.decoder_process import Process
from vision_zoo.serving.server.decoding import Decoded
from vision_zoo.serving.server.errors import RequestError

_LOG = logging.getLogger("vision_zoo.server")
_BYTES_PER_PIXEL = 24
"""Of memory: 4 for the picture, 12 more in WebP's decoder, the rest for copies."""
_MEMORY_BYTES = 384 * 2**20
"""All pictures that are decoded at once may take so much together; one picture of `max_pixels` always may."""
_IDLE_SECONDS = 20.0
_HEADER_BYTES = 2**20
_REFUSALS = {kind.__name__: kind for kind in (BlankImageError, SeveralFiguresError)}


@dataclass(frozen=True, eq=False)
class Answer:
    """The pictures of one request, in order; `several` tells that a list was sent."""

    pictures: list[Decoded]
    several: bool


class Memory:
    """Bytes that all decoding shares; for threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free = size
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def held(self, size: int, stopped: Callable[[], bool]) -> Iterator[None]:
        """Wait for `size` bytes, and keep them meanwhile; raises EOFError where `stopped` comes first."""
        size = max(0, min(size, self._size))
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size or stopped())
            if stopped():
                raise EOFError
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()

    def wake(self) -> None:
        """Let those that wait look whether they have been stopped."""
        with self._changed:
            self._changed.notify_all()


class Decoders:
    """Decoder processes, as many as requests need at once, started on demand, ended after `idle_seconds`.

    Args:
        max_pixels: of one picture.
        max_files: of one request.
        idle_seconds: that a process waits for its next request.
        bytes_per_pixel: that decoding and preparing a picture may take.
        clock: of the idle seconds.
    """

    def __init__(
        self,
        *,
        max_pixels: int,
        max_files: int,
        idle_seconds: float = _IDLE_SECONDS,
        bytes_per_pixel: int = _BYTES_PER_PIXEL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_pixels = max_pixels
        self._max_files = max_files
        self._idle_seconds = idle_seconds
        self._clock = clock
        self.bytes_per_pixel = bytes_per_pixel
        self._idle: list[tuple[float, Process]] = []
        self._all: set[Process] = set()
        self._lock = threading.Lock()
        self.closed = False
        self.started = 0
        self.memory = Memory(max(_MEMORY_BYTES, bytes_per_pixel * max_pixels))

    @property
    def count(self) -> int:
        return len(self._all)

    async def decode(
        self, turn: Turn, body: Sequence[bytes], content_type: str, target: InputFormat
    ) -> Answer:
        """Decode and prepare the files in a body that comes in parts. The process is killed when nobody wants them.

        Raises:
            RequestError: the body is malformed (400), decoding ends its process (422), the deadline has passed (504),
                or the client is gone (499).
        """
        job = _Job(self, body, content_type, target)
        try:
            return await turn.run_in_thread(job.run, stop=job.stop)
        finally:
            asyncio.get_running_loop().call_later(self._idle_seconds + 0.1, self._end_idle)

    def close(self) -> None:
        """End all processes, whatever they do."""
        with self._lock:
            self.closed = True
            processes, self._all, self._idle = self._all, set(), []
        for process in processes:
            process.kill()
        self.memory.wake()
        for process in processes:
            process.end()

    def request(self, content_type: str, target: InputFormat) -> dict[str, Any]:
        """What a process is told beside the body."""
        return {
            "content_type": content_type,
            "max_files": self._max_files,
            "max_pixels": self._max_pixels,
            "input": target.to_json(),
        }

    def take(self) -> Process:
        """An idle process, or a new one; RequestError (503) if none can be started."""
        while True:
            with self._lock:
                process = self._idle.pop()[1] if self._idle else None
            if process is None:
                break
            if process.poll() is None:
                return process
            self.drop(process)
        try:
            process = Process()
        except OSError as error:
            _LOG.error("no decoder can be started", extra={"reason": str(error)})
            raise RequestError(
                503, "the server cannot decode images now; try again later", {"Retry-After": RETRY_SECONDS}
            ) from error
        with self._lock:
            self._all.add(process)
            self.started += 1
            if self.closed:
                process.kill()
        return process

    def give_back(self, process: Process) -> None:
        with self._lock:
            self._idle.append((self._clock(), process))

    def drop(self, process: Process) -> None:
        with self._lock:
            self._all.discard(process)
        process.end()

    def _end_idle(self) -> None:
        before = self._clock() - self._idle_seconds
        with self._lock:
            ended = [process for since, process in self._idle if since <= before]
            self._idle = [(since, process) for since, process in self._idle if since > before]
            self._all.difference_update(ended)
        if ended:
            threading.Thread(target=lambda: [process.end() for process in ended], daemon=True).start()


class _Job:
    """One request's decoding: `run` in a thread, `stop` from any other."""

    def __init__(
        self, decoders: Decoders, body: Sequence[bytes], content_type: str, target: InputFormat
    ) -> None:
        self._decoders = decoders
        self._body = body
        self._request = decoders.request(content_type, target)
        self._target = target
        self._lock = threading.Lock()
        self._process: Process | None = None
        self._stopped = False
        self._tired = False

    def run(self) -> Answer:
        process = self._decoders.take()
        with self._lock:
            self._process = process
            if self._stopped:
                process.kill()
        try:
            return self._ask(process)
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            self._tired = True
            if not self._stopped:
                _LOG.warning("a decoder ended", extra={"exit_code": process.end()})
            raise RequestError(422, "the image cannot be decoded in the memory for its size") from error
        finally:
            with self._lock:
                self._process = None
            if self._tired or self._stopped:
                self._decoders.drop(process)
            else:
                self._decoders.give_back(process)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
        self._decoders.memory.wake()

    def _ask(self, process: Process) -> Answer:
        process.send(self._request, self._body)
        header, _ = process.receive(_HEADER_BYTES)
        payload = b""
        if "pixels" in header:
            size = self._decoders.bytes_per_pixel * int(header["pixels"])
            with self._decoders.memory.held(size, self._is_stopped):
                process.send({"bytes": size})
                largest = int(np.prod(self._target.shape)) * int(self._request["max_files"])
                header, payload = process.receive(_HEADER_BYTES + largest)
        self._tired = bool(header["tired"])
        if "status" in header:
            raise RequestError(int(header["status"]), str(header["error"]))
        size = int(np.prod(self._target.shape))
        pictures: list[Decoded] = []
        position = 0
        for error in header["errors"]:
            if error is not None:
                kind, text = error
                pictures.append(_REFUSALS.get(kind, ImageError)(text))
                continue
            pixels = np.frombuffer(payload, np.uint8, size, position).reshape(self._target.shape)
            pictures.append(pixels)
            position += size
        return Answer(pictures, bool(header["several"]))

    def _is_stopped(self) -> bool:
        return self._stopped or self._decoders.closed
