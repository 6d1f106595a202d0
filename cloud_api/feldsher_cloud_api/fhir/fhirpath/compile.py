"""From an expression to a function: precedence climbing over the words, closures instead of a tree.

Grammar and precedence after hl7.org/fhirpath 2.0, "Operator Precedence". What HL7's R4 test suite asks beyond it
(strictness about unknown elements) is not done: an element that does not exist is empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from feldsher_cloud_api.fhir.fhirpath import functions, operators
from feldsher_cloud_api.fhir.fhirpath.lexer import Token, tokens
from feldsher_cloud_api.fhir.fhirpath.scope import Compiled, Scope
from feldsher_cloud_api.fhir.fhirpath.temporal import parse
from feldsher_cloud_api.fhir.fhirpath.values import (
    CALENDAR,
    Items,
    Node,
    PathError,
    Quantity,
    children,
    is_kind,
    plain,
    system,
)

DEEPEST = 100
"""Expressions within expressions."""
_LEVELS: list[tuple[str, ...]] = [
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<", ">", "<=", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
]
_BINDS = {sign: level for level, signs in enumerate(_LEVELS) for sign in signs}
_PLURAL = {f"{unit}s": unit for unit in CALENDAR} | {unit: unit for unit in CALENDAR}
_TYPED = ("is", "as", "ofType")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `text`: as it was written."""

    text: str
    run: Compiled

    def nodes(
        self, resource: dict[str, Any], *, now: datetime | None = None, resolve: functions.Resolve | None = None
    ) -> Items:
        """Return what the expression finds in a resource; PathError where it cannot answer.

        `now`: what `now()` says; `resolve`: what a reference leads to.
        """
        root = Node(resource, str(resource.get("resourceType", "Element")))
        return self.on(root, root, now=now, resolve=resolve)

    def on(
        self, node: Node, root: Node, *, now: datetime | None = None, resolve: functions.Resolve | None = None
    ) -> Items:
        """Return what the expression finds from an element on, within its resource."""
        scope = Scope(root=root, context=[node], now=now or datetime.now(UTC), resolve=resolve)
        return self.run(scope, [node])

    def values(self, resource: dict[str, Any], **more: Any) -> list[Any]:
        """Return what `nodes` finds as values of the language."""
        return [plain(node) for node in self.nodes(resource, **more)]

    def true(self, node: Node, root: Node, **more: Any) -> bool:
        """Return whether an invariant holds at an element: what is empty does not break it."""
        found = operators.truth(self.on(node, root, **more))
        return found is not False


@lru_cache(4096)
def compile_path(expression: str) -> Expression:
    """Return the compiled expression; PathError names the place where it cannot be read."""
    parser = _Parser(tokens(expression))
    compiled = parser.expression(0)
    parser.expect("end", "")
    return Expression(expression, compiled)


