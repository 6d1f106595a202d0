"""Whose rows somebody reaches: clinics' patients, grants, consents, proxies, launches, breaking the glass.

Each is asked by raw SQL as the application's role and through REST: both must say the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from feldsher_cloud_api import access, accounts, auth, db
from feldsher_cloud_api.access import Principal
from feldsher_cloud_api.fhir import store
from feldsher_tools.clinic import Clinic
from psycopg import sql

NOW = datetime.now(UTC)


@dataclass
class Ward:
    """The demo clinic with people of the test's own: made with `person`, gone at the end."""

    clinic: Clinic
    connection: db.Connection

    @property
    def anna(self) -> UUID:
        return UUID(self.clinic.patients[0])

    @property
    def boris(self) -> UUID:
        return UUID(self.clinic.patients[1])

    def person(self, role: str, *, practitioner: UUID | None = None) -> Principal:
        """Make an account of a role and return its principal."""
        identity = uuid4()
        accounts.add_person(
            self.connection, identity=identity, username=f"{role}-{identity}", display=f"A {role}", role=role,
            password=None, practitioner=practitioner,
        )  # fmt: skip
        return Principal(identity, role, f"A {role}", practitioner, (), "web")

    def put(self, resource: dict[str, Any]) -> UUID:
        """Store a resource as the owner and return its key."""
        resource = {"id": str(uuid4())} | resource
        store.put(self.connection, resource, now=NOW)
        return UUID(resource["id"])

    def consent(self, patient: UUID, provision: dict[str, Any], **changes: Any) -> UUID:
        """Store a patient's Consent with a provision."""
        code = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentcategorycodes", "code": "dnr"}]}]
        scope = {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        }
        consent = {
            "resourceType": "Consent", "status": "active", "scope": scope, "category": code,
            "patient": {"reference": f"Patient/{patient}"}, "dateTime": "2026-01-01", "provision": provision,
        }  # fmt: skip
        return self.put(consent | changes)

    def sees(self, principal: Principal, kind: str = "Patient") -> set[UUID]:
        """Return whose rows of a type somebody sees, which code and database must agree on."""
        with access.asking(self.clinic.context.pool, principal) as connection:
            table = f"fhir.{kind.lower()}"
            raw = connection.execute(f"SELECT patient_id FROM {table}".encode()).fetchall()  # noqa: S608
            where, values = access.reach(connection, principal).predicate(kind)
        with db.connect(self.clinic.url) as connection:  # no policies here: the code's condition alone
            settings = {
                "role": principal.role,
                "user": principal.person,
                "purpose": principal.purpose,
                "patients": ",".join(map(str, principal.patients)),
                "patient": principal.confined or "",
            }
            for name, value in settings.items():
                connection.execute("SELECT set_config('app.' || %s, %s, true)", (name, str(value)))
            statement = sql.SQL("SELECT patient_id FROM {} WHERE {}")
            asked = statement.format(sql.Identifier("fhir", kind.lower()), where)
            coded = connection.execute(asked, values).fetchall()
        assert sorted(raw, key=str) == sorted(coded, key=str)
        return {row[0] for row in raw}


@pytest.fixture
def ward(clinic: Clinic) -> Iterator[Ward]:
    """The clinic, and what a test adds to it taken away again."""
    with clinic.owner() as connection:
        yield Ward(clinic, connection)
        for statement in (
            "DELETE FROM fhir.consent",
            "DELETE FROM cloud.access_grant",
            "DELETE FROM cloud.staff",
            "DELETE FROM cloud.clinic_patient",
            "DELETE FROM cloud.patient_link WHERE kind <> 'self'",
            "UPDATE fhir.patient SET content = content - 'deceasedBoolean'",
        ):
            connection.execute(statement.encode())


