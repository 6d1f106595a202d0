"""The fleet's pages: what needs a technician first, then gateways and devices; managers see them and change nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from feldsher_cloud_api import access, ca, db, provision
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.assignment import AssignmentError
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal, Form
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fleet import acts, api, devices, gateway_life, gateways, life, limits, listing, problems, trail
from feldsher_cloud_api.fleet.life import LifeError
from feldsher_cloud_api.manage import tasks
from feldsher_cloud_api.web.render import Page
from feldsher_cloud_api.web.routes import CurrentPage, PageRoute
from feldsher_cloud_api.web.shapes import Claim

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_FIRST, _LINES = 20, 20
"""Problems on the overview, and lines of a history: all of them have a page or an API of their own."""


@router.get("/fleet")
def overview(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show what needs a technician, and counts."""
    return _overview(page, of, who)


@router.post("/fleet/gateways/new")
def add_gateway(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Register a gateway and show its one-time claim, this once."""
    access.permit_role(who, "technician")
    return _overview(page, of, who, form.get("name", "").strip())


def _overview(page: Page, of: Context, who: Principal, name: str | None = None) -> Response:
    access.permit_fleet(who)
    claim, wrong = None, ""
    with access.asking(of.pool, who) as connection:
        if name is not None:
            try:
                claim = new_claim(of, connection, who, name)
            except ValueError as error:
                wrong = str(error)
        now = of.settings.clock()
        found, _, total = problems.page(connection, limits.load(), now, most=_FIRST)
        return page.show(
            "fleet.html",
            status=422 if wrong else 200,
            here="fleet",
            problems=found,
            total=total,
            summary=api.summary_of(connection, now),
            claim=claim,
            wrong=wrong,
        )


def new_claim(of: Context, connection: db.Connection, who: Principal, name: str) -> Claim:
    """Register a gateway and return its claim, which is shown only now; ValueError where it cannot be its name."""
    access.permit_role(who, "technician")
    authority = ca.load(of.settings.ca_directory, of.settings.clock)
    claim = provision.add_gateway(connection, of.settings, authority, name, name)
    trail.note(connection, who, "claim", of.settings.clock(), gateway=claim.gateway)
    return Claim(claim.gateway, claim.text(), of.settings.clock() + of.settings.claim_life)


@router.get("/fleet/problems")
def problem_list(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show all that needs a technician, by kind, in pages."""
    access.permit_fleet(who)
    with access.asking(of.pool, who) as connection:
        listed = listing.list_problems(of, connection, who, request.query_params)
    return page.show("fleet_problems.html", here="fleet", listed=listed, codes=problems.CODES)


@router.get("/fleet/gateways")
def gateway_list(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show gateways in pages."""
    return _gateways(page, of, who, dict(request.query_params))


@router.post("/fleet/gateways")
def find_gateways(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Show the gateways that were asked for; a form, so that nothing typed stands in an address."""
    return _gateways(page, of, who, form)


def _gateways(page: Page, of: Context, who: Principal, asked: dict[str, str]) -> Response:
    access.permit_fleet(who)
    with access.asking(of.pool, who) as connection:
        listed = listing.list_gateways(of, connection, who, asked)
    return page.show(
        "fleet_gateways.html", here="gateways", listed=listed, states=gateways.STATES, codes=problems.GATEWAY_CODES
    )


@router.get("/fleet/gateway/{gateway}")
def gateway_page(gateway: str, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show one gateway."""
    access.permit_fleet(who)
    return page.show("fleet_gateway.html", here="gateways", **_gateway(of, who, gateway))


def _gateway(of: Context, who: Principal, gateway: str) -> dict[str, Any]:
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        found = gateways.one(connection, gateway, limits.load(), now)
        return {
            "g": found,
            "problems": problems.page(connection, limits.load(), now, gateways=[gateway])[0],
            "losses": gateways.losses(connection, gateway)[:_LINES],
            "devices": listing.list_devices(of, connection, who, {"gateway": gateway, "count": "200"}),
            "actions": trail.of_gateway(connection, gateway, _LINES),
            "tasks": tasks.of_gateway(connection, gateway),
            "claim": None,
        }


@router.post("/fleet/gateway/{gateway}/return")
def return_gateway(gateway: str, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Make a gateway forget everything and note that it comes back."""
    acts.permit(who)
    try:
        with access.asking(of.pool, who) as connection:
            reason = form.get("reason", "")[:200]
            gateway_life.take_back(connection, of.settings, who, gateway, reason=reason, now=of.settings.clock())
    except LifeError as error:
        wrong = page.words.say(f"fleet.refused.{error.code}")
        return page.show("fleet_gateway.html", status=422, here="gateways", **_gateway(of, who, gateway), wrong=wrong)
    return RedirectResponse(f"/fleet/gateway/{gateway}", 303)


@router.post("/fleet/gateway/{gateway}/replace")
def replace_gateway(gateway: str, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Register a gateway in another's place and show its one-time claim, this once."""
    acts.permit(who)
    wrong, shown = "", None
    try:
        with access.asking(of.pool, who) as connection:
            made = gateway_life.replace(
                connection, of.settings, who, gateway, form.get("name", "").strip(), of.settings.clock()
            )
        shown = Claim(made.gateway, made.text(), of.settings.clock() + of.settings.claim_life)
    except LifeError as error:
        wrong = page.words.say(f"fleet.refused.{error.code}")
    except ValueError as error:
        wrong = page.words.say("fleet.add_error", detail=str(error))
    more: dict[str, Any] = _gateway(of, who, gateway) | {"claim": shown, "wrong": wrong}
    return page.show("fleet_gateway.html", status=422 if wrong else 200, here="gateways", **more)


@router.get("/fleet/devices")
def device_list(request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal) -> Response:
    """Show devices in pages."""
    return _devices(page, of, who, dict(request.query_params))


@router.post("/fleet/devices")
def find_devices(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Show the devices that were asked for; a form, so that nothing typed stands in an address."""
    return _devices(page, of, who, form)


@router.post("/fleet/devices/new")
def add_device(page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Register a device and show its page."""
    acts.permit(who)
    try:
        with access.asking(of.pool, who) as connection:
            device = life.add(
                connection, who, gateway=form.get("gateway", ""), address=form.get("address", ""),
                kind=form.get("kind", ""), model=form.get("model"), label=form.get("label"), now=of.settings.clock(),
            )  # fmt: skip
    except LifeError as error:
        return _devices(page, of, who, {}, page.words.say(f"fleet.refused.{error.code}"))
    return RedirectResponse(f"/fleet/device/{device}", 303)


def _devices(page: Page, of: Context, who: Principal, asked: dict[str, str], wrong: str = "") -> Response:
    access.permit_fleet(who)
    with access.asking(of.pool, who) as connection:
        listed = listing.list_devices(of, connection, who, asked)
    return page.show(
        "fleet_devices.html",
        status=422 if wrong else 200,
        here="devices",
        listed=listed,
        kinds=life.KINDS,
        lives=listing.LIVES,
        codes=problems.DEVICE_CODES,
        wrong=wrong,
    )


@router.get("/fleet/device/{device}")
def device_page(
    device: UUID, request: Request, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal
) -> Response:
    """Show one device; `done` names what was just done with it."""
    done = request.query_params.get("done", "")
    notice = page.words.say(f"fleet.done.{done}") if done in acts.ACTS else ""
    return _device(device, page, of, who, notice=notice)


def _device(device: UUID, page: Page, of: Context, who: Principal, **more: Any) -> Response:
    access.permit_fleet(who)
    now, bounds = of.settings.clock(), limits.load()
    with access.asking(of.pool, who) as connection:
        found = devices.one(connection, device, now)
        values: dict[str, Any] = {
            "d": found,
            "problems": problems.page(connection, bounds, now, devices=[device])[0],
            "periods": devices.periods(connection, device)[:_LINES],
            "checks": devices.checks(connection, device)[:_LINES],
            "actions": trail.of_device(connection, device, _LINES),
            "others": _others(connection, found, who, of) if who.role == "technician" else [],
            "months": bounds.calibration_months.get(found.kind),
        }
    values = {"wearer": None, "number": "", "user": "", "wrong_act": ""} | values | more
    return page.show("fleet_device.html", status=422 if values.get("wrong") else 200, here="devices", **values)


def _others(connection: db.Connection, found: devices.Device, who: Principal, of: Context) -> list[devices.Device]:
    """Return the devices that could take a device's place: the same kind, ready, nobody's."""
    asked = {"kind": found.kind, "life": "ready", "assigned": "no", "count": "200"}
    return [d for d in listing.list_devices(of, connection, who, asked).rows if d.id != found.id]


@router.post("/fleet/device/{device}/wearer")
def device_wearer(device: UUID, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form) -> Response:
    """Show whom a card's number names, to be confirmed before the device is assigned."""
    acts.permit(who)
    number, user = form.get("number", "").strip(), form.get("user", "").strip()
    try:
        with access.asking(of.pool, who) as connection:
            work = acts.Work(of, connection, who, device)
            devices.one(connection, device, of.settings.clock())
            found = acts.asked_for(work, number)
    except LifeError as error:
        wrong = page.words.say(f"fleet.refused.{error.code}")
        return _device(device, page, of, who, wrong=wrong, wrong_act="assign", number=number, user=user)
    return _device(device, page, of, who, wearer=found, number=number, user=user)


@router.post("/fleet/device/{device}/{act}")
def change_device(
    device: UUID, act: api.Act, page: CurrentPage, of: CurrentContext, who: CurrentPrincipal, form: Form
) -> Response:
    """Do something with a device and show it again."""
    try:
        with access.asking(of.pool, who) as connection:
            acts.act(acts.Work(of, connection, who, device), act, form)
    except (LifeError, AssignmentError) as error:
        wrong = page.words.say(f"fleet.refused.{error.code}")
        return _device(device, page, of, who, wrong=wrong, wrong_act=act)
    return RedirectResponse(f"/fleet/device/{device}?done={act}", 303)
