"""FHIRPath's functions on collections, and the door to all others (hl7.org/fhirpath; hl7.org/fhir/R4/fhirpath.html)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

from feldsher_cloud_api.fhir.fhirpath import conversions, words
from feldsher_cloud_api.fhir.fhirpath.operators import said, single, truth, union
from feldsher_cloud_api.fhir.fhirpath.scope import Compiled, Resolve, Scope
from feldsher_cloud_api.fhir.fhirpath.values import (
    Items,
    Node,
    PathError,
    children,
    held,
    is_kind,
    plain,
    same,
    system,
)

MOST = 100_000
"""Items that one expression may bring together."""
Function = Callable[[Scope, Items, list[Compiled]], Items]


def call(name: str, arguments: list[Compiled], at: int) -> Compiled:
    """Return a function's call; PathError where there is no such function or it has other arguments."""
    known = _FUNCTIONS.get(name)
    if known is not None:
        least, most, function = known
        if not least <= len(arguments) <= most:
            raise PathError(f"position {at + 1}: {name}() has {least} to {most} arguments, not {len(arguments)}")
        return lambda scope, items: function(scope, items, arguments)
    simple = words.FUNCTIONS.get(name) or conversions.FUNCTIONS.get(name)
    if simple is None:
        raise PathError(f"position {at + 1}: there is no function {name}()")
    least, most, work = simple
    if not least <= len(arguments) <= most:
        raise PathError(f"position {at + 1}: {name}() has {least} to {most} arguments, not {len(arguments)}")
    return lambda scope, items: _simple(scope, items, arguments, work)


def _simple(scope: Scope, items: Items, arguments: list[Compiled], work: words.Work) -> Items:
    """Run a function of one value: empty stays empty, also where an argument is."""
    value = single(items)
    given = [single(argument(scope, _own(scope, items))) for argument in arguments]
    if value is None or None in given:
        return []
    found = cast("Callable[..., Any]", work)(value, *given)
    if isinstance(found, list):
        return [system(each) for each in cast("list[Any]", found)]
    return [] if found is None else [system(found)]


def _own(scope: Scope, items: Items) -> Items:
    """Return what an argument that is no criterion is evaluated on: what the call stands in."""
    return scope.this if scope.this is not None else scope.context or items


def _each(scope: Scope, items: Items, expression: Compiled) -> Iterator[tuple[Node, Items]]:
    for index, item in enumerate(items):
        yield item, expression(replace(scope, this=[item], index=index), [item])


