"""FHIR R4's definitions, compiled by `tools/feldsher_tools/fhir_definitions.py`: types, codes, search, compartment."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec


class Rule(msgspec.Struct, frozen=True):
    """An invariant: its key in the standard, `error` or `warning`, the standard's words and its FHIRPath."""

    key: str
    severity: str
    human: str
    expression: str = ""


class Element(msgspec.Struct, frozen=True):
    """One element of a type. `types`: names of types, several for a choice (`value[x]`); `codes`: the value set bound.

    `targets`: the resource types that a reference may name; empty: any.
    """

    types: tuple[str, ...]
    min: int = 0
    many: bool = False
    choice: bool = False
    summary: bool = False
    modifier: bool = False
    codes: str = ""
    targets: frozenset[str] = frozenset()
    rules: tuple[Rule, ...] = ()


class Type(msgspec.Struct, frozen=True):
    """A resource, a complex type or a backbone element (`Patient.contact`); `elements` include what it inherits."""

    kind: str
    base: str
    elements: dict[str, Element]
    rules: tuple[Rule, ...] = ()
    abstract: bool = False


class Component(msgspec.Struct, frozen=True):
    """A part of a composite search parameter: the parameter it is like, and its path from the composite's element."""

    name: str
    expression: str


class SearchParameter(msgspec.Struct, frozen=True):
    """A search parameter of one type: its kind and the FHIRPath of what it looks at."""

    kind: str
    expression: str
    targets: frozenset[str] = frozenset()
    components: tuple[Component, ...] = ()


class Definitions(msgspec.Struct, frozen=True):
    """Everything. `codes`: value set → system → codes; `compartment`: type → parameters that lead to a patient."""

    types: dict[str, Type]
    codes: dict[str, dict[str, frozenset[str]]]
    search: dict[str, dict[str, SearchParameter]]
    compartment: dict[str, tuple[str, ...]]

    @property
    def resources(self) -> list[str]:
        """The names of all resource types that can exist."""
        return [name for name, of in self.types.items() if of.kind == "resource" and not of.abstract]


@cache
def definitions() -> Definitions:
    """Return the definitions, read once."""
    raw = (resources.files("feldsher_cloud_api.fhir") / "r4.json").read_bytes()
    read = msgspec.json.decode(raw, type=Definitions)
    whole = {name: msgspec.structs.replace(of, elements=_elements(read, name)) for name, of in read.types.items()}
    return msgspec.structs.replace(read, types=whole)


def _elements(read: Definitions, name: str) -> dict[str, Element]:
    of = read.types[name]
    inherited = _elements(read, of.base) if of.base in read.types else {}
    return inherited | of.elements
