"""Who sees what: by role over REST, and by raw SQL as the application's role where every filter is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from feldsher_cloud_api import access, accounts, db
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic
from psycopg.conninfo import make_conninfo

BP = {150021: "132", 150022: "84"}
TYPES = (
    "Patient", "Practitioner", "Organization", "Device", "ServiceRequest", "Observation", "DiagnosticReport",
    "Provenance", "AuditEvent", "Binary", "Task", "Flag",
)  # fmt: skip
"""The types that the demo clinic has something of."""
CLINICAL_TABLES = [f"fhir.{t.lower()}{suffix}" for t in access.CLINICAL & set(TYPES) for suffix in ("", "_history")]


def _fill(clinic: Clinic) -> str:
    """Bring a reading of the first patient and an unassigned recording into the record; return the recording's id."""
    message = clinic.recording()
    clinic.receive(clinic.vitals(clinic.time.now, BP), message)
    clinic.work()
    return str(message.env.id)


def _rows(connection: db.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608 - a test's own name
    assert row is not None
    return int(row[0])


def test_raw_sql_without_a_user_sees_no_clinical_row(clinic: Clinic) -> None:
    _fill(clinic)
    with clinic.raw("") as connection:
        assert {t: n for t in CLINICAL_TABLES if (n := _rows(connection, t))} == {}
        assert _rows(connection, "public.ecg_recording") == 0
        assert _rows(connection, "cloud.device_assignment") == 0
        assert _rows(connection, "cloud.patient_link") == 0


@pytest.mark.parametrize("role", ["technician", "manager"])
def test_raw_sql_of_who_keeps_the_fleet_sees_devices_and_no_clinical_row(clinic: Clinic, role: str) -> None:
    _fill(clinic)
    with clinic.raw(role, demo_id(f"person/{role}")) as connection:
        assert {t: n for t in CLINICAL_TABLES if (n := _rows(connection, t))} == {}
        for table in ("public.ecg_recording", "cloud.unassigned", "cloud.gateway_command", "cloud.device_assignment"):
            assert _rows(connection, table) == 0, table
        assert _rows(connection, "cloud.patient_link") == 0
        assert connection.execute("SELECT username FROM cloud.person").fetchall() == [(role,)]
        assert (_rows(connection, "fhir.device") >= 2) is (role == "technician")
        assert _rows(connection, "cloud.device") >= 2
        assert _rows(connection, "cloud.device_period") == 1
        assert _rows(connection, "cloud.device_unassigned") == 1


HIDDEN = {
    "cloud.device_period", "cloud.gateway_loss", "cloud.device_unassigned", "cloud.fleet_standing", "cloud.calibration",
    "cloud.fleet_action", "cloud.gateway_task",
}  # fmt: skip


@pytest.mark.parametrize("role", ["", "doctor", "patient"])
def test_the_fleets_own_tables_are_closed_to_the_others(clinic: Clinic, role: str) -> None:
    _fill(clinic)
    with clinic.raw(role, demo_id("person/doctor"), clinic.patients[0]) as connection:
        assert {t: n for t in HIDDEN if (n := _rows(connection, t))} == {}
        asked = f"SELECT app.last_measured('demo-home', '{clinic.made['cuff']}')"
        assert connection.execute(asked.encode()).fetchone() == (None,)


@pytest.mark.parametrize("role", ["", "doctor", "patient", "manager", "service"])
def test_only_a_technician_learns_whose_a_card_number_is(clinic: Clinic, role: str) -> None:
    asked = b"SELECT name, born FROM app.patient_to_assign('DEMO-ANNA')"
    with clinic.raw(role, demo_id("person/doctor"), clinic.patients[0]) as connection:
        assert connection.execute(asked).fetchall() == []
    with clinic.raw("technician", demo_id("person/technician")) as connection:
        assert connection.execute(asked).fetchall() == [("Anna Demo-Alpha", 1958)]
        for part in ("DEMO", "ANNA", "urn:feldsher:demo|", "|DEMO-ANNA", "%", "Demo-Alpha"):
            found = connection.execute("SELECT * FROM app.patient_to_assign(%s)", (part,)).fetchall()
            assert found == [], part


CHANGES = (
    "INSERT INTO cloud.device (id, address, kind) VALUES (gen_random_uuid(), 'x', 'cuff')",
    "UPDATE cloud.device SET life = 'retired'",
    "UPDATE cloud.gateway_device SET local_name = 'x'",
    "INSERT INTO cloud.fleet_action (id, at, gateway, what, asked_by) VALUES"
    " (gen_random_uuid(), now(), 'demo-home', 'x', 'x')",
    "INSERT INTO fhir.device (id, version, updated, content) VALUES (gen_random_uuid(), 1, now(), '{}')",
    "UPDATE fhir.device SET content = '{}'",
)


@pytest.mark.parametrize("role", ["", "doctor", "patient", "manager", "service"])
@pytest.mark.parametrize("statement", CHANGES)
def test_only_technicians_change_the_fleet(clinic: Clinic, role: str, statement: str) -> None:
    if role == "service" and "fhir.device" in statement:
        pytest.skip("the record's own Device is kept by other systems too, the fleet's tables are not")
    with clinic.raw(role, demo_id("person/doctor"), clinic.patients[0]) as connection:
        if statement.startswith("UPDATE"):
            assert connection.execute(statement.encode()).rowcount == 0
            return
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"), connection.transaction():
            connection.execute(statement.encode())


def test_technicians_write_no_assignment_but_through_its_functions(clinic: Clinic) -> None:
    for statement in ("DELETE FROM cloud.device_assignment", "UPDATE cloud.device_assignment SET patient = NULL"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege),
            clinic.raw("technician", demo_id("person/technician")) as connection,
        ):
            connection.execute(statement.encode())


