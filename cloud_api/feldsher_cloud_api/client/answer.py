"""What a server answers: resources with their decimals, or a refusal with each of its issues."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import httpx2
import msgspec

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that a server has to say: how bad it is, its FHIR issue type, words, and the elements it is about."""

    severity: str
    code: str
    words: str
    at: tuple[str, ...] = ()


class FhirClientError(Exception):
    """A refusal: `status` of HTTP and the issues of its OperationOutcome (empty where there was none)."""

    def __init__(self, status: int, issues: tuple[Issue, ...]) -> None:
        """Say what was refused and why."""
        super().__init__(f"{status}: " + "; ".join(i.words for i in issues) if issues else str(status))
        self.status, self.issues = status, issues


class GoneError(FhirClientError):
    """410: the resource existed and was deleted."""


class ConflictError(FhirClientError):
    """409: somebody else was first; read again and decide anew."""


class PreconditionError(FhirClientError):
    """412: the version named is not the newest, or the condition does not name exactly one resource."""


_ERRORS: dict[int, type[FhirClientError]] = {409: ConflictError, 410: GoneError, 412: PreconditionError}


def encode(value: object) -> bytes:
    """Return JSON; decimals keep their digits."""
    return _encoder.encode(value)


def decode(response: httpx2.Response) -> Any:
    """Return what a response holds, None where it is empty; FhirClientError where it is a refusal."""
    if response.is_error:
        raise _ERRORS.get(response.status_code, FhirClientError)(response.status_code, _issues(response.content))
    return _decoder.decode(response.content) if response.content else None


def _issues(body: bytes) -> tuple[Issue, ...]:
    try:
        outcome: Any = _decoder.decode(body)
    except msgspec.DecodeError:
        return ()
    if not isinstance(outcome, dict):
        return ()
    found = cast("dict[str, Any]", outcome).get("issue", [])
    return tuple(
        Issue(
            i.get("severity", ""),
            i.get("code", ""),
            i.get("diagnostics") or i.get("details", {}).get("text", ""),
            tuple(i.get("expression", ())),
        )
        for i in found
    )
