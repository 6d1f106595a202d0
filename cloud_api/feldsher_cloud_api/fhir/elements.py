"""Which elements of a resource its search parameters look at: one walk over the resource, no expression evaluated.

Nearly all of R4's expressions are dotted paths with at most a cast or a simple filter. These are compiled into one tree
per type, along which a resource is walked once. The few others are left to the FHIRPath engine; both give the same
(tests/cloud_api/fhir/test_elements.py compares them over the standard's own examples).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from feldsher_cloud_api.fhir.fhirpath import Expression, compile_path
from feldsher_cloud_api.fhir.fhirpath.values import Node, is_kind
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.structure import slots

Element = dict[str, Any]
Test = Callable[[Any], bool]

_FORM = re.compile(
    r"\(?(?P<path>[A-Za-z]+(?:\.[a-z]\w*)*)(?: as (?P<cast>\w+)\))?\)?(?:\.(?:as|ofType)\((?P<of>\w+)\))?"
    r"(?:\.extension\('(?P<url>[^']*)'\))?(?:\.where\(resolve\(\) is (?P<target>\w+)\))?"
    r"(?:\.where\((?P<name>\w+) ?= ?'(?P<value>[^']*)'\))?(?P<tail>(?:\.[a-z]\w*)*)"
)
_ALTERNATIVES = re.compile(r" \| (?![^(]*\))")


@dataclass(slots=True)
class Step:
    """A place in the tree: what is wanted of the elements here, and what lies below by JSON name.

    `leaves`: (what wants it, the element's type, the value set bound, a test that it must pass). `companion`: the
    element beside those below that belongs to each of them (the code of a component).
    """

    leaves: list[tuple[Any, str, str, Test | None]] = field(default_factory=list[tuple[Any, str, str, "Test | None"]])
    below: dict[str, Step] = field(default_factory=dict[str, "Step"])
    test: Test | None = None
    also: list[Step] = field(default_factory=list["Step"])
    companion: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """One alternative of an expression, as steps: element names, then a cast, a filter, and what follows the filter."""

    names: tuple[str, ...]
    cast: str | None = None
    test: Test | None = None
    tail: tuple[str, ...] = ()


def paths(expression: str, of: str) -> list[Path] | None:
    """Return an expression about a type (in a composite: from an element on) as paths; None where it is not plain."""
    out: list[Path] = []
    for text in _ALTERNATIVES.split(expression.strip()):
        match = _FORM.fullmatch(text.strip())
        if match is None:
            return None
        names = match["path"].split(".")
        if names[0] in (of, "Resource", "DomainResource"):
            names = names[1:]
        elif names[0][0].isupper():
            return None
        tail = tuple(match["tail"].split(".")[1:])
        if match["url"]:
            names.append("extension")
        out.append(Path(tuple(names), match["cast"] or match["of"], _test(match), tail))
    return out


def _test(match: re.Match[str]) -> Test | None:
    if match["url"]:
        return _equals("url", match["url"])
    if match["name"]:
        return _equals(match["name"], match["value"])
    if match["target"]:
        return _refers(match["target"])
    return None


def _equals(name: str, wanted: str) -> Test:
    def test(value: Any) -> bool:
        return isinstance(value, dict) and cast("Element", value).get(name) == wanted

    return test


def _refers(target: str) -> Test:
    """Return what `where(resolve() is X)` keeps: a reference says its type, nothing is fetched."""

    def test(value: Any) -> bool:
        text: Any = cast("Element", value).get("reference") if isinstance(value, dict) else value
        return isinstance(text, str) and kind_of(text) == target

    return test


def kind_of(reference: str) -> str:
    """Return the resource type that a reference's text names, empty where it names none."""
    return reference.split("/_history/", maxsplit=1)[0].rpartition("/")[0].rpartition("/")[2]


def grow(root: Step, kind: str, path: Path, wanted: Any) -> None:
    """Add a path from an element of a type on to a tree. `wanted`: what the leaves are to carry."""
    if not path.names:
        _end(root, kind, "", path, wanted)
        return
    name, rest = path.names[0], Path(path.names[1:], path.cast, path.test, path.tail)
    if kind not in definitions().types:
        return
    for written, slot in slots(kind).items():
        if slot.name != name or (not rest.names and not _cast_fits(slot.type, path.cast)):
            continue
        step = root.below.setdefault(written, Step())
        if rest.names:
            grow(step, slot.type, rest, wanted)
        else:
            _end(step, slot.type, slot.of.codes, rest, wanted)


def _end(step: Step, kind: str, codes: str, path: Path, wanted: Any) -> None:
    if not path.tail:
        step.leaves.append((wanted, kind, codes, path.test))
        return
    below = step
    if path.test is not None:
        below = Step(test=path.test)
        step.also.append(below)
    grow(below, kind, Path(path.tail), wanted)


def _cast_fits(kind: str, wanted: str | None) -> bool:
    # The standard writes `as(DateTime)` where it means dateTime.
    return wanted is None or is_kind(kind, wanted) or kind.lower() == wanted.lower()


def walk(value: Any, step: Step) -> Iterator[tuple[Any, Any, str, str]]:
    """Yield (what wants it, the element, its type, its value set) for everything wanted at and below an element."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from walk(item, step)
        return
    if value is None or (step.test is not None and not step.test(value)):
        return
    for wanted, kind, codes, test in step.leaves:
        if test is None or test(value):
            yield wanted, value, kind, codes
    if step.below and isinstance(value, dict):
        element = cast("Element", value)
        for name, below in step.below.items():
            inner = element.get(name)
            if inner is not None:
                yield from walk(inner, below)
    for other in step.also:
        yield from walk(value, other)


def claim(step: Step, wanted: Any) -> list[tuple[Step, str]]:
    """Return the places that were grown for something, each with its type, and take their leaves for it away."""
    out = [(step, kind) for of, kind, _, _ in step.leaves if of is wanted]
    step.leaves[:] = [leaf for leaf in step.leaves if leaf[0] is not wanted]
    for below in [*step.below.values(), *step.also]:
        out.extend(claim(below, wanted))
    return out


@cache
def odd(expression: str) -> Expression:
    """Return an expression that is no plain path, compiled for the engine."""
    return compile_path(expression)


def evaluate(expression: str, resource: Element, base: Node | None = None) -> Iterator[tuple[Any, str]]:
    """Yield (element, type) for what the FHIRPath engine finds in a resource, or from one of its elements on."""
    root = Node(resource, str(resource["resourceType"]))
    for node in odd(expression).on(base or root, root):
        if node.value is not None:
            yield node.value, node.kind
