"""Writes the table of docs/statements.md from the registry (`python -m feldsher_tools.statements`)."""

from __future__ import annotations

from feldsher_signal import registry

from feldsher_tools.place import ROOT

PAGE = ROOT / "docs" / "statements.md"
HEAD = "| code | says | kind | weight | origin | class | behind it | rule | source |"


def table() -> str:
    """Return the registry as a table: codes, words, kind, weight, origin, superclass, recordings, rule, source."""
    counts = registry.positives()
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    for code, e in registry.REGISTRY.items():
        behind = f"{counts.get(code, 0)}{', rule only' if registry.rule_only(code) else ''}"
        cells = (f"`{code}`", e.text, e.category, e.severity, e.origin, e.superclass or "–", behind, e.rule, e.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """Return the page's text with its table written anew; ValueError where the page has none."""
    start = text.index("| code |")
    end = text.index("\n\n", start) + 1
    return text[:start] + table() + text[end:]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
