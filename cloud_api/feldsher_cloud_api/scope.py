"""SMART's scopes (http://hl7.org/fhir/smart-app-launch, v1 and v2): `patient/Observation.rs?category=…` as rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

OTHER = (
    "openid", "fhirUser", "profile", "offline_access", "online_access", "launch", "launch/patient", "launch/encounter",
)  # fmt: skip
"""Scopes that are about signing in and launching, not about resources."""
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(read|write|\*|c?r?u?d?s?)(?:\?(.+))?")
_WORDS = {"read": "rs", "write": "cud", "*": "cruds"}
_LONGEST, _MOST = 1024, 8


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope about resources: whose (patient, user, system), which type (or `*`), letters, and what narrows it."""

    context: str
    kind: str
    letters: str
    narrowed: tuple[tuple[str, str], ...] = ()

    def covers(self, kind: str, letter: str) -> bool:
        """Return whether it is about this type and interaction."""
        return self.kind in ("*", kind) and letter in self.letters


@lru_cache(maxsize=4096)
def parse(text: str) -> Scope | None:
    """Return what a scope about resources says; None where it is none.

    Search parameters narrow a scope of version 2 for one type; there must be something on both sides of each `=`.
    """
    match = _SCOPE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or not match[3]:
        return None
    narrowed: tuple[tuple[str, str], ...] = ()
    if match[4] is not None:
        try:
            narrowed = tuple(parse_qsl(match[4], strict_parsing=True, keep_blank_values=True))
        except ValueError:
            return None
        named = all(value and name and name[0] != "_" for name, value in narrowed)
        if match[3] in _WORDS or match[2] == "*" or not named or len(narrowed) > _MOST:
            return None
    return Scope(match[1], match[2], _WORDS.get(match[3], match[3]), narrowed)


def covering(scopes: Iterable[str], contexts: frozenset[str] | set[str], kind: str, letter: str) -> list[Scope]:
    """Return the scopes of these contexts that cover an interaction with a type."""
    found = (parse(text) for text in scopes)
    return [of for of in found if of is not None and of.context in contexts and of.covers(kind, letter)]
