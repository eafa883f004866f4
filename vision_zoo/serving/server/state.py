"""What the routes share."""

import time
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from vision_zoo.errors import ModelError, VisionZooError
from vision_zoo.serving.server.admission import Admission
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

    async def predict(self, request: Request, session: Session, images: NDArray[np.uint8]) -> Prediction:
        """Run a model when the request's turn comes, before its deadline.

        Raises:
            RequestError: no turn in time, or the model fails.
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

        return await self.admission.run(
            run,
            kind=session.name,
            images=len(images),
            deadline=request.scope["state"]["arrived"] + self.settings.deadline_seconds,
            gone=lambda: _gone(request),
        )


def state_of(request: Request) -> State:
    """The server's parts, from any of its requests."""
    return cast(State, request.app.state.vision_zoo)


async def _gone(request: Request) -> None:
    """Returns when the client has closed the connection; the body has been read already."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
