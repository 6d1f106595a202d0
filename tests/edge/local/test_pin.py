"""The PIN: what may be one, how it is kept, how slow guessing is, how long a session lasts."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_edge.local import pin
from feldsher_edge.local.pin import Brake, PinError, Sessions


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def test_a_pin_is_kept_as_a_hash_for_the_owner_alone(tmp_path: Path) -> None:
    assert not pin.is_set(tmp_path)
    assert not pin.fits(tmp_path, "")
    pin.change(tmp_path, "274183")
    assert pin.is_set(tmp_path)
    assert "274183" not in (tmp_path / pin.FILE).read_text()
    assert (tmp_path / pin.FILE).stat().st_mode & 0o777 == 0o600
    assert pin.fits(tmp_path, "274183")
    for wrong in ("274184", "", "2741830", "274183" * 100):
        assert not pin.fits(tmp_path, wrong)


@pytest.mark.parametrize("text", ["12345", "abcdef", "27418 ", "٢٧٤١٨٣", "111111", "123456", "987654", ""])
def test_a_pin_that_anybody_guesses_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PinError):
        pin.change(tmp_path, text)
    assert not pin.is_set(tmp_path)


def test_a_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    for content in (b"", b"{}", b'{"salt": "zz", "hash": ""}'):
        (tmp_path / pin.FILE).write_bytes(content)
        assert not pin.fits(tmp_path, "274183")


def test_guessing_takes_ever_longer() -> None:
    clock = Clock()
    brake = Brake(clock)
    for _ in range(pin.FREE - 1):
        brake.failed()
        assert brake.wait_s() == 0
    waits: list[float] = []
    for _ in range(12):
        brake.failed()
        waits.append(brake.wait_s())
        clock.s += brake.wait_s()
    assert waits[:4] == [2, 4, 8, 16]
    assert max(waits) == 900
    assert brake.wait_s() == 0
    tries_a_year = 365 * 86_400 / 900
    assert tries_a_year < 40_000
    brake.passed()
    brake.failed()
    assert brake.wait_s() == 0


def test_a_session_ends_by_itself_and_by_leaving() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    first, second = sessions.begin(), sessions.begin()
    assert first != second
    assert sessions.csrf(first) not in (None, sessions.csrf(second))
    assert sessions.csrf(None) is sessions.csrf("made up") is None
    sessions.end(second)
    assert sessions.csrf(second) is None
    clock.s = Sessions.LASTS_S + 1
    assert sessions.csrf(first) is None
    tokens = [sessions.begin() for _ in range(Sessions.MOST + 1)]
    assert sessions.csrf(tokens[0]) is None
    assert sessions.csrf(tokens[-1])
