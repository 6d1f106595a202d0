"""The fleet for programs: `/api/fleet`, JSON; docs/operations/fleet.md explains it with examples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, Response

from feldsher_cloud_api import access, db
from feldsher_cloud_api.assignment import AssignmentError
from feldsher_cloud_api.auth import CurrentContext, CurrentPrincipal
from feldsher_cloud_api.fleet import acts, devices, gateway_life, gateways, life, limits, listing, problems, trail
from feldsher_cloud_api.fleet.devices import Check, Device, Period
from feldsher_cloud_api.fleet.gateways import Gateway, Loss
from feldsher_cloud_api.fleet.life import LifeError
from feldsher_cloud_api.fleet.listing import Listed
from feldsher_cloud_api.fleet.problems import Problem
from feldsher_cloud_api.fleet.trail import Action

router = APIRouter(prefix="/api/fleet", tags=["fleet"])
_LINES = 100
After = Annotated[str, Query(description="Token of the next page, as `next` has it; it brings all filters along.")]
Count = Annotated[int, Query(ge=1, le=200, description="Rows of a page.")]


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts: gateways by state, devices by life (assigned, ready, to_clean, retired), problems by code."""

    at: datetime
    gateways: dict[str, int]
    devices: dict[str, int]
    problems: dict[str, int]


@dataclass(frozen=True, slots=True)
class GatewayPage:
    """A page of gateways; `problems` by gateway; `total` of all that match; `next`: where the next page is."""

    total: int
    rows: list[Gateway]
    problems: dict[str, list[Problem]]
    next: str | None


@dataclass(frozen=True, slots=True)
class DevicePage:
    """A page of devices, as of gateways."""

    total: int
    rows: list[Device]
    problems: dict[str, list[Problem]]
    next: str | None


@dataclass(frozen=True, slots=True)
class ProblemPage:
    """A page of problems, the urgent first."""

    total: int
    rows: list[Problem]
    next: str | None


@dataclass(frozen=True, slots=True)
class GatewayDetail:
    """A gateway with its problems, recorded losses and what was done with it (each at most 100, newest first)."""

    gateway: Gateway
    problems: list[Problem]
    losses: list[Loss]
    actions: list[Action]


@dataclass(frozen=True, slots=True)
class DeviceDetail:
    """A device with its problems, periods, checks and what was done with it (each at most 100, newest first)."""

    device: Device
    problems: list[Problem]
    periods: list[Period]
    checks: list[Check]
    actions: list[Action]


def _next(path: str, page: Listed[Any]) -> str | None:
    return f"/api/fleet/{path}?after={page.following}" if page.following else None


def summary_of(connection: db.Connection, now: datetime) -> Summary:
    """Return the counts of the fleet."""
    found = problems.counts(connection, limits.load(), now)
    return Summary(now, gateways.states(connection), devices.lives(connection, now), found)


@router.get("/summary")
def summary(of: CurrentContext, who: CurrentPrincipal) -> Summary:
    """Return counts alone."""
    access.permit_fleet(who)
    with access.asking(of.pool, who) as connection:
        return summary_of(connection, of.settings.clock())


@router.get("/limits")
def bounds(who: CurrentPrincipal) -> dict[str, Any]:
    """Return the limits in force, by name."""
    access.permit_fleet(who)
    return asdict(limits.load())


@router.get("/gateways")
def list_gateways(
    of: CurrentContext, who: CurrentPrincipal, state: str = "", problem: str = "", name: str = "", count: Count = 50,
    after: After = "",
) -> GatewayPage:  # fmt: skip
    """Return a page of gateways in order of id, by state, problem and part of the name."""
    access.permit_fleet(who)
    asked = {"state": state, "problem": problem, "name": name, "count": str(count), "after": after}
    with access.asking(of.pool, who) as connection:
        page = listing.list_gateways(of, connection, who, asked)
    return GatewayPage(page.total, page.rows, page.problems, _next("gateways", page))


@router.get("/gateways/{gateway}")
def one_gateway(gateway: str, of: CurrentContext, who: CurrentPrincipal) -> GatewayDetail:
    """Return one gateway; 404 where there is none."""
    access.permit_fleet(who)
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        found = gateways.one(connection, gateway, limits.load(), now)
        wrong, _, _ = problems.page(connection, limits.load(), now, gateways=[gateway])
        losses = gateways.losses(connection, gateway)
        return GatewayDetail(found, wrong, list(losses), list(trail.of_gateway(connection, gateway, _LINES)))


