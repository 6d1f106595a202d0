"""Open alarms for pages: from Task to what is wrong, in the reader's words, the urgent first, then the newest."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from feldsher_ehr_core.vitals import VITALS
from feldsher_signal.registry import REGISTRY

from feldsher_cloud_api.fhir import dates
from feldsher_cloud_api.fhir.store import Stored
from feldsher_cloud_api.project.alarm import ALARM, INPUT, NUMBER
from feldsher_cloud_api.web.catalogue import Catalogue
from feldsher_cloud_api.web.desk import Desk
from feldsher_cloud_api.web.people import people
from feldsher_cloud_api.web.shapes import Alarm, Part, Person

MOST = 100
"""Alarms on the worklist: the newest; the rest is counted."""


def open_alarms(at: Desk, words: Catalogue) -> Part[Alarm]:
    """Return the open alarms within reach: those for at once, then the others, each the newest first."""
    wanted = {"status": "requested", "code": f"{ALARM}|", "_sort": "-modified", "_count": str(MOST)}
    urgent, n_urgent = at.part("Task", priority="stat", **wanted)
    others, n_others = at.part("Task", **wanted, **{"priority:not": "stat"})
    found = urgent + others[: max(0, MOST - len(urgent))]
    known = people(at, (s.patient for s in found))
    rows = [_alarm(s, known.get(s.patient) if s.patient else None, words) for s in found]
    rows.sort(key=lambda a: (a.priority == "stat", a.latest), reverse=True)
    return Part(tuple(rows), n_urgent + n_others)


def _alarm(stored: Stored, patient: Person | None, words: Catalogue) -> Alarm:
    content = stored.content()
    kind = str(content["code"]["coding"][0]["code"])
    said = _inputs(content)
    what = tuple(number_words(one, words) for one in said.get("number", []))
    evidence = str(content.get("reasonReference", {}).get("reference", ""))
    return Alarm(
        id=stored.id,
        version=stored.version,
        patient=patient,
        priority=str(content["priority"]),
        kind=words.code("alarm.kind", kind),
        what=tuple(dict.fromkeys(what)),
        first=dates.parse(_first(said, "first"))[0],
        latest=dates.parse(_first(said, "latest"))[0],
        alerts=int(_first(said, "alerts")),
        late=bool(_first(said, "late")),
        doubts=tuple(words.code("alarm.doubt", _value(one)) for one in said.get("doubt", [])),
        report=UUID(evidence.partition("/")[2]) if evidence.startswith("DiagnosticReport/") else None,
    )


def _inputs(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    said: dict[str, list[dict[str, Any]]] = {}
    for one in cast("list[dict[str, Any]]", content["input"]):
        coding = one["type"]["coding"][0]
        if coding["system"] == INPUT:
            said.setdefault(str(coding["code"]), []).append(one)
    return said


def _value(element: dict[str, Any]) -> Any:
    return next(value for name, value in element.items() if name.startswith("value"))


def _first(said: dict[str, list[dict[str, Any]]], name: str) -> Any:
    return _value(said[name][0])


def number_words(element: dict[str, Any], words: Catalogue) -> str:
    """Return one number that broke a limit (an input of the Task) in the reader's words."""
    parts: dict[str, Any] = {
        part["url"]: _value(part)
        for extension in cast("list[dict[str, Any]]", element["extension"])
        if extension["url"] == NUMBER
        for part in extension["extension"]
    }
    if "stated" in parts:
        code = str(parts["stated"])
        known = REGISTRY.get(code)  # whose text is the English one
        return words.code("statement", code, known.text if known else None)
    quantity = cast("dict[str, Any]", element.get("valueQuantity", {}))
    mdc, side = int(parts["code"]), str(parts["side"])
    of = VITALS.get(mdc)
    return words.say(
        f"alarm.side.{side}",
        name=words.code("vital", str(mdc), of.display if of and of.display else f"MDC {mdc}"),
        value=quantity.get("value", parts.get("measured", "–")),
        unit=words.code("unit", str(quantity.get("unit", ""))),
        bound=parts.get("bound", "–"),
        against=parts.get("against", "–"),
    )
