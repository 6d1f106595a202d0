"""The life of a gateway in the cloud: it comes back and forgets everything, or another takes its place."""

from __future__ import annotations

from datetime import datetime

from feldsher_cloud_api import assignment, ca, db, provision
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fleet import life, trail
from feldsher_cloud_api.fleet.life import LifeError
from feldsher_cloud_api.manage import tasks, wipe
from feldsher_cloud_api.manage.tasks import Asker, TaskError
from feldsher_cloud_api.provision import Claim

_queries = db.queries("fleet")


def _asker(who: Principal) -> Asker:
    return tasks.person(who) if trail.person(who) is not None else tasks.administrator()


def take_back(
    connection: db.Connection, settings: Settings, who: Principal, gateway: str, *, reason: str, now: datetime
) -> None:
    """Tell a gateway to send what waits and then to forget everything, and note that it is coming back.

    LifeError where it cannot be told (nobody claimed it, it is revoked) or comes back already.
    """
    trail.permit(who)
    if _life(connection, gateway) != "ready":
        raise LifeError("returning", f"{gateway}: it is on its way back already, or retired")
    try:
        wipe.ask(connection, settings, gateway, _asker(who), reason=reason)
    except TaskError as error:
        raise LifeError("unreachable", str(error)) from error
    _queries.gateway_life(connection, gateway=gateway, life="returning", now=now)
    trail.note(connection, who, "returned", now, gateway=gateway, detail=reason)


def retire(connection: db.Connection, who: Principal, gateway: str, now: datetime) -> None:
    """Note that a gateway is used no more; LifeError while its certificate may still let it in: revoke it first."""
    trail.permit(who)
    _life(connection, gateway)
    if _queries.gateway_may_enter(connection, gateway=gateway, now=now):
        raise LifeError("enters", f"{gateway}: revoke it first (feldsher-cloud gateway revoke {gateway})")
    _queries.gateway_life(connection, gateway=gateway, life="retired", now=now)
    trail.note(connection, who, "retired", now, gateway=gateway)


def replace(connection: db.Connection, settings: Settings, who: Principal, old: str, new: str, now: datetime) -> Claim:
    """Register a gateway that takes another's place and return its claim, which is shown only now.

    Its devices are expected at the new one; those that only the old one's configuration names are new devices there,
    with their assignments. The old one is told to forget everything where it can be told. LifeError where the new name
    is taken; ValueError where it cannot be a gateway's.
    """
    trail.permit(who)
    if _life(connection, old) != "ready":
        raise LifeError("returning", f"{old}: it is on its way back already, or retired")
    if _queries.is_gateway(connection, gateway=new):
        raise LifeError("exists", f"{new}: there is such a gateway already")
    authority = ca.load(settings.ca_directory, settings.clock)
    claim = provision.add_gateway(connection, settings, authority, new, _queries.gateway_name(connection, gateway=old))
    for device, local, kind, model, label in list(_queries.attached(connection, gateway=old)):
        there = life.register(connection, gateway=new, address=local, kind=kind, now=now, model=model, label=label)
        if there != device:
            assignment.move(connection, device, there, now, person=trail.person(who))
            _queries.device_replaced(connection, device=device, by=there, now=now)
    _queries.gateway_replaced(connection, gateway=old, by=new)
    trail.note(connection, who, "replaces", now, gateway=new, detail=old)
    trail.note(connection, who, "replaced", now, gateway=old, detail=new)
    if _queries.gateway_may_enter(connection, gateway=old, now=now):
        take_back(connection, settings, who, old, reason=f"replaced by {new}", now=now)
    return claim


def _life(connection: db.Connection, gateway: str) -> str:
    found = _queries.gateway_state(connection, gateway=gateway)
    if found is None:
        raise FhirError(404, "not-found", "there is no such gateway")
    return str(found)
