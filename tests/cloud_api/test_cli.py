"""The command line, as an administrator uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from feldsher_cloud_api import ca, cli
from feldsher_cloud_api.app import configured
from feldsher_tools.clinic import Clinic
from typer.testing import CliRunner

_runner = CliRunner()


@pytest.fixture
def environment(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    monkeypatch.setenv("FELDSHER_DATABASE_URL", clinic.url)
    monkeypatch.setenv("FELDSHER_STATE", str(clinic.settings.state))
    monkeypatch.setenv("FELDSHER_API_URL", "http://127.0.0.1:8000")
    return clinic


def _run(*words: str, code: int = 0) -> str:
    result = _runner.invoke(cli.app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def _json(*words: str) -> Any:
    return json.loads(_run(*words))


def test_seeding_again_changes_nothing(environment: Clinic) -> None:
    words = ["seed-demo", "--clinic-gateway", "demo-clinic", "--cuff", "F0:E1:D2:C3:B4:A5"]
    again = _json(*words)
    assert again["accounts"] == environment.made["accounts"]
    assert again["patients"] == environment.patients
    with environment.owner() as connection:
        assert connection.execute("SELECT count(*) FROM fhir.patient").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM fhir.organization_history").fetchone() == (0,)


def test_gateway_is_added_listed_and_revoked(environment: Clinic) -> None:
    claim = _run("gateway", "add", "gw-cli", "--description", "village").strip()
    assert claim.startswith("feldsher1.")
    listed = [json.loads(line) for line in _run("gateway", "list").splitlines()]
    assert next(g for g in listed if g["id"] == "gw-cli")["name"] == "village"
    _run("gateway", "revoke", "gw-cli")
    _run("gateway", "revoke", "nobody", code=2)
    for wrong in ("not a name", "ingest.0", "cloud.worker"):
        assert "gateway id" in _run("gateway", "add", wrong, code=2)


def test_device_is_added_and_assigned(environment: Clinic) -> None:
    device = _json("device", "add", "gw-cli", "AA:00:00:00:00:07", "--kind", "cuff", "--model", "UA-651BLE")["device"]
    boris, clara = environment.patients[1:]
    assert _json("device", "assign", device, boris) == {"assigned": True}
    assert _json("device", "assign", device, boris) == {"assigned": False}
    assert _json("device", "assign", device, clara) == {"assigned": True}
    with environment.owner() as connection:
        rows = connection.execute(
            "SELECT patient, upper_inf(during) FROM cloud.device_assignment WHERE device = %s ORDER BY lower(during)",
            (device,),
        ).fetchall()
    assert rows == [(UUID(boris), False), (UUID(clara), True)]
    environment.sign_in("doctor")
    found = environment.browser.get("/fhir/Device?identifier=AA:00:00:00:00:07").json()["entry"]
    assert found[0]["resource"]["modelNumber"] == "UA-651BLE"


def test_user_is_added_and_disabled(environment: Clinic) -> None:
    made = _json("user", "add", "new-doctor", "New Doctor", "--role", "doctor", "--clinic-wide")
    form = {"username": "new-doctor", "password": made["password"]}
    json_please = {"accept": "application/json"}
    assert environment.browser.post("/login", data=form, headers=json_please).status_code == 200
    assert environment.browser.get(f"/fhir/Patient/{environment.patients[0]}").status_code == 200
    _run("user", "disable", "new-doctor")
    assert environment.browser.get(f"/fhir/Patient/{environment.patients[0]}").status_code == 401
    _run("user", "disable", "nobody", code=2)
    assert _runner.invoke(cli.app, ["user", "add", "x", "X", "--role", "king"]).exit_code != 0


def test_audit_verify_tells_by_its_exit_code(environment: Clinic) -> None:
    environment.log_in("doctor")
    environment.seal()
    assert json.loads(_run("audit", "verify"))["broken"] == []
    with environment.owner() as connection:
        connection.execute("UPDATE fhir.auditevent SET content = '{}'")
    assert json.loads(_run("audit", "verify", code=1))["broken"] == [1]


def test_authority_issues_certificates(environment: Clinic, tmp_path: Path) -> None:
    assert _json("ca", "init")["ca_sha256"] == ca.load(environment.settings.ca_directory).pin
    for words in (["ca", "client", "ingest.1"], ["ca", "server", "broker", "localhost"]):
        made = _json(*words, "--to", str(tmp_path))
        assert Path(made["key"]).stat().st_mode & 0o777 == 0o600


def test_migrating_again_and_retrying_nothing_is_harmless(environment: Clinic) -> None:
    _run("migrate")
    assert _json("event", "list") == {"parked": 0}
    assert _json("event", "retry") == {"retried": 0}


def test_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FELDSHER_DATABASE_URL", raising=False)
    assert "FELDSHER_DATABASE_URL" in _run("migrate", code=2)


def test_signatures_are_verified_and_what_was_changed_is_named(environment: Clinic) -> None:
    assert _run("signature", "verify") == ""
    message = environment.recording(environment.order())
    environment.receive(message)
    environment.work()
    given = [
        {"name": "password", "valueString": environment.password("doctor")},
        {"name": "version", "valueInteger": 1},
    ]
    answer = environment.browser.post(
        f"/fhir/DiagnosticReport/{message.env.id}/$sign",
        json={"resourceType": "Parameters", "parameter": given},
        headers=environment.sign_in("doctor"),
    )
    assert answer.status_code == 200, answer.text
    assert _json("signature", "verify")["whole"]
    with environment.owner() as connection:
        connection.execute('UPDATE fhir.diagnosticreport SET content = content || \'{"conclusion": "fine"}\'')
    assert json.loads(_run("signature", "verify", code=1))["wrong"] == [
        "version 2, the signed one: conclusion is changed"
    ]
    assert not json.loads(_run("signature", "verify", str(message.env.id), code=1))["whole"]


@pytest.mark.usefixtures("environment")
def test_several_processes_share_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def serve(app: object, **options: Any) -> None:
        asked.update(options, app=app)

    monkeypatch.setattr("feldsher_cloud_api.log.configure", lambda: None)  # it is for the whole process
    monkeypatch.setattr("uvicorn.run", serve)
    _run("serve", "--processes", "3", "--port", "4711")
    assert (asked["app"], asked["factory"], asked["workers"], asked["port"]) == (
        "feldsher_cloud_api.app:configured",
        True,
        3,
        4711,
    )
    assert "one process only" in _run("serve", "--processes", "2", "--metrics-port", "0", code=2)


@pytest.mark.usefixtures("environment")
def test_each_process_starts_with_the_environments_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feldsher_cloud_api.log.configure", lambda: None)  # it is for the whole process
    assert configured().state.context.settings.api_url == "http://127.0.0.1:8000"
