"""What a search asks for, as values: no text to be read again and no SQL.

A search is conditions that all hold; a condition is one parameter with values of which one is enough, a chain
(`subject:Patient.name=eve`) or its reverse (`_has`). Source: http://hl7.org/fhir/R4/search.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from feldsher_cloud_api.fhir.r4 import SearchParameter

Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Token:
    """`system|code`; `system` None: any, empty: none at all; `code` empty: every code of the system."""

    system: str | None
    code: str


@dataclass(frozen=True, slots=True)
class OfType:
    """An identifier by the coding of its type and its value."""

    system: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string as it was sent; the modifier says how it is compared."""

    text: str


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI, compared as it is written."""

    text: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A date of some precision: from `low` up to, and without, `high`; `ap` is widened already."""

    prefix: Prefix
    low: datetime
    high: datetime


@dataclass(frozen=True, slots=True)
class Amount:
    """A number, or a quantity where a unit is named: `low` and `high` as its digits imply (`ap`: ten per cent).

    `system` None: any; `unit` empty: any unit. `eq` holds in [low, high), `ap` in [low, high], the others at `value`.
    """

    prefix: Prefix
    value: Decimal
    low: Decimal
    high: Decimal
    system: str | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference: `id` on this server, of `type` (empty: any), or elsewhere: `url` alone."""

    type: str = ""
    id: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Together:
    """The parts of a composite, which one element has to meet all."""

    parts: tuple[Value, ...]


Value = Token | OfType | Text | Uri | Moment | Amount | Reference | Together


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of a type: one of `values` has to match under `modifier`.

    `missing`: whether the element has to be absent (None: not asked). `kind`: how values compare, which a modifier may
    change (`code:text` compares strings).
    """

    name: str
    parameter: SearchParameter
    kind: str
    modifier: str = ""
    values: tuple[Value, ...] = ()
    missing: bool | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference `name` that leads to a resource of one of the types in `inner`, which meets that type's condition."""

    name: str
    parameter: SearchParameter
    inner: tuple[tuple[str, Condition], ...]


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of type `kind` whose reference `name` leads here and which meets a condition."""

    kind: str
    name: str
    parameter: SearchParameter
    inner: Condition


Condition = Criterion | Chain | Has


@dataclass(frozen=True, slots=True)
class Include:
    """Further resources to add: what `name` of `source` refers to, or (`reverse`) who refers to what was found.

    `name` `*`: every reference of the type; `source` `*`: of every type; `target` empty: any type.
    """

    source: str
    name: str
    target: str = ""
    iterate: bool = False
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order: a parameter, and whether the largest comes first."""

    name: str
    kind: str
    down: bool = False


@dataclass(slots=True)
class Search:
    """A search that has been understood. `kinds`: the types that it looks in; several: `GET [base]?_type=`.

    `count` None: as many as the server likes; `total`: none, estimate or accurate; `summary`: true, text, data, count
    or false; `patient`: the id of the one in whose compartment is looked; `understood`: the parameters that were used,
    for the link `self`.
    """

    kinds: tuple[str, ...]
    conditions: list[Condition] = field(default_factory=list["Condition"])
    sort: list[Sort] = field(default_factory=list[Sort])
    includes: list[Include] = field(default_factory=list[Include])
    count: int | None = None
    total: str = "none"
    summary: str = "false"
    elements: tuple[str, ...] = ()
    patient: str | None = None
    understood: Pairs = field(default_factory=Pairs)
