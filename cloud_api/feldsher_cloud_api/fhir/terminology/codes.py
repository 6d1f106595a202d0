"""The terminology as searches ask it: `:in`, `:not-in`, `:above`, `:below` of tokens (fhir/compile.py: Terminology)."""

from __future__ import annotations

from dataclasses import dataclass

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.criterion import Token, Uri
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import canonical, compose, concept
from feldsher_cloud_api.fhir.terminology.compose import Evaluation


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is loaded, on the connection of a search."""

    connection: db.Connection

    def codes(self, modifier: str, value: Uri | Token) -> frozenset[tuple[str, str]]:
        """Return (system, code) pairs; FhirError 400 where the value set or code system is not known here."""
        try:
            if modifier in ("in", "not-in"):
                return self._held(value.text if isinstance(value, Uri) else value.code)
            if isinstance(value, Uri) or not value.system:
                raise FhirError(400, "required", f":{modifier} needs system|code", "http.search")
            found = canonical.get(self.connection, "CodeSystem", value.system)
            below = concept.below if modifier == "below" else concept.above
            codes = below(self.connection, found, value.code)
        except FhirError as error:  # whatever its own status: the search asks for what cannot be told
            raise FhirError(400, error.code, error.words, "http.search") from error
        if not codes:
            raise FhirError(400, "not-found", f"{value.system} has no code {value.code[:100]!r} here", "http.search")
        return frozenset((value.system, code) for code in codes)

    def _held(self, address: str) -> frozenset[tuple[str, str]]:
        found = canonical.get(self.connection, "ValueSet", address)
        return frozenset(compose.members(Evaluation(self.connection), found.content | {"url": found.url}))
