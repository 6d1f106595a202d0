"""Remote configuration: believed by its signature, tried, kept or rolled back; the store is never touched by it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

import pytest
from feldsher_cloud_api import gateway_keys
from feldsher_edge.config import table
from feldsher_edge.configured import STARTS, Configured
from feldsher_ehr_core import signed, wire
from hypothesis import given
from hypothesis import strategies as st

KEY = gateway_keys.load(gateway_keys.new_key())
KEYS = (gateway_keys.public_text(KEY),)
LOCAL = """
state = "/var/lib/feldsher"
timezone = "Europe/Moscow"
[mqtt]
keepalive_s = 20
[[kit]]
device = "kit-1"
port = "/dev/ttyACM0"
"""


def message(version: int, toml: str, gateway: str = "gw-7") -> wire.Configuration:
    signature = gateway_keys.sign(KEY, signed.configuration(gateway, version, toml))
    return wire.Configuration(id=UUID(int=1), sent_us=0, version=version, toml=toml, signature=signature)


@pytest.fixture
def it(tmp_path: Path) -> Configured:
    return Configured(tmp_path, table(LOCAL, "file"), "edge.toml")


def receive(it: Configured, version: int, toml: str) -> bool:
    return it.receive(message(version, toml), "gw-7", KEYS)


def test_without_the_cloud_the_file_is_in_force(it: Configured) -> None:
    found = it.effective()
    assert (found.timezone, found.kit[0].device, it.version, it.last().state) == ("Europe/Moscow", "kit-1", 0, "none")


def test_what_the_cloud_wants_is_laid_over_the_file_tried_and_kept(it: Configured) -> None:
    assert receive(it, 3, '[mqtt]\nheartbeat_s = 7\n[[kit]]\ndevice = "kit-2"\nport = "/dev/ttyACM1"')
    assert it.last().state == "working"
    found = it.effective()
    assert (found.mqtt.heartbeat_s, found.mqtt.keepalive_s, found.timezone) == (7, 20, "Europe/Moscow")
    assert [k.device for k in found.kit] == ["kit-2"]  # a list is wanted as a whole
    assert it.version == 0
    it.keep()
    assert (it.version, it.last().state, it.trial()) == (3, "applied", None)
    assert it.effective().mqtt.heartbeat_s == 7


def test_what_is_rolled_back_leaves_the_one_before_and_says_why(it: Configured) -> None:
    receive(it, 1, "[mqtt]\nheartbeat_s = 5")
    it.keep()
    receive(it, 2, "[mqtt]\nheartbeat_s = 6")
    assert it.effective().mqtt.heartbeat_s == 6
    it.roll_back("no connection")
    assert (it.effective().mqtt.heartbeat_s, it.version) == (5, 1)
    assert (it.last().version, it.last().state, it.last().detail) == (2, "rolled-back", "no connection")


def test_one_that_takes_the_gateway_down_each_time_is_given_up(it: Configured) -> None:
    receive(it, 1, "[mqtt]\nheartbeat_s = 6")
    for _ in range(STARTS):
        assert it.effective().mqtt.heartbeat_s == 6
    assert it.effective().mqtt.heartbeat_s == 60
    assert (it.last().state, it.trial()) == ("rolled-back", None)


def test_a_version_comes_once_and_never_back(it: Configured) -> None:
    receive(it, 5, "[mqtt]\nheartbeat_s = 5")
    it.roll_back("x")
    for version in (5, 4, 0, -1):
        assert not receive(it, version, "[mqtt]\nheartbeat_s = 6")
    assert it.last().version == 5
    assert receive(it, 6, "")


@pytest.mark.parametrize(
    ("toml", "field"),
    [
        ('state = "/tmp/elsewhere"', r"\$\.state"),
        ('gateway = "gw-8"', r"\$\.gateway"),
        ('[mqtt]\nhost = "elsewhere"', r"\$\.mqtt\.host"),
        ('[mqtt]\nca = "/tmp/ca.pem"', r"\$\.mqtt\.ca"),
        ('[update]\nroot = "/tmp"', r"\$\.update"),
        ("[mqtt]\nheartbeat_s = 0", r"\$\.mqtt\.heartbeat_s"),
        ("[mqtt]\nheartbeet_s = 1", "heartbeet_s"),
        ("[[kit]]\ndevice = 'k'", r"\$\.kit\[0\]"),
        ("timezone = 'Mars/Olympus'", r"\$\.timezone"),
        ("not toml", "not TOML"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(it: Configured, toml: str, field: str) -> None:
    assert not receive(it, 9, toml)
    last = it.last()
    assert (last.version, last.state) == (9, "refused")
    assert last.detail is not None
    assert "configuration 9" in last.detail
    with pytest.raises(AssertionError, match=field):
        raise AssertionError(last.detail)
    assert it.effective().timezone == "Europe/Moscow"


def test_without_the_clouds_signature_nothing_is_believed(it: Configured) -> None:
    good = message(1, "[mqtt]\nheartbeat_s = 5")
    other = gateway_keys.load(gateway_keys.new_key())
    forged = gateway_keys.sign(other, signed.configuration("gw-7", 1, good.toml))
    for bad in (
        wire.Configuration(id=good.id, sent_us=0, version=1, toml=good.toml),
        wire.Configuration(id=good.id, sent_us=0, version=1, toml=good.toml, signature=forged),
        wire.Configuration(id=good.id, sent_us=0, version=2, toml=good.toml, signature=good.signature),
        wire.Configuration(id=good.id, sent_us=0, version=1, toml="", signature=good.signature),
        message(1, good.toml, gateway="gw-8"),
    ):
        assert not it.receive(bad, "gw-7", KEYS)
    assert it.last().version == 0
    assert it.receive(good, "gw-7", KEYS)


def test_a_kept_one_that_no_longer_fits_gives_way_to_the_file(it: Configured) -> None:
    receive(it, 1, '[[kit]]\ndevice = "kit-2"\nport = "/dev/ttyACM1"')
    it.keep()
    changed = Configured(it.state, table('[[cuff]]\ndevice = "kit-2"', "file"), "edge.toml")
    assert [c.device for c in changed.effective().cuff] == ["kit-2"]
    assert (changed.last().state, "kit-2" in (changed.last().detail or "")) == ("failed", True)


@given(st.binary(max_size=60))
def test_damaged_files_are_no_configuration(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("state")
    (folder / "config").mkdir()
    for name in ("trial", "kept", "last"):
        (folder / "config" / f"{name}.json").write_bytes(junk)
    it = Configured(folder, table(LOCAL, "file"), "edge.toml")
    assert it.effective().timezone == "Europe/Moscow"
    assert os.listdir(folder) == ["config"]  # noqa: PTH208 - names alone
