"""What operations are asked with and answer with: the parameters of an address or of a Parameters resource."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FhirError

_OF_ALL = ("_format", "_pretty")


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one call: name → values, texts of an address or elements and resources of a body."""

    values: dict[str, list[Any]]

    def text(self, name: str) -> str | None:
        """Return a parameter that is one word or sentence, None where it is not given."""
        found = self._one(name)
        if found is None or isinstance(found, str):
            return found
        raise wrong(name, "a text is needed")

    def texts(self, name: str) -> list[str]:
        """Return all values of a parameter that may be repeated or, in an address, separated by commas."""
        found = self.values.get(name, [])
        if any(not isinstance(f, str) for f in found):
            raise wrong(name, "a text is needed")
        return [part for each in found for part in str(each).split(",") if part]

    def number(self, name: str, most: int) -> int | None:
        """Return a parameter that is a whole number from 0 to `most`; more is as much as `most`."""
        found = self._one(name)
        if found is None:
            return None
        if isinstance(found, bool) or not str(found).isdigit() or len(str(found)) > 12:
            raise wrong(name, "a whole number, not negative, is needed")
        return min(int(str(found)), most)

    def flag(self, name: str, otherwise: bool = False) -> bool:
        """Return a parameter that is true or false."""
        found = self._one(name)
        if found is None:
            return otherwise
        if found in (True, "true"):
            return True
        if found in (False, "false"):
            return False
        raise wrong(name, "true or false is needed")

    def element(self, name: str) -> dict[str, Any] | None:
        """Return a parameter that is an element or a resource, None where it is not given."""
        found = self._one(name)
        if found is None or isinstance(found, dict):
            return cast("dict[str, Any] | None", found)
        raise wrong(name, "an element in a Parameters resource is needed")

    def resource(self, name: str, kind: str) -> dict[str, Any] | None:
        """Return a parameter that is a resource of a type, None where it is not given."""
        found = self.element(name)
        if found is not None and found.get("resourceType") != kind:
            raise wrong(name, f"a {kind} is needed")
        return found

    def _one(self, name: str) -> Any:
        found = self.values.get(name, [])
        if len(found) > 1:
            raise wrong(name, "it may be given once only")
        return found[0] if found else None


def wrong(name: str, words: str) -> FhirError:
    """Return the refusal of a parameter."""
    return FhirError(400, "invalid", f"{name}: {words}", f"Parameters.parameter.where(name='{name}')")


def asked(pairs: Iterable[tuple[str, str]], body: bytes, known: Iterable[str], alone: str | None = None) -> Asked:
    """Return the parameters of a call by address and by body.

    `known`: the names there are, others are refused by FhirError 400. `alone`: the parameter that a body means which is
    a resource other than Parameters.
    """
    values: dict[str, list[Any]] = {}
    for name, value in pairs:
        if name not in _OF_ALL:
            values.setdefault(name, []).append(value)
    for name, value in _sent(body, alone) if body.strip() else ():
        values.setdefault(name, []).append(value)
    names = set(known)
    for name in values:
        if name not in names:
            raise FhirError(400, "invalid", f"{name[:64]}: there is no such parameter; there are {_listed(names)}")
    return Asked(values)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _sent(body: bytes, alone: str | None) -> Iterable[tuple[str, Any]]:
    try:
        value = db.loads(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FhirError(400, "structure", f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FhirError(400, "structure", "the body is not a Parameters resource")
    sent = cast("dict[str, Any]", value)
    if sent.get("resourceType") != "Parameters":
        if alone is None:
            raise FhirError(400, "structure", "the body is not a Parameters resource", "Parameters.resourceType")
        yield alone, sent
        return
    parts: Any = sent.get("parameter", [])
    for part in cast("list[Any]", parts) if isinstance(parts, list) else [None]:
        yield _part(part)


def _part(part: Any) -> tuple[str, Any]:
    if not isinstance(part, dict) or not isinstance(cast("dict[str, Any]", part).get("name"), str):
        raise FhirError(400, "structure", "a parameter without its name", "Parameters.parameter.name")
    given = cast("dict[str, Any]", part)
    for key, value in given.items():
        if key == "resource" or key.startswith("value"):
            return given["name"], value
    return given["name"], given.get("part", [])


def answer(*parts: tuple[str, Any]) -> dict[str, Any]:
    """Return a Parameters resource: name and value[x] (`valueString` for texts that are no code) of each that is given.

    A value: (type, value) such as ("Code", "a"), a list of such parts, or a bare str, bool; None leaves it out.
    """
    return {"resourceType": "Parameters", "parameter": [_said(n, v) for n, v in parts if v is not None]}


def _said(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"name": name, "part": [_said(n, v) for n, v in cast("list[tuple[str, Any]]", value) if v is not None]}
    if isinstance(value, bool):
        return {"name": name, "valueBoolean": value}
    if isinstance(value, str):
        return {"name": name, "valueString": value}
    kind, inner = cast("tuple[str, Any]", value)
    return {"name": name, f"value{kind}": inner}
