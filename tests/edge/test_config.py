"""Configuration: what is wrong is named with file and field."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from feldsher_edge.config import ConfigError, load, parse

WHOLE = """
gateway = "clinic-7"
state = "/var/lib/feldsher"
timezone = "Europe/Moscow"
log_level = "debug"
metrics_port = 9101
metrics_file = "/var/lib/node_exporter/feldsher.prom"

[mqtt]
host = "broker.example"
port = 8883
ca = "/etc/feldsher/ca.pem"
window = 16
backoff_cap_s = 30

[outbox.continuous]
rows = 1000
bytes = 1000000
days = 2

[orders]
lapse_s = 300

[[kit]]
device = "kit-1"
port = "/dev/ttyACM0"

[[cuff]]
device = "cuff-1"
address = "AA:BB:CC:DD:EE:FF"
"""


def test_a_whole_configuration_is_read() -> None:
    config = parse(WHOLE)
    assert (config.gateway, config.metrics_port, config.zone()) == ("clinic-7", 9101, ZoneInfo("Europe/Moscow"))
    assert config.metrics_file == Path("/var/lib/node_exporter/feldsher.prom")
    assert (config.mqtt.port, config.mqtt.ca, config.mqtt.window) == (8883, Path("/etc/feldsher/ca.pem"), 16)
    assert (config.outbox.continuous.rows, config.orders.lapse_s) == (1000, 300)
    assert (config.kit[0].device, config.cuff[0].address) == ("kit-1", "AA:BB:CC:DD:EE:FF")


def test_an_empty_configuration_has_safe_defaults() -> None:
    config = parse("")
    assert (config.orders.lapse_s, config.zone(), config.gateway) == (600, UTC, None)
    assert config.outbox.alarms.rows > config.outbox.continuous.rows / 10
    assert config.metrics_port is None


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("gatway = 'x'", "unknown field `gatway`"),
        ("[mqtt]\nhots = 'x'", r"unknown field `hots` - at `\$\.mqtt`"),
        ("[mqtt]\nport = 0", r"at `\$\.mqtt\.port`"),
        ("[mqtt]\nport = '1'", r"at `\$\.mqtt\.port`"),
        ("[mqtt]\nca = 5", r"at `\$\.mqtt\.ca`"),
        ("[mqtt]\nbackoff_base_s = 9\nbackoff_cap_s = 2", r"at `\$\.mqtt\.backoff_cap_s`"),
        ("[outbox.alarms]\nrows = 5", r"missing required field `bytes` - at `\$\.outbox\.alarms`"),
        ("[orders]\nlapse_s = -1", r"at `\$\.orders\.lapse_s`"),
        ("gateway = 'Clinic 7'", r"at `\$\.gateway`"),
        ("timezone = 'Mars/Olympus'", r"at `\$\.timezone`"),
        ("timezone = '../../etc/passwd'", r"at `\$\.timezone`"),
        ("log_level = 'loud'", r"at `\$\.log_level`"),
        ("[[kit]]\ndevice = 'a'\nport = 'p'\n[[cuff]]\ndevice = 'a'", "two devices are called 'a'"),
        ("a = ", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, field: str, tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=field) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"bytes\.toml"):
        load(tmp_path / "bytes.toml")