def _grant(ward: Ward, who: Principal, patient: UUID, purpose: str | None, hours: tuple[int, int]) -> None:
    during = f"[{NOW + timedelta(hours=hours[0])},{NOW + timedelta(hours=hours[1])})"
    ward.connection.execute(
        "INSERT INTO cloud.access_grant (kind, person, patient, purpose, during, reason)"
        " VALUES ('examination', %s, %s, %s, %s, 'case 7')",
        (who.person, patient, purpose, during),
    )


def test_staff_of_a_clinic_reach_its_patients_as_long_as_both_belong_to_it(ward: Ward) -> None:
    nurse, clinic = ward.person("nurse"), uuid4()
    assert ward.sees(nurse) == set()
    ward.connection.execute("INSERT INTO cloud.staff (person, organization) VALUES (%s, %s)", (nurse.person, clinic))
    ward.connection.execute(
        "INSERT INTO cloud.clinic_patient (organization, patient) VALUES (%s, %s)", (clinic, ward.anna)
    )
    assert ward.sees(nurse) == {ward.anna}
    ward.connection.execute("UPDATE cloud.clinic_patient SET during = tstzrange(lower(during), now())")
    assert ward.sees(nurse) == set()


def test_of_a_clinic_with_very_many_patients_each_row_is_looked_up(ward: Ward) -> None:
    nurse, clinic = ward.person("nurse"), uuid4()
    ward.connection.execute("INSERT INTO cloud.staff (person, organization) VALUES (%s, %s)", (nurse.person, clinic))
    ward.connection.execute(
        "INSERT INTO cloud.clinic_patient (organization, patient)"
        " SELECT %s, gen_random_uuid() FROM generate_series(1, 300) UNION ALL SELECT %s, %s",
        (clinic, clinic, ward.boris),
    )
    assert ward.sees(nurse) == {ward.boris}
    with access.asking(ward.clinic.context.pool, nurse) as connection:
        assert access.reach(connection, nurse).looked_up


def test_an_examiner_sees_what_was_granted_for_its_purpose_in_its_time(ward: Ward) -> None:
    examiner = ward.person("examiner")
    accounts.care_for(ward.connection, examiner.person, None, "a mistake: examiners care for nobody")
    assert ward.sees(examiner) == set()
    _grant(ward, examiner, ward.anna, "HPAYMT", (-1, 1))
    _grant(ward, examiner, ward.boris, "HPAYMT", (-3, -1))
    assert ward.sees(examiner) == {ward.anna}
    assert ward.sees(examiner.asks_for("HRESCH")) == set()


def _whole(ward: Ward, role: str = "doctor", practitioner: UUID | None = None) -> Principal:
    who = ward.person(role, practitioner=practitioner)
    accounts.care_for(ward.connection, who.person, None, "test")
    return who


def test_a_denial_overrides_care_and_every_permission(ward: Ward) -> None:
    me = ward.put({"resourceType": "Practitioner"})
    doctor, other = _whole(ward, practitioner=me), _whole(ward)
    ward.put({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
              "subject": {"reference": f"Patient/{ward.anna}"}})  # fmt: skip
    actor = [{"role": {"text": "doctor"}, "reference": {"reference": f"Practitioner/{me}"}}]
    assert ward.anna in ward.sees(doctor, "Observation")
    ward.consent(ward.anna, {"type": "permit", "actor": actor})
    ward.consent(ward.anna, {"type": "deny", "actor": actor, "class": [{"code": "Observation"}]})
    assert ward.anna not in ward.sees(doctor, "Observation")
    assert ward.anna in ward.sees(doctor)  # of the class that was denied alone
    assert ward.anna in ward.sees(other, "Observation")  # of whom was denied alone
    service = ward.person("service")
    assert ward.anna in ward.sees(service, "Observation")


