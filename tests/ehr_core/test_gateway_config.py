"""What the cloud wants, laid over the technician's file: tables merge, lists replace, some fields stay the file's."""

from __future__ import annotations

from typing import Any

import pytest
from feldsher_ehr_core.gateway_config import LOCAL, ConfigError, laid_over

FILE: dict[str, Any] = {
    "state": "/var/lib/feldsher",
    "mqtt": {"host": "broker.example", "window": 16},
    "kit": [{"device": "kit-1", "port": "/dev/ttyACM0"}],
}


def test_tables_merge_and_lists_replace() -> None:
    text = '[mqtt]\nheartbeat_s = 5\n[[kit]]\ndevice = "kit-2"\nport = "/dev/x"'
    config = laid_over(FILE, text, "configuration 7")
    assert (config.mqtt.host, config.mqtt.window, config.mqtt.heartbeat_s) == ("broker.example", 16, 5)
    assert [k.device for k in config.kit] == ["kit-2"]
    assert str(config.state) == "/var/lib/feldsher"
    assert FILE["mqtt"] == {"host": "broker.example", "window": 16}


@pytest.mark.parametrize("path", LOCAL, ids=".".join)
def test_the_files_own_fields_are_refused_from_afar(path: tuple[str, ...]) -> None:
    *tables, field = path
    text = (f"[{tables[0]}]\n" if tables else "") + f"{field} = 1"
    with pytest.raises(ConfigError, match=rf"configuration 7: only the file .* `\$\.{'.'.join(path)}`"):
        laid_over({}, text, "configuration 7")


@pytest.mark.parametrize(
    ("text", "field"),
    [("[mqtt]\nwindow = 1", r"\$\.mqtt\.window"), ("[mqtt]\nwidnow = 9", "widnow"), ("a = = 1", "not TOML")],
)
def test_what_is_wrong_is_named(text: str, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        laid_over(FILE, text, "configuration 7")
