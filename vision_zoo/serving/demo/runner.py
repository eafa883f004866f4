"""Run the work of the page like other requests: with the queue, the decoders and the deadline."""

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from vision_zoo.core.errors import UsageError, VisionZooError
from vision_zoo.images.preprocess import InputFormat
from vision_zoo.serving.demo.answers import Answer, Inputs, answer, answers, first_usable
from vision_zoo.serving.demo.collection import Collection as PictureCollection
from vision_zoo.serving.demo.inputs import Picture
from vision_zoo.serving.server.admission import Turn
from vision_zoo.serving.server.decoding import decode_files, probe_files
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.state import State
from vision_zoo.serving.session import Session

Result = TypeVar("Result")


class Runner:
    """Runs the page's computations within the limits of the server `state`: in turn, until a request's deadline.

    Pictures are saved into `collection`, where there is one.
    """

    def __init__(self, state: State, collection: PictureCollection | None = None) -> None:
        self._state = state
        self._collection = collection

    @property
    def collects(self) -> bool:
        """Whether pictures can be saved."""
        return self._collection is not None

    async def save(self, picture: Picture, label: str, labels: Collection[str]) -> bool:
        """Save a picture under one of `labels`; False if it was there already.

        Raises:
            VisionZooError: it cannot be saved, or there is no turn, or no result, in time.
        """
        kept, most = self._collection, self._state.settings.max_pixels
        if kept is None:
            raise UsageError("this page saves no pictures")
        return await self.run(lambda: kept.save(picture(), label, labels, max_pixels=most).new)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run a blocking call in a thread; VisionZooError if there is no turn, or no result, in time."""
        async with self._turn() as turn:
            return await turn.run_in_thread(work)

    async def answers(
        self, sessions: Sequence[Session], picture: Picture, show: Callable[[list[Answer]], Result]
    ) -> Result:
        """Answers of `sessions` on the file `picture`, made into a result by `show` in a thread.

        Raises:
            ImageError: no model can use the image.
            VisionZooError: there is no turn, or no result, in time.
        """
        async with self._turn() as turn:
            inputs = await self._decode(turn, sessions, picture)
            return await turn.run_in_thread(lambda: show(answers(sessions, inputs)))

    async def first_answer(
        self, sessions: Sequence[Session], picture: Picture, show: Callable[[Answer], Result]
    ) -> Result:
        """As `answers`, of the first model alone that can use the image."""
        async with self._turn() as turn:
            inputs = await self._decode(turn, sessions, picture)

            def work() -> Result:
                session, pixels = first_usable(sessions, inputs)
                return show(answer(session, pixels))

            return await turn.run_in_thread(work)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[Turn]:
        deadline = time.monotonic() + self._state.settings.deadline_seconds
        try:
            async with self._state.admission.turn(deadline=deadline) as turn:
                yield turn
        except RequestError as error:
            raise VisionZooError(error.message) from error

    async def _decode(self, turn: Turn, sessions: Sequence[Session], picture: Picture) -> Inputs:
        """The image as each of the models takes it: decoded here where it is small and ordinary."""
        formats = dict.fromkeys(session.metadata.input for session in sessions)
        content, inputs = await turn.run_in_thread(lambda: self._decode_small(formats, picture))
        if inputs is not None:
            return inputs
        decoders = self._state.decoders
        return {
            target: (await decoders.decode(turn, [content], "", target)).pictures[0] for target in formats
        }

    def _decode_small(
        self, formats: Collection[InputFormat], picture: Picture
    ) -> tuple[bytes, Inputs | None]:
        """The file's content, and None if a process has to decode it."""
        content = picture()
        max_pixels = self._state.settings.max_pixels
        probed = probe_files([content], max_pixels=max_pixels)
        if not probed.are_small:
            return content, None
        return content, {
            target: decode_files(probed.files, target, max_pixels=max_pixels)[0] for target in formats
        }
