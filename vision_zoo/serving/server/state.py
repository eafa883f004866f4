"""What the routes share."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from vision_zoo.errors import ModelError, VisionZooError
from vision_zoo.serving.server.admission import Admission, Turn
from vision_zoo.serving.server.decoders import Decoders
from vision_zoo.serving.server.errors import as_request_error
from vision_zoo.serving.server.metrics import Metrics
from vision_zoo.serving.server.repository import Repository
from vision_zoo.serving.server.settings import ServerSettings
from vision_zoo.serving.session import Prediction, Session


@dataclass(frozen=True)
class State:
    """One server's parts."""

    settings: ServerSettings
    repository: Repository
    admission: Admission
    metrics: Metrics

    decoders: Decoders

    @contextlib.asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[Turn]:
        """The request's turn, until its deadline or until its client leaves. Its body has been read.

        Raises:
            RequestError: the queue is full (503), the deadline has passed (504), or the client is gone (499).
        """
        deadline = request.scope["state"]["arrived"] + self.settings.deadline_seconds
        async with self.admission.turn(deadline=deadline, gone=lambda: _gone(request)) as turn:
            yield turn

    async def predict(self, request: Request, session: Session, images: NDArray[np.uint8]) -> Prediction:
        """Run a model when the request's turn comes, before its deadline.

        Raises:
            RequestError: no turn in time, or the model fails.
        """
        async with self.turn(request) as turn:
            return await self.run_model(turn, session, images)

    async def run_model(self, turn: Turn, session: Session, images: NDArray[np.uint8]) -> Prediction:
        """Run a model in a request's turn.

        Raises:
            RequestError: the deadline passes, or the model fails.
        """

        def run() -> Prediction:
            started = time.perf_counter()
            try:
                prediction = session.predict(images)
                if not np.isfinite(prediction.probabilities).all():
                    raise ModelError(f"{session.path} gives values that are not finite")
            except VisionZooError as error:
                self.metrics.failed(session.name)
                raise as_request_error(error) from error
            seconds = time.perf_counter() - started
            self.metrics.inferred(session.name, session.provider, len(images), seconds)
            return prediction

        return await turn.run(run, kind=session.name, units=len(images))


def state_of(request: Request) -> State:
    """The server's parts, from any of its requests."""
    return cast(State, request.app.state.vision_zoo)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection; the body has been read already."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