@router.get("/devices")
def list_devices(
    of: CurrentContext, who: CurrentPrincipal, kind: str = "", life: str = "", gateway: str = "", assigned: str = "",
    problem: str = "", name: str = "", count: Count = 50, after: After = "",
) -> DevicePage:  # fmt: skip
    """Return a page of devices in order of id; `assigned`: yes or no; `name`: part of sticker, address or model."""
    access.permit_fleet(who)
    asked = {"kind": kind, "life": life, "gateway": gateway, "assigned": assigned, "problem": problem, "name": name}
    with access.asking(of.pool, who) as connection:
        page = listing.list_devices(of, connection, who, asked | {"count": str(count), "after": after})
    return DevicePage(page.total, page.rows, page.problems, _next("devices", page))


@router.get("/devices/{device}")
def one_device(device: UUID, of: CurrentContext, who: CurrentPrincipal) -> DeviceDetail:
    """Return one device; 404 where there is none."""
    access.permit_fleet(who)
    now = of.settings.clock()
    with access.asking(of.pool, who) as connection:
        return DeviceDetail(
            devices.one(connection, device, now),
            problems.page(connection, limits.load(), now, devices=[device])[0],
            list(devices.periods(connection, device)),
            list(devices.checks(connection, device)),
            list(trail.of_device(connection, device, _LINES)),
        )


@router.get("/problems")
def list_problems(
    of: CurrentContext, who: CurrentPrincipal, code: str = "", count: Count = 50, after: After = ""
) -> ProblemPage:
    """Return a page of what needs a technician, the urgent first, then the oldest."""
    access.permit_fleet(who)
    with access.asking(of.pool, who) as connection:
        page = listing.list_problems(of, connection, who, {"code": code, "count": str(count), "after": after})
    return ProblemPage(page.total, page.rows, _next("problems", page))


@router.post("/gateways/{gateway}/return")
def return_gateway(
    gateway: str, of: CurrentContext, who: CurrentPrincipal, given: Annotated[dict[str, str], Body()]
) -> Response:
    """Make a gateway send what waits and forget everything (`reason`: why), and note that it comes back."""
    acts.permit(who)
    try:
        with access.asking(of.pool, who) as connection:
            reason = given.get("reason", "")
            gateway_life.take_back(connection, of.settings, who, gateway, reason=reason, now=of.settings.clock())
    except LifeError as error:
        return JSONResponse({"error": str(error), "code": error.code}, 422)
    return JSONResponse({"done": "return"})


Act = Literal["calibrate", "assign", "share", "end", "return", "clean", "replace", "retire"]


@router.post("/devices")
def add_device(of: CurrentContext, who: CurrentPrincipal, given: Annotated[dict[str, str], Body()]) -> Response:
    """Register a device: `gateway`, `address`, `kind`, and if known `model` and `label`; answers with its id."""
    acts.permit(who)
    try:
        with access.asking(of.pool, who) as connection:
            identity = life.add(
                connection, who, gateway=given.get("gateway", ""), address=given.get("address", ""),
                kind=given.get("kind", ""), model=given.get("model"), label=given.get("label"), now=of.settings.clock(),
            )  # fmt: skip
    except LifeError as error:
        return JSONResponse({"error": str(error), "code": error.code}, 422)
    return JSONResponse({"device": str(identity)}, 201)


@router.post("/devices/{device}/{act}")
def change_device(
    device: UUID, act: Act, of: CurrentContext, who: CurrentPrincipal, given: Annotated[dict[str, str], Body()]
) -> Response:
    """Do something with a device.

    calibrate: `done_on` (YYYY-MM-DD), `done_by`, `certificate`, `months` (else the kind's own). assign: `number` of
    the patient's card, `user` of a shared device. share: `user` of who has it now. end: `user`, else all. replace:
    `by`, the other device's id. return, clean, retire: nothing. 422 says why something cannot be done.
    """
    try:
        with access.asking(of.pool, who) as connection:
            acts.act(acts.Work(of, connection, who, device), act, given)
    except (LifeError, AssignmentError) as error:
        return JSONResponse({"error": str(error), "code": error.code}, 422)
    return JSONResponse({"done": act})
