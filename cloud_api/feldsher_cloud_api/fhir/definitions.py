"""The resource types that this server holds: their tables, search parameters and what of a resource goes into columns.

Search parameters after http://hl7.org/fhir/R4/searchparameter-registry.html (4.0.1), restricted to what is served here;
`critical` is our own: the worklist asks for the critical reports first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from feldsher_cloud_api.fhir.dates import spans

Kind = Literal["token", "reference", "date", "string"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter: its kind, the column that holds it, and the elements that fill the column."""

    name: str
    kind: Kind
    column: str
    paths: tuple[str, ...]
    target: str | None = None


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One resource type: its name, parameters by name, and what may be done with it over REST."""

    name: str
    parameters: dict[str, Parameter]
    interactions: tuple[str, ...] = ("read", "vread", "history-instance", "search-type")

    @property
    def table(self) -> str:
        """Its table in schema fhir."""
        return self.name.lower()


def _type(name: str, *lines: str, interactions: tuple[str, ...] = ()) -> ResourceType:
    parameters: dict[str, Parameter] = {}
    for line in lines:
        kind, parameter, *paths = line.split()
        target = "Patient" if parameter == "patient" and name != "AuditEvent" else None
        column = parameter.replace("-", "_")
        if target and "subject" in paths:
            column = "subject"
        parameters[parameter] = Parameter(parameter, cast("Kind", kind), column, tuple(paths), target)
    return ResourceType(name, parameters, interactions or ResourceType.__dataclass_fields__["interactions"].default)


_DEFINITIONS = (
    _type(
        "Patient",
        "token identifier identifier",
        "string name name.family name.given name.text",
        "string family name.family",
        "string given name.given",
        "token gender gender",
        "token active active",
        "date birthdate birthDate",
        "reference general-practitioner generalPractitioner",
        "reference organization managingOrganization",
    ),
    _type(
        "Practitioner",
        "token identifier identifier",
        "string name name.family name.given name.text",
        "string family name.family",
        "string given name.given",
        "token active active",
    ),
    _type("Organization", "token identifier identifier", "string name name alias", "token active active"),
    _type(
        "Device",
        "token identifier identifier",
        "token type type",
        "token status status",
        "string model modelNumber",
        "reference organization owner",
    ),
    _type(
        "ServiceRequest",
        "token identifier identifier",
        "token status status",
        "token intent intent",
        "token priority priority",
        "token code code",
        "token category category",
        "reference subject subject",
        "reference patient subject",
        "reference requester requester",
        "reference performer performer",
        "reference based-on basedOn",
        "date authored authoredOn",
        interactions=("read", "vread", "history-instance", "search-type", "create"),
    ),
    _type(
        "Observation",
        "token identifier identifier",
        "token status status",
        "token code code",
        "token component-code component.code",
        "token category category",
        "reference subject subject",
        "reference patient subject",
        "reference performer performer",
        "reference device device",
        "reference based-on basedOn",
        "reference part-of partOf",
        "reference has-member hasMember",
        "reference derived-from derivedFrom",
        "date date effectiveDateTime effectivePeriod effectiveInstant",
    ),
    _type(
        "DiagnosticReport",
        "token identifier identifier",
        "token status status",
        "token code code",
        "token category category",
        "token conclusion conclusionCode",
        "token critical extension[urn:feldsher:critical].valueBoolean",
        "reference subject subject",
        "reference patient subject",
        "reference performer performer",
        "reference results-interpreter resultsInterpreter",
        "reference based-on basedOn",
        "reference result result",
        "date date effectiveDateTime effectivePeriod",
        "date issued issued",
    ),
    _type(
        "Task",
        "token identifier identifier",
        "token status status",
        "token intent intent",
        "token priority priority",
        "token code code",
        "reference subject for",
        "reference patient for",
        "reference focus focus",
        "reference requester requester",
        "reference owner owner",
        "date authored-on authoredOn",
        "date modified lastModified",
    ),
    _type(
        "Flag",
        "token identifier identifier",
        "token status status",  # of R5; R4 has none
        "reference subject subject",
        "reference patient subject",
        "reference author author",
        "date date period",
    ),
    _type(
        "Provenance",
        "reference target target",
        "reference agent agent.who",
        "reference patient target",
        "token signature-type signature.type",
        "date recorded recorded",
    ),
    _type(
        "AuditEvent",
        "token type type",
        "token subtype subtype",
        "token action action",
        "token outcome outcome",
        "reference agent agent.who",
        "reference entity entity.what",
        "reference patient entity.what agent.who",
        "date date recorded",
    ),
    _type("Binary", interactions=("read", "vread")),
)
TYPES: dict[str, ResourceType] = {t.name: t for t in _DEFINITIONS}


def walk(value: Any, path: str) -> Iterator[Any]:
    """Yield every value at a dotted path of a resource, through lists; `extension[url]`: those of one url."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from walk(item, path)
        return
    if not path:
        yield value
        return
    head, _, rest = path.partition(".")
    if isinstance(value, dict):
        name, _, url = head.partition("[")
        following = cast("dict[str, Any]", value).get(name)
        if url and following is not None:
            following = [e for e in following if e.get("url") == url.removesuffix("]")]
        if following is not None:
            yield from walk(following, rest)


def tokens(value: Any) -> Iterator[str]:
    """Yield every form under which a token search may ask for an element: `code`, `system|code`, `|code`, `system|`."""
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        element = cast("dict[str, Any]", value)
        if "coding" in element:
            for coding in element["coding"]:
                yield from tokens(coding)
            return
        system, code = element.get("system"), element.get("code", element.get("value"))
        if code is not None:
            yield str(code)
            yield f"{system}|{code}" if system else f"|{code}"
        if system:
            yield f"{system}|"


def references(value: Any, target: str | None = None) -> Iterator[str]:
    """Yield `Type/id` and `id` of a Reference to something on this server, restricted to a type where one is given."""
    text = cast("dict[str, Any]", value).get("reference") if isinstance(value, dict) else None
    if isinstance(text, str) and text.count("/") >= 1:
        kind, identity = text.split("/_history/")[0].split("/")[-2:]
        if target in (None, kind):
            yield f"{kind}/{identity}"
            yield identity


def columns(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    """Return what of a resource goes into the extracted columns of its table."""
    out: dict[str, Any] = {}
    for parameter in TYPES[kind].parameters.values():
        if parameter.column in out:
            continue
        values = [v for path in parameter.paths for v in walk(resource, path)]
        if parameter.kind == "date":
            out[parameter.column] = spans(values[0]) if values else None
            continue
        found: list[str] = []
        for value in values:
            if parameter.kind == "token":
                found.extend(tokens(value))
            elif parameter.kind == "reference":
                target = "Patient" if parameter.name == "patient" and parameter.column == "patient" else None
                found.extend(references(value, target))
            elif isinstance(value, str):
                found.append(fold(value))
        out[parameter.column] = list(dict.fromkeys(found))
    return out


def fold(text: str) -> str:
    """Return a string as string searches compare it: without case, spaces collapsed."""
    return " ".join(text.casefold().split())
