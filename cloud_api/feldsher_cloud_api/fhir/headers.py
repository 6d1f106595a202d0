"""What headers of a FHIR request ask for: Prefer, If-Match, If-None-Match, If-Modified-Since, Content-Type. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal, cast

from feldsher_cloud_api.fhir.outcome import FhirError

Returns = Literal["minimal", "representation", "OperationOutcome"]
_RETURNS = ("minimal", "representation", "OperationOutcome")
_ETAG = re.compile(r'(?:W/)?"?([^"\s]*)"?')
JSON_PATCH, FHIR_JSON = "application/json-patch+json", "application/fhir+json"
_JSON = (FHIR_JSON, "application/json", "text/json")


@dataclass(frozen=True, slots=True)
class Preference:
    """What a client prefers (http://hl7.org/fhir/R4/http.html#ops): what comes back, and what is not understood."""

    returns: Returns = "representation"
    lenient: bool = False
    asynchronous: bool = False


def preference(text: str | None) -> Preference:
    """Return what a Prefer header asks for; what it says besides is not ours to judge (RFC 7240)."""
    words = [word.strip() for word in (text or "").replace(",", ";").split(";")]
    returns = next(
        (w.removeprefix("return=") for w in words if w.removeprefix("return=") in _RETURNS), "representation"
    )
    return Preference(cast("Returns", returns), "handling=lenient" in words, "respond-async" in words)


def etag(version: int) -> str:
    """Return the entity tag of a version."""
    return f'W/"{version}"'


def expected(if_match: str | None) -> int | None:
    """Return the version that If-Match names, None where it is absent or `*`; FhirError 400 where it names none."""
    if if_match is None or if_match.strip() == "*":
        return None
    match = _ETAG.fullmatch(if_match.strip())
    if match is None or not match[1].isdigit() or len(match[1]) > 9:
        words = f'If-Match: {if_match[:40]!r} is not the ETag of a version, like W/"1"'
        raise FhirError(400, "value", words, "http.If-Match")
    return int(match[1])


def unchanged(version: int, updated: datetime, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Return whether the client has this version already; If-None-Match outweighs the time (RFC 9110, 13.2.2)."""
    if if_none_match is not None:
        tags = [tag.strip() for tag in if_none_match.split(",")]
        return "*" in tags or any((m := _ETAG.fullmatch(tag)) is not None and m[1] == str(version) for tag in tags)
    if if_modified_since is None:
        return False
    try:
        since = parsedate_to_datetime(if_modified_since)
    except ValueError:
        return False  # RFC 9110: what is no date is ignored
    return since.tzinfo is not None and updated.replace(microsecond=0) <= since


def modified(updated: datetime) -> str:
    """Return a moment as Last-Modified."""
    return format_datetime(updated, usegmt=True)


def require_json(content_type: str | None) -> None:
    """Raise FhirError 415 where a body says that it is something else than FHIR R4 as JSON."""
    if _media(content_type) not in _JSON:
        raise FhirError(415, "not-supported", f"a body is {FHIR_JSON}, not {_media(content_type)[:60]}")
    version = re.search(r"fhirversion\s*=\s*\"?([0-9.]+)", (content_type or "").lower())
    if version is not None and version[1] not in ("4.0", "4.0.1"):
        raise FhirError(415, "not-supported", f"a body is FHIR 4.0, not {version[1]}")


def is_json_patch(content_type: str | None) -> bool:
    """Return whether a patch is a JSON Patch, False where it is Parameters; FhirError 415 where it is neither."""
    media = _media(content_type)
    if media == JSON_PATCH:
        return True
    if media not in _JSON:
        raise FhirError(
            415, "not-supported", f"a patch is {JSON_PATCH}, or Parameters as {FHIR_JSON}; not {media[:60]}"
        )
    return False


def is_resource(content_type: str | None) -> bool:
    """Return whether a Binary comes as a FHIR resource rather than as its bytes."""
    return _media(content_type) == FHIR_JSON


def _media(content_type: str | None) -> str:
    return (content_type or FHIR_JSON).partition(";")[0].strip().lower()
