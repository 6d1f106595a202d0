"""The resource types that REST serves so far, and their search parameters.

Search parameters after http://hl7.org/fhir/R4/searchparameter-registry.html (4.0.1), restricted to what is served here;
`critical` is our own: the worklist asks for the critical reports first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

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
