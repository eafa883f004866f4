"""Errors as HTTP responses: 4xx for errors of the client, 5xx for all others."""

from collections.abc import Mapping
from typing import Any

REFUSAL = "refusal"
"""In the state of a request whose body turns out to be malformed: the status and the message of its answer."""


class RequestError(Exception):
    """A refused request: the answer's `status`, one-line `message` and `headers`, such as Retry-After."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


_DESCRIPTIONS: dict[int | str, str] = {
    400: "The request does not fit the model, or is malformed.",
    401: "The API key is missing or wrong.",
    403: "The request comes from a page of another site.",
    404: "There is no such model.",
    408: "The body was not sent in time.",
    413: "The body is too large.",
    415: "The content encoding or type is not supported.",
    421: "The server does not accept requests for this host.",
    422: "The image cannot be used.",
    500: "The server failed; its log says why.",
    503: "The server is busy or shutting down, or the model cannot be loaded.",
    504: "The deadline passed.",
    "default": "The request's head is malformed, too long, or was not sent in time.",
}
_ANYWHERE: tuple[int | str, ...] = (400, 421, 500, 503, "default")


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the API's description: answers of these statuses, and of those that any path may be answered with."""
    content = {"application/json": {"example": {"error": "one line that says what was expected"}}}
    return {
        status: {"description": _DESCRIPTIONS[status], "content": content}
        for status in (*statuses, *_ANYWHERE)
    }
