"""Errors as HTTP answers: a client's fault is 4xx and says what was expected, everything else is 5xx."""

from collections.abc import Mapping

from vision_zoo.errors import ImageError, UsageError, VisionZooError


class RequestError(Exception):
    """A request that is not answered as asked.

    Args:
        status: of the answer.
        message: one line for the client: what was wrong, what was expected.
        headers: of the answer, such as Retry-After.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def as_request_error(error: VisionZooError) -> RequestError:
    """What a client is told of an error of this package."""
    if isinstance(error, ImageError):
        return RequestError(422, str(error))
    if isinstance(error, UsageError):
        return RequestError(400, str(error))
    return RequestError(500, "the model failed; the server's log says why")
