"""Sentences from catalogues: codes and numbers are stored, what people read is rendered from `<language>.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

LANGUAGES = {"en": "English", "ru": "Русский"}
DEFAULT = "en"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The sentences of one language, by dotted key."""

    language: str
    sentences: dict[str, str]

    def say(self, key: str, **values: object) -> str:
        """Return the sentence of a key with its `{names}` filled in; KeyError where the catalogue lacks it."""
        return self.sentences[key].format_map(values)

    def count(self, key: str, n: int) -> str:
        """Return the sentence of a key in the plural form that `n` asks for."""
        return self.say(f"{key}.{plural(self.language, n)}", n=n)

    def code(self, group: str, code: str, otherwise: str | None = None) -> str:
        """Return the words for a stored code, or `otherwise` (the code itself) where the catalogue has none."""
        return self.sentences.get(f"{group}.{code}", code if otherwise is None else otherwise)

    def group(self, name: str) -> dict[str, str]:
        """Return every sentence below `name.`, by the rest of its key."""
        return {key[len(name) + 1 :]: text for key, text in self.sentences.items() if key.startswith(f"{name}.")}

    def day(self, value: date) -> str:
        """Return a date as people of this language write it."""
        if self.language == "ru":
            return f"{value.day:02}.{value.month:02}.{value.year}"
        return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"

    def moment(self, value: datetime, zone: ZoneInfo) -> str:
        """Return a time in `zone`, to the minute, with the zone's abbreviation."""
        local = value.astimezone(zone)
        return f"{self.day(local.date())}, {local:%H:%M} {local.tzname()}"


def plural(language: str, n: int) -> str:
    """Return the plural category of a whole number. Source: Unicode CLDR, plural rules of `en` and `ru`."""
    if language != "ru":
        return "one" if n == 1 else "other"
    if n % 10 == 1 and n % 100 != 11:
        return "one"
    return "few" if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else "many"


@cache
def catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language of LANGUAGES."""
    if language not in LANGUAGES:
        raise ValueError(f"language: {language!r} has no catalogue")
    text = Path(__file__).with_name(f"{language}.toml").read_text(encoding="utf-8")
    return Catalogue(language, _flat(tomllib.loads(text), ""))


def _flat(table: dict[str, object], prefix: str) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")  # pyright: ignore[reportUnknownArgumentType]
        else:
            flat[prefix + key] = str(value)
    return flat


def choose(wanted: str | None, accept_language: str) -> str:
    """Return the language a person chose, else the first of the browser's `Accept-Language` that has a catalogue."""
    if wanted in LANGUAGES:
        return wanted
    ranked: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept_language.split(",")):
        name, _, rest = part.strip().partition(";")
        primary = name.split("-")[0].strip().lower()
        if primary in LANGUAGES and (quality := _quality(rest)) > 0:
            ranked.append((-quality, place, primary))
    return min(ranked)[2] if ranked else DEFAULT


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
