"""The fleet at the command line: devices through their life, gateways that come back or are replaced."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from feldsher_cloud_api import cli
from feldsher_tools.clinic import HOME
from typer.testing import CliRunner

ADDRESS = "AA:BB:CC:00:00:91"


@pytest.fixture
def run(fleet: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run `feldsher-cloud` and return what it prints: JSON lines, or its words where it fails."""
    monkeypatch.setenv("FELDSHER_DATABASE_URL", fleet.clinic.url)
    monkeypatch.setenv("FELDSHER_STATE", str(fleet.clinic.settings.state))
    monkeypatch.setenv("FELDSHER_API_URL", "http://127.0.0.1:8000")

    def run(*words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(cli.app, list(words))
        assert result.exit_code == code, result.output
        if code:
            return re.sub(r"[\s│]+", " ", result.output)  # as it is read: the terminal breaks lines and draws a box
        return [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]

    return run


def test_a_shared_cuff_from_registration_to_retirement(fleet: Any, run: Any) -> None:
    boris, clara = fleet.clinic.patients[1:]
    words = ("device", "add", HOME, ADDRESS, "--kind", "cuff", "--label", "BP-91")
    device = run(*words)[0]["device"]
    other = run("device", "add", HOME, "AA:BB:CC:00:00:92", "--kind", "cuff")[0]["device"]
    check = ("--on", "2026-02-28", "--by", "Lab", "--certificate", "K-1")
    assert run("device", "calibrate", device, *check) == [{"due": "2028-02-28"}]
    assert run("device", "calibrate", device, *check, "--months", "12") == [{"due": "2027-02-28"}]
    assert run("device", "assign", device, boris) == [{"assigned": True}]
    assert "give them a user number first" in run("device", "assign", device, clara, "--user", "2", code=2)
    assert run("device", "share", device, "--user", "1") == [{"shared": True}]
    assert run("device", "assign", device, clara, "--user", "2") == [{"assigned": True}]
    assert run("device", "replace", device, other) == [{"assigned": 2}]
    assert run("device", "end", other, "--user", "2") == [{"ended": 1}]
    assert run("device", "return", other) == [{"life": "to_clean"}]
    assert "empty it" in run("device", "assign", other, boris, code=2)
    assert run("device", "clean", other) == [{"life": "ready"}]
    assert run("device", "retire", other) == [{"life": "retired"}]
    listed = {d["id"]: d for d in run("device", "list")}
    assert (listed[device]["name"], listed[device]["life"]) == ("BP-91", "to_clean")
    assert listed[device]["calibration_due"] == "2027-02-28"
    assert not any(p in json.dumps(list(listed.values())) for p in fleet.clinic.patients)


def test_what_cannot_be_done_is_told_in_one_line(fleet: Any, run: Any) -> None:
    nobody = "00000000-0000-7000-8000-000000000000"
    assert "there is no such device" in run("device", "retire", nobody, code=2)
    assert "toaster" in run("device", "add", HOME, ADDRESS, "--kind", "toaster", code=2)
    scale = run("device", "add", HOME, ADDRESS, "--kind", "scale")[0]["device"]
    check = ("--on", "2026-02-28", "--by", "Lab", "--certificate", "K-1")
    assert "--months is needed" in run("device", "calibrate", scale, *check, code=2)


def test_gateways_come_back_and_are_replaced(fleet: Any, run: Any) -> None:
    with fleet.clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET certificate_serial = '1' WHERE id = %s", (HOME,))
    assert "a reason is needed" in run("gateway", "return", HOME, code=2)
    result = CliRunner().invoke(cli.app, ["gateway", "replace", HOME, "gw-cli-next"])
    assert result.output.splitlines()[-1].startswith("feldsher1.")
    assert [t["kind"] for t in run("gateway", "tasks", HOME)] == ["wipe"]
    assert "on its way back already" in run("gateway", "return", HOME, "-m", "moves", code=2)
    assert "revoke it first" in run("gateway", "retire", HOME, code=2)
