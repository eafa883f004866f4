"""Answer short inference requests where their last byte has arrived: without a task, routing or a thread.

What is unusual is left to the application, which answers these requests, too: all that is refused, long bodies, models
that take longer than a millisecond, and whatever comes while others wait.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from weakref import WeakKeyDictionary

import numpy as np
from starlette.types import Scope

from vision_zoo.serving.server import protocol
from vision_zoo.serving.server.browsers import SECURITY_HEADERS
from vision_zoo.serving.server.compression import SMALLEST_BYTES
from vision_zoo.serving.server.infer import DirectInfer, model_of
from vision_zoo.serving.server.json_numbers import SHORT_BYTES
from vision_zoo.serving.server.middleware import RequestContext
from vision_zoo.serving.server.protocol import InferRequest, RequestedOutput, parse_infer_request
from vision_zoo.serving.server.repository import VERSION
from vision_zoo.serving.server.state import State
from vision_zoo.serving.session import Session

_UNUSUAL = frozenset({b"content-encoding", b"origin", b"sec-fetch-site", b"transfer-encoding"})
_HEADER_LENGTH = protocol.HEADER_LENGTH.lower().encode()
_MOST_KEPT = 256
_LONGEST_JSON = 1024
_BYTES_OF_A_NUMBER = 24
"""At most, as JSON."""
_BYTES_OF_ALL_ELSE = 300

_Asked = tuple[tuple[int, ...], tuple[RequestedOutput, ...], str | None]
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class _Head:
    """What the head of a request says that may be made. Clients send the same one again and again."""

    path: str
    model: str
    length: str | None
    accepts_gzip: bool
    headers: dict[bytes, bytes]
    added: bytes


class InlineInfer:
    """Answers inference in the connection, as the application behind `context` would."""

    def __init__(self, context: RequestContext, direct: DirectInfer, state: State) -> None:
        self._context = context
        self._direct = direct
        self._state = state
        self._longest = min(SHORT_BYTES, state.settings.max_body_bytes)
        self._max_batch = state.settings.max_batch
        self._heads: dict[tuple[object, ...], _Head] = {}
        # Weakly: a session that is no longer served gives its memory back.
        self._asked: WeakKeyDictionary[Session, dict[bytes, _Asked]] = WeakKeyDictionary()

    def __call__(self, scope: Scope, body: bytes, headers: Headers) -> bytes | None:
        """The whole response to a request that has arrived, with the server's own `headers`; None for all others."""
        try:
            return self._answer(scope, body, headers)
        except Exception:  # noqa: BLE001  (the application comes upon the same, and answers and logs it)
            return None

    def _answer(self, scope: Scope, body: bytes, headers: Headers) -> bytes | None:
        started = time.perf_counter_ns()
        if len(body) > self._longest:
            return None
        sent = [header for header in scope["headers"] if header[0] != b"content-length"]
        key = scope["path"], scope["method"], scope["http_version"], *sent
        head = self._heads.get(key) or self._read_head(key, scope)
        if head is None:
            return None
        state = self._state
        session = state.repository.session(head.model)
        asked = self._parse(session, body, head.length)
        images = asked.images
        count = len(images)
        longest = count * session.numbers * _BYTES_OF_A_NUMBER + _BYTES_OF_ALL_ELSE
        may_be_compressed = head.accepts_gzip and longest >= SMALLEST_BYTES
        if may_be_compressed or not (state.admission.is_free and state.runs_at_once(session, count)):
            return None
        parsed = time.perf_counter_ns()
        prediction = state.admission.timed(
            lambda: state.predict(session, images, counts_failure=False), session.name, count
        )
        ran = time.perf_counter_ns()
        content, described = protocol.encode_response(
            asked, prediction, session.metadata, model=head.model, version=VERSION
        )
        identifier = self._context.identifier(head.headers)
        answer = b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n%bx-request-id: %b\r\n%b\r\n%b" % (
            b"".join([b"%b: %b\r\n" % header for header in headers]),
            len(content),
            "".join([f"{name}: {value}\r\n" for name, value in described.items()]).lower().encode(),
            identifier.encode(),
            head.added,
            content,
        )
        ended = time.perf_counter_ns()
        state.statistics.succeeded(
            session.name,
            images=count,
            queue=0,
            compute_input=parsed - started,
            compute_infer=ran - parsed,
            compute_output=ended - ran,
        )
        scope["route"], scope["path"] = self._direct, head.path
        self._context.record(scope, identifier, 200, (ended - started) / 1e9)
        return answer

    def _parse(self, session: Session, body: bytes, length: str | None) -> InferRequest:
        """A request; RequestError if it is malformed. Of binary ones, clients send the same JSON again and again."""
        end = 0 if length is None else protocol.json_length(body, length)
        if not 0 < end <= _LONGEST_JSON:
            return parse_infer_request(body, length, session.metadata, max_batch=self._max_batch)
        asked_before = self._asked.setdefault(session, {})
        before = asked_before.get(body[:end])
        if before is not None and len(body) - end == prod(before[0]):
            shape, outputs, identifier = before
            return InferRequest(np.frombuffer(body, np.uint8, offset=end).reshape(shape), outputs, identifier)
        asked = parse_infer_request(body, length, session.metadata, max_batch=self._max_batch)
        if len(asked_before) >= _MOST_KEPT:
            asked_before.clear()
        if len(body) - end == asked.images.nbytes:
            asked_before[body[:end]] = asked.images.shape, asked.outputs, asked.id
        return asked

    def _read_head(self, key: tuple[object, ...], scope: Scope) -> _Head | None:
        """A head that may be answered here; None for others."""
        path = self._context.path(scope)
        model = model_of(scope["method"], path)
        given = dict(scope["headers"])
        if (
            model is None
            or len(given) != len(scope["headers"])
            or not _UNUSUAL.isdisjoint(given)
            or not self._context.admits(scope, path, given)
        ):
            return None
        length = given.get(_HEADER_LENGTH)
        head = _Head(
            path,
            model,
            None if length is None else length.decode("latin-1"),
            b"accept-encoding" in given,
            given,
            b"".join(
                b"%b: %b\r\n" % header for header in (*self._context.cors_headers(given), *SECURITY_HEADERS)
            ),
        )
        if len(self._heads) >= _MOST_KEPT:
            self._heads.clear()
        self._heads[key] = head
        return head
