import pytest
from feldsher_edge.devices import quirks


def test_every_entry_says_where_it_comes_from_and_is_reachable():
    table = quirks.load()
    assert all(len(quirk.source) > 10 for quirk in table)
    assert [quirks.of(quirk.name + "x", table) for quirk in table] == list(table)


@pytest.mark.parametrize(
    ("name", "writes"),
    [("A&D_UA-651BLE_0A1B2C", True), ("BLEsmart_00000123", False), ("unheard of", False), (None, False)],
)
def test_a_clock_is_written_only_where_that_is_known_to_work(name: str | None, writes: bool):
    assert quirks.of(name, quirks.load()).write_clock is writes
