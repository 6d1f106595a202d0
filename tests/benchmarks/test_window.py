import pytest
import window


def test_each_reading_has_its_own_window_by_device_and_order():
    log = [
        {"event": "connected to the broker", "timestamp": "2026-11-23T00:00:00.000000Z"},
        {"event": "readings", "device": "A", "timestamp": "2026-11-23T00:00:00.000500Z"},
        {"event": "readings", "device": "B", "timestamp": "2026-11-23T00:00:00.000700Z"},
        {"event": "readings", "device": "A", "timestamp": "2026-11-23T00:00:01.000000Z"},
    ]
    committed = window.commits(log)
    midnight = committed[0][1] - 500
    confirmed = [("A", midnight), ("B", midnight + 100), ("A", midnight + 900_000)]
    assert sorted(window.pair(confirmed, committed)) == [500, 600, 100_000]


def test_a_reading_that_is_on_one_side_only_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        window.pair([("A", 1)], [])
