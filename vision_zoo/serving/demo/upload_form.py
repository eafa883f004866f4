"""Streaming parser of upload forms: files are written to disk while they arrive."""

from pathlib import PurePath

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vision_zoo.serving.demo.uploads import PageFiles
from vision_zoo.serving.server.errors import RequestError

_FIELD = b"files"
_FILES_AT_ONCE = 4
_OTHER_FIELDS = 1


class UploadForm:
    """Keeps the files in the field `files` of one form that `client` sends. Its methods block: they are for a thread.

    Raises RequestError if `content_type` is no form's (400).
    """

    def __init__(self, content_type: str, files: PageFiles, client: str) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise _malformed()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._take_name,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._end_headers,
                    "on_part_data": self._take_data,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _malformed() from error
        self._files = files
        self._client = client
        self._paths: list[str] = []
        self._current: str | None = None
        self._name = self._value = self._disposition = b""
        self._others = 0
        self._complete = False

    def write(self, part: bytes) -> None:
        """Take the next part of the body.

        Raises RequestError for a malformed form (400), too many uploads (429), or a full disk (503).
        """
        try:
            self._parser.write(part)
        except FormParserError as error:
            raise _malformed() from error

    def finish(self) -> list[str]:
        """The paths of the files, in order, for use by the page; RequestError for an incomplete or empty form (400)."""
        if not self._complete:
            raise _malformed()
        if not self._paths:
            raise RequestError(400, "the upload has no file; expected it in the field 'files'")
        for path in self._paths:
            self._files.complete(path)
        return self._paths

    def discard(self) -> None:
        self._files.discard(self._paths)

    # What the parser calls.

    def _begin_part(self) -> None:
        self._current = None
        self._name = self._value = self._disposition = b""

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.strip().lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if options.get(b"name") != _FIELD or name is None:
            self._others += 1
        else:
            suffix = PurePath(name.decode("utf-8", "replace")).suffix
            self._current = self._files.begin(self._client, suffix)
            self._paths.append(self._current)
        if len(self._paths) > _FILES_AT_ONCE or self._others > _OTHER_FIELDS:
            raise RequestError(
                400, f"the upload has too many parts; expected at most {_FILES_AT_ONCE} files at once"
            )

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        if self._current is not None:
            self._files.append(self._current, data[start:end])

    def _end(self) -> None:
        self._complete = True


def _malformed() -> RequestError:
    return RequestError(400, "the upload is malformed; expected multipart/form-data")
