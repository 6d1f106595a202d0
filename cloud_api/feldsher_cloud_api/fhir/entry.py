"""The entries of a batch or transaction: read from the Bundle, each fault named by its place. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

from feldsher_cloud_api.fhir import identity, structure
from feldsher_cloud_api.fhir.outcome import FaultError, FhirError, InvalidResourceError
from feldsher_cloud_api.fhir.r4 import definitions

MOST_ENTRIES = 5000
"""A decade of one patient's record has about two thousand."""
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH")
_ADDRESS = re.compile(
    r"(?P<kind>[A-Z][A-Za-z]+)(?:/(?P<name>[^/?#]+)(?:/_history/(?P<version>[0-9]{1,9}))?)?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_GATHERED = re.compile(r"(?:(?P<kind>[A-Z][A-Za-z]+)(?:/(?P<name>[^/?#]+))?/)?_history(?:\?(?P<query>.*))?", re.DOTALL)


@dataclass(slots=True)
class Entry:
    """One entry: what is to be done, to which resource. `target`: the key it is about, once that is settled."""

    index: int
    method: str
    kind: str
    name: str
    query: str
    version: int | None
    full_url: str
    request: dict[str, Any]
    resource: dict[str, Any] | None = None
    history: bool = False
    target: UUID | None = field(default=None)

    @property
    def at(self) -> str:
        """Where it stands."""
        return f"Bundle.entry[{self.index}]"

    @property
    def if_none_exist(self) -> str | None:
        """The criteria under which nothing is created."""
        return cast("str | None", self.request.get("ifNoneExist"))

    def located(self, error: FhirError) -> FhirError:
        """Return a refusal of this entry as one of the Bundle: every fault says in which entry it is."""
        if isinstance(error, InvalidResourceError):
            return InvalidResourceError([self._moved(fault) for fault in error.faults])
        return FhirError(error.status, error.code, f"{self.at}: {error.words}", self._place(error.expression))

    def _moved(self, fault: FaultError) -> FaultError:
        return FaultError(
            self._place(fault.expression), f"{self.at}: {fault.words}", fault.code, severity=fault.severity
        )

    def _place(self, expression: str | None) -> str:
        if expression and expression.startswith(self.at):
            return expression
        if expression and self.kind and (expression == self.kind or expression.startswith(self.kind + ".")):
            return f"{self.at}.resource{expression.removeprefix(self.kind)}"
        return self.at


def read(bundle: dict[str, Any]) -> list[Entry]:
    """Return the entries of a batch or transaction; every fault of the Bundle itself at once (400)."""
    listed = bundle.get("entry", [])
    entries = cast("list[Any]", listed) if isinstance(listed, list) else []
    if len(entries) > MOST_ENTRIES:
        raise FhirError(413, "too-long", f"more than {MOST_ENTRIES} entries are not taken: use $import", "Bundle.entry")
    bare: list[Any] = [_bare(e) for e in entries]
    shell: dict[str, Any] = {**bundle, "entry": bare} if isinstance(listed, list) and "entry" in bundle else bundle
    faults = [fault for fault in structure.faults(shell) if fault.severity == "error"]
    if faults:
        error = InvalidResourceError(faults)
        error.status = 400
        raise error
    out = [_entry(i, cast("dict[str, Any]", e)) for i, e in enumerate(entries)]
    seen: set[str] = set()
    for entry in out:
        if entry.full_url and entry.full_url in seen:
            words = f"{entry.at}.fullUrl: another entry has the same"
            raise FhirError(400, "duplicate", words, f"{entry.at}.fullUrl")
        seen.add(entry.full_url)
    return out


def _bare(given: Any) -> Any:
    """Return an entry without its resource, which is judged by itself."""
    held = cast("dict[str, Any]", given) if isinstance(given, dict) else None
    if held is None:
        return given  # pyright: ignore[reportUnknownVariableType]
    return {name: value for name, value in held.items() if name != "resource"}


def _entry(index: int, given: dict[str, Any]) -> Entry:
    at = f"Bundle.entry[{index}]"
    request = given.get("request")
    if not isinstance(request, dict):
        raise FhirError(400, "required", f"{at}.request: is needed", f"{at}.request")
    asked = cast("dict[str, Any]", request)
    method, url = str(asked["method"]), str(asked["url"])
    address = _ADDRESS.fullmatch(url.removeprefix("/"))
    gathered = _GATHERED.fullmatch(url.removeprefix("/"))
    found = gathered if gathered and method in ("GET", "HEAD") else address
    if found is None or (found["kind"] or "Patient") not in definitions().resources:
        words = f"{at}.request.url: {url[:80]!r} is no address of a resource: [type], [type]/[id], [type]?[criteria]"
        raise FhirError(400, "value", words, f"{at}.request.url")
    version = found.groupdict().get("version")
    out = Entry(
        index, method, found["kind"] or "", found["name"] or "", found["query"] or "",
        int(version) if version else None, str(given.get("fullUrl", "")), asked, history=found is gathered,
    )  # fmt: skip
    _form(out, given.get("resource"))
    return out


def _form(entry: Entry, resource: Any) -> None:
    """Check that method, address and resource fit each other, and take the resource."""
    method, place = entry.method, f"{entry.at}.request"
    if method in ("POST", "PUT", "PATCH") and not isinstance(resource, dict):
        raise FhirError(400, "required", f"{entry.at}.resource: {method} needs one", f"{entry.at}.resource")
    if method in ("DELETE", "GET", "HEAD") and resource is not None:
        raise FhirError(400, "structure", f"{entry.at}.resource: {method} has none", f"{entry.at}.resource")
    addressed = bool(entry.name) != bool(entry.query)
    if (method in ("PUT", "PATCH", "DELETE") and not addressed) or (method == "POST" and (entry.name or entry.query)):
        words = f"{place}.url: {method} needs " + (
            "[type] alone" if method == "POST" else "[type]/[id] or [type]?[criteria]"
        )
        raise FhirError(400, "value", words, f"{place}.url")
    if entry.version is not None and method not in ("GET", "HEAD"):
        raise FhirError(400, "value", f"{place}.url: a version cannot be changed", f"{place}.url")
    if entry.name and not identity.is_id(entry.name):
        raise FhirError(400, "value", f"{place}.url: {entry.name[:80]!r} cannot be an id", f"{place}.url")
    entry.resource = cast("dict[str, Any] | None", resource)
    if method in ("POST", "PUT") and entry.resource is not None and entry.resource.get("resourceType") != entry.kind:
        words = f"{entry.at}.resource: is not the {entry.kind} that the address says"
        raise FhirError(400, "structure", words, f"{entry.at}.resource.resourceType")


def patch_of(entry: Entry) -> tuple[bool, bytes | dict[str, Any]]:
    """Return an entry's patch: (True, JSON Patch as sent) of a Binary, (False, Parameters); FhirError 400 otherwise."""
    resource = entry.resource or {}
    if resource.get("resourceType") == "Parameters":
        return False, resource
    if resource.get("resourceType") == "Binary" and resource.get("contentType") == "application/json-patch+json":
        try:
            return True, base64.b64decode(str(resource.get("data", "")), validate=True)
        except binascii.Error as error:
            words = f"{entry.at}.resource.data: is not base64"
            raise FhirError(400, "value", words, f"{entry.at}.resource.data") from error
    words = f"{entry.at}.resource: a patch is Parameters, or a Binary of application/json-patch+json"
    raise FhirError(400, "structure", words, f"{entry.at}.resource")
