"""$meta, $meta-add and $meta-delete: profiles, tags and security labels of a resource."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.fhir.operation.parameters import Asked
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored

PARAMETERS = ("meta",)
_LISTS = ("profile", "tag", "security")


def given(asked: Asked) -> dict[str, Any]:
    """Return the Meta of a call, its lists alone; FhirError 400 where it is none."""
    meta = asked.element("meta")
    if meta is None:
        raise FhirError(400, "required", "meta is needed", "Parameters.parameter.where(name='meta')")
    kept = {name: meta[name] for name in _LISTS if name in meta}
    for name, each in kept.items():
        right = isinstance(each, list) and all(isinstance(e, str if name == "profile" else dict) for e in each)  # pyright: ignore[reportUnknownVariableType]
        if not right:
            raise FhirError(400, "structure", f"meta.{name}: a list is needed", f"Parameters.parameter.value.{name}")
    return kept


def of(stored: Stored) -> dict[str, Any]:
    """Return the Meta of a resource."""
    return cast("dict[str, Any]", stored.content().get("meta", {}))


def change(
    connection: db.Connection, stored: Stored, asked: dict[str, Any], now: datetime, *, add: bool
) -> dict[str, Any]:
    """Add to or take from a resource's Meta what is asked, and return the Meta it then has.

    What is there already is not added again; two codings are the same where system and code are.
    """
    content = stored.content()
    meta: dict[str, Any] = dict(content.get("meta", {}))
    for name, wanted in asked.items():
        keys = {_key(each) for each in wanted}
        present: list[Any] = meta.get(name, [])
        if add:
            known = {_key(each) for each in present}
            meta[name] = [*present, *({_key(e): e for e in wanted if _key(e) not in known}.values())]
        else:
            meta[name] = [each for each in present if _key(each) not in keys]
    content["meta"] = {name: value for name, value in meta.items() if value not in ([], None)}
    store.update(connection, content, now=now, patient=stored.patient, expected=stored.version)
    return of(store.read(connection, content["resourceType"], stored.id))


def _key(each: Any) -> Any:
    return (each.get("system"), each.get("code")) if isinstance(each, dict) else each  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
