"""The application's outer face: health, headers, limits, and logs that know no one."""

from __future__ import annotations

import pytest
from feldsher_cloud_api import log
from feldsher_tools.clinic import Clinic
from prometheus_client import generate_latest


def test_health(clinic: Clinic) -> None:
    assert clinic.browser.get("/health/live").status_code == 200
    assert clinic.browser.get("/health/ready").json() == {"status": "ready", "alarms": "crossing"}


def test_security_headers_are_on_every_answer(clinic: Clinic) -> None:
    for path in ("/health/live", "/fhir/Patient", "/nowhere", "/provision/ca"):
        headers = clinic.browser.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_large_and_endless_bodies_are_refused(clinic: Clinic) -> None:
    headers = clinic.sign_in("doctor")
    assert clinic.browser.post("/oauth/token", content=b"x" * 2_000_001, headers=headers).status_code == 413

    def endless() -> list[bytes]:
        return [b"x"] * 3

    assert clinic.browser.post("/oauth/token", content=iter(endless()), headers=headers).status_code == 413


def test_neither_log_nor_metrics_know_anybody(clinic: Clinic, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure()
    headers = clinic.sign_in("doctor")
    anna = clinic.patients[0]
    clinic.browser.get(f"/fhir/Patient/{anna}")
    clinic.browser.get(f"/fhir/Observation?patient={anna}&code=secretcode")
    clinic.browser.post("/fhir/Patient/_search", data={"name": "Demo-Alpha"}, headers=headers)
    clinic.browser.get("/fhir/Nonsense?name=Demo-Alpha")
    out, err = capfd.readouterr()
    said = out + err + generate_latest(clinic.metrics.registry).decode()
    assert "/fhir/{kind}/{identity}" in said
    for word in (anna, "secretcode", "Demo-Alpha", "anna", "doctor", "?"):
        assert word not in said


def test_unknown_path_is_refused_plainly(clinic: Clinic) -> None:
    assert clinic.browser.get("/nowhere").status_code == 404
    assert clinic.browser.delete("/fhir/Patient/1").json()["resourceType"] == "OperationOutcome"