@pytest.mark.parametrize(
    ("provision", "changes", "denied"),
    [
        ({"type": "deny"}, {}, True),
        ({"type": "deny"}, {"status": "inactive"}, False),
        ({"type": "deny"}, {"scope": {"coding": [{"code": "adr"}]}}, False),
        ({"type": "deny", "period": {"end": "2026-01"}}, {}, False),
        ({"type": "deny", "period": {"start": "2026-01-01", "end": "2999"}}, {}, True),
        ({"type": "deny", "purpose": [{"code": "HRESCH"}]}, {}, False),
        ({"type": "deny", "purpose": [{"code": "TREAT"}]}, {}, True),
        ({"type": "deny", "action": [{"coding": [{"code": "correct"}]}]}, {}, False),
        ({"type": "deny", "action": [{"coding": [{"code": "access"}]}]}, {}, True),
        ({"type": "deny", "provision": [{"type": "permit", "class": [{"code": "Patient"}]}]}, {}, False),
        ({"type": "deny", "provision": [{"type": "permit", "class": [{"code": "Flag"}]}]}, {}, True),
        ({"type": "permit", "provision": [{"type": "deny", "class": [{"code": "Patient"}]}]}, {}, True),
        ({"type": "permit", "provision": [{"type": "permit", "provision": [{"type": "deny"}]}]}, {}, True),
        # what is finer than can be told apart is denied as a whole
        ({"type": "deny", "code": [{"coding": [{"system": "http://loinc.org", "code": "1"}]}]}, {}, True),
        ({"type": "deny", "class": [{"code": "application/pdf"}]}, {}, True),
        ({"type": "deny", "actor": [{"role": {"text": "x"}, "reference": {"reference": "CareTeam/1"}}]}, {}, True),
        ({"type": "deny", "actor": [{"role": {"text": "x"}, "reference": {"reference": "Practitioner/1"}}]}, {}, False),
        ({"type": "deny", "period": {"start": "not a date"}}, {}, True),
    ],
)
def test_what_a_provision_denies_a_doctor(ward: Ward, provision: Any, changes: Any, denied: bool) -> None:
    doctor = _whole(ward)
    ward.consent(ward.anna, provision, **changes)
    assert (ward.anna not in ward.sees(doctor)) is denied
    assert ward.boris in ward.sees(doctor)
    own = Principal(uuid4(), "patient", "Anna", None, (ward.anna,), "web")
    assert ward.sees(own) == {ward.anna}


def test_a_permission_opens_a_record_to_whom_it_names(ward: Ward) -> None:
    clinic = ward.put({"resourceType": "Organization", "name": "Insurer"})
    examiner, doctor = ward.person("examiner"), ward.person("doctor")
    for who in (examiner, doctor):
        ward.connection.execute("INSERT INTO cloud.staff (person, organization) VALUES (%s, %s)", (who.person, clinic))
    actor = [{"role": {"text": "insurer"}, "reference": {"reference": f"Organization/{clinic}"}}]
    permitted = ward.consent(ward.anna, {"type": "permit", "actor": actor, "purpose": [{"code": "HPAYMT"}]})
    ward.consent(ward.boris, {"type": "permit", "actor": actor, "code": [{"text": "finer than can be told apart"}]})
    assert ward.sees(examiner) == {ward.anna}
    assert ward.sees(doctor) == set()  # asks to treat
    ward.connection.execute("DELETE FROM fhir.consent WHERE id = %s", (permitted,))
    assert ward.sees(examiner) == set()


def test_a_consent_that_is_changed_is_changed_for_access_too(ward: Ward) -> None:
    doctor = _whole(ward)
    identity = ward.consent(ward.anna, {"type": "deny"})
    assert ward.anna not in ward.sees(doctor)
    ward.connection.execute(
        "UPDATE fhir.consent SET content = content || %s WHERE id = %s", (json.dumps({"status": "inactive"}), identity)
    )
    assert ward.anna in ward.sees(doctor)


def test_of_very_many_denials_each_row_is_looked_up(ward: Ward) -> None:
    doctor = _whole(ward)
    ward.connection.execute(
        "INSERT INTO app.consent_rule (consent, patient, deny, during)"
        " SELECT gen_random_uuid(), gen_random_uuid(), true, '[,)' FROM generate_series(1, 300)"
    )
    try:
        ward.consent(ward.anna, {"type": "deny", "class": [{"code": "Patient"}]})
        assert ward.sees(doctor) >= {ward.boris}
        assert ward.anna not in ward.sees(doctor)
    finally:
        ward.connection.execute("DELETE FROM app.consent_rule")