def test_raw_sql_of_a_patient_sees_only_their_own(clinic: Clinic) -> None:
    _fill(clinic)
    anna, boris = clinic.patients[:2]
    with clinic.raw("patient", demo_id("person/anna"), anna) as connection:
        assert _rows(connection, "fhir.patient") == 1
        assert _rows(connection, "fhir.observation") == 1
        assert _rows(connection, "fhir.diagnosticreport") == 0
        assert _rows(connection, "public.ecg_recording") == 0
        assert _rows(connection, "fhir.device") == 1
    with clinic.raw("patient", demo_id("person/boris"), boris) as connection:
        assert _rows(connection, "fhir.observation") == 0
        assert _rows(connection, "fhir.device") == 0


def test_raw_sql_of_a_doctor_follows_the_care_relationship(clinic: Clinic) -> None:
    _fill(clinic)
    stranger = uuid4()
    with clinic.owner() as connection:
        accounts.add_person(
            connection, identity=stranger, username=f"d{stranger}", display="D", role="doctor", password=None
        )
    with clinic.raw("doctor", stranger) as connection:
        assert _rows(connection, "fhir.patient") == 0
        assert _rows(connection, "fhir.observation") == 0
    with clinic.owner() as connection:
        accounts.care_for(connection, stranger, UUID(clinic.patients[0]), "test")
    with clinic.raw("doctor", stranger) as connection:
        assert _rows(connection, "fhir.patient") == 1
        assert _rows(connection, "fhir.observation") == 1
        assert _rows(connection, "fhir.diagnosticreport") == 0  # nobody's yet: staff of the whole clinic assigns it
    with clinic.owner() as connection:
        connection.execute(
            "UPDATE cloud.care_relationship SET during = tstzrange(lower(during), now()) WHERE person = %s", (stranger,)
        )
    with clinic.raw("doctor", stranger) as connection:
        assert _rows(connection, "fhir.observation") == 0


FORBIDDEN = (
    "UPDATE fhir.auditevent SET content = '{}'",
    "DELETE FROM fhir.auditevent",
    "DELETE FROM fhir.observation",
    "UPDATE fhir.observation_history SET content = '{}'",
    "UPDATE cloud.person SET role = 'doctor'",
    "INSERT INTO cloud.care_relationship (id, person, reason) VALUES (gen_random_uuid(), gen_random_uuid(), 'x')",
    "INSERT INTO cloud.patient_link (person, patient) VALUES (gen_random_uuid(), gen_random_uuid())",
    "SELECT * FROM cloud.care_relationship",
    "SELECT * FROM public.vital_sign",
    "SELECT * FROM public.event",
    "SELECT * FROM public.message",
    "UPDATE cloud.audit_seal SET hash = ''",
    "DELETE FROM cloud.signature",
    "SET ROLE feldsher_worker",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_application_role_may_not(clinic: Clinic, statement: str) -> None:
    direct = make_conninfo(clinic.url, user=db.API)
    with psycopg.connect(direct) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_patient_cannot_write_into_the_record_by_raw_sql(clinic: Clinic) -> None:
    anna = clinic.patients[0]
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
        clinic.raw("patient", demo_id("person/anna"), anna) as connection,
    ):
        connection.execute(
            "INSERT INTO fhir.observation (id, version, updated, patient_id, content) VALUES (%s, 1, now(), %s, '{}')",
            (uuid4(), anna),
        )


