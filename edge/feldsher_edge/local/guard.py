"""Who may see the gateway's page: this machine itself, or whoever in the clinic's network gave the PIN."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from feldsher_edge.local import pin
from feldsher_edge.local.pin import Brake, Sessions

COOKIE = "feldsher_gateway"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OPEN = ("/pin", "/static/")
_MOST_BYTES = 10_000
"""Of a form: a PIN or a token. Whoever has not given the PIN yet must not fill the gateway's memory."""
Next = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True)
class Guard:
    """Lets requests through. `lan`: with a PIN; else only by this machine's own names. `secure`: read over HTTPS."""

    state: Path
    lan: bool
    secure: bool = False
    now: Callable[[], float] = time.monotonic
    brake: Brake = field(init=False)
    sessions: Sessions = field(init=False)
    _here: str = field(init=False)
    _trying: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin with nobody let in; this machine itself needs no PIN."""
        self.brake, self.sessions = Brake(self.now), Sessions(partial(self.now))
        self._here = self.sessions.begin()

    def csrf(self, request: Request) -> str:
        """Return what the forms of this page must bring."""
        return self.sessions.csrf(self._token(request)) or ""

    def _token(self, request: Request) -> str | None:
        if self.lan:
            return request.cookies.get(COOKIE)
        if self.sessions.csrf(self._here) is None:
            self._here = self.sessions.begin()
        return self._here

    async def __call__(self, request: Request, call: Next) -> Response:
        """Answer a request, or say why not."""
        response = await self._answer(request, call)
        response.headers.update(HEADERS)
        return response

    async def _answer(self, request: Request, call: Next) -> Response:
        host = request.headers.get("host", "").rsplit(":", 1)[0] if not self.lan else "localhost"
        if host not in _HERE:  # a page elsewhere whose name was made to point here
            return PlainTextResponse("This page is for this machine only.", 421)
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("not here", 405)
        if request.method == "POST" and not _short(request):
            return PlainTextResponse("This is longer than any form of this page.", 413)
        if request.url.path.startswith(_OPEN):
            return await call(request)
        csrf = self.sessions.csrf(self._token(request))
        if csrf is None:
            return RedirectResponse("/pin", 303)
        if request.method == "POST" and not hmac.compare_digest(await _brought(request), csrf):
            return PlainTextResponse("This form is too old: go back, load the page again.", 403)
        return await call(request)

    def enter(self, given: str) -> Response | None:
        """Return the way in where a PIN fits and the brake lets it be looked at; None where not."""
        with self._trying:  # one at a time: who asks many times at once must not get past the brake
            if self.brake.wait_s() > 0:
                return None
            if not pin.fits(self.state, given):
                self.brake.failed()
                return None
            self.brake.passed()
        response = RedirectResponse("/", 303)
        response.set_cookie(COOKIE, self.sessions.begin(), httponly=True, samesite="strict", secure=self.secure)
        return response

    def leave(self, request: Request) -> Response:
        """End a session."""
        self.sessions.end(request.cookies.get(COOKIE))
        response = RedirectResponse("/pin" if self.lan else "/", 303)
        response.delete_cookie(COOKIE)
        return response


def _short(request: Request) -> bool:
    """Say whether the body is no longer than a form's; one of unknown length is not."""
    length = request.headers.get("content-length", "")
    return length.isdecimal() and len(length) < 10 and int(length) <= _MOST_BYTES


async def _brought(request: Request) -> str:
    return str((await request.form()).get("csrf", ""))
