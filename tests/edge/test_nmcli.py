"""nmcli's terse output as NetworkManager 1.42 prints it, and what a technician is told when it fails."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from feldsher_edge import cli, nmcli
from typer.testing import CliRunner

WIFI = """\
*:Clinic\\: guests:74:WPA2
 :Clinic\\: guests:31:WPA2
 :FAP-7:92:WPA1 WPA2
 ::55:WPA2
 :open\\\\net:20:
"""
Fake = Callable[[dict[str, tuple[int, str, str]]], Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put an `nmcli` on the PATH that answers by the words of its command line and notes how it was called."""

    def make(answers: dict[str, tuple[int, str, str]]) -> Path:
        program, calls = tmp_path / "bin" / "nmcli", tmp_path / "calls"
        program.parent.mkdir()
        program.write_text(
            f"#!/usr/bin/env python3\nimport json, sys\nwords = ' '.join(sys.argv[1:])\n"
            f"open({str(calls)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
            f"for key, (code, out, err) in {answers!r}.items():\n"
            "    if key in words:\n"
            "        sys.stdout.write(out); sys.stderr.write(err); sys.exit(code)\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return calls

    return make


def test_terse_fields_are_parted_and_unescaped() -> None:
    assert nmcli.fields(r"wlan0:wifi:connected:Clinic\: guests") == ["wlan0", "wifi", "connected", "Clinic: guests"]
    assert nmcli.fields(r"a\\:b") == ["a\\", "b"]
    assert nmcli.fields("::") == ["", "", ""]


def test_networks_are_listed_once_the_strongest_first(fake: Fake) -> None:
    fake({"wifi list": (0, WIFI, "")})
    assert nmcli.networks() == [
        nmcli.Wifi("FAP-7", 92, "WPA1 WPA2", in_use=False),
        nmcli.Wifi("Clinic: guests", 74, "WPA2", in_use=True),
        nmcli.Wifi("open\\net", 20, "", in_use=False),
    ]


def test_interfaces(fake: Fake) -> None:
    fake({"device": (0, "eth0:ethernet:connected:Wired connection 1\nwlan0:wifi:disconnected:\n", "")})
    assert nmcli.interfaces() == [
        nmcli.Interface("eth0", "ethernet", "connected", "Wired connection 1"),
        nmcli.Interface("wlan0", "wifi", "disconnected", ""),
    ]


def test_a_wifi_is_joined_from_the_command_line(fake: Fake) -> None:
    calls = fake({"wifi list": (0, WIFI, ""), "wifi connect": (0, "Device 'wlan0' successfully activated.\n", "")})
    done = CliRunner().invoke(cli.app, ["network", "wifi", "FAP-7", "--password", "0123456789", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"joined": "FAP-7"})
    last = json.loads(calls.read_text().splitlines()[-1])
    assert last[-7:] == ["wifi", "connect", "FAP-7", "password", "0123456789", "name", nmcli.WIFI]
    listed = CliRunner().invoke(cli.app, ["network", "wifi"])
    assert "*  74 %  Clinic: guests" in listed.stdout
    assert "open\\net  (open)" in listed.stdout


def test_a_modem_replaces_the_one_that_was_set_up_before(fake: Fake) -> None:
    calls = fake({"connection show": (0, f"Wired connection 1\n{nmcli.MOBILE}\n", "")})
    nmcli.dial("internet.example", "1234")
    words = [" ".join(json.loads(line)) for line in calls.read_text().splitlines()]
    assert words[1] == f"connection delete {nmcli.MOBILE}"
    assert words[2].endswith(f"ifname * con-name {nmcli.MOBILE} apn internet.example gsm.pin 1234")
    assert words[3].endswith(f"connection up {nmcli.MOBILE}")


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (8, "Error: NetworkManager is not running.", "systemctl enable --now NetworkManager"),
        (10, "Error: No network with SSID 'FAP-7' found.", "Is it in reach"),
        (
            4,
            "Error: Connection activation failed: (7) Secrets were required, but not provided.",
            "The password is wrong",
        ),
        (
            4,
            "Error: Connection activation failed: No suitable device found for this connection (device lo not ...",
            "plugged in",
        ),
        (4, "Error: Failed to add/activate new connection: Not authorized to control networking.", "Use sudo"),
        (1, "Error: something new.", "something new."),
        (1, "", "nmcli ended with 1"),
    ],
)
def test_each_failure_says_what_to_do(fake: Fake, code: int, said: str, told: str) -> None:
    fake({"": (code, "", said)})
    with pytest.raises(nmcli.NmcliError) as failed:
        nmcli.join("FAP-7", None)
    assert told in str(failed.value)
    assert not str(failed.value).startswith("Error")


def test_a_machine_without_networkmanager_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(cli.app, ["network", "mobile", "internet", "--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert "nmcli is not installed" in told["error"]
    assert told["next"]