def _status(clinic: Clinic, path: str) -> int:
    return clinic.browser.get(path).status_code


def test_technician_gets_no_clinical_data(clinic: Clinic) -> None:
    report = _fill(clinic)
    clinic.sign_in("technician")
    refused = {t: _status(clinic, f"/fhir/{t}") for t in access.CLINICAL & set(TYPES) if t != "Binary"}
    assert set(refused.values()) == {403}
    assert _status(clinic, f"/fhir/Patient/{clinic.patients[0]}") == 403
    assert _status(clinic, f"/fhir/DiagnosticReport/{report}") == 403
    assert _status(clinic, f"/api/ecg/{report}/samples") == 403
    assert _status(clinic, f"/api/patient/{clinic.patients[0]}/vitals") == 403
    devices = clinic.browser.get("/fhir/Device").json()
    assert len(devices["entry"]) >= 2
    assert not any(p in clinic.browser.get("/fhir/Device").text for p in clinic.patients)


def test_patient_sees_own_record_and_who_looked(clinic: Clinic) -> None:
    report = _fill(clinic)
    anna, boris, _ = clinic.patients
    clinic.sign_in("doctor")
    assert _status(clinic, f"/fhir/Patient/{anna}") == 200
    assert _status(clinic, f"/fhir/Patient/{boris}") == 200
    clinic.sign_out()
    clinic.sign_in("anna")
    assert [e["resource"]["id"] for e in clinic.browser.get("/fhir/Patient").json()["entry"]] == [anna]
    assert _status(clinic, f"/fhir/Patient/{boris}") == 404
    assert _status(clinic, f"/fhir/Patient/{uuid4()}") == 404  # the same answer as for another's
    assert _status(clinic, f"/fhir/DiagnosticReport/{report}") == 404
    assert _status(clinic, f"/api/ecg/{report}/samples") == 404
    assert _status(clinic, f"/api/patient/{boris}/vitals") == 404
    assert "entry" not in clinic.browser.get(f"/fhir/Observation?patient={boris}").json()
    assert len(clinic.browser.get("/fhir/Observation").json()["entry"]) == 1
    looked = clinic.browser.get("/fhir/AuditEvent?_sort=-date").json()["entry"]
    assert {e["resource"]["entity"][-1]["what"]["reference"] for e in looked} == {f"Patient/{anna}"}
    assert "DEMO Doctor" in {e["resource"]["agent"][0]["name"] for e in looked}
    headers = {"x-csrf-token": clinic.browser.get("/api/me").json()["csrf"]}
    answer = clinic.browser.post("/fhir/ServiceRequest", json={"resourceType": "ServiceRequest"}, headers=headers)
    assert answer.status_code == 403


def test_every_type_and_role_is_in_the_table_or_refused(clinic: Clinic) -> None:
    people = (("technician", "technician"), ("manager", "manager"), ("anna", "patient"), ("doctor", "doctor"))
    for username, role in people:
        clinic.sign_out()
        clinic.sign_in(username)
        for kind in TYPES:
            if kind != "Binary":
                expected = 200 if "s" in access.RIGHTS[role].get(kind, "") else 403
                assert _status(clinic, f"/fhir/{kind}") == expected, (role, kind)


