"""Rendering: Jinja2 with autoescape, addresses of static files by content hash, and the headers of every page."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from feldsher_cloud_api import auth
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.web.catalogue import LANGUAGES, Catalogue, catalogue, choose
from feldsher_cloud_api.web.shapes import Person, Reading

LANGUAGE_COOKIE = "feldsher_language"
ZONE = "FELDSHER_ZONE"
"""Environment variable: the IANA zone in which this installation's pages show times (default UTC)."""

# No inline script or style, nothing from elsewhere, no frames. JSON data blocks are not executed: no permission needed.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'{targets}; base-uri 'none'; frame-ancestors 'none'"
)
_FLEET = (("fleet", "/fleet"), ("gateways", "/fleet/gateways"), ("devices", "/fleet/devices"))
MENUS: dict[str, tuple[tuple[str, str], ...]] = {
    "doctor": (("worklist", "/worklist"), ("patients", "/patients"), ("order", "/order")),
    "patient": (("portal", "/me"),),
    "technician": _FLEET,
    "manager": _FLEET,
}


def static_directory() -> Path:
    """Return the directory of static files."""
    return Path(__file__).parent / "static"


@cache
def static_hash() -> str:
    """Return a hash over all static files: modules import each other relatively, so they share one address."""
    digest = hashlib.sha256()
    for path in sorted(p for p in static_directory().rglob("*") if p.is_file()):
        digest.update(path.relative_to(static_directory()).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def asset(name: str) -> str:
    """Return the address of a static file; KeyError where there is none."""
    if not (static_directory() / name).is_file():
        raise KeyError(name)
    return f"/static/{static_hash()}/{name}"


@cache
def environment() -> Environment:
    """Return the templates: autoescaped, and a misspelt name is an error."""
    return Environment(
        loader=PackageLoader("feldsher_cloud_api.web", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One request's view of the pages: who asks, in which language, at what time."""

    request: Request
    of: Context
    me: Principal | None

    @property
    def words(self) -> Catalogue:
        """The catalogue of the person's language."""
        headers = self.request.headers
        return catalogue(choose(self.request.cookies.get(LANGUAGE_COOKIE), headers.get("accept-language", "")))

    def text(self, template: str, **values: Any) -> str:
        """Return a template's text for this request."""
        words, now = self.words, self.of.settings.clock()
        zone = display_zone()
        base: dict[str, Any] = {
            "asset": asset,
            "languages": LANGUAGES,
            "say": words.say,
            "count": words.count,
            "words": words,
            "lang": words.language,
            "day": words.day,
            "moment": _moment(words, zone),
            "when": _when(words, zone),
            "born": _born(words, now.astimezone(zone)),
            "trend_data": _trend(words, zone),
            "me": self.me,
            "menu": MENUS.get(self.me.role, ()) if self.me else (),
            "csrf": auth.csrf_of(self.request),
            "demo": self.of.settings.demo,
            "path": self.request.url.path if self.request.method == "GET" else "/",
            "now": now,
            "here": "",
            "notice": "",
            "wrong": "",
        }
        return environment().get_template(template).render(base | values)

    def show(self, template: str, *, status: int = 200, targets: Sequence[str] = (), **values: Any) -> HTMLResponse:
        """Return a page with its headers; `targets`: origins besides our own to which its form may lead."""
        return HTMLResponse(self.text(template, **values), status, headers=page_headers(targets))


def page_headers(targets: Sequence[str] = ()) -> dict[str, str]:
    """Return the headers of every page: nothing is kept, framed, sniffed or told to others."""
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": CSP.format(targets="".join(f" {t}" for t in targets)),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }


@cache
def display_zone() -> ZoneInfo:
    """Return the zone of shown times."""
    return ZoneInfo(os.environ.get(ZONE, "UTC"))


def _moment(words: Catalogue, zone: ZoneInfo) -> Callable[[datetime], str]:
    return lambda value: words.moment(value, zone)


def _when(words: Catalogue, zone: ZoneInfo) -> Callable[[datetime], Markup]:
    return lambda value: Markup('<time datetime="{}">{}</time>').format(value.isoformat(), words.moment(value, zone))


def _born(words: Catalogue, now: datetime) -> Callable[[Person], str]:
    def born(person: Person) -> str:
        age = person.age(now.date())
        if person.birth_date is None or age is None:
            return words.say("page.unknown")
        return f"{words.day(person.birth_date)} ({words.count('patient.years', age)})"

    return born


def _trend(words: Catalogue, zone: ZoneInfo) -> Callable[[Sequence[Reading], Any], dict[str, Any]]:
    def data(readings: Sequence[Reading], limits: Any) -> dict[str, Any]:
        columns = {
            name: [None if (v := getattr(r, name)) is None else float(v) for r in readings]
            for name in ("systolic", "diastolic", "pulse")
        }
        said = ("systolic", "diastolic", "pulse", "mmhg", "bpm", "time", "corrected")
        return columns | {
            "at": [r.at.timestamp() for r in readings],
            "corrected": [r.sent_at is not None for r in readings],
            "limits": limits,
            "zone": zone.key,
            "language": words.language,
            "words": {name: words.say(f"patient.{name}") for name in said},
        }

    return data
