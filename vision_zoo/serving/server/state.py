"""State shared by the routes."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from vision_zoo.core.errors import ModelError, VisionZooError
from vision_zoo.serving.providers import EXECUTION_PROVIDERS
from vision_zoo.serving.server.admission import Admission, Turn
from vision_zoo.serving.server.batching import Batches
from vision_zoo.serving.server.decoders import Decoders
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.metrics import Metrics
from vision_zoo.serving.server.model_statistics import Statistics
from vision_zoo.serving.server.repository import VERSION, Repository
from vision_zoo.serving.server.settings import ServerSettings
from vision_zoo.serving.server.worker import Link, Report
from vision_zoo.serving.session import Prediction, Session


@dataclass(frozen=True)
class State:
    """One server's parts. `stopping` is set when it is told to stop: what never ends by itself ends then.

    `link` is that to the other processes on the port, `batches` collects requests; both where there are some.
    """

    settings: ServerSettings
    repository: Repository
    admission: Admission
    metrics: Metrics

    decoders: Decoders
    link: Link | None = None
    batches: Batches | None = None
    statistics: Statistics = field(default_factory=Statistics)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self) -> Report:
        """What this process has counted."""
        sessions = self.repository.sessions
        providers = {name: session.provider for name, session in sessions.items()}
        statistics = {name: self.statistics.of(name, version=VERSION) for name in sessions}
        return {"metrics": self.metrics.page(providers).decode(), "statistics": statistics}

    async def total(self) -> Report:
        """What all processes on the port have counted; RequestError (503) if it cannot be found out."""
        return self.report() if self.link is None else await self.link.total()

    @contextlib.asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[Turn]:
        """The request's turn, until its deadline or until its client leaves. Its body has been read.

        Raises RequestError if the queue is full (503), the deadline has passed (504), or the client is gone (499).
        """
        deadline = request.scope["state"]["arrived"] + self.settings.deadline_seconds
        arrived = time.perf_counter_ns()
        async with self.admission.turn(deadline=deadline, gone=lambda: _gone(request)) as turn:
            turn.began = time.perf_counter_ns()
            turn.waited = turn.began - arrived
            yield turn

    def predict(
        self, session: Session, images: NDArray[np.uint8], *, counts_failure: bool = True
    ) -> Prediction:
        """Run a model and count it; RequestError (500) if it fails, which is not counted where it is run again."""
        started = time.perf_counter()
        try:
            prediction = session.predict(images)
            if not math.isfinite(np.add.reduce(prediction.probabilities, axis=None)):
                raise ModelError(f"{session.path} returns non-finite values")
        except VisionZooError as error:
            if counts_failure:
                self.metrics.failed(session.name)
            raise RequestError(500, "the model failed; see the server log") from error
        seconds = time.perf_counter() - started
        self.metrics.inferred(session.name, session.provider, len(images), seconds)
        return prediction

    def runs_at_once(self, session: Session, images: int) -> bool:
        """Whether a model is run on the event loop. With batches that is left to the CPU: nothing waits for it there."""
        return self.admission.is_short(session.name, units=images) and (
            self.batches is None or session.provider == EXECUTION_PROVIDERS["cpu"]
        )

    async def run_model(
        self, turn: Turn, session: Session, images: NDArray[np.uint8], *, before: int = 0
    ) -> Prediction:
        """Run a model in a request's turn, `before` nanoseconds of which its input has taken already.

        Raises RequestError if the deadline passes, or the model fails.
        """
        began = time.perf_counter_ns()
        try:
            batch, is_first, ran = len(images), True, began
            if self.batches is None or self.runs_at_once(session, len(images)):
                prediction = await turn.run(
                    lambda: self.predict(session, images), kind=session.name, units=len(images)
                )
            else:
                prediction, run_together, is_first = await self.batches.run(
                    turn, self.predict, session, images
                )
                batch, ran = run_together.size, run_together.began
        except RequestError:
            self.statistics.failed(session.name, nanoseconds=time.perf_counter_ns() - began)
            raise
        self.statistics.succeeded(
            session.name,
            images=len(images),
            batch=batch if is_first else 0,
            queue=turn.waited + ran - began,
            compute_input=before + began - turn.began,
            compute_infer=time.perf_counter_ns() - ran,
        )
        return prediction


def state_of(request: Request) -> State:
    return cast(State, request.app.state.vision_zoo)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection; the body has been read already."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
