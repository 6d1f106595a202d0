"""The parameters that shape the answer rather than choose resources: page, order, totals, subsets, what comes along.

Source: http://hl7.org/fhir/R4/search.html, "Managing Returned Resources".
"""

from __future__ import annotations

from collections.abc import Callable

from feldsher_cloud_api.fhir.criterion import Include, Search, Sort
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.parameters import parameters
from feldsher_cloud_api.fhir.r4 import SearchParameter, definitions

MOST_SORTS, MOST_INCLUDES = 8, 32
Refuse = Callable[[str, str, str], FhirError]
Known = dict[str, SearchParameter]
_CHOICES = {
    "_total": ("none", "estimate", "accurate"),
    "_summary": ("true", "text", "data", "count", "false"),
    "_contained": ("false",),
    "_containedType": ("container", "contained"),
}


def take(search: Search, known: Known, name: str, value: str, refuse: Refuse) -> bool:
    """Take a parameter that shapes the answer into the search; False where it is none of them."""
    bare = name.partition(":")[0]
    if bare in ("_include", "_revinclude"):
        if len(search.includes) >= MOST_INCLUDES:
            raise refuse(name, value, f"more than {MOST_INCLUDES} of _include and _revinclude")
        search.includes.append(_include(search, name, value, refuse))
    elif name in _CHOICES:
        _choose(search, name, value, refuse)
    elif name == "_count":
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise refuse(name, value, "a number is needed")
        search.count = int(value)
    elif name == "_sort":
        search.sort.extend(_sort(known, key, value, refuse) for key in value.split(","))
        if len(search.sort) > MOST_SORTS:
            raise refuse(name, value, f"more than {MOST_SORTS} keys of the order")
    elif name == "_elements":
        search.elements += _elements(search, value, refuse)
    else:
        return False
    return True


def _choose(search: Search, name: str, value: str, refuse: Refuse) -> None:
    if value not in _CHOICES[name]:
        said = " or ".join(_CHOICES[name])
        more = " (contained resources are not searched for themselves)" if name == "_contained" else ""
        raise refuse(name, value, f"{said} is needed{more}")
    if name == "_total":
        search.total = value
    elif name == "_summary":
        search.summary = value


def _sort(known: Known, key: str, value: str, refuse: Refuse) -> Sort:
    down, name = key.startswith("-"), key.removeprefix("-")
    parameter = known.get(name)
    if parameter is None or parameter.kind == "composite":
        raise refuse("_sort", value, f"{name[:64]!r} is nothing that can be sorted by here")
    return Sort(name, parameter.kind, down)


def _elements(search: Search, value: str, refuse: Refuse) -> tuple[str, ...]:
    names = tuple(name for name in value.split(",") if name)
    served = {n for kind in search.kinds for n in definitions().types[kind].elements}
    choices = {
        n + t[0].upper() + t[1:]
        for kind in search.kinds
        for n, element in definitions().types[kind].elements.items()
        if element.choice
        for t in element.types
    }
    for name in names:
        if name not in served | choices | {"resourceType", "id", "meta"}:
            raise refuse("_elements", value, f"{' and '.join(search.kinds[:4])}: there is no element {name[:64]!r}")
    return names


def _include(search: Search, name: str, value: str, refuse: Refuse) -> Include:
    bare, _, modifier = name.partition(":")
    if modifier not in ("", "iterate"):
        raise refuse(name, value, f"the modifier {modifier[:64]!r} is not served, only :iterate")
    reverse, iterate = bare == "_revinclude", modifier == "iterate"
    if value == "*":
        return Include("*", "*", iterate=iterate, reverse=reverse)
    source, _, rest = value.partition(":")
    reference, _, target = rest.partition(":")
    if source not in definitions().resources:
        raise refuse(name, value, f"Type:parameter or Type:parameter:Target is needed, {source[:64]!r} is no type")
    if not reverse and not iterate and source not in search.kinds:
        raise refuse(name, value, f"{source} is not what is searched (with :iterate it may come along)")
    if target and target not in definitions().resources:
        raise refuse(name, value, f"{target[:64]!r} is no resource type of R4")
    if reference != "*":
        parameter = parameters(source).get(reference)
        if parameter is None or parameter.kind != "reference":
            raise refuse(name, value, f"{reference[:64]!r} is no reference parameter of {source}")
        if target and parameter.targets and target not in parameter.targets:
            raise refuse(name, value, f"{reference} of {source} never leads to {target}")
    return Include(source, reference, target, iterate, reverse)
