"""Ids of resources: FHIR's are text, ours are UUIDs. A canonical UUID is itself, any other text has one by its hash."""

from __future__ import annotations

import re
from uuid import NAMESPACE_URL, UUID, uuid5

NAMESPACE = uuid5(NAMESPACE_URL, "urn:feldsher:fhir-id")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_id(text: str) -> bool:
    """Return whether a text can be a resource's id (http://hl7.org/fhir/R4/datatypes.html#id)."""
    return _ID.fullmatch(text) is not None


def key(text: str) -> UUID:
    """Return the UUID under which a resource of this id is kept: the id itself where it is a canonical UUID."""
    return UUID(text) if _UUID.fullmatch(text) else uuid5(NAMESPACE, text)


def logical(text: str) -> str | None:
    """Return what is kept beside the key: the id as the client chose it, None where it is the key."""
    return None if _UUID.fullmatch(text) else text
