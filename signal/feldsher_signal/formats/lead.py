"""Names of leads as files write them, made the names of the house."""

from __future__ import annotations

from collections.abc import Iterable

from feldsher_ehr_core.ecg import STANDARD_LEADS

_STANDARD = {name.lower(): name for name in STANDARD_LEADS}


def names(written: Iterable[str]) -> tuple[str, ...]:
    """Return lead names with the twelve standard ones in their standard spelling and repeated ones numbered (`ECG#2`).

    Other names (`MLII`, `ECG`) are kept: what a modified limb lead is good for is the engine's to judge.
    """
    out: list[str] = []
    for position, raw in enumerate(written):
        stripped = raw.strip()
        name = _STANDARD.get(stripped.lower(), stripped) or f"ch{position + 1}"
        count = 1
        unique = name
        while unique in out:
            count += 1
            unique = f"{name}#{count}"
        out.append(unique)
    return tuple(out)
