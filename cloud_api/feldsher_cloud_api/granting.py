"""What of the scopes that a program asks for it is given: what it is registered for, and no more."""

from __future__ import annotations

from collections.abc import Iterable

from feldsher_cloud_api import scope

IDENTITY = ("openid", "fhirUser", "profile")
LASTING = ("offline_access", "online_access")
LAUNCH = ("launch", "launch/patient", "launch/encounter")


def granted(asked: Iterable[str], registered: Iterable[str]) -> list[str]:
    """Return what of the asked scopes a registration covers, each narrowed to what it covers, in the asked order.

    A registered scope without a search (`?…`) covers one with; with a search it covers only its own.
    """
    registered = tuple(registered)
    kept = [part for text in asked for part in ([text] if text in registered else _narrowed(text, registered))]
    return [text for text in dict.fromkeys(kept) if text in scope.OTHER or scope.parse(text) is not None]


def _narrowed(text: str, registered: Iterable[str]) -> list[str]:
    wish, query = scope.parse(text), text.partition("?")[2]
    if wish is None:
        return []
    has = [(has, s) for has, s in _resources(registered, wish.context) if has.partition("?")[2] in ("", query)]
    wide = "".join(s.letters for _, s in has if s.kind in ("*", wish.kind))
    letters = _common(wish.letters, wide)
    if letters == wish.letters:
        return [text]  # as it was written, a word of version 1 too
    given = [(wish.kind, letters)]
    if wish.kind == "*":  # who asks for everything gets the single types that are registered
        given += [(s.kind, _common(wish.letters, s.letters)) for name, s in has if s.kind != "*" and "?" not in name]
    end = f"?{query}" if query else ""
    return [f"{wish.context}/{kind}.{common}{end}" for kind, common in given if common]


def _resources(registered: Iterable[str], context: str) -> list[tuple[str, scope.Scope]]:
    parsed = [(text, scope.parse(text)) for text in registered]
    return [(text, s) for text, s in parsed if s is not None and s.context == context]


def _common(letters: str, others: str) -> str:
    return "".join(c for c in letters if c in others)