def _child(ward: Ward, born: str | None) -> UUID:
    return ward.put({"resourceType": "Patient"} | ({"birthDate": born} if born else {}))


def _speaks_for(ward: Ward, who: Principal, patient: UUID, kind: str) -> tuple[UUID, ...]:
    ward.connection.execute(
        "INSERT INTO cloud.patient_link (person, patient, kind) VALUES (%s, %s, %s)", (who.person, patient, kind)
    )
    with access.nobody(ward.clinic.context.pool) as connection:
        return auth.load_principal(connection, who.person, "web").patients


@pytest.mark.parametrize(
    ("born", "kind", "speaks"),
    [
        ((NOW - timedelta(days=10 * 365)).date().isoformat(), "parent", True),
        ((NOW - timedelta(days=19 * 365)).date().isoformat(), "parent", False),
        (NOW.replace(year=NOW.year - 18).date().isoformat(), "parent", False),
        ((NOW.replace(year=NOW.year - 18) + timedelta(days=2)).date().isoformat(), "parent", True),
        (str(NOW.year - 18), "guardian", False),  # of the year the earliest day
        (str(NOW.year - 17), "guardian", True),
        (None, "parent", False),
        ((NOW - timedelta(days=40 * 365)).date().isoformat(), "agent", True),
        ((NOW - timedelta(days=40 * 365)).date().isoformat(), "heir", False),
    ],
)
def test_a_proxys_right_ends_at_majority(ward: Ward, born: str | None, kind: str, speaks: bool) -> None:
    child = _child(ward, born)
    assert _speaks_for(ward, ward.person("proxy"), child, kind) == ((child,) if speaks else ())


def test_a_proxys_right_ends_when_withdrawn_and_with_death_where_an_heirs_begins(ward: Ward) -> None:
    child = _child(ward, NOW.date().isoformat())
    mother, heir = ward.person("proxy"), ward.person("proxy")
    assert _speaks_for(ward, mother, child, "parent") == (child,)
    ward.connection.execute(
        "UPDATE fhir.patient SET content = content || '{\"deceasedBoolean\": true}' WHERE id = %s", (child,)
    )
    assert _speaks_for(ward, heir, child, "heir") == (child,)
    with access.nobody(ward.clinic.context.pool) as connection:
        assert auth.load_principal(connection, mother.person, "web").patients == ()
    ward.connection.execute(
        "UPDATE cloud.patient_link SET during = tstzrange(lower(during), now()) WHERE kind = 'heir'"
    )
    with access.nobody(ward.clinic.context.pool) as connection:
        assert auth.load_principal(connection, heir.person, "web").patients == ()


def test_with_a_patient_chosen_at_launch_nobody_else_is_reached(ward: Ward) -> None:
    doctor = _whole(ward)
    launched = Principal(doctor.person, "doctor", "D", None, (), "app", ("patient/*.rs",), ward.anna)
    assert ward.sees(launched) == {ward.anna}
    near = ward.person("doctor")
    foreign = Principal(near.person, "doctor", "D", None, (), "app", ("patient/*.rs",), ward.anna)
    assert ward.sees(foreign) == set()


def test_a_wider_scope_beside_the_launch_reaches_further_for_its_type_alone(ward: Ward) -> None:
    doctor = _whole(ward)
    scopes = ("patient/Observation.rs", "user/Patient.rs")
    who = Principal(doctor.person, "doctor", "D", None, (), "app", scopes, ward.anna)
    assert who.confined is None
    for patient in (ward.anna, ward.boris):
        ward.put({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                  "subject": {"reference": f"Patient/{patient}"}})  # fmt: skip
    found: dict[str, set[UUID]] = {}
    with access.asking(ward.clinic.context.pool, who) as connection:
        reach = access.reach(connection, who)
        for kind in ("Observation", "Patient"):
            where, values = reach.predicate(kind)
            asked = sql.SQL("SELECT patient_id FROM {} WHERE {}")
            rows = connection.execute(asked.format(sql.Identifier("fhir", kind.lower()), where), values)
            found[kind] = {row[0] for row in rows.fetchall()}
    assert found["Observation"] == {ward.anna}
    assert found["Patient"] >= {ward.anna, ward.boris}


