"""What searches by meaning (`:in`, `:not-in`, `:below`, `:above`) ask of the terminology that is loaded here."""

from __future__ import annotations

from dataclasses import dataclass

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.criterion import Token, Uri
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import expand

MOST = 20_000
"""Codes that one search may stand for."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The terminology as one transaction sees it."""

    connection: db.Connection

    def codes(self, modifier: str, value: Uri | Token) -> frozenset[tuple[str, str]]:
        """Return (system, code) pairs; FhirError 400 where a value set is not known here or is too large."""
        if isinstance(value, Uri):
            found = self._in(value.text)
        elif not value.system or not value.code:
            raise FhirError(400, "invalid", f":{modifier} needs system|code, not {value.code[:64]!r} alone")
        else:
            kin = expand.subsumed if modifier == "below" else expand.subsuming
            found = frozenset((value.system, code) for code in kin(self.connection, value.system, value.code))
        if len(found) > MOST:
            raise FhirError(400, "too-costly", f":{modifier} stands for more than {MOST} codes")
        return found

    def _in(self, address: str) -> frozenset[tuple[str, str]]:
        try:
            held = expand.tokens(self.connection, address)
        except FhirError as error:
            raise FhirError(400, error.code, f"the value set {address[:120]} cannot be told: {error.words}") from error
        pairs = (token.rpartition("|") for token in held)
        return frozenset((system, code) for system, _, code in pairs)
