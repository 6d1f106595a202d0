"""Breaking the glass over REST: who may, for whom, what the patient reads of it, and what the manager."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from feldsher_cloud_api import accounts, auth
from feldsher_tools.clinic import Clinic

REASON = "found unconscious at the bus stop"


@pytest.fixture
def strange(clinic: Clinic) -> Iterator[Clinic]:
    """The clinic with a feldsher signed in who cares for nobody."""
    person = uuid4()
    with clinic.owner() as connection:
        accounts.add_person(
            connection, identity=person, username=f"f{person}", display="A feldsher", role="feldsher", password=None
        )
    clinic.browser.cookies.set(auth.COOKIE, auth.open_session(clinic.context, person))
    yield clinic
    with clinic.owner() as connection:
        connection.execute("DELETE FROM cloud.access_grant")


def _break(clinic: Clinic, patient: str, reason: str | None = REASON) -> Any:
    asked = {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": reason}] if reason else []}
    headers = {auth.CSRF_HEADER: auth.csrf_token(str(clinic.browser.cookies[auth.COOKIE]))}
    return clinic.browser.post(f"/fhir/Patient/{patient}/$break-glass", json=asked, headers=headers)


def test_it_opens_one_patient_and_everybody_concerned_reads_why(strange: Clinic) -> None:
    anna, boris, _ = strange.patients
    assert strange.browser.get(f"/fhir/Patient/{anna}").status_code == 404
    answer = _break(strange, anna)
    assert answer.status_code == 200
    assert answer.json()["parameter"][0]["name"] == "until"
    assert strange.browser.get(f"/fhir/Patient/{anna}").status_code == 200
    assert strange.browser.get(f"/fhir/Patient/{boris}").status_code == 404
    strange.sign_in("anna")
    looked = strange.browser.get("/fhir/AuditEvent?_sort=-date").json()["entry"]
    by = [e["resource"] for e in looked if e["resource"]["agent"][0]["name"] == "A feldsher"]
    told = {e["subtype"][0]["code"]: e["purposeOfEvent"][0].get("text") for e in by}
    assert told == {"read": None, "break-glass": REASON}
    assert all(e["purposeOfEvent"][0]["coding"][0]["code"] == "BTG" for e in by)
    strange.sign_in("manager")
    (row,) = strange.browser.get("/api/emergencies").json()["emergencies"]
    assert (row["person"], row["role"], row["patient"], row["reason"]) == ("A feldsher", "feldsher", anna, REASON)


def test_refusals(strange: Clinic) -> None:
    anna = strange.patients[0]
    assert _break(strange, anna, None).status_code == 422
    assert _break(strange, anna, "because").status_code == 422
    assert _break(strange, anna, "x" * 501).status_code == 422
    assert _break(strange, str(uuid4())).status_code == 404
    assert _break(strange, "no_such_id").status_code == 404
    assert strange.browser.get("/api/emergencies").status_code == 403
    for other in ("technician", "manager", "anna"):
        strange.sign_in(other)
        assert _break(strange, anna).status_code == 403
    strange.sign_in("doctor")
    assert strange.browser.post(f"/fhir/Patient/{anna}/$break-glass", json={}).status_code == 403  # no CSRF token