@dataclass(slots=True)
class _Parser:
    words: list[Token]
    at: int = 0
    depth: int = field(default=0)

    @property
    def next(self) -> Token:
        return self.words[self.at]

    def is_sign(self, *signs: str) -> bool:
        word = self.next
        return word.kind in ("sign", "name") and not word.quoted and word.text in signs

    def take(self) -> Token:
        word = self.words[self.at]
        self.at += 1
        return word

    def expect(self, kind: str, text: str) -> None:
        word = self.take()
        if word.kind != kind or (text and word.text != text):
            wanted = text or "the end"
            raise PathError(f"position {word.at + 1}: {wanted!r} is expected, not {word.text or 'the end'!r}")

    def expression(self, level: int) -> Compiled:
        self.depth += 1
        if self.depth > DEEPEST:
            raise PathError(f"more than {DEEPEST} expressions within each other")
        left = self.unary()
        while (binds := self.binds()) >= level:
            sign = self.take().text
            if sign in ("is", "as"):
                left = _typed(sign, left, self.type_name())
            else:
                left = operators.binary(sign, left, self.expression(binds + 1))
        self.depth -= 1
        return left

    def binds(self) -> int:
        """Return how strongly the next word binds what stands beside it, -1 where it is no operator."""
        word = self.next
        return _BINDS.get(word.text, -1) if word.kind in ("sign", "name") and not word.quoted else -1

    def unary(self) -> Compiled:
        if self.is_sign("-", "+"):
            sign = self.take().text
            inner = self.unary()
            return operators.signed(inner) if sign == "-" else inner
        found = self.term()
        while self.is_sign(".", "["):
            if self.take().text == ".":
                found = _then(found, self.invocation())
            else:
                found = operators.indexed(found, self.expression(0))
                self.expect("sign", "]")
        return found

    def term(self) -> Compiled:
        word = self.next
        if word.kind in ("string", "number", "moment"):
            return self.literal(self.take())
        if word.kind == "variable":
            return _variable(self.take().text)
        if self.is_sign("("):
            self.take()
            inner = self.expression(0)
            self.expect("sign", ")")
            return inner
        if self.is_sign("{"):
            self.take()
            self.expect("sign", "}")
            return lambda scope, items: []
        if word.kind == "name" and not word.quoted and word.text in ("true", "false"):
            return _constant(system(self.take().text == "true"))
        return self.invocation(first=True)

    def literal(self, word: Token) -> Compiled:
        if word.kind == "string":
            return _constant(system(word.text))
        if word.kind == "moment":
            text = word.text[1:]
            moment = parse(text)
            if moment is None:
                raise PathError(f"position {word.at + 1}: {text!r} is no date and no time")
            return _constant(system(moment))
        number = Decimal(word.text) if "." in word.text else int(word.text)
        unit = self.next
        if unit.kind == "string":
            self.take()
            return _constant(system(Quantity(Decimal(number), unit.text)))
        if unit.kind == "name" and not unit.quoted and unit.text in _PLURAL:
            self.take()
            return _constant(system(Quantity(Decimal(number), _PLURAL[unit.text])))
        return _constant(system(number))

    def invocation(self, *, first: bool = False) -> Compiled:
        word = self.take()
        if word.kind == "variable" and word.text.startswith("$"):
            return _variable(word.text)
        if word.kind != "name":
            raise PathError(f"position {word.at + 1}: {word.text or 'the end'!r} is not expected here")
        if self.is_sign("(") and not word.quoted:
            return self.call(word)
        return _member(word.text, first=first)

    def call(self, word: Token) -> Compiled:
        self.take()
        if word.text in _TYPED:
            name = self.type_name()
            self.expect("sign", ")")
            return _typed(word.text, _itself, name)
        arguments: list[Compiled] = []
        while not self.is_sign(")"):
            if arguments:
                self.expect("sign", ",")
            arguments.append(self.expression(0))
        self.take()
        return functions.call(word.text, arguments, word.at)

    def type_name(self) -> str:
        bracket = self.is_sign("(")
        if bracket:
            self.take()
        word = self.take()
        if word.kind != "name":
            raise PathError(f"position {word.at + 1}: the name of a type is expected, not {word.text!r}")
        name = word.text
        if self.is_sign(".") and name in ("FHIR", "System"):
            self.take()
            name = f"{name}.{self.take().text}"
        if bracket:
            self.expect("sign", ")")
        return name


def _itself(scope: Scope, items: Items) -> Items:
    return items


def _constant(node: Node) -> Compiled:
    return lambda scope, items: [node]


def _then(first: Compiled, second: Compiled) -> Compiled:
    return lambda scope, items: second(scope, first(scope, items))


def _member(name: str, *, first: bool) -> Compiled:
    def run(scope: Scope, items: Items) -> Items:
        found = [child for item in items for child in children(item, name)]
        if first and not found and name[:1].isupper():  # `Patient.name`: the type of what is asked
            return [item for item in items if is_kind(item.kind, name)]
        return found

    return run


def _typed(word: str, left: Compiled, name: str) -> Compiled:
    def run(scope: Scope, items: Items) -> Items:
        found = left(scope, items)
        if word == "is":
            if len(found) > 1:
                raise PathError("is: at most one item can be asked for its type")
            return [system(is_kind(item.kind, name)) for item in found]
        return [item for item in found if is_kind(item.kind, name)]

    return run


_CODE_SYSTEMS = {"%sct": "http://snomed.info/sct", "%loinc": "http://loinc.org", "%ucum": "http://unitsofmeasure.org"}
_DEFINED = {"%vs-": "http://hl7.org/fhir/ValueSet/", "%ext-": "http://hl7.org/fhir/StructureDefinition/"}


def _variable(name: str) -> Compiled:
    if name == "$this":
        return lambda scope, items: scope.this if scope.this is not None else items
    if name == "$index":
        return lambda scope, items: [] if scope.index is None else [system(scope.index)]
    if name == "$total":
        return lambda scope, items: scope.total
    if name in ("%resource", "%rootResource"):
        return lambda scope, items: [scope.root]
    if name == "%context":
        return lambda scope, items: scope.context
    text = _CODE_SYSTEMS.get(name)
    for prefix, space in _DEFINED.items():
        if name.startswith(prefix):
            text = space + name.removeprefix(prefix)
    if text is None:
        raise PathError(f"{name}: no such variable")
    return _constant(system(text))
