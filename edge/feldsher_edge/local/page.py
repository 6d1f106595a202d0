"""The gateway's own web page: how it is, its devices, last readings, critical ECGs and a live strip; no names.

A process of its own, started by the gateway where its configuration says so. It knows the gateway only through its
sockets, and a fault in it takes nothing along.
"""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from feldsher_edge import status
from feldsher_edge.local.client import LocalError, ask_soon, live
from feldsher_edge.local.guard import Guard
from feldsher_edge.local.signal_quality import SignalQuality
from feldsher_edge.local.words import Drawn, EcgLine, Ecgs, Judged, Picture, ReadingLine, Readings, TrialRecording

_TRIAL_S = 4.0
_JUDGE_S = 1.0
_ALIVE_S = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """The page of one gateway. `zone`: in which times are shown; `demo`: virtual devices, and that is said."""

    state: Path
    guard: Guard
    zone: tzinfo
    demo: bool = False

    def app(self) -> Starlette:
        """Return the application."""
        routes = [
            Route("/", self.overview),
            Route("/pin", self.pin, methods=["GET", "POST"]),
            Route("/leave", self.leave, methods=["POST"]),
            Route("/ecg/{seq:int}", self.ecg),
            Route("/ecg/{seq:int}.svg", self.picture),
            Route("/strip", self.strip),
            Route("/strip/stream", self.stream),
            Route("/trial/{device}", self.trial, methods=["POST"]),
            Mount("/static", StaticFiles(packages=[("feldsher_edge.local", "static")])),
        ]
        return Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=self.guard)])

    async def overview(self, request: Request) -> Response:
        """Show how the gateway is."""
        try:
            report = await asyncio.to_thread(status.ask, self.state)
            ecgs = await ask_soon(self.state, Ecgs(), list[EcgLine])
            readings = await ask_soon(self.state, Readings(), list[ReadingLine])
        except (status.StatusError, LocalError) as error:
            return self._shown(request, "away.html", 503, why=str(error))
        names = {device.address: device.device for device in report.devices if device.address}
        return self._shown(request, "overview.html", report=report, ecgs=ecgs, readings=readings, names=names)

    async def pin(self, request: Request) -> Response:
        """Ask for the PIN."""
        wrong = False
        if request.method == "POST":
            given = str((await request.form()).get("pin", ""))
            way_in = await asyncio.to_thread(self.guard.enter, given)
            if way_in is not None:
                return way_in
            wrong = True
        wait_s = round(self.guard.brake.wait_s())
        return self._shown(request, "pin.html", 403 if wrong else 200, wrong=wrong, wait_s=wait_s)

    async def leave(self, request: Request) -> Response:
        """Forget who gave the PIN."""
        return self.guard.leave(request)

    async def ecg(self, request: Request) -> Response:
        """Show one critical ECG."""
        seq = int(request.path_params["seq"])
        try:
            found = await ask_soon(self.state, Ecgs(), list[EcgLine])
        except LocalError as error:
            return self._shown(request, "away.html", 503, why=str(error))
        line = next((it for it in found if it.seq == seq), None)
        if line is None:
            return self._shown(request, "away.html", 404, why=f"no ECG has the number {seq}")
        return self._shown(request, "ecg.html", ecg=line)

    async def picture(self, request: Request) -> Response:
        """Give the picture of one critical ECG."""
        try:
            drawn = await ask_soon(self.state, Picture(int(request.path_params["seq"])), Drawn)
        except LocalError as error:
            return Response(str(error), 404, media_type="text/plain")
        return Response(drawn.svg, media_type="image/svg+xml")

    async def strip(self, request: Request) -> Response:
        """Show the live strip."""
        return self._shown(request, "strip.html")

    async def stream(self, request: Request) -> Response:
        """Send the pieces of running recordings, and once a second how good the signal is."""
        del request
        return StreamingResponse(_events(self.state), media_type="text/event-stream")

    async def trial(self, request: Request) -> Response:
        """Take a trial recording and show what it says of the electrodes."""
        device = str(request.path_params["device"])
        try:
            found = await ask_soon(self.state, TrialRecording(device, _TRIAL_S), Judged)
        except LocalError as error:
            return self._shown(request, "trial.html", 409, device=device, trial=None, why=str(error))
        return self._shown(request, "trial.html", device=device, trial=found, why="")

    def _shown(self, request: Request, template: str, code: int = 200, **values: Any) -> HTMLResponse:
        language = spoken(request.headers.get("accept-language", ""))
        page = _TEMPLATES.get_template(template).render(
            w=_WORDS[language], language=language, csrf=self.guard.csrf(request), lan=self.guard.lan, demo=self.demo,
            at=self._at, ago=partial(ago, words=_WORDS[language]), now=datetime.now(self.zone), unit=unit,
            findings=partial(findings, language=language), measured=partial(measured, language=language), **values,
        )  # fmt: skip
        return HTMLResponse(page, code)

    def _at(self, us: int) -> str:
        return datetime.fromtimestamp(us / 1e6, UTC).astimezone(self.zone).strftime("%d.%m. %H:%M:%S")


async def _events(state: Path) -> AsyncGenerator[str]:
    quality, judged = SignalQuality(), 0.0
    pieces = live(state)
    following = asyncio.ensure_future(anext(pieces))
    try:
        while True:
            await asyncio.wait({following}, timeout=_ALIVE_S)
            if not following.done():
                yield ": still here\n\n"
                continue
            piece = following.result()
            following = asyncio.ensure_future(anext(pieces))
            yield f"event: piece\ndata: {msgspec.json.encode(piece).decode()}\n\n"
            quality.take(piece)
            if time.monotonic() - judged >= _JUDGE_S:
                judged = time.monotonic()
                yield f"event: quality\ndata: {msgspec.json.encode(quality.words()).decode()}\n\n"
    except (LocalError, StopAsyncIteration):
        yield "event: away\ndata: {}\n\n"
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def _read() -> dict[str, Any]:
    return tomllib.loads(files("feldsher_edge.local").joinpath("words.toml").read_text(encoding="utf-8"))


def findings(ecg: EcgLine, language: str) -> str:
    """Return what stands in a critical ECG, in the page's language as far as there is a word."""
    words: dict[str, str] = _TOML["findings"].get(language, {})
    codes = ecg.codes or ("",) * len(ecg.statements)
    return "; ".join(words.get(code, text) for code, text in zip(codes, ecg.statements, strict=True))


def measured(reading: ReadingLine, language: str) -> str:
    """Return what was measured, in the page's language as far as there is a word."""
    words: dict[str, str] = _TOML["measured"].get(language, {})
    return words.get(str(reading.code), reading.name)


def spoken(accepted: str) -> str:
    """Return the language of the page: Russian where the browser puts it before English."""
    for part in accepted.lower().split(","):
        language = part.partition(";")[0].strip()[:2]
        if language in _WORDS:
            return language
    return "en"


def unit(ucum: str) -> str:
    """Return a UCUM unit as people write it."""
    return {"mm[Hg]": "mmHg", "Cel": "°C"}.get(ucum, ucum)


def ago(seconds: float | None, words: dict[str, str]) -> str:
    """Return an age in words."""
    if seconds is None:
        return words["never"]
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.0f} {words[unit]}"
    return f"{seconds:.0f} {words['seconds']}"


_TOML = _read()
_WORDS: dict[str, dict[str, str]] = {language: _TOML[language] for language in ("en", "ru")}
_TEMPLATES = Environment(
    loader=PackageLoader("feldsher_edge.local"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
