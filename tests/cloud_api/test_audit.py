"""The audit chain: sealed once, whole, and broken by every change."""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue

import pytest
from feldsher_cloud_api import audit, db
from feldsher_tools.clinic import Clinic


def _look(clinic: Clinic, times: int = 3) -> None:
    clinic.log_in("doctor")
    for _ in range(times):
        assert clinic.browser.get(f"/fhir/Patient/{clinic.patients[0]}").status_code == 200


def test_sealing_covers_everything_once(clinic: Clinic) -> None:
    _look(clinic)
    assert clinic.seal() == 4
    assert clinic.seal() == 0
    _look(clinic)
    with clinic.owner() as connection:
        assert audit.verify(connection).unsealed == 4
        assert clinic.seal() == 4
        verdict = audit.verify(connection)
    assert (verdict.seals, verdict.events, verdict.unsealed, verdict.whole) == (2, 8, 0, True)


# ruff: noqa: S608 - these statements are a test's own
_FIRST = "(SELECT min(id::text)::uuid FROM fhir.auditevent WHERE seal = {})"
_EVENTS = "fhir.auditevent (id, version, updated, content, seal)"


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        (f"UPDATE fhir.auditevent SET content = content - 'agent' WHERE id = {_FIRST.format(2)}", (2,)),
        (f"DELETE FROM fhir.auditevent WHERE id = {_FIRST.format(1)}", (1,)),
        (f"UPDATE fhir.auditevent SET seal = 2 WHERE id = {_FIRST.format(1)}", (1, 2)),
        ("UPDATE cloud.audit_seal SET hash = sha256('x') WHERE number = 1", (1, 2)),
        ("DELETE FROM cloud.audit_seal WHERE number = 2", (2, 3)),
        (f"INSERT INTO {_EVENTS} SELECT gen_random_uuid(), 1, now(), content, 3 FROM fhir.auditevent LIMIT 1", (3,)),
    ],
)
def test_every_change_is_noticed(clinic: Clinic, tampering: str, broken: tuple[int, ...]) -> None:
    for _ in range(3):
        _look(clinic, 1)
        clinic.seal()
    with clinic.owner() as connection:
        assert audit.verify(connection).whole
        connection.execute(tampering.encode())
        assert audit.verify(connection).broken == broken


def test_two_sealers_at_once_make_one_chain(clinic: Clinic) -> None:
    _look(clinic)
    found: SimpleQueue[int | BaseException] = SimpleQueue()

    def seal() -> None:
        try:
            found.put(clinic.seal())
        except BaseException as error:
            found.put(error)

    other = threading.Thread(target=seal)
    with db.connect(clinic.url, db.WORKER) as connection, clinic.owner() as watching:
        with connection.transaction():
            assert audit.seal(connection) == 4
            other.start()
            deadline = time.monotonic() + 60
            while not watching.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
                assert time.monotonic() < deadline, "the other sealer does not wait"
                time.sleep(0.01)
        assert found.get(timeout=60) == 0
        other.join()
        _look(clinic, 1)
        assert clinic.seal() == 2
        verdict = audit.verify(watching)
    assert (verdict.seals, verdict.events, verdict.whole) == (2, 6, True)


def test_viewing_an_ecg_of_nobody_is_audited(clinic: Clinic) -> None:
    message = clinic.recording()
    clinic.receive(message)
    clinic.work()
    clinic.log_in("doctor")
    assert clinic.browser.get(f"/ecg/{message.env.id}", headers={"accept": "text/html"}).status_code == 200
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT patient_id, content #>> '{entity,0,what,reference}' FROM fhir.auditevent"
            " WHERE content -> 'entity' IS NOT NULL"
        ).fetchall()
    assert (None, f"DiagnosticReport/{message.env.id}") in rows


def test_refusal_is_audited_without_saying_of_whom(clinic: Clinic) -> None:
    clinic.log_in("technician")
    clinic.browser.get(f"/fhir/Patient/{clinic.patients[0]}")
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content #>> '{subtype,0,code}', content #>> '{agent,0,name}', content::text FROM fhir.auditevent"
            " WHERE content ->> 'outcome' = '4'"
        ).fetchall()
    assert [row[:2] for row in rows] == [("GET /fhir/{kind}/{identity}", "DEMO Technician")]
    assert clinic.patients[0] not in rows[0][2]


def test_failed_access_leaves_no_event_and_search_one_per_patient(clinic: Clinic) -> None:
    clinic.log_in("doctor")
    clinic.browser.get("/fhir/Patient/00000000-0000-7000-8000-000000000000")
    clinic.browser.get("/fhir/Patient?name=nobody")
    clinic.browser.get("/fhir/Patient")
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content #>> '{subtype,0,code}', patient_id IS NULL FROM fhir.auditevent ORDER BY id"
        ).fetchall()
    searches = [row for row in rows if row[0] == "search-type"]
    assert sorted(searches) == [("search-type", False)] * 3 + [("search-type", True)]
    assert len(rows) == 5  # and the sign-in