def _where(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [item for item, found in _each(scope, items, arguments[0]) if truth(found) is True]


def _exists(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return said(bool(_where(scope, items, arguments) if arguments else items))


def _all(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return said(all(truth(found) is True for _, found in _each(scope, items, arguments[0])))


def _select(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [node for _, found in _each(scope, items, arguments[0]) for node in found]


def _repeat(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    out: Items = []
    ahead = items
    while ahead:
        fresh = [node for node in _select(scope, ahead, arguments) if not any(same(node, o) is True for o in out)]
        ahead = list[Node]()
        for node in fresh:
            if not any(same(node, other) is True for other in ahead):
                ahead.append(node)
        out.extend(ahead)
        if len(out) > MOST:
            raise PathError(f"repeat: more than {MOST} items")
    return out


def _aggregate(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    total = arguments[1](scope, items) if len(arguments) > 1 else []
    for index, item in enumerate(items):
        total = arguments[0](replace(scope, this=[item], index=index, total=total), [item])
    return total


def _iif(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    inner = replace(scope, this=items) if items else scope
    if truth(arguments[0](inner, items)) is True:
        return arguments[1](inner, items)
    return arguments[2](inner, items) if len(arguments) > 2 else []


def _trace(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return items  # a resource's words have no place in a log


def _children(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [child for item in items for child in children(item)]


def _descendants(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    out: Items = []
    ahead = _children(scope, items, arguments)
    while ahead:
        out.extend(ahead)
        ahead = _children(scope, ahead, arguments)
    return out


def _combine(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [*items, *arguments[0](scope, _own(scope, items))]


def _union(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return union(items, arguments[0](scope, _own(scope, items)))


def _among(node: Node, others: Items) -> bool:
    return any(same(node, other) is True for other in others)


def _intersect(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    others = arguments[0](scope, _own(scope, items))
    return union([node for node in items if _among(node, others)], [])


def _exclude(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    others = arguments[0](scope, _own(scope, items))
    return [node for node in items if not _among(node, others)]


def _subset(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    others = arguments[0](scope, _own(scope, items))
    return said(all(_among(node, others) for node in items))


def _superset(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return said(all(_among(node, items) for node in arguments[0](scope, _own(scope, items))))


def _truths(every: bool, wanted: bool) -> Function:
    def run(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
        found = [plain(item) is wanted for item in items]
        return said(all(found) if every else any(found))

    return run


def _not(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    found = truth(items)
    return said(None if found is None else not found)


def _single(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    if len(items) > 1:
        raise PathError(f"single: there are {len(items)} items")
    return items


def _number(scope: Scope, items: Items, argument: Compiled) -> int:
    value = single(argument(scope, _own(scope, items)))
    if isinstance(value, bool) or not isinstance(value, int):
        raise PathError("a whole number is needed")
    return max(value, 0)


def _skip(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return items[_number(scope, items, arguments[0]) :]


def _take(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return items[: _number(scope, items, arguments[0])]


def _join(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    between = single(arguments[0](scope, _own(scope, items))) if arguments else ""
    return [system(str(between or "").join(str(plain(item)) for item in items))]


def _extension(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    url = single(arguments[0](scope, _own(scope, items)))
    found = [child for item in items for child in _extensions(item)]
    return [node for node in found if (held(node) or {}).get("url") == url]


def _extensions(item: Node) -> Items:
    if held(item) is not None:
        return children(item, "extension")
    return children(Node(item.beside, "Element"), "extension") if item.beside else []


def _has_value(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return said(len(items) == 1 and held(items[0]) is None and items[0].value is not None)


def _get_value(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [system(plain(item)) for item in items if item.value is not None and held(item) is None][:1]


def _resolve(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    out: Items = []
    for item in items:
        element = held(item)
        text: Any = item.value if element is None else element.get("reference")
        if isinstance(text, str):
            out.extend(_resolved(scope, text))
    return out


def _resolved(scope: Scope, text: str) -> Items:
    if text.startswith("#"):
        contained = children(scope.root, "contained")
        return [node for node in contained if node.value.get("id") == text[1:]] if len(text) > 1 else [scope.root]
    found: Any = scope.resolve(text) if scope.resolve is not None else None
    if isinstance(found, dict):
        return [Node(found, str(cast("dict[str, Any]", found).get("resourceType", "Element")))]
    kind = text.split("/_history/", maxsplit=1)[0].rpartition("/")[0].rpartition("/")[2]
    # What cannot be fetched still says its type: enough for `resolve() is Patient`.
    return [Node({"resourceType": kind}, kind)] if is_kind(kind, "Resource") else []


def _type(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    out: Items = []
    for item in items:
        space, _, name = item.kind.rpartition(".") if item.kind.startswith("System.") else ("FHIR", "", item.kind)
        out.append(Node({"namespace": space, "name": name}, "System.Type"))
    return out


def _conforms(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    profile = str(single(arguments[0](scope, _own(scope, items))))
    name = profile.removeprefix("http://hl7.org/fhir/StructureDefinition/")
    if name == profile:
        raise PathError(f"conformsTo: the profile {profile} is not known here")
    return said(all(is_kind(item.kind, name) for item in items))


def _now(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [system(conversions.moment(scope.now))]


def _today(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [system(conversions.day(scope.now))]


def _time_of_day(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return [system(conversions.clock(scope.now))]


def _has_extension(scope: Scope, items: Items, arguments: list[Compiled]) -> Items:
    return said(bool(_extension(scope, items, arguments)))


_FUNCTIONS: dict[str, tuple[int, int, Function]] = {
    "where": (1, 1, _where),
    "exists": (0, 1, _exists),
    "all": (1, 1, _all),
    "select": (1, 1, _select),
    "repeat": (1, 1, _repeat),
    "aggregate": (1, 2, _aggregate),
    "iif": (2, 3, _iif),
    "trace": (1, 2, _trace),
    "children": (0, 0, _children),
    "descendants": (0, 0, _descendants),
    "combine": (1, 1, _combine),
    "union": (1, 1, _union),
    "intersect": (1, 1, _intersect),
    "exclude": (1, 1, _exclude),
    "subsetOf": (1, 1, _subset),
    "supersetOf": (1, 1, _superset),
    "allTrue": (0, 0, _truths(True, True)),
    "anyTrue": (0, 0, _truths(False, True)),
    "allFalse": (0, 0, _truths(True, False)),
    "anyFalse": (0, 0, _truths(False, False)),
    "not": (0, 0, _not),
    "empty": (0, 0, lambda scope, items, arguments: said(not items)),
    "count": (0, 0, lambda scope, items, arguments: [system(len(items))]),
    "distinct": (0, 0, lambda scope, items, arguments: union(items, [])),
    "isDistinct": (0, 0, lambda scope, items, arguments: said(len(union(items, [])) == len(items))),
    "single": (0, 0, _single),
    "first": (0, 0, lambda scope, items, arguments: items[:1]),
    "last": (0, 0, lambda scope, items, arguments: items[-1:]),
    "tail": (0, 0, lambda scope, items, arguments: items[1:]),
    "skip": (1, 1, _skip),
    "take": (1, 1, _take),
    "join": (0, 1, _join),
    "extension": (1, 1, _extension),
    "hasExtension": (1, 1, _has_extension),
    "hasValue": (0, 0, _has_value),
    "getValue": (0, 0, _get_value),
    "resolve": (0, 0, _resolve),
    "type": (0, 0, _type),
    "conformsTo": (1, 1, _conforms),
    "now": (0, 0, _now),
    "today": (0, 0, _today),
    "timeOfDay": (0, 0, _time_of_day),
}

__all__ = ["Resolve", "call"]
