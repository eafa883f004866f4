"""The files in a request's body: forms and JSON as clients write them, and as they should not."""

import base64

import httpx
import pytest

from vision_zoo.core.errors import ImageError
from vision_zoo.serving.server.errors import RequestError
from vision_zoo.serving.server.uploads import Upload, read_upload

FORM = "multipart/form-data; boundary=b"


def _part(content: bytes, disposition: bytes = b'form-data; name="file"; filename="a.png"') -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n"


def _read(body: bytes, content_type: str = FORM, max_files: int = 8) -> Upload:
    return read_upload(body, content_type, max_files=max_files)


@pytest.mark.parametrize(
    "content", [b"pixels", b"\r\n--c\r\n", b"\r\n\r\n", b"\n--b", bytes(range(256)) * 99]
)
def test_a_file_of_a_form_is_unchanged(content: bytes) -> None:
    assert _read(_part(content) + b"--b--\r\n") == Upload([content], False)


def test_a_form_as_a_client_writes_it() -> None:
    request = httpx.Request(
        "POST", "http://x", data={"top": "3"}, files=[("file", ('ä;".png', b"1")), ("file", b"2")]
    )
    assert _read(request.read(), request.headers["Content-Type"]) == Upload([b"1", b"2"], True)


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="file"; filename="a"',
        b"form-data; name=file; filename=a",
        b'FORM-DATA;filename="name=\\"x\\"; name=other" ; NAME="file"',
        b"form-data; name=\"file\"; filename*=UTF-8''a",
    ],
)
def test_the_field_is_found(disposition: bytes) -> None:
    assert _read(b"before it\r\n" + _part(b"1", disposition) + b"--b--after it").files == [b"1"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"--b",
        b"--b--",
        b"--b\r\n\r\n--b--",
        _part(b"1"),
        _part(b"1") + b"--b",
        _part(b"1") + b"--bb--",
        _part(b"1", b'form-data; name="other"; filename="a"') + b"--b--",
        _part(b"1", b'form-data; name="file"') + b"--b--",
        _part(b"", b'form-data; name="file"; filename=""') + b"--b--",
        b"--b\r\n" + b"x" * 10_000 + b"\r\n\r\n1\r\n--b--",
        _part(b"1", b'form-data; name="other"') * 17 + b"--b--",
        _part(b"1") * 9 + b"--b--",
    ],
)
def test_a_form_that_is_none_is_400(body: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        _read(body)
    assert raised.value.status == 400


def test_base64_in_json() -> None:
    text = base64.b64encode(b"pixels").decode()
    for written in (text, f"data:image/png;base64,{text}", f"{text[:4]}\\r\\n{text[4:]}"):
        one = _read(b'{"image": "%s"}' % written.encode(), "application/json; charset=utf-8")
        assert one == Upload([b"pixels"], False)
    several = _read(b'{"images": ["%s"]}' % text.encode(), "application/json")
    assert several == Upload([b"pixels"], True)


def test_long_base64_is_decoded_in_steps() -> None:
    content = bytes(range(256)) * 12_001
    text = base64.encodebytes(content).replace(b"\n", b"\\n")
    assert _read(b'{"image": "' + text + b'"}', "application/json").files == [content]


@pytest.mark.parametrize("text", ["!", "QUJD!", "QUJ", "QUJDRA", "data:,QUJD", "ü", "QQ==QQ=="])
def test_what_is_not_base64_is_an_error_in_its_place(text: str) -> None:
    upload = _read(f'{{"images": ["QUJD", "{text}"]}}'.encode(), "application/json")
    assert upload.files[0] == b"ABC"
    assert isinstance(upload.files[1], ImageError)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"image": 1}',
        b'{"image": ["QUJD"]}',
        b'{"images": []}',
        b'{"images": "QUJD"}',
        b'{"images": ["QUJD", null]}',
        b'{"image": "QUJD", "images": ["QUJD"]}',
        b'{"images": [' + b'"QUJD",' * 8 + b'"QUJD"]}',
        b'{"images": [' + b"[]," * 100_000 + b"[]]}",
        b"[" * 100_000,
    ],
)
def test_json_that_names_no_image_is_400(body: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        _read(body, "application/json")
    assert raised.value.status == 400
    assert "\n" not in raised.value.message


def test_an_empty_image_is_an_error() -> None:
    for body, kind in ((b"", ""), (_part(b"") + b"--b--", FORM), (b'{"image": ""}', "application/json")):
        (file,) = _read(body, kind).files
        assert isinstance(file, ImageError)
