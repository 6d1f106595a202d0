"""People's names as they are compared: one alphabet for Cyrillic and Latin, without ё, hyphens and doubled letters.

`spell` keeps what a careful writer keeps; `sound` keeps what a careless one keeps (consonants, voiced as unvoiced).
Transliterations differ (ICAO Doc 9303, GOST 7.79, habit), so what they write differently becomes one letter here.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_CYRILLIC = {
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ж": "ž", "з": "z", "и": "i", "к": "k", "л": "l",
    "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f", "х": "h", "ц": "c",
    "ч": "č", "ш": "š", "щ": "š", "ъ": "", "ы": "i", "ь": "", "э": "e", "ю": "u", "я": "a", "є": "e", "і": "i",
    "ї": "i", "ґ": "g", "ң": "n", "ү": "u", "ұ": "u", "ө": "o", "ә": "a", "һ": "h", "қ": "k", "ғ": "g", "ў": "u",
    "җ": "ž", "ј": "i", "љ": "l", "њ": "n", "ђ": "d", "ћ": "c", "џ": "ž",
}  # fmt: skip
# Longest first: what several Latin letters write, and what the same sound is otherwise written with.
_LATIN = (
    ("shch", "š"), ("sch", "š"), ("sh", "š"), ("zh", "ž"), ("ch", "č"), ("kh", "h"), ("ts", "c"), ("tz", "c"),
    ("ph", "f"), ("th", "t"), ("ck", "k"), ("ks", "x"), ("iu", "u"), ("yu", "u"), ("ju", "u"), ("ia", "a"),
    ("ya", "a"), ("ja", "a"), ("ie", "e"), ("ye", "e"), ("je", "e"), ("io", "e"), ("yo", "e"), ("jo", "e"),
    ("y", "i"), ("j", "i"), ("w", "v"), ("q", "k"),
)  # fmt: skip
_SOUND = str.maketrans({"b": "p", "v": "f", "d": "t", "z": "s", "g": "k", "ž": "s", "š": "s", "č": "s", "c": "s"})
_LETTERS = re.compile(r"[^a-zšžč]+")
_WRITTEN_CYRILLIC = re.compile("[\u0400-\u04ff]")


@lru_cache(maxsize=20_000)
def spell(text: str) -> str:
    """Return a name as it is compared letter by letter; empty where it has no letter."""
    folded = text.casefold().replace("ё", "е")
    written = "".join(_CYRILLIC.get(c, c) for c in _bare(folded))
    if not _WRITTEN_CYRILLIC.search(folded):
        for several, one in _LATIN:
            written = written.replace(several, one)
    written = _LETTERS.sub("", written)
    return re.sub(r"(.)\1+", r"\1", written)


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


@lru_cache(maxsize=20_000)
def sound(text: str) -> str:
    """Return what remains of a name when vowels and voice are uncertain: the first letter and the consonants."""
    spelt = spell(text)
    first = "a" if spelt[:1] in "aeiou" and spelt else spelt[:1].translate(_SOUND)
    rest = re.sub(r"[aeiou]", "", spelt[1:]).translate(_SOUND).replace("x", "ks")
    return re.sub(r"(.)\1+", r"\1", first + rest)


def parts(text: str) -> list[str]:
    """Return a double name's parts, spelt, the longest first; of a simple one itself."""
    return sorted((s for s in map(spell, re.split(r"[\s\-–—/]+", text)) if s), key=len, reverse=True)


def distance(a: str, b: str, most: int) -> int:
    """Return how many letters are wrong, missing, too many or swapped with a neighbour; `most` + 1 for more.

    Optimal string alignment (Damerau–Levenshtein with each letter edited once).
    """
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, last = last, row
    return min(last[-1], most + 1)


def alike(a: str, b: str) -> str:
    """Return how two names of one kind stand to each other: `missing`, `same`, `close`, `initial` or `different`.

    `close`: one letter in four is wrong at most (two of eight), one is part of the other's double name, or they sound
    the same.
    """
    x, y = spell(a), spell(b)
    if not x or not y:
        return "missing"
    if x == y:
        return "same"
    if len(x) == 1 or len(y) == 1:
        return "initial" if x[0] == y[0] else "different"
    shorter = min(len(x), len(y))
    most = 2 if shorter >= 8 else 1 if shorter >= 4 else 0
    if distance(x, y, most) <= most or (shorter >= 4 and sound(a) == sound(b)):
        return "close"
    if set(parts(a)) & set(parts(b)):
        return "close"
    return "different"
