"""Reports of accuracy and speed as Markdown tables, and their place in docs/performance.md.

A report is a nest of dictionaries whose leaves are numbers, texts or lists. Every dictionary of leaves becomes a row,
named by the path to it; neighbouring rows with the same columns share a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

Report = Mapping[str, Any]


def _leaf(value: object) -> str:
    """Return a leaf as it stands in a cell."""
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_leaf(one)}" for key, one in cast("Report", value).items())
    if isinstance(value, str | int) or value is None:
        return "–" if value is None else str(value)
    return " / ".join(_leaf(one) for one in cast("Sequence[object]", value))


def _rows(report: Report, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Yield each dictionary of leaves with the path to it; leaves beside dictionaries have a row of their own."""
    own = {key: _leaf(value) for key, value in report.items() if not _nested(value)}
    if own:
        yield path, own
    for key, value in report.items():
        if _nested(value):
            yield from _rows(value, (*path, key))


def _nested(value: object) -> bool:
    """Return whether a value is a dictionary of more than record names and short texts."""
    return isinstance(value, Mapping) and not all(isinstance(one, str) for one in cast("Report", value).values())


def markdown(title: str, report: Report) -> str:
    """Return the tables of a report under a heading."""
    lines, columns = [f"### {title}", ""], ()
    for path, cells in _rows(report):
        if tuple(cells) != columns:
            columns = tuple(cells)
            lines += ["", f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
        lines.append(f"| {', '.join(path) or title} | {' | '.join(cells.values())} |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def place(page: Path, name: str, text: str) -> None:
    """Write `text` between `<!-- name -->` and `<!-- end of name -->` of the page; ValueError where they are not."""
    old = page.read_text(encoding="utf-8")
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if first not in old or last not in old:
        raise ValueError(f"{page}: no place for {name!r}: {first.strip()} and {last} are not both there")
    head, _, rest = old.partition(first)
    page.write_text(head + first + "\n" + text + "\n" + last + rest.partition(last)[2], encoding="utf-8")
