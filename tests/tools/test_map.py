from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_tools import map as page
from feldsher_tools.place import ROOT


@pytest.mark.parametrize(
    ("docstring", "line"),
    [
        ("Where P begins. And ends.", "Where P begins"),
        ("Two\nlines: one sentence.\n\nMore.", "Two lines: one sentence"),
        ("Version 1.2 of it | that", "Version 1.2 of it / that"),
        ("", ""),
    ],
)
def test_a_module_speaks_in_its_first_sentence(tmp_path: Path, docstring: str, line: str) -> None:
    module = tmp_path / "module.py"
    module.write_text(f'"""{docstring}"""\n')
    assert page.sentence(module) == line


def test_an_sql_file_belongs_to_its_twin(tmp_path: Path) -> None:
    (tmp_path / "store.py").touch()
    assert page.sentence(tmp_path / "store.sql") == "The named queries of `store.py`"
    assert page.sentence(tmp_path / "schema.sql") == "SQL that a migration executes"


def test_the_page_names_this_very_module() -> None:
    assert f"| `{Path(page.__file__).relative_to(ROOT)}` | Writes docs/map.md" in page.render()


def test_every_module_of_the_page_says_what_it_is() -> None:
    silent = [path for shelf in page.SHELVES for path in page.sources(shelf) if not page.sentence(path)]
    assert silent == []
