"""Binary: bytes beside their resource; whose they are, what their securityContext names says."""

from __future__ import annotations

import base64
from typing import Any, cast

from psycopg import sql

from feldsher_cloud_api import db
from feldsher_cloud_api.access import Reach
from feldsher_cloud_api.fhir import identity, store
from feldsher_cloud_api.fhir.kinds import kinds
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.store import Stored

MOST_BYTES = 30_000_000
"""Bytes of one Binary: what is larger is for files, not for a record's rows."""
_SHOWN = frozenset(
    {"application/pdf", "image/gif", "image/jpeg", "image/png", "image/svg+xml", "image/webp", "text/plain"}
)
"""What a browser may show; everything else it saves."""


def parts(connection: db.Connection, reach: Reach, resource: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what storing a Binary takes (bytes, patient), and the resource without its bytes.

    FhirError 403 where its securityContext names what its sender does not reach, 413 where it is too large.
    """
    data = base64.b64decode(str(resource.get("data", "")))
    if len(data) > MOST_BYTES:
        raise FhirError(413, "too-long", f"a Binary may have {MOST_BYTES:,} bytes", "Binary.data")
    content = {name: value for name, value in resource.items() if name != "data"}
    extra: dict[str, Any] = {"extra": {"bytes": data}}
    reference = str(cast("dict[str, Any]", resource.get("securityContext") or {}).get("reference", ""))
    kind, _, name = reference.split("/_history/", maxsplit=1)[0].partition("/")
    if kind and kind != "Patient":
        extra["patient"] = _owner(connection, reach, kind, name)
    return extra, content


def _owner(connection: db.Connection, reach: Reach, kind: str, name: str) -> Any:
    """Return the patient of what a securityContext names."""
    found = None
    if kind in kinds() and identity.is_id(name):
        found = store.find(connection, kind, identity.key(name), reach)
    if found is None:
        words = "securityContext: there is no such resource within your reach"
        raise FhirError(422, "not-found", words, "Binary.securityContext")
    return found.patient


def whole(connection: db.Connection, stored: Stored) -> dict[str, Any]:
    """Return a Binary with its bytes in it."""
    return with_data(stored, bytes_of(connection, stored))


def bytes_of(connection: db.Connection, stored: Stored) -> bytes:
    """Return the bytes of one version of a Binary that has been read."""
    query = sql.SQL("SELECT bytes FROM fhir.{} WHERE id = %s AND version = %s")
    for name in ("binary", "binary_history"):
        row = connection.execute(query.format(sql.Identifier(name)), (stored.id, stored.version)).fetchone()
        if row is not None:
            return bytes(row[0] or b"")
    return b""


def with_data(stored: Stored, data: bytes) -> dict[str, Any]:
    """Return a Binary's resource with its bytes as base64, as FHIR JSON has them."""
    content = stored.content()
    return {**content, "data": base64.b64encode(data).decode()} if data else content


def made(data: bytes, content_type: str, security_context: str | None) -> dict[str, Any]:
    """Return the Binary that raw bytes are, with what X-Security-Context said."""
    resource: dict[str, Any] = {"resourceType": "Binary", "contentType": content_type}
    if security_context:
        resource["securityContext"] = {"reference": security_context}
    if data:
        resource["data"] = base64.b64encode(data).decode()
    return resource


def headers(content: dict[str, Any]) -> dict[str, str]:
    """Return the headers with which a Binary's bytes leave: what is looked at is never run, other things are saved."""
    policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}
    media = str(content["contentType"]).partition(";")[0].strip().lower()
    if media not in _SHOWN:
        policy["Content-Disposition"] = "attachment"
    context = cast("dict[str, Any]", content.get("securityContext") or {}).get("reference")
    return policy | ({"X-Security-Context": str(context)} if context else {})
