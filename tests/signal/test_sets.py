"""The shared layout, and any folder of annotated records."""

from __future__ import annotations

from pathlib import Path

import sets


def test_a_set_has_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "100.atr").touch()
    assert sets.where(tmp_path, "mitdb") == tmp_path / "mitdb"


def test_any_folder_is_a_set_of_what_it_holds(tmp_path: Path) -> None:
    for name in ("100.hea", "100.atr", "101.hea", "sel1.hea", "sel1.q1c"):
        (tmp_path / name).touch()
    assert sets.where(tmp_path, "mitdb") == tmp_path
    assert sets.where(tmp_path, "qtdb") == tmp_path
    assert not sets.where(tmp_path, "ludb").exists()
    assert [header.stem for header in sets.annotated_headers(tmp_path)] == ["100"]
    assert [header.stem for header in sets.annotated_headers(tmp_path, ".q1c")] == ["sel1"]