def test_who_registers_a_patient_cares_for_them(ward: Ward) -> None:
    registrar = ward.person("registrar")
    identity = uuid4()
    made = {"resourceType": "Patient", "id": str(identity), "name": [{"family": "New"}]}
    with access.asking(ward.clinic.context.pool, registrar) as connection:
        assert store.insert(connection, made, now=NOW)
    assert ward.sees(registrar) == {identity}


def _break(ward: Ward, who: Principal, patient: UUID, reason: str) -> datetime | None:
    with access.asking(ward.clinic.context.pool, who) as connection:
        row = connection.execute("SELECT app.break_glass(%s, %s)", (patient, reason)).fetchone()
        assert row is not None
        return row[0]


def test_breaking_the_glass_opens_one_patient_for_a_while_against_every_denial(ward: Ward) -> None:
    doctor = ward.person("doctor")
    ward.consent(ward.anna, {"type": "deny"})
    until = _break(ward, doctor, ward.anna, "unconscious in the ambulance")
    assert until is not None
    assert timedelta(minutes=50) < until - datetime.now(UTC) <= timedelta(minutes=60)
    assert ward.sees(doctor) == {ward.anna}
    ward.connection.execute("UPDATE cloud.access_grant SET during = tstzrange(lower(during), now())")
    assert ward.sees(doctor) == set()
    assert _break(ward, doctor, uuid4(), "unconscious in the ambulance") is None


@pytest.mark.parametrize("role", ["registrar", "pharmacist", "examiner", "patient", "technician", "manager", "service"])
def test_who_treats_nobody_breaks_no_glass(ward: Ward, role: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _break(ward, ward.person(role), ward.anna, "curious about my neighbour")


def test_breaking_the_glass_needs_a_reason(ward: Ward) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        _break(ward, ward.person("doctor"), ward.anna, "  why  ")


def test_only_a_manager_reads_who_broke_the_glass(ward: Ward) -> None:
    doctor, manager = ward.person("nurse"), ward.person("manager")
    _break(ward, doctor, ward.anna, "unconscious in the ambulance")
    for who, expected in ((manager, [("A nurse", ward.anna, "unconscious in the ambulance")]), (doctor, [])):
        with access.asking(ward.clinic.context.pool, who) as connection:
            asked = "SELECT person, patient, reason FROM app.emergencies(now() - interval '1 day')"
            assert connection.execute(asked.encode()).fetchall() == expected


def _observation(ward: Ward, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation", "status": "final", "subject": {"reference": f"Patient/{ward.anna}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
    }  # fmt: skip


def test_what_is_written_by_a_narrowed_scope_has_to_meet_it(ward: Ward) -> None:
    doctor = _whole(ward)
    scopes = ("user/Observation.crs?code=http://loinc.org|8480-6",)
    who = Principal(doctor.person, "doctor", "D", None, (), "app", scopes)
    fits, other = ward.put(_observation(ward, "8480-6")), ward.put(_observation(ward, "8462-4"))
    with access.asking(ward.clinic.context.pool, who) as connection:
        access.written(connection, who, "Observation", fits, "create")
        with pytest.raises(access.Forbidden):
            access.written(connection, who, "Observation", other, "create")
        where, values = access.reach(connection, who).predicate("Observation")
        asked = sql.SQL("SELECT id FROM fhir.observation WHERE {}").format(where)
        assert {row[0] for row in connection.execute(asked, values).fetchall()} == {fits}
