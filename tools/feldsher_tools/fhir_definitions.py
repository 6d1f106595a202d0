"""Compile FHIR R4's official definitions into the small file that the server reads.

`npm pack hl7.fhir.r4.examples@4.0.1`, unpack it, `python -m feldsher_tools.fhir_definitions package`. The package (HL7,
CC0) has the StructureDefinitions, SearchParameters, value sets and compartments beside the examples. Output: `r4.json`
of the cloud API's `fhir`, one entity per line, so that a change of the compiler shows in a review.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]
OUT = Path(__file__).parents[2] / "cloud_api" / "feldsher_cloud_api" / "fhir" / "r4.json"
_INHERITED = ("Resource.", "DomainResource.", "Element.", "BackboneElement.")
"""Elements that come from these types stand there alone."""
_MOST_CODES = 1500
_TYPE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_PROFILE = "http://hl7.org/fhir/StructureDefinition/"
_EXAMPLE = "http://hl7.org/fhir/SearchParameter/example"
"""Three of the package are examples of what a SearchParameter looks like; one would redefine `Condition.subject`."""


def resources(folder: Path, *kinds: str) -> list[Json]:
    """Return the resources of some types in the package, in the order of their file names."""
    files = sorted(f for kind in kinds for f in folder.glob(f"{kind}-*.json"))
    found = [json.loads(f.read_text(encoding="utf-8")) for f in files]
    return [r for r in found if r.get("resourceType") in kinds]


class ValueSets:
    """The codes of value sets, as far as they can be counted up from code systems in the same definitions."""

    def __init__(self, found: Iterable[Json]) -> None:
        self._sets: dict[str, Json] = {}
        self._systems: dict[str, Json] = {}
        for each in found:
            (self._sets if each["resourceType"] == "ValueSet" else self._systems)[each["url"]] = each

    def codes(self, canonical: str) -> dict[str, list[str]] | None:
        """Return a value set's codes by system; None where they cannot be counted up here."""
        known = self._sets.get(canonical.partition("|")[0])
        if known is None or "exclude" in known.get("compose", {}):
            return None
        out: dict[str, list[str]] = {}
        for part in known.get("compose", {}).get("include", ()):
            found = self._included(part)
            if found is None:
                return None
            for system, codes in found.items():
                out.setdefault(system, []).extend(codes)
        unique = {system: sorted(set(codes)) for system, codes in sorted(out.items())}
        return unique if 0 < sum(map(len, unique.values())) <= _MOST_CODES else None

    def _included(self, part: Json) -> dict[str, list[str]] | None:
        if "filter" in part:
            return None
        if "valueSet" in part:
            found = [self.codes(each) for each in part["valueSet"]]
            return None if None in found or len(found) != 1 or "system" in part else found[0]
        if "concept" in part:
            return {part["system"]: [concept["code"] for concept in part["concept"]]}
        system = self._systems.get(part["system"])
        if system is None or system.get("content") != "complete":
            return None
        return {part["system"]: list(_concepts(system.get("concept", ())))}


