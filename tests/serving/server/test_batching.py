"""Requests of one model that wait together run as one batch, and each has its own answer and its own end."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_zoo.serving.server.admission import Admission, Gone
from vision_zoo.serving.server.batching import Batches, Predict
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.session import Prediction, Session


class _Named:
    name = "m"


_SESSION = cast(Session, _Named())
_LONG = 60.0


class _Model:
    """Answers each image by its first pixel, and remembers the sizes of its batches."""

    def __init__(self, work: Callable[[NDArray[np.uint8]], object] = lambda _: None) -> None:
        self.sizes: list[int] = []
        self._work = work

    def __call__(self, _session: Session, images: NDArray[np.uint8]) -> Prediction:
        self._work(images)
        self.sizes.append(len(images))
        pixels = images[:, :1, 0, 0].astype(np.float32)
        return Prediction(pixels, pixels)


def _images(*pixels: int) -> NDArray[np.uint8]:
    return np.array(pixels, dtype=np.uint8).reshape(-1, 1, 1, 1)


async def _ask(
    batches: Batches,
    admission: Admission,
    predict: Predict,
    images: NDArray[np.uint8],
    *,
    seconds: float = _LONG,
    gone: Gone | None = None,
) -> list[float]:
    async with admission.turn(deadline=time.monotonic() + seconds, gone=gone) as turn:
        prediction, _, _ = await batches.run(turn, predict, _SESSION, images)
        values: list[float] = prediction.logits.ravel().tolist()
        return values


def _answers(
    model: _Model, requests: Sequence[NDArray[np.uint8]], *, max_queue: int = 100, **limits: Any
) -> list[Any]:
    async def ask() -> list[Any]:
        admission = Admission(max_concurrency=1, max_queue=max_queue)
        batches = Batches(admission, **{"delay": 0.05, "max_images": 100, **limits})
        asking = [_ask(batches, admission, model, images) for images in requests]
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert (admission.running, admission.waiting) == (0, 0)
        return answers

    return asyncio.run(ask())


def test_what_waits_together_runs_together() -> None:
    model = _Model()
    assert _answers(model, [_images(1), _images(2, 3), _images(4)]) == [[1], [2, 3], [4]]
    assert model.sizes == [4]


def test_a_full_batch_does_not_wait() -> None:
    model = _Model()
    requests = [_images(1, 2), _images(3), _images(4), _images(5, 6)]
    assert _answers(model, requests, delay=0.05, max_images=3) == [[1, 2], [3], [4], [5, 6]]
    assert model.sizes == [3, 3]


def test_a_request_of_more_images_runs_alone() -> None:
    model = _Model()
    assert _answers(model, [_images(1, 2, 3), _images(4)], max_images=2) == [[1, 2, 3], [4]]
    assert model.sizes == [3, 1]


def test_a_request_that_fails_does_not_fail_the_others() -> None:
    def work(images: NDArray[np.uint8]) -> None:
        if 2 in images:
            raise RequestError(500, "the model failed")

    first, failed, last = _answers(_Model(work), [_images(1), _images(2), _images(3)])
    assert (first, failed.status, last) == ([1], 500, [3])


def test_a_full_queue_is_told_at_once() -> None:
    answers = _answers(_Model(), [_images(number) for number in range(4)], max_queue=2)
    assert [getattr(answer, "status", 200) for answer in answers] == [200, 200, 503, 503]


@pytest.mark.parametrize(("why", "status"), [("deadline", 504), ("client", 499)])
def test_who_leaves_a_batch_leaves_it_to_the_others(why: str, status: int) -> None:
    begin = threading.Event()
    model = _Model(lambda _: begin.wait(60))

    async def ask() -> None:
        admission = Admission(max_concurrency=1, max_queue=100)
        batches = Batches(admission, delay=0.001, max_images=100)
        staying = asyncio.ensure_future(_ask(batches, admission, model, _images(1)))
        gone = (lambda: asyncio.sleep(0.01)) if why == "client" else None
        seconds = 0.01 if why == "deadline" else _LONG
        with pytest.raises(RequestError) as raised:
            await _ask(batches, admission, model, _images(2), seconds=seconds, gone=gone)
        assert raised.value.status == status
        begin.set()
        assert await staying == [1]
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(ask())
