"""Lists of the fleet in pages: how many there are in all is always said; a next page's token holds what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from feldsher_cloud_api import db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import search
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet import devices, gateways, limits, problems
from feldsher_cloud_api.fleet.devices import Device
from feldsher_cloud_api.fleet.gateways import Gateway
from feldsher_cloud_api.fleet.life import KINDS
from feldsher_cloud_api.fleet.problems import Problem

LIVES = ("ready", "to_clean", "retired")
Row = TypeVar("Row")
Asked = Mapping[str, str]
"""What a list is asked for, by name; an empty word asks for nothing."""


@dataclass(frozen=True, slots=True)
class Listed(Generic[Row]):
    """One page: its rows, the problems of each (by id), how many rows there are in all, and the next page's token."""

    rows: list[Row]
    problems: dict[str, list[Problem]]
    total: int
    asked: dict[str, str]
    following: str | None


def _one_of(name: str, word: str, words: tuple[str, ...]) -> str | None:
    if word and word not in words:
        raise FhirError(400, "invalid", f"{name}: {word!r} is not one of {', '.join(words)}")
    return word or None


def _begin(of: Context, who: Principal, kind: str, asked: Asked, names: tuple[str, ...]) -> tuple[dict[str, str], str]:
    """Return what is asked and after what; a token `after` brings both along. FhirError 400 where it is another's."""
    token = asked.get("after", "")
    if token:
        pairs, place = search.open_cursor(of.cursor, who.person, kind, token)
        return dict(pairs), place[0]
    return {name: asked.get(name, "").strip()[:100] for name in names}, ""


def _count(asked: Asked) -> int:
    word = asked.get("count", "") or "50"
    if not word.isdecimal() or not 1 <= int(word) <= 200:
        raise FhirError(400, "invalid", f"count: {word!r} is not 1 to 200")
    return int(word)


def _token(of: Context, who: Principal, kind: str, asked: Asked, place: str) -> str:
    return search.seal_cursor(of.cursor, who.person, kind, list(asked.items()), [place])


def list_gateways(of: Context, connection: db.Connection, who: Principal, given: Asked) -> Listed[Gateway]:
    """Return a page of gateways by `state`, `problem`, `name`, `count`; FhirError 400 names what cannot be asked."""
    asked, after = _begin(of, who, "fleet-gateways", given, ("state", "problem", "name", "count"))
    most, now, bounds = _count(asked), of.settings.clock(), limits.load()
    code = _one_of("problem", asked["problem"], problems.GATEWAY_CODES)
    only: tuple[str, ...] | None = None
    if code:
        found, _, _ = problems.page(connection, bounds, now, code=code)
        only = tuple(p.gateway for p in found if p.device is None and p.gateway is not None)
    wanted = gateways.Wanted(_one_of("state", asked["state"], gateways.STATES), asked["name"] or None, only)
    rows, total = gateways.page(connection, wanted, bounds, now, after=after or None, most=most + 1)
    shown = rows[:most]
    theirs: dict[str, list[Problem]] = {g.id: [] for g in shown}
    for one in problems.page(connection, bounds, now, gateways=[g.id for g in shown])[0]:
        theirs[one.name].append(one)
    following = _token(of, who, "fleet-gateways", asked, shown[-1].id) if len(rows) > most else None
    return Listed(shown, theirs, total, asked, following)


def list_devices(of: Context, connection: db.Connection, who: Principal, given: Asked) -> Listed[Device]:
    """Return a page of devices by `kind`, `life`, `gateway`, `assigned` (yes, no), `problem`, `name`, `count`."""
    names = ("kind", "life", "gateway", "assigned", "problem", "name", "count")
    asked, after = _begin(of, who, "fleet-devices", given, names)
    most, now, bounds = _count(asked), of.settings.clock(), limits.load()
    code = _one_of("problem", asked["problem"], problems.DEVICE_CODES)
    only: tuple[UUID, ...] | None = None
    if code:
        only = tuple(p.device for p in problems.page(connection, bounds, now, code=code)[0] if p.device is not None)
    assigned = _one_of("assigned", asked["assigned"], ("yes", "no"))
    wanted = devices.Wanted(
        kind=_one_of("kind", asked["kind"], KINDS),
        life=_one_of("life", asked["life"], LIVES),
        gateway=asked["gateway"] or None,
        assigned=None if assigned is None else assigned == "yes",
        named=asked["name"] or None,
        only=only,
    )
    rows, total = devices.page(connection, wanted, now, after=UUID(after) if after else None, most=most + 1)
    shown = rows[:most]
    theirs: dict[str, list[Problem]] = {str(d.id): [] for d in shown}
    for one in problems.page(connection, bounds, now, devices=[d.id for d in shown])[0]:
        theirs[str(one.device)].append(one)
    following = _token(of, who, "fleet-devices", asked, str(shown[-1].id)) if len(rows) > most else None
    return Listed(shown, theirs, total, asked, following)


def list_problems(of: Context, connection: db.Connection, who: Principal, given: Asked) -> Listed[Problem]:
    """Return a page of what needs a technician, by `code` and `count`, the urgent first."""
    asked, after = _begin(of, who, "fleet-problems", given, ("code", "count"))
    code = _one_of("code", asked["code"], problems.CODES)
    rows, place, total = problems.page(
        connection, limits.load(), of.settings.clock(), code=code, after=after or None, most=_count(asked)
    )
    following = _token(of, who, "fleet-problems", asked, place) if place else None
    return Listed(rows, {}, total, asked, following)
