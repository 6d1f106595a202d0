"""References inside a transaction: from the addresses that entries go by to the ids that their resources get.

What is rewritten: references, elements of type uri, url, oid and uuid, and links and pictures of narratives; never
canonical addresses nor plain strings (http://hl7.org/fhir/R4/http.html#trules).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from feldsher_cloud_api.fhir.primitive import CHECKS
from feldsher_cloud_api.fhir.r4 import definitions
from feldsher_cloud_api.fhir.structure import slots

_ADDRESSES = frozenset({"uri", "url", "oid", "uuid"})
_LINK = re.compile(r"""(?P<name>\b(?:href|src)\s*=\s*)(?P<mark>["'])(?P<address>[^"'<>]*)(?P=mark)""")
_CONDITIONAL = re.compile(r"(?P<kind>[A-Z][A-Za-z]+)\?(?P<criteria>\S+)")
_RESTFUL = re.compile(r"(?P<base>https?://\S+)/(?P<place>[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})")

Find = Callable[[str], str | None]
"""From an address as written to what stands instead; None: it stays."""


def finder(addresses: dict[str, str], full_url: str) -> Find:
    """Return what finds an address, also a relative one, which counts from the base of the entry's own full address."""
    base = _RESTFUL.fullmatch(full_url)
    root = f"{base['base']}/" if base else ""

    def find(text: str) -> str | None:
        found = addresses.get(text)
        if found is None and root and ":" not in text:
            found = addresses.get(root + text)
        return found

    return find


def conditional(text: str) -> tuple[str, str] | None:
    """Return type and criteria of a conditional reference (`Patient?identifier=…`), None where it is another one."""
    match = _CONDITIONAL.fullmatch(text)
    return (match["kind"], match["criteria"]) if match and match["kind"] in definitions().types else None


def references(resource: dict[str, Any]) -> list[str]:
    """Return the text of every reference in a resource, in its order."""
    seen: list[str] = []

    def note(text: str) -> None:
        seen.append(text)

    _walk(resource, str(resource.get("resourceType")), note, only_references=True)
    return seen


def rewrite(resource: dict[str, Any], find: Find) -> None:
    """Put what `find` knows in the place of addresses, in the resource itself."""
    _walk(resource, str(resource.get("resourceType")), find)


def _walk(value: dict[str, Any], kind: str, find: Find, *, only_references: bool = False) -> None:
    kind = str(value["resourceType"]) if "resourceType" in value else kind
    known = slots(kind) if kind in definitions().types else {}
    for name, item in value.items():
        slot = known.get(name.removeprefix("_"))
        if slot is None or item is None:
            continue
        of = slot.type if name[0] != "_" else "Element"
        if of in CHECKS:
            address = name == "reference" and kind == "Reference"
            if address or (not only_references and (of in _ADDRESSES or of == "xhtml")):
                value[name] = _replaced(item, of, find)
            continue
        for each in cast("list[Any]", item) if isinstance(item, list) else [item]:
            if isinstance(each, dict):
                _walk(cast("dict[str, Any]", each), of, find, only_references=only_references)


def _replaced(item: Any, of: str, find: Find) -> Any:
    if isinstance(item, list):
        return [_replaced(each, of, find) for each in cast("list[Any]", item)]
    if not isinstance(item, str):
        return item
    if of != "xhtml":
        return find(item) or item
    return _LINK.sub(
        lambda m: f"{m['name']}{m['mark']}{find(m['address']) or m['address']}{m['mark']}" if m["address"] else m[0],
        item,
    )
