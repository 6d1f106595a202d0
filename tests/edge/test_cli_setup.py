"""The command lines of setting up: what is decided without a person, and that every failure says what to do next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from feldsher_edge import cli, cli_setup, owner, service_control, status
from feldsher_edge.cli_common import Out
from feldsher_edge.cli_setup import Decided
from feldsher_edge.config import load
from feldsher_edge.guide import GuideError
from feldsher_edge.local import pin
from feldsher_edge.search import Found
from typer.testing import CliRunner

CUFF = Found("cuff", address="AA:BB:CC:DD:EE:01", name="A&D", signal=-40)
KIT = Found("kit", port="/dev/ttyACM0")
LINK = status.Connection("b:1", True, 1, 0, 0, 0, 0, 0, 0, 0, None, None)
REPORT = status.Report("gw", "x", 1, "synced", LINK, (0, 0, 0), 0, None, 0, 0, 0, "ready", (), (), ())


def run(*words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli.app, [*words, "--json"])
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(f'state = "{tmp_path / "state"}"\n\n[[cuff]]\ndevice = "cuff-1"\naddress = "{CUFF.address}"\n')
    (tmp_path / "state").mkdir()
    return path


def test_without_a_person_only_named_bluetooth_devices_are_taken() -> None:
    """The nearest cuff may be the next room's."""
    nobody = Decided(Out(json=True), None, ())
    assert nobody.wants(KIT)
    assert not nobody.wants(CUFF)
    assert Decided(Out(json=True), None, ("aa:bb:cc:dd:ee:01",)).wants(CUFF)
    assert nobody.name(CUFF, "cuff-3") == "cuff-3"
    assert not nobody.again("failed")
    with pytest.raises(GuideError) as asked:
        nobody.claim()
    assert asked.value.todo == "feldsher-edge setup CLAIM"


def test_a_setup_without_a_claim_says_how_to_come_by_one(tmp_path: Path) -> None:
    code, told = run("setup", "--config", str(tmp_path / "etc" / "edge.toml"), "--state", str(tmp_path / "state"))
    assert (code, told["error"], told["next"]) == (1, "claim: no claim was given", "feldsher-edge setup CLAIM")
    assert load(tmp_path / "etc" / "edge.toml").state == tmp_path / "state"


def test_a_device_is_renamed_and_unknown_ones_are_answered_with_the_known(config: Path) -> None:
    assert run("rename", "cuff-1", "nurse", "-c", str(config)) == (0, {"device": "nurse", "before": "cuff-1"})
    assert load(config).cuff[0].device == "nurse"
    code, told = run("rename", "cuff-1", "x", "-c", str(config))
    assert (code, "there are: nurse" in told["error"]) == (2, True)
    code, told = run("test", "cuff-9", "-c", str(config))
    assert (code, "there are: nurse" in told["next"]) == (2, True)
    code, told = run("pair", "AA", "--kind", "toaster", "-c", str(config))
    assert (code, "oximeter" in told["next"]) == (2, True)


def test_a_test_without_a_running_gateway_says_where_to_look(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feldsher_edge.cli_devices.self_test.answering", _nobody)
    code, told = run("test", "-c", str(config))
    assert (code, told["ok"]) == (1, False)
    assert "journalctl" in told["checks"][0]["next"]


async def _nobody(_state: Path, _seconds: float) -> None:
    return None


def test_a_network_is_looked_at_also_before_the_claim(config: Path) -> None:
    done = CliRunner().invoke(cli.app, ["network", "check", "-c", str(config), "--json"])
    assert done.exit_code == 1
    assert [check["name"] for check in json.loads(done.stdout.splitlines()[0])["checks"]] == ["interface", "address"]


def test_a_pin_is_drawn_or_taken_and_never_shown_again(config: Path) -> None:
    code, told = run("page-pin", "-c", str(config))
    assert (code, len(told["pin"])) == (0, 6)
    assert pin.fits(load(config).state, told["pin"])
    code, told = run("page-pin", "830274", "-c", str(config))
    assert (code, told["pin"]) == (0, None)
    assert pin.fits(load(config).state, "830274")
    assert run("page-pin", "123456", "-c", str(config))[0] == 2


def test_a_configuration_with_a_mistake_is_the_same_failure_everywhere(config: Path) -> None:
    config.write_text("timezone = 'Moon/Sea'")
    for words in (["devices"], ["status"], ["check"], ["return"], ["page-pin"], ["network", "check"]):
        code, told = run(*words, "-c", str(config))
        assert (code, "$.timezone" in told["error"], bool(told["next"])) == (2, True, True), words


def test_the_zone_is_the_machines(tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Yekaterinburg")
    assert cli_setup.machine_zone(tmp_path / "localtime") == "Asia/Yekaterinburg"
    assert cli_setup.machine_zone(tmp_path / "absent") == "UTC"


def test_a_running_gateway_is_told_to_read_anew_and_one_that_cannot_be_is_named() -> None:
    # blocked and waited for: a handler could be called between two instructions and the wait begin after it
    program = (
        "import signal, sys; hup = {signal.SIGHUP}; signal.pthread_sigmask(signal.SIG_BLOCK, hup); "
        "print(1, flush=True); sys.exit(7 if signal.sigwait(hup) else 1)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as gateway:
        assert gateway.stdout is not None
        gateway.stdout.readline()
        service_control.reload(msgspec.structs.replace(REPORT, pid=gateway.pid))
        assert gateway.wait(60) == 7
    with pytest.raises(service_control.ControlError, match="has just ended"):
        service_control.reload(msgspec.structs.replace(REPORT, pid=gateway.pid))
    with pytest.raises(service_control.ControlError, match="systemctl restart"):
        service_control.reload(REPORT)


def test_what_root_made_goes_to_the_gateways_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("ONLY ROOT CAN GIVE FILES AWAY: the hand-over is not tested")
    state = tmp_path / "state"
    (state / "identity").mkdir(parents=True)
    (state / "identity" / "key.pem").write_text("key")
    (state / "link").symlink_to("/etc/hostname")
    (tmp_path / "roots").write_text("of root alone")
    (state / "identity" / "hard").hardlink_to(tmp_path / "roots")
    os.chown(state, 1234, 1235)
    before = Path("/etc/hostname").stat().st_uid
    owner.hand_over(state)
    for path in (state / "identity", state / "identity" / "key.pem"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    assert Path("/etc/hostname").stat().st_uid == before
    assert ((tmp_path / "roots").stat().st_uid, (state / "link").lstat().st_uid) == (0, 0)
    monkeypatch.setattr(owner.os, "geteuid", lambda: 1000)
    owner.hand_over(tmp_path / "absent")
