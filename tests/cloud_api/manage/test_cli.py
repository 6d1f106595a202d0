"""The commands of a technician far away, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import cli
from feldsher_tools.clinic import CLINIC, Clinic
from typer.testing import CliRunner

_runner = CliRunner()


@pytest.fixture(autouse=True)
def environment(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", clinic.url)
    monkeypatch.setenv("FELDSHER_STATE", str(clinic.settings.state))
    monkeypatch.setenv("FELDSHER_API_URL", "http://127.0.0.1:8000")
    with clinic.owner() as connection:
        connection.execute("UPDATE cloud.gateway SET detail = '{}'")


def run(*words: str, code: int = 0) -> str:
    result = _runner.invoke(cli.app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def lines(*words: str) -> list[Any]:
    return [json.loads(line) for line in run(*words).splitlines() if line.startswith("{")]


def test_a_configuration_is_written_changed_and_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "clinic.toml"
    file.write_text("[mqtt]\nheartbeat_s = 20\n")
    [made] = lines("gateway", "configure", CLINIC, str(file), "-m", "less traffic")
    assert (made["gateway"], made["version"]) == (CLINIC, 1)
    [made] = lines("gateway", "configure", CLINIC, "--set", "mqtt.window=8", "-m", "a slow link")
    assert made["version"] == 2
    newest, oldest = lines("gateway", "configurations", CLINIC)
    assert (newest["toml"], newest["reason"]) == ("\n[mqtt]\nheartbeat_s = 20\nwindow = 8\n", "a slow link")
    assert (oldest["state"], oldest["asked_by"].split()[0]) == ("withdrawn", "administrator")
    [standing] = lines("gateway", "standing", CLINIC)
    assert (standing["config_wanted"], standing["config"], standing["config_differs"]) == (2, 0, True)
    assert [t["state"] for t in lines("gateway", "tasks", CLINIC)].count("waiting") == 1


def test_a_configuration_is_only_checked() -> None:
    text = run("gateway", "configure", CLINIC, "--set", "mqtt.window=8", "--check")
    assert text == "\n[mqtt]\nwindow = 8\n"
    assert lines("gateway", "tasks", CLINIC) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--set", "mqtt.window=1", "-m", "x"], "$.mqtt.window"),
        (["--set", "mqtt.window=8"], "a reason is needed"),
        (["-m", "x"], "give a FILE"),
        (["--set", "state=/x", "-m", "x"], "only the file on the gateway"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], why: str) -> None:
    assert why in " ".join(run("gateway", "configure", CLINIC, *words, code=2).replace("│", " ").split())
