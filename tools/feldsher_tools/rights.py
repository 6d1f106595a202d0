"""Writes docs/safety/rights.md, who may do what, from rights.toml (`python -m feldsher_tools.rights`)."""

from __future__ import annotations

from feldsher_cloud_api.rights import Rights, rights

from feldsher_tools.place import ROOT

PAGE = ROOT / "docs" / "safety" / "rights.md"
_HEAD = """# Who may do what

Written by `python -m feldsher_tools.rights` from `cloud_api/feldsher_cloud_api/rights.toml`; a test keeps it true.
Change the file, not this page, and review what changes here. The same rights hold in code (`access.py`) and as
row-level security; `tests/cloud_api/test_rights_matrix.py` tries each role on each type with raw SQL.

c create · r read, versions, history · u update and patch · d delete · s search · – nothing
"""


def page(of: Rights) -> str:
    """Return the page: roles, then one table per class of types, a row per type, and why."""
    parts = [_HEAD, "## Roles\n", _table(("role", "is", "reaches", "asks for", "may break the glass"), _roles(of))]
    heads = ("type", *of.roles)
    for name, group in of.groups.items():
        rows = [(kind, *(of.letters[role].get(kind) or "–" for role in of.roles)) for kind in sorted(group.types)]
        parts += [f"## {name.capitalize()} ({group.class_})\n", _table(heads, rows)]
    parts += ["## Why\n", _table(("role", "letters", "types", "why"), _reasons(of))]
    return "\n".join(parts)


def _roles(of: Rights) -> list[tuple[str, ...]]:
    return [(n, r.about, r.reach, r.purpose, "yes" if r.emergency else "–") for n, r in of.roles.items()]


def _reasons(of: Rights) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for role, kinds in of.why.items():
        lines: dict[tuple[str, str], list[str]] = {}
        for kind, why in kinds.items():
            lines.setdefault((of.letters[role][kind] or "–", why), []).append(kind)
        rows.extend((role, letters, _named(of, found), why) for (letters, why), found in lines.items())
    return rows


def _named(of: Rights, kinds: list[str]) -> str:
    """Return types by their group's name where all of it is meant."""
    left, names = set(kinds), list[str]()
    for name, group in of.groups.items():
        if len(group.types) > 1 and left.issuperset(group.types):
            left -= set(group.types)
            names.append(f"all {name}")
    return ", ".join([*names, *sorted(left)])


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, tuple("---" for _ in heads), *rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(rights()), "utf-8")
