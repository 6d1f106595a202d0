"""The commands of a technician far away, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from feldsher_cloud_api import cli
from feldsher_cloud_api.manage import rollout
from feldsher_tools.clinic import CLINIC, HOME, Clinic
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


def test_an_update_is_signed_taken_in_offered_rolled_out_and_halted(
    tmp_path: Path, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "requirements.lock").write_text("feldsher==2.0")
    (tmp_path / "wheels" / "feldsher-2.0-py3-none-any.whl").write_bytes(b"PK")
    update, keys = tmp_path / "update.tar", tmp_path / "keys"
    with monkeypatch.context() as offline:
        offline.delenv("FELDSHER_DATABASE_URL")  # the machine with the key needs none
        run("release", "key", "anna", "--to", str(keys))
        run("release", "pack", str(tmp_path), str(update))
        words = ["--version", "2.0", "--sequence", "5", "--trust", str(keys / "anna.pub")]
        run("release", "sign", str(update), "--key", str(keys / "anna.key"), *words)
    run("release", "trust", "anna", str(keys / "anna.pub"))
    [added] = lines("release", "add", str(update))
    assert (added["version"], added["key"]) == ("2.0", "anna")
    sha = added["sha256"][:12]
    [made] = lines("release", "rollout", sha, "--stages", "50,100", "--first", CLINIC, "-m", "newer")
    with clinic.owner() as connection:
        rollout.step(connection, clinic.time())
    [target] = [t for t in lines("release", "rollouts", made["rollout"]) if t["gateway"] == CLINIC]
    assert (target["stage"], target["state"]) == (0, "waiting")
    run("release", "pause", made["rollout"])
    run("release", "resume", made["rollout"], "--most-failed", "20")
    run("release", "halt", made["rollout"], "-m", "enough")
    [one] = lines("release", "rollouts")
    assert (one["state"], one["why"]) == ("halted", "enough")
    assert lines("release", "offer", sha, CLINIC, "-m", "by hand")[0]["rollout"]
    assert "name it with --kit" in run("release", "offer", sha, CLINIC, "--kit", "kit-1", code=2)
    run("release", "retire", "anna")
    assert [k["name"] for k in lines("release", "keys") if k["retired_at"]] == ["anna"]
    assert "is retired" in run("release", "offer", sha, CLINIC, "-m", "by hand", code=2)
    assert lines("release", "list")[0]["sequence"] == 5


def test_a_key_among_the_clouds_secrets_is_trusted_at_once() -> None:
    [made] = lines("release", "key", f"key-{id(object())}")
    assert Path(made["key"]).stat().st_mode & 0o777 == 0o600
    assert made["public"] in [k["public"] for k in lines("release", "keys")]


def test_a_bundle_and_forgetting_are_asked_for(tmp_path: Path) -> None:
    lines("gateway", "diagnostics", CLINIC, "-m", "it is slow")
    assert "no bundle has come" in run("gateway", "diagnostics", CLINIC, "--to", str(tmp_path / "x.zip"), code=1)
    lines("gateway", "wipe", CLINIC, "-m", "it goes back")
    assert {t["kind"] for t in lines("gateway", "tasks", CLINIC)} == {"diagnose", "wipe"}
    for words in (["diagnostics", HOME], ["wipe", HOME]):
        assert "nobody has claimed it" in run("gateway", *words, "-m", "x", code=2)
