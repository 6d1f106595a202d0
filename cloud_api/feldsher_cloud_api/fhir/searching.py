"""A search as it is asked over HTTP or in a batch: of a type, of several, of all, of a patient's compartment.

Who asks is judged for every type that is looked at, and what was shown is audited in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from feldsher_cloud_api import access, audit, db
from feldsher_cloud_api.access import Forbidden, Principal
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import identity, search
from feldsher_cloud_api.fhir.criterion import Pairs
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.page import Found
from feldsher_cloud_api.fhir.r4 import definitions


@dataclass(frozen=True, slots=True)
class Where:
    """Where is looked: `path` as the address has it; one type, or None (all, `*`); in whose compartment."""

    path: str
    kind: str | None = None
    patient: str | None = None


def of_type(kind: str) -> Where:
    """Return a search of a type; FhirError 404 where there is no such type."""
    if kind not in kinds():
        raise FhirError(404, "not-supported", f"there is no resource type {kind[:64]} in R4")
    return Where(kind, kind)


def of_compartment(patient: str, kind: str) -> Where:
    """Return a search in a patient's compartment, of a type or of all (`*`); FhirError 404 says why it cannot be."""
    if not identity.is_id(patient):
        raise FhirError(404, "not-found", "there is no such Patient, or it is not yours to see")
    if kind == "*":
        return Where(f"Patient/{patient}/*", None, patient)
    if kind not in definitions().compartment and kind != "Patient":
        raise FhirError(404, "not-supported", f"{kind[:64]} is no type of which a patient's compartment holds anything")
    return Where(f"Patient/{patient}/{kind}", kind, patient)


def answer(
    of: Context, who: Principal, connection: db.Connection, where: Where, pairs: Pairs, *, lenient: bool = False
) -> bytes:
    """Return the Bundle of a page and audit what it shows; FhirError 400 or Forbidden say why there is none."""
    token = next((v for n, v in pairs if n == search.CURSOR), None)
    after: list[str] | None = None
    if token is not None:
        pairs, after = search.open_cursor(of.cursor, who.person, where.path, token)
    may = _may(who)
    wanted = _kinds(where, pairs, may)
    for kind in wanted:
        access.permit(who, kind, "search")
    typed = [(n, v) for n, v in pairs if where.kind is None and n == "_type"]
    base, now = of.settings.fhir_base, of.settings.clock()
    asked = search.understand(wanted, [p for p in pairs if p not in typed], base, lenient=lenient, now=now)
    asked.search.understood[:0] = typed
    asked.search.patient = where.patient
    result = search.answer(connection, asked, access.reach(connection, who), after=after, may=may)
    _audit(connection, who, [*result.page.found, *result.along.found], of)
    if result.page.place is not None:
        understood = asked.search.understood
        result.following = search.seal_cursor(of.cursor, who.person, where.path, understood, result.page.place)
    return search.bundle(base, where.path, asked, result)


def _kinds(where: Where, pairs: Pairs, may: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the types to look in: the one of the address, those of `_type`, or all that may be searched."""
    if where.kind is not None:
        return (where.kind,)
    every = sorted([*definitions().compartment, "Patient"]) if where.patient else sorted(kinds())
    named = [kind for name, value in pairs if name == "_type" for kind in value.split(",")]
    for kind in named:
        if kind not in every:
            raise FhirError(400, "invalid", f"_type={kind[:64]}: there is no such resource type here", "http._type")
    found = tuple(dict.fromkeys(named or [kind for kind in every if may(kind)]))
    if not found:
        raise Forbidden("nothing here may be searched")
    return found


def _may(who: Principal) -> Callable[[str], bool]:
    def may(kind: str) -> bool:
        try:
            access.permit(who, kind, "search")
        except Forbidden:
            return False
        return True

    return may


def _audit(connection: db.Connection, who: Principal, shown: list[Found], of: Context) -> None:
    audit.shown(connection, who, ((each.kind, each.stored) for each in shown), of.settings.clock())
