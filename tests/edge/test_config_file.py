"""The technician's file is changed without losing a comment, and never into something that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from feldsher_edge import config_file
from feldsher_edge.config import ConfigError, load, parse
from hypothesis import given
from hypothesis import strategies as st

TEXT = """\
# written by hand
state = "/var/lib/feldsher"   # where it lies

[[cuff]]  # the nurse's
device = "cuff-1"
address = "AA:BB:CC:DD:EE:01"

# of ward 2
[[cuff]]
device = "cuff-2"
address = "AA:BB:CC:DD:EE:02"

[mqtt]
keepalive_s = 60
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "edge.toml"
    made.write_text(TEXT)
    made.chmod(0o640)
    return made


def test_a_first_configuration_is_valid(tmp_path: Path) -> None:
    config_file.create(tmp_path / "etc" / "edge.toml", tmp_path / 'a "state"', "Asia/Yekaterinburg")
    config = load(tmp_path / "etc" / "edge.toml")
    assert (config.state, config.timezone) == (tmp_path / 'a "state"', "Asia/Yekaterinburg")


def test_a_device_is_added_and_everything_else_stays(path: Path) -> None:
    config_file.add(path, "kit", {"device": "ecg-1", "port": "/dev/serial/by-id/usb-x"})
    text = path.read_text()
    assert text.startswith(TEXT.rstrip("\n"))
    assert load(path).kit[0].port == "/dev/serial/by-id/usb-x"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [f["device"] for _, f in config_file.devices(path)] == ["cuff-1", "cuff-2", "ecg-1"]


def test_a_second_device_of_a_name_is_refused_and_nothing_changes(path: Path) -> None:
    with pytest.raises(ConfigError, match="two devices are called 'cuff-2'"):
        config_file.add(path, "oximeter", {"device": "cuff-2", "address": "AA:BB:CC:DD:EE:03"})
    assert path.read_text() == TEXT


def test_a_device_goes_with_its_lines_alone(path: Path) -> None:
    assert config_file.remove(path, "cuff-1")["address"] == "AA:BB:CC:DD:EE:01"
    text = path.read_text()
    assert "cuff-1" not in text
    assert "# of ward 2\n[[cuff]]\n" in text
    config_file.remove(path, "cuff-2")
    assert load(path).cuff == ()
    assert path.read_text().startswith("# written by hand\n")
    assert "keepalive_s = 60" in path.read_text()


def test_a_device_is_renamed(path: Path) -> None:
    config_file.rename(path, "cuff-2", "ward 2")
    assert [cuff.device for cuff in load(path).cuff] == ["cuff-1", "ward 2"]
    assert "# of ward 2" in path.read_text()
    with pytest.raises(ConfigError, match="two devices"):
        config_file.rename(path, "cuff-1", "ward 2")


def test_an_unknown_device_is_answered_with_the_known_ones(path: Path) -> None:
    for change in (config_file.remove, lambda p, d: config_file.rename(p, d, "x")):  # type: ignore[misc]
        with pytest.raises(ConfigError, match="there are: cuff-1, cuff-2"):
            change(path, "cuff-9")  # pyright: ignore[reportUnknownArgumentType]


def test_a_file_written_in_another_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    text = 'cuff = [{ device = "a", address = "AA" }, { device = "b", address = "BB" }]\n'
    path.write_text(text)
    with pytest.raises((ConfigError, IndexError)):
        config_file.remove(path, "a")
    assert path.read_text() == text


_TEXT = st.characters(exclude_categories=["Cs"])


@given(name=st.text(_TEXT, min_size=1, max_size=20), port=st.text(_TEXT, max_size=30))
def test_whatever_a_name_holds_it_comes_back(tmp_path_factory: pytest.TempPathFactory, name: str, port: str) -> None:
    path = tmp_path_factory.mktemp("c") / "edge.toml"
    path.write_text("")
    config_file.add(path, "kit", {"device": name, "port": port})
    assert parse(path.read_text()).kit[0].device == name
    config_file.remove(path, name)
    assert config_file.devices(path) == []
