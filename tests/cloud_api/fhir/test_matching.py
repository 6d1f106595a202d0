"""Compiled searches find exactly what the definitions' expressions say, over the standard's own examples.

For every search parameter of every type values are drawn from what occurs, in every form, with every modifier and
prefix; the brute force (matching.py over plain resources: no SQL, no index) is the measure.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import db
from feldsher_cloud_api.access import EVERYTHING
from feldsher_cloud_api.fhir import facets, links, search, store
from feldsher_cloud_api.fhir.criterion import Token, Uri
from feldsher_cloud_api.fhir.facets import Code, Interval, Measure
from feldsher_cloud_api.fhir.fhirpath import compile_path
from feldsher_cloud_api.fhir.fhirpath.values import Node
from feldsher_cloud_api.fhir.kinds import kind
from feldsher_cloud_api.fhir.matching import Codings, Matcher
from feldsher_cloud_api.fhir.operand import Reader
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.parameters import component_kinds
from feldsher_cloud_api.fhir.r4 import SearchParameter
from feldsher_tools.postgres import DatabaseServer

BASE = "https://record.example/fhir"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
READER = Reader(BASE, NOW)


@dataclass
class Corpus:
    """Plain resources by type, as the brute force sees them."""

    kinds: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict[str, dict[str, dict[str, Any]]])

    def get(self, kind: str, identity: str) -> dict[str, Any] | None:
        return self.kinds.get(kind, {}).get(identity)

    def every(self, kind: str) -> Iterable[dict[str, Any]]:
        return self.kinds.get(kind, {}).values()

    def codes(self, modifier: str, value: Uri | Token) -> Codings:
        raise FhirError(400, "not-supported", f"no terminology for {modifier} {value}")

    def add(self, resource: dict[str, Any]) -> bool:
        """Add a resource; False where its type and id are there already."""
        of = self.kinds.setdefault(resource["resourceType"], {})
        return of.setdefault(resource["id"], resource) is resource


def load(connection: db.Connection, resources: Iterable[dict[str, Any]]) -> Corpus:
    """Store resources and return them as stored."""
    corpus = Corpus()
    for resource in resources:
        if corpus.add(resource):
            assert store.insert(connection, resource, now=NOW)
    return corpus


def escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\,|$" else c for c in text)


def drawn(of: str, name: str, corpus: Corpus, rng: random.Random, most: int) -> list[tuple[str, str]]:
    """Return (parameter with modifier, value) pairs made of what occurs in the corpus."""
    parameter = kind(of).search[name]
    found: list[tuple[str, str]] = []
    if parameter.kind != "composite":
        found += [(f"{name}:missing", "true"), (f"{name}:missing", "false")]
    for resource in corpus.every(of):
        root = Node(resource, of)
        nodes = compile_path(parameter.expression).on(root, root)
        if parameter.kind == "composite":
            found += [(name, text) for node in nodes for text in _composites(of, parameter, node, root, rng)]
        else:
            found += [(name + m, text) for m, text in _asked(parameter, nodes, rng)]
    unique = list(dict.fromkeys(found))
    asked, others = unique[:2], unique[2:]
    return asked + rng.sample(others, min(most, len(others)))


def _asked(  # noqa: C901 - one case per kind of parameter
    parameter: SearchParameter, nodes: list[Node], rng: random.Random
) -> Iterator[tuple[str, str]]:
    match parameter.kind:
        case "token":
            for code in facets.codes(nodes):
                yield from _tokens(code)
            yield from (
                (":text", escaped(w[: rng.randint(1, len(w))])) for w in facets.descriptions(nodes) if w.strip()
            )
        case "string":
            for word in facets.words(nodes):
                yield from _strings(word, rng)
        case "date":
            for interval in facets.intervals(nodes):
                yield from (("", prefix + text) for text in _dates(interval) for prefix in PREFIXES)
        case "number" | "quantity":
            for measure in facets.measures(nodes):
                yield from (("", prefix + text) for text in _measures(measure, parameter.kind) for prefix in PREFIXES)
        case "reference":
            yield from _references(nodes)
        case _:
            for uri in facets.uris(nodes):
                yield from (("", escaped(uri)), (":above", escaped(uri + "/x")), (":below", escaped(uri[:12])))


def _tokens(code: Code) -> Iterator[tuple[str, str]]:
    word, system = escaped(code.code or ""), escaped(code.system or "")
    if word:
        yield from ((m, t) for m in ("", ":not") for t in (word, f"{system}|{word}", f"|{word}", f"{word},nothing"))
    if system:
        yield "", f"{system}|"
    for of_system, of_code in code.types:
        if of_system and of_code and word:
            yield ":of-type", f"{escaped(of_system)}|{escaped(of_code)}|{word}"


def _strings(word: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    if word.strip():
        start = rng.randint(0, len(word) - 1)
        yield "", escaped(word[: rng.randint(1, len(word))].upper())
        yield ":exact", escaped(word)
        yield ":exact", escaped(word.upper())
        if word[start:].strip():
            yield ":contains", escaped(word[start:].swapcase())


def _dates(interval: Interval) -> Iterator[str]:
    for at in (interval.low, interval.high):
        if at is not None:
            utc = at.astimezone(UTC) if at.year < 9999 else at
            yield from (f"{utc:%Y}".zfill(4), f"{utc:%Y-%m}", f"{utc:%Y-%m-%d}", f"{utc:%Y-%m-%dT%H:%M:%S}Z")
            yield f"{utc + timedelta(days=1):%Y-%m-%d}" if utc.year < 9999 else "2999"


def _measures(measure: Measure, of: str) -> Iterator[str]:
    for size in (measure.low, measure.high):
        if size is None:
            continue
        for value in (size, size + 1, size * Decimal("1.05")):
            if len(value.as_tuple().digits) > 15:
                continue  # the index keeps sizes as floats
            number = f"{value:f}" if abs(value) < 10**9 else f"{value:E}"
            yield number
            if of == "quantity" and measure.code:
                yield f"{number}||{escaped(measure.code)}"
                if measure.system:
                    yield f"{number}|{escaped(measure.system)}|{escaped(measure.code)}"
        if measure.canonical() is not None and measure.code == "mg":
            yield f"{size / 1000:f}|{facets.UCUM}|g"


def _references(nodes: list[Node]) -> Iterator[tuple[str, str]]:
    for reference in facets.references(nodes, READER):
        if reference.url:
            yield "", escaped(reference.url)
            yield "", escaped(reference.url.partition("|")[0])
        else:
            yield from (("", reference.id), ("", f"{reference.type}/{reference.id}"))
            yield from (("", f"{BASE}/{reference.type}/{reference.id}"), (f":{reference.type}", reference.id))
            yield "", f"{reference.type}/{reference.id}/_history/2"
    for code in facets.reference_identifiers(nodes):
        yield from ((f":identifier{m}", t) for m, t in _tokens(code) if not m)


def _composites(of: str, parameter: SearchParameter, node: Node, root: Node, rng: random.Random) -> Iterator[str]:
    parts: list[list[str]] = []
    for component, sort in zip(parameter.components, component_kinds(of, parameter), strict=True):
        nodes = compile_path(component.expression).on(node, root)
        like = SearchParameter(sort, component.expression)
        texts = [t for m, t in _asked(like, nodes, rng) if not m and not t.endswith(("|", ",nothing"))]
        parts.append(texts)
    if all(parts):
        yield from ("$".join(rng.choice(texts) for texts in parts) for _ in range(6))


def found(connection: db.Connection, of: str, pairs: list[tuple[str, str]]) -> set[str]:
    """Return the ids that the compiled search finds."""
    asked = search.understand(of, [*pairs, ("_count", "1000")], BASE, now=NOW)
    return {each.logical for each in search.run(connection, asked, EVERYTHING)[0]}


def expected(corpus: Corpus, of: str, pairs: list[tuple[str, str]]) -> set[str]:
    """Return the ids that the brute force finds."""
    asked = search.understand(of, pairs, BASE, now=NOW)
    matcher = Matcher(corpus, READER)
    return {
        str(resource["id"])
        for resource in corpus.every(of)
        if all(matcher.matches(resource, condition) for condition in asked.search.conditions)
    }


def differences(connection: db.Connection, corpus: Corpus, most: int, seed: int = 1) -> tuple[list[str], int]:
    """Return the searches whose results differ, in words, and how many were asked."""
    rng, out, asked = random.Random(seed), list[str](), 0  # noqa: S311 - a repeatable choice
    for of in sorted(corpus.kinds):
        for name in sorted(kind(of).search):
            if name in ("_id", "_lastUpdated"):
                continue
            for pair in drawn(of, name, corpus, rng, most):
                try:
                    wanted = expected(corpus, of, [pair])
                    got = found(connection, of, [pair])
                except FhirError as error:
                    if error.code != "not-supported":
                        out.append(f"{of}?{pair[0]}={pair[1]}: {error.words}")
                    continue
                asked += 1
                if got != wanted:
                    more, less = sorted(got - wanted)[:3], sorted(wanted - got)[:3]
                    out.append(f"{of}?{pair[0]}={pair[1]}: too many {more}, missing {less}")
    return out, asked


def examples() -> list[dict[str, Any]]:
    """Return the standard's examples, one of each type."""
    lines = (Path(__file__).parent / "examples.ndjson").read_text(encoding="utf-8").splitlines()
    return [db.loads(line) for line in lines]