def _concepts(concepts: Iterable[Json]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concepts(concept.get("concept", ()))


def structures(profiles: Iterable[Json], sets: ValueSets) -> tuple[Json, Json]:
    """Return the types with their elements (backbone elements as types of their own: `Patient.contact`), and the codes.

    An element: `types`, `min` (0 left out), `many`, `choice` ([x]), `summary`, `modifier`, `codes` (required binding),
    `targets` of references; a type: `kind`, `base`, `rules` (invariants: key, words, FHIRPath, the path they hold at).
    """
    types: Json = {}
    bound: Json = {}
    for profile in profiles:
        if profile["kind"] not in ("resource", "complex-type") or profile.get("derivation") == "constraint":
            continue
        name = profile["name"]
        if profile["type"] != name or profile["url"] != _PROFILE + name:
            continue  # an example
        for element in profile["snapshot"]["element"]:
            _element(types, bound, sets, profile, element)
    return types, bound


def _element(types: Json, bound: Json, sets: ValueSets, profile: Json, element: Json) -> None:
    path: str = element["path"]
    rules = [_rule(c) for c in element.get("constraint", ()) if c.get("source", profile["url"]) == profile["url"]]
    if path == profile["name"]:
        base = profile.get("baseDefinition", "").removeprefix(_PROFILE)
        types[path] = {"kind": profile["kind"].removesuffix("-type"), "base": base, "elements": {}, "rules": rules}
        if profile["abstract"]:
            types[path]["abstract"] = True
        return
    owner, _, name = path.rpartition(".")
    inherited = element["base"]["path"]
    if owner not in types or (inherited.startswith(_INHERITED) and inherited != path):
        return  # inside an element whose content is another type's, or said there
    made = _made(element, path)
    if path in made["types"]:
        types[path] = {"kind": "backbone", "base": element["type"][0]["code"], "elements": {}, "rules": []}
    _bind(made, bound, sets, element)
    if rules:
        made["rules"] = rules
    types[owner]["elements"][name.removesuffix("[x]")] = made


def _made(element: Json, path: str) -> Json:
    made: Json = {"types": _types(element, path)}
    if element["min"]:
        made["min"] = element["min"]
    flags = {
        "many": element["max"] not in ("0", "1"),
        "choice": path.endswith("[x]"),
        "summary": element.get("isSummary"),
        "modifier": element.get("isModifier"),
    }
    made |= {name: True for name, wanted in flags.items() if wanted}
    targets = {p.removeprefix(_PROFILE) for t in element.get("type", ()) for p in t.get("targetProfile", ())}
    if targets and "Resource" not in targets and "Reference" in made["types"]:
        made["targets"] = sorted(targets)
    return made


def _types(element: Json, path: str) -> list[str]:
    if "contentReference" in element:
        return [element["contentReference"].removeprefix("#")]
    out: list[str] = []
    for each in element["type"]:
        said = [e["valueUrl"] for e in each.get("extension", ()) if e["url"] == _TYPE_EXTENSION]
        code = said[0] if said else each["code"]
        out.append(path if code in ("BackboneElement", "Element") else code)
    if element["path"].endswith(".id") and out == ["string"] and element["base"]["path"] == "Resource.id":
        return ["id"]
    return out


def _rule(constraint: Json) -> Json:
    return {k: constraint[k] for k in ("key", "severity", "human", "expression") if k in constraint}


def _bind(made: Json, bound: Json, sets: ValueSets, element: Json) -> None:
    binding = element.get("binding", {})
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return
    canonical = binding["valueSet"].partition("|")[0]
    codes = sets.codes(canonical)
    if codes is not None:
        name = canonical.removeprefix("http://hl7.org/fhir/ValueSet/")
        bound[name] = codes
        made["codes"] = name


def parameters(found: Iterable[Json]) -> Json:
    """Return the search parameters of each type: kind, the expression's part for that type, targets, components."""
    every = [p for p in found if not p["url"].startswith(_EXAMPLE)]
    by_url = {p["url"]: p for p in every}
    out: Json = {}
    for each in every:
        if each["type"] == "special" or ("expression" not in each and each["type"] != "composite"):
            continue
        for base in each["base"]:
            made: Json = {"kind": each["type"], "expression": _of(base, each["expression"])}
            if each.get("target"):
                made["targets"] = sorted(each["target"])
            if each["type"] == "composite":
                made["components"] = [
                    {"name": by_url[c["definition"]]["code"], "expression": c["expression"]}
                    for c in each["component"]
                    if c["definition"] in by_url
                ]
            out.setdefault(base, {})[each["code"]] = made
    return {base: dict(sorted(of.items())) for base, of in sorted(out.items())}


def _of(base: str, expression: str) -> str:
    """Return the parts of a union that speak of one type; all, where none is named."""
    parts = [part.strip() for part in _union(expression)]
    own = [p for p in parts if p.lstrip("(").partition(".")[0].partition(" ")[0] == base]
    return " | ".join(own or parts)


def _union(expression: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, letter in enumerate(expression):
        depth += (letter == "(") - (letter == ")")
        if letter == "|" and depth == 0:
            yield expression[start:at]
            start = at + 1
    yield expression[start:]


def compartment(definition: Json) -> Json:
    """Return by which search parameters a type's resources belong to a compartment."""
    return {r["code"]: r["param"] for r in definition["resource"] if r.get("param")}


def compile_all(folder: Path) -> Json:
    """Return everything; `folder`: the package."""
    sets = ValueSets(resources(folder, "ValueSet", "CodeSystem"))
    types, codes = structures(resources(folder, "StructureDefinition"), sets)
    patient = json.loads((folder / "CompartmentDefinition-patient.json").read_text(encoding="utf-8"))
    return {
        "types": types,
        "codes": codes,
        "search": parameters(resources(folder, "SearchParameter")),
        "compartment": compartment(patient),
    }


def dumps(compiled: Json) -> str:
    """Return the file's text: JSON with one entity per line."""
    parts: list[str] = []
    for section, entities in compiled.items():
        lines = [f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in sorted(entities.items())]
        parts.append(f"{json.dumps(section)}:{{\n" + ",\n".join(lines) + "\n}")
    return '{"fhirVersion":"4.0.1",\n' + ",\n".join(parts) + "}\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder `package` of the unpacked npm package")
    options = parser.parse_args(argv)
    text = dumps(compile_all(options.folder))
    OUT.write_text(text, encoding="utf-8")
    print(f"{OUT.name}: {len(text):,} characters", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
