from pathlib import Path

from feldsher_edge.devices.records import Mark
from feldsher_edge.marks import StoredMarks
from feldsher_edge.store import Store


def test_a_mark_outlives_a_restart_and_damage_means_reading_anew(tmp_path: Path):
    store = Store(tmp_path / "outbox.sqlite3")
    marks = StoredMarks(store)
    assert marks.get("AA") is None
    marks["AA"] = Mark(7, b"seven")
    marks["AA"] = Mark(8, b"eight")
    store.close()
    store = Store(tmp_path / "outbox.sqlite3")
    assert StoredMarks(store).get("AA") == Mark(8, b"eight")
    with store.transaction():
        store.run("UPDATE fact SET value = ? WHERE name = 'records of AA'", (b"\xc1",))
    assert StoredMarks(store).get("AA") is None
    store.close()