@pytest.fixture(scope="module")
def shared(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """One database for all tests here that commit nothing."""
    name = f"feldsher_matching_{os.getpid()}"
    yield postgres.create_database(name, migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def connection(shared: str) -> Iterator[db.Connection]:
    with db.connect(shared, db.WORKER) as opened:
        yield opened
        opened.rollback()


def test_every_parameter_finds_what_its_expression_says(connection: db.Connection) -> None:
    corpus = load(connection, examples())
    wrong, asked = differences(connection, corpus, 3)
    assert asked > 1000
    assert not wrong, json.dumps(wrong, indent=1, ensure_ascii=False)


def linked(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yield a small hospital: practitioners, patients of theirs, encounters, observations, a list, a group."""
    names = ("Eve", "Ève", "EVELYN", "Adam", "Анна", "ann%a", "o'hara_", "Zoë")
    for n in range(6):
        yield {"resourceType": "Practitioner", "id": f"doc{n}", "name": [{"family": rng.choice(names)}]}
    for n in range(20):
        yield {
            "resourceType": "Patient",
            "id": f"p{n}",
            "name": [{"family": rng.choice(names), "given": [rng.choice(names)]}],
            "gender": rng.choice(("male", "female")),
            "birthDate": rng.choice(("1980", "1980-05", "1980-05-01", "2001-02-03")),
            "generalPractitioner": [{"reference": f"Practitioner/doc{rng.randrange(8)}"}],
        }
    for n in range(80):
        patient = {"reference": f"{rng.choice(('Patient', 'Patient', 'Group'))}/p{rng.randrange(22)}"}
        yield {
            "resourceType": "Observation",
            "id": f"o{n}",
            "status": rng.choice(("final", "amended")),
            "code": {"coding": [{"system": "http://loinc.org", "code": rng.choice(("8480-6", "8462-4", "29463-7"))}]},
            "subject": patient,
            "performer": [{"reference": f"Practitioner/doc{rng.randrange(6)}"}],
            "encounter": {"reference": f"Encounter/e{rng.randrange(12)}"},
        }
    for n in range(10):
        subject, state = {"reference": f"Patient/p{rng.randrange(20)}"}, rng.choice(("finished", "planned"))
        code = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
        yield {"resourceType": "Encounter", "id": f"e{n}", "status": state, "class": code, "subject": subject}
    yield {
        "resourceType": "List",
        "id": "round",
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": f"Patient/p{n}"}} for n in (1, 4, 7, 99)],
    }


CHAINS = [
    ("Observation", "subject:Patient.name", "ev"),
    ("Observation", "subject:Patient.name:exact", "Eve"),
    ("Observation", "subject.name:contains", "v"),
    ("Observation", "patient.gender:not", "male"),
    ("Observation", "patient.birthdate", "le1980-05"),
    ("Observation", "subject:Patient.general-practitioner.name", "анн,ad"),
    ("Observation", "subject:Patient.general-practitioner:Practitioner.name", "eve"),
    ("Observation", "subject:Patient._id", "p1,p2,p3"),
    ("Observation", "encounter.status", "finished"),
    ("Observation", "encounter:Encounter.patient.gender", "female"),
    ("Observation", "subject:Patient._has:Encounter:patient:status", "planned"),
    ("Observation", "performer:Practitioner.name", "o'hara\\_"),
    ("Patient", "_has:Observation:patient:code", "8480-6"),
    ("Patient", "_has:Observation:subject:code", "http://loinc.org|8480-6,29463-7"),
    ("Patient", "_has:Observation:subject:performer:Practitioner.name", "zoe"),
    ("Patient", "_has:Observation:patient:_has:Provenance:target:agent", "nobody"),
    ("Patient", "_has:Encounter:patient:_has:Observation:encounter:status", "amended"),
    ("Patient", "_has:Observation:patient:encounter.status", "finished"),
    ("Patient", "_list", "round"),
    ("Practitioner", "_has:Patient:general-practitioner:gender", "female"),
    ("Practitioner", "_has:Patient:general-practitioner:_has:Observation:patient:status", "amended"),
]


@pytest.mark.parametrize("few", [1000, 0])
def test_chains_find_what_following_the_references_finds(
    connection: db.Connection, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Both ways of chaining, by ids looked up first and row by row, agree with the brute force."""
    monkeypatch.setattr(links, "FEW_TARGETS", few)
    monkeypatch.setattr(links, "FEW_SOURCES", few)
    corpus = load(connection, linked(random.Random(7)))  # noqa: S311
    some = 0
    for of, name, value in CHAINS:
        wanted = expected(corpus, of, [(name, value)])
        assert found(connection, of, [(name, value)]) == wanted, f"{of}?{name}={value}"
        some += 0 < len(wanted) < len(corpus.kinds[of])
    assert some > 15  # most of them tell rows apart


def test_conditions_hold_together(connection: db.Connection) -> None:
    rng = random.Random(3)  # noqa: S311
    corpus = load(connection, linked(rng))
    for _ in range(60):
        chosen = rng.sample([(n, v) for of, n, v in CHAINS if of == "Observation"], 2)
        pairs = [*chosen, rng.choice([("status", "final"), ("code:not", "8480-6"), ("_id", "o1,o2,o3,o4,o5,o6,o7")])]
        assert found(connection, "Observation", pairs) == expected(corpus, "Observation", pairs), pairs
