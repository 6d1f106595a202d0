"""Compile R4's own code systems, value sets and concept maps into the file that the terminology is filled from.

The package is that of `fhir_definitions` (HL7, CC0): `python -m feldsher_tools.fhir_terminology package`. Only what HL7
itself defines goes in: a code system of others (DICOM, CPT, …), and a value set that lists their codes, stay outside.
Output: `r4.ndjson` of the cloud API's `fhir/terminology`, one resource per line. A database is filled from it by a
revision, so what changes in the file later reaches databases only by another revision.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from feldsher_tools.fhir_definitions import Json, resources

OUT = Path(__file__).parents[2] / "cloud_api" / "feldsher_cloud_api" / "fhir" / "terminology" / "r4.ndjson"
_OWN = ("http://hl7.org/fhir/", "http://terminology.hl7.org/", "urn:ietf:")
_KEPT: dict[str, tuple[str, ...]] = {
    "CodeSystem": ("version", "name", "title", "caseSensitive", "hierarchyMeaning", "content"),
    "ValueSet": ("version", "name", "title", "compose"),
    "ConceptMap": ("version", "name", "title", "sourceUri", "sourceCanonical", "targetUri", "targetCanonical"),
}
_OF_CONCEPT = ("code", "display", "property", "designation")


def own(url: str) -> bool:
    """Return whether HL7 itself (or the IETF, whose codes are free) defines what an address names."""
    return url.startswith(_OWN) and not url.startswith("http://hl7.org/fhir/sid/")


def compiled(folder: Path) -> Iterator[Json]:
    """Yield the trimmed resources: code systems first, then value sets, then concept maps, each by their addresses."""
    for kind, keep in _KEPT.items():
        for each in sorted(resources(folder, kind), key=lambda r: str(r.get("url"))):
            made = {"resourceType": kind, "url": each.get("url", "")} | {k: each[k] for k in keep if k in each}
            if own(made["url"].partition("|")[0]) and _fill(made, each):
                yield made


def _fill(made: Json, each: Json) -> bool:
    """Add what is a type's own; False where the resource is to stay outside."""
    if each["resourceType"] == "CodeSystem":
        made["property"] = [{k: p[k] for k in ("code", "uri", "type") if k in p} for p in each.get("property", ())]
        made["concept"] = [_concept(c) for c in each.get("concept", ())]
        return each["content"] in ("complete", "fragment", "not-present")
    if each["resourceType"] == "ValueSet":
        parts = [*each.get("compose", {}).get("include", ()), *each.get("compose", {}).get("exclude", ())]
        return bool(parts) and all("concept" not in p or own(p.get("system", "")) for p in parts)
    made["group"] = each.get("group", [])
    return bool(made["group"]) and all(own(g.get("source", "")) and own(g.get("target", "")) for g in made["group"])


def _concept(concept: Json) -> Json:
    made: Json = {k: concept[k] for k in _OF_CONCEPT if concept.get(k)}
    made["display"] = made.get("display", made["code"])
    if "designation" in made:
        others = [d for d in made.pop("designation") if d.get("language", "nl") != "nl"]
        # Dutch names of HL7 v2's tables would be most of the file's words, and nobody reads them here.
        if others:
            made["designation"] = [{"language": d["language"], "value": d["value"]} for d in others]
    if concept.get("concept"):
        made["concept"] = [_concept(c) for c in concept["concept"]]
    return made


def dumps(found: Iterator[Json]) -> str:
    """Return the file's text."""
    return "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in found)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder `package` of the unpacked npm package")
    options = parser.parse_args(argv)
    text = dumps(compiled(options.folder))
    OUT.write_text(text, encoding="utf-8")
    print(f"{OUT.name}: {text.count(chr(10))} resources, {len(text.encode()):,} bytes", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