@pytest.mark.parametrize(
    ("scope", "role", "kind", "interaction", "expected"),
    [
        ("user/*.rs", "doctor", "Observation", "read", True),
        ("user/Observation.rs", "doctor", "Patient", "read", False),
        ("user/*.read", "doctor", "Patient", "search", True),
        ("user/*.read", "doctor", "ServiceRequest", "create", False),
        ("user/*.*", "doctor", "ServiceRequest", "create", True),
        ("patient/*.rs", "doctor", "Patient", "read", False),
        ("patient/*.r", "patient", "Patient", "search", False),
        ("patient/*.rs", "proxy", "Patient", "search", True),
        ("system/*.cruds", "service", "Observation", "delete", True),
        ("system/*.crus", "service", "Observation", "delete", False),
        ("user/*.rs", "service", "Patient", "read", False),
        ("patient/*.rs", "examiner", "Patient", "read", False),
        ("system/*.rs", "doctor", "Patient", "read", False),
        ("system/*.cruds", "service", "ServiceRequest", "create", True),
        ("user/*.", "doctor", "Patient", "read", False),
        ("openid", "doctor", "Patient", "read", False),
    ],
)
def test_scopes(scope: str, role: str, kind: str, interaction: Any, expected: bool) -> None:
    assert access.scope_allows((scope,), role, kind, interaction) is expected


def _staff(*scopes: str, chosen: UUID | None = None) -> access.Principal:
    return access.Principal(uuid4(), "doctor", "D", None, (), "app", scopes, chosen)


def test_a_patients_scope_of_staff_counts_only_with_a_patient_chosen_at_launch() -> None:
    assert not access.may(_staff("patient/*.rs"), "Patient", "read")
    assert access.may(_staff("patient/*.rs", chosen=uuid4()), "Patient", "read")
    assert not access.may(_staff("patient/*.rs", chosen=uuid4()), "Patient", "update")


def test_granular_scopes_narrow_only_where_none_is_wider() -> None:
    vital, lab = ("category", "vital-signs"), ("category", "laboratory")
    narrow = "user/Observation.rs?category=vital-signs"
    assert access.narrowings(_staff(narrow), "Observation") == [((vital,),)]
    assert access.narrowings(_staff(narrow), "Patient") == []
    assert access.narrowings(_staff(narrow, "user/*.rs"), "Observation") == []
    both = access.narrowings(_staff(narrow, "user/Observation.rs?category=laboratory"), "Observation")
    assert both == [((vital,), (lab,))]
    # reading is narrowed although finding is not: the narrower one counts for both
    assert access.narrowings(
        _staff("user/Observation.r?category=vital-signs", "user/Observation.s"), "Observation"
    ) == [((vital,),)]


def test_what_nobody_has_as_a_purpose_is_refused() -> None:
    assert _staff("user/*.rs").asks_for("HRESCH").purpose == "HRESCH"
    with pytest.raises(access.Forbidden):
        _staff("user/*.rs").asks_for("CURIOSITY")


def test_disabled_person_is_out_at_once(clinic: Clinic) -> None:
    with clinic.owner() as connection:
        identity = uuid4()
        accounts.add_person(
            connection,
            identity=identity,
            username=f"tech-{identity}",
            display="T",
            role="technician",
            password="a long password",
        )
    form = {"username": f"tech-{identity}", "password": "a long password"}
    assert clinic.browser.post("/login", data=form, follow_redirects=False).headers["location"] == "/"
    assert _status(clinic, "/fhir/Device") == 200
    with clinic.owner() as connection:
        assert accounts.disable(connection, f"tech-{identity}", clinic.time())
        assert not accounts.disable(connection, "nobody", clinic.time())
    assert _status(clinic, "/fhir/Device") == 401
    assert "reason=failed" in clinic.browser.post("/login", data=form, follow_redirects=False).headers["location"]


def test_session_ends_when_idle_and_at_its_end(clinic: Clinic) -> None:
    clinic.sign_in("technician")
    clinic.time.move(minutes=29)
    assert _status(clinic, "/fhir/Device") == 200
    clinic.time.move(minutes=29)
    assert _status(clinic, "/fhir/Device") == 200
    clinic.time.move(minutes=31)
    assert _status(clinic, "/fhir/Device") == 401
    clinic.sign_in("technician")
    answers: list[int] = []
    for _ in range(25):
        clinic.time.move(minutes=29)
        answers.append(_status(clinic, "/fhir/Device"))
    assert answers == [200] * 24 + [401]
    assert clinic.settings.session_life == timedelta(hours=12)
