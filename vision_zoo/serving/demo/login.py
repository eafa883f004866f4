"""Login form for the API key, and a cookie that replaces the key in the browser.

The cookie holds for the page's paths alone, no script can read it, and no other site's request carries it.
"""

import base64
import binascii
import hashlib
import hmac
import html
import secrets
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from vision_zoo.serving.server.body import read_body

_COOKIE = "vision-zoo-page"
_SECONDS = 12 * 3600
_LARGEST_FORM = 4096
_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>vision-zoo</title><link rel="icon" href="data:,"><style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; }}
form {{ display: grid; gap: .8rem; width: min(20rem, 85vw); }}
h1 {{ font-size: 1.4rem; margin: 0; }} p {{ margin: 0; }}
input, button {{ font: inherit; padding: .6rem; border-radius: .5rem; border: 1px solid GrayText; }}
button {{ background: #0072b2; color: #fff; border: 0; cursor: pointer; }}
</style></head><body><form method="post" action="{action}">
<h1>vision-zoo</h1><label for="key">API key of this server</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
{message}<button>Open the page</button></form></body></html>"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Login:
    """Access to the page at the path `page` (behind a proxy's `root_path`) with the key `key`."""

    def __init__(self, key: bytes, page: str, *, root_path: str = "") -> None:
        self._key = key
        self._page = page
        self._url = f"{root_path}{page}"  # as a browser sees it
        self._secret = secrets.token_bytes(32)

    def admits(self, path: str, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request for one of the page's paths carries the cookie, or the key as a Basic password."""
        if path != self._page and not path.startswith(f"{self._page}/"):
            return False
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"basic":
            return hmac.compare_digest(_password(token), self._key)
        return self._is_ours(_cookie(headers.get(b"cookie", b"")))

    async def answers(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer the login form and requests of browsers that are not logged in; False for any other request."""
        request = Request(scope, receive)
        path = scope["path"]
        headers = dict(scope["headers"])
        response: Response
        if path == f"{self._page}/login" and scope["method"] == "POST":
            response = await self._logged_in(request)
        elif path == f"{self._page}/login" and scope["method"] == "GET":
            response = self._form()
        elif scope["method"] == "GET" and path.rstrip("/") in ("", self._page) and _by_browser(headers):
            if path == "/":
                response = RedirectResponse(f"{self._url}/", 303)
            elif self.admits(path, headers):
                return False
            else:
                response = self._form(status=401)
        else:
            return False
        await response(scope, receive, send)
        return True

    def token(self, until: int) -> str:
        """The cookie's value, which holds until a time in seconds since 1970."""
        return f"{until}.{hmac.new(self._secret, str(until).encode(), hashlib.sha256).hexdigest()}"

    async def _logged_in(self, request: Request) -> Response:
        body = await read_body(request, max_bytes=_LARGEST_FORM, seconds=10)
        given = parse_qs(body.decode("utf-8", "replace")).get("key", [""])[0]
        if not hmac.compare_digest(given.encode(), self._key):
            return self._form(status=401, message="The key is wrong.")
        response = RedirectResponse(f"{self._url}/", 303, _HEADERS)
        response.set_cookie(
            _COOKIE,
            self.token(int(time.time()) + _SECONDS),
            max_age=_SECONDS,
            path=self._url,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    def _form(self, status: int = 200, message: str = "") -> Response:
        note = f'<p role="alert">{html.escape(message)}</p>' if message else ""
        headers = {**_HEADERS, "WWW-Authenticate": "Bearer"} if status == 401 else _HEADERS
        return HTMLResponse(
            _FORM.format(action=html.escape(f"{self._url}/login"), message=note), status, headers
        )

    def _is_ours(self, token: str) -> bool:
        until = token.partition(".")[0]
        if not until.isascii() or not until.isdigit() or len(until) > 12:
            return False
        return (
            hmac.compare_digest(token.encode(), self.token(int(until)).encode()) and int(until) > time.time()
        )


def _by_browser(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a person asks for a page, without a key that could be checked."""
    return b"text/html" in headers.get(b"accept", b"") and not headers.keys() & {
        b"authorization",
        b"x-api-key",
    }


def _password(token: bytes) -> bytes:
    try:
        return base64.b64decode(token, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _cookie(header: bytes) -> str:
    try:
        morsel = SimpleCookie(header.decode("latin-1")).get(_COOKIE)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value
