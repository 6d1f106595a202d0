"""What was looked at and how it is: every failure says what is wrong and what to do next."""

from __future__ import annotations

import msgspec


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. `ok` None: not needed here, told for information; `next`: what can be done."""

    name: str
    ok: bool | None
    detail: str
    next: str = ""


def good(checks: list[Check]) -> bool:
    """Say whether nothing that is needed failed."""
    return all(check.ok is not False for check in checks)
