"""Image files in a request: the body itself, a form, or JSON with base64.

Decoder processes import this: no more than they need is imported.
"""

import binascii
import re
from dataclasses import dataclass

import orjson

from vision_zoo.core.errors import ImageError
from vision_zoo.serving.server.errors import RequestError

FILE_FIELD = "file"

_MAX_HEADER_BYTES = 8192
_MAX_OTHER_PARTS = 16
_PARAMETER = re.compile(rb';\s*([A-Za-z*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))')
_BASE64_STEP = 2**20
_STRUCTURE = b'"[{,:'
_JSON_EXPECTED = 'expected {"image": "BASE64"} or {"images": ["BASE64", ...]}'


@dataclass(frozen=True)
class Upload:
    """The files of one request, in order; an unusable one is an ImageError in its place. `several`: a list was sent."""

    files: list[bytes | ImageError]
    several: bool


def read_upload(body: bytes, content_type: str, *, max_files: int) -> Upload:
    """Find the files of a request; RequestError (400) for a malformed form or JSON, no file or more than `max_files`."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        files = _files_of_form(body, content_type.encode("latin-1", "replace"), max_files)
        return Upload([_not_empty(file) for file in files], len(files) > 1)
    if kind == "application/json":
        return _files_of_json(body, max_files)
    return Upload([_not_empty(body)], False)


def _files_of_form(body: bytes, content_type: bytes, max_files: int) -> list[bytes]:
    boundary = _parameters(content_type).get(b"boundary", b"").rstrip()
    if not 1 <= len(boundary) <= 200:
        raise _malformed_form()
    files: list[bytes] = []
    others = 0
    for header, content in _parts_of_form(body, b"--" + boundary):
        parameters = _disposition(header)
        is_file = b"filename" in parameters or b"filename*" in parameters
        if not is_file or parameters.get(b"name") != FILE_FIELD.encode():
            others += 1
            if others > _MAX_OTHER_PARTS:
                raise RequestError(400, "the form has too many fields; expected files only")
        elif content or parameters.get(b"filename"):
            files.append(content)
            _check_count(len(files), max_files)
    if not files:
        raise RequestError(400, f"the form has no file; expected it in the field {FILE_FIELD!r}")
    return files


def _parts_of_form(body: bytes, delimiter: bytes) -> "list[tuple[bytes, bytes]]":
    """(header, content) of every part (RFC 2046, 5.1.1)."""
    parts: list[tuple[bytes, bytes]] = []
    line = b"\r\n" + delimiter
    found = 0 if body.startswith(delimiter) else body.find(line) + 2
    if found == 1:  # there is none
        raise _malformed_form()
    position = found + len(delimiter)
    while not body.startswith(b"--", position):
        start = body.find(b"\r\n\r\n", position, position + _MAX_HEADER_BYTES)
        if start < 0 or not body.startswith(b"\r\n", position):
            raise _malformed_form()
        # The line break before a delimiter may be the one that ends the header.
        end = body.find(line, start + 2)
        if end < 0 or len(parts) > 4096:
            raise _malformed_form()
        parts.append((body[position:start], body[start + 4 : end]))
        position = end + len(line)
    return parts


def _disposition(header: bytes) -> dict[bytes, bytes]:
    for line in header.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            return _parameters(value)
    return {}


def _parameters(header: bytes) -> dict[bytes, bytes]:
    return {
        name.lower(): plain.strip() if plain else quoted for name, quoted, plain in _PARAMETER.findall(header)
    }


def _files_of_json(body: bytes, max_files: int) -> Upload:
    # Brackets and commas beyond those of a list of texts would only cost memory.
    allowed = 8 * (max_files + 8)
    if sum(body.count(character) for character in _STRUCTURE) > allowed:
        raise RequestError(400, f"the JSON has more parts than a request needs; {_JSON_EXPECTED}")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON; {_JSON_EXPECTED}") from error
    if not isinstance(parsed, dict) or ("image" in parsed) == ("images" in parsed):
        raise RequestError(400, f"the JSON names no image; {_JSON_EXPECTED}")
    several = "images" in parsed
    texts = parsed["images"] if several else [parsed["image"]]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise RequestError(400, f"the JSON has no text of base64 for an image; {_JSON_EXPECTED}")
    _check_count(len(texts), max_files)
    return Upload([_from_base64(text) for text in texts], several)


def _from_base64(text: str) -> bytes | ImageError:
    """The bytes; of a `data:` URL, those after its comma."""
    if text[:5].lower() == "data:":
        header, _, text = text.partition(",")
        if not header.lower().endswith(";base64"):
            return ImageError("the image is a data: URL without base64; expected data:image/...;base64,...")
    parts: list[bytes] = []
    rest = b""
    try:
        # A step at a time: the interpreter's lock is free in between.
        for start in range(0, len(text), _BASE64_STEP):
            piece = rest + text[start : start + _BASE64_STEP].encode("ascii").translate(None, b" \t\r\n")
            whole = len(piece) - len(piece) % 4
            parts.append(binascii.a2b_base64(piece[:whole], strict_mode=True))
            rest = piece[whole:]
            if rest and start + _BASE64_STEP >= len(text):
                raise ValueError("the text ends within four characters")
    except ValueError:
        return ImageError("the image is not base64; expected the file's bytes in the standard alphabet")
    return _not_empty(b"".join(parts))


def _not_empty(content: bytes) -> bytes | ImageError:
    return content or ImageError("the image is empty; expected an image file")


def _check_count(count: int, max_files: int) -> None:
    if count > max_files:
        raise RequestError(
            400, f"the request has more than {max_files} images; send them in several requests"
        )


def _malformed_form() -> RequestError:
    return RequestError(400, "the form is malformed; expected multipart/form-data with a file")
