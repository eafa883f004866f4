"""Run requests of one model that wait together as one batch."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from vision_zoo.serving.server.admission import Admission, Turn
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.session import Prediction, Session

Predict = Callable[[Session, NDArray[np.uint8]], Prediction]


@dataclass(eq=False)
class Batch:
    """Requests that run together; `began` is when, in nanoseconds of `time.perf_counter_ns()`."""

    session: Session
    deadline: float
    images: list[NDArray[np.uint8]] = field(default_factory=list)
    answers: list[asyncio.Future[Prediction]] = field(default_factory=list)
    size: int = 0
    full: asyncio.Event = field(default_factory=asyncio.Event)
    began: int = 0

    def add(self, images: NDArray[np.uint8], deadline: float) -> asyncio.Future[Prediction]:
        """Add a request: what will be its answer."""
        answer: asyncio.Future[Prediction] = asyncio.get_running_loop().create_future()
        self.images.append(images)
        self.answers.append(answer)
        self.size += len(images)
        self.deadline = max(self.deadline, deadline)
        return answer


class Batches:
    """Collects the requests of each model, for `delay` seconds from the first and until it is their turn.

    Args:
        admission: which a whole batch passes as one request.
        delay: seconds; a batch that is full does not wait so long.
        max_images: of a batch, unless one request has more.
    """

    def __init__(self, admission: Admission, *, delay: float, max_images: int) -> None:
        self._admission = admission
        self._delay = delay
        self._max_images = max_images
        self._open: dict[Session, Batch] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def run(
        self, turn: Turn, predict: Predict, session: Session, images: NDArray[np.uint8]
    ) -> tuple[Prediction, Batch, bool]:
        """Predict `images` with others; the place of `turn` is given up meanwhile.

        Returns:
            the prediction, the batch that it was a part of, and whether it was its first.

        Raises:
            RequestError: the queue is full (503), the deadline has passed (504), the client is gone (499), or the model
                fails (500).
        """
        with self._admission.collected():
            turn.give_up()
            batch = self._open.get(session)
            if batch is not None and batch.size + len(images) > self._max_images:
                batch.full.set()
                batch = None
            is_first = batch is None
            if batch is None:
                batch = self._open[session] = Batch(session, turn.deadline)
                running = asyncio.ensure_future(self._run(batch, predict))
                self._running.add(running)
                running.add_done_callback(self._running.discard)
            answer = batch.add(images, turn.deadline)
            if batch.size >= self._max_images:
                batch.full.set()
            try:
                await turn.wait_for(answer)
            finally:
                answer.cancel()
            return answer.result(), batch, is_first

    async def _run(self, batch: Batch, predict: Predict) -> None:
        try:
            try:
                async with asyncio.timeout(self._delay):
                    await batch.full.wait()
            except TimeoutError:
                pass
            async with self._admission.turn(deadline=batch.deadline, is_counted=True) as turn:
                self._close(batch)
                wanted = [number for number, answer in enumerate(batch.answers) if not answer.done()]
                batch.size = sum(len(batch.images[number]) for number in wanted)
                batch.began = time.perf_counter_ns()
                if wanted:
                    await self._answer(turn, predict, batch, wanted)
        except RequestError as error:
            _fail(batch.answers, error)
        finally:
            self._close(batch)
            for answer in batch.answers:
                answer.cancel()  # where there is none, the server stops

    async def _answer(self, turn: Turn, predict: Predict, batch: Batch, wanted: Sequence[int]) -> None:
        """Answer the requests `wanted` of a batch. Where it fails, each runs alone: one may be the reason."""
        images = np.concatenate([batch.images[number] for number in wanted])
        try:
            prediction = await turn.run(
                lambda: predict(batch.session, images), kind=batch.session.name, units=len(images)
            )
        except RequestError as error:
            if len(wanted) == 1 or error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                _fail([batch.answers[number] for number in wanted], error)
                return
            for number in wanted:
                await self._answer(turn, predict, batch, [number])
            return
        first = 0
        for number in wanted:
            last = first + len(batch.images[number])
            if not batch.answers[number].done():
                batch.answers[number].set_result(prediction.rows(first, last))
            first = last

    def _close(self, batch: Batch) -> None:
        """Let nobody else join."""
        if self._open.get(batch.session) is batch:
            del self._open[batch.session]


def _fail(answers: Sequence["asyncio.Future[Prediction]"], error: RequestError) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_exception(RequestError(error.status, error.message, error.headers))
