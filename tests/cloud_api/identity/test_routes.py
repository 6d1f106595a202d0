"""Registrars' programs: the queue, a merge, its history and its undoing over HTTP, each audited with both patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import accounts
from feldsher_cloud_api.demo import demo_id
from feldsher_cloud_api.fhir import store
from feldsher_cloud_api.identity import cli, duplicate
from feldsher_tools.clinic import Clinic
from psycopg import sql
from typer.testing import CliRunner


@pytest.fixture
def pair(clinic: Clinic) -> Iterator[tuple[str, str]]:
    """Two records of one person, who wait in the queue; the browser is a registrar's."""
    made = [uuid4(), uuid4()]
    name = {"family": "Преображенская", "given": ["Василиса", "Ферапонтовна"]}
    with clinic.owner() as connection:
        for identity in made:
            person = {"resourceType": "Patient", "id": str(identity), "name": [name], "birthDate": "1944-12-31"}
            store.insert(connection, person, now=clinic.time.now)
        assert duplicate.look(connection, made[0], clinic.time.now) == 1
        registrar = demo_id("person/registrar")
        accounts.add_person(
            connection, identity=registrar, username="registrar", display="R", role="registrar", password=None
        )
        accounts.care_for(connection, registrar, None, "test: the whole clinic")
    clinic.browser.headers.update(clinic.sign_in("registrar"))
    yield str(made[0]), str(made[1])
    with clinic.owner() as connection, connection.transaction():
        connection.execute("DELETE FROM cloud.identity_pair WHERE first = ANY (%s)", (made,))
        connection.execute(
            "DELETE FROM cloud.identity_moved WHERE merge IN"
            " (SELECT id FROM cloud.identity_merge WHERE source = ANY (%s))",
            (made,),
        )
        connection.execute("DELETE FROM cloud.identity_merge WHERE source = ANY (%s)", (made,))
        for table in ("session", "care_relationship", "account"):
            gone = sql.SQL("DELETE FROM {} WHERE person = %s").format(sql.Identifier("cloud", table))
            connection.execute(gone, (registrar,))
        connection.execute("DELETE FROM cloud.person WHERE id = %s", (registrar,))
        for identity in made:
            store.delete(connection, "Patient", identity, now=clinic.time.now)


def post(clinic: Clinic, path: str, **asked: str) -> tuple[int, dict[str, Any]]:
    answer = clinic.browser.post(f"/api/identity/{path}", json=asked)
    return answer.status_code, answer.json()


def audited(clinic: Clinic, act: str) -> set[UUID]:
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT patient_id FROM fhir.auditevent WHERE content -> 'subtype' @> %s::jsonb",
            ('[{"code": "' + act + '"}]',),
        ).fetchall()
    return {row[0] for row in rows}


def test_from_the_queue_to_a_merge_and_back(clinic: Clinic, pair: tuple[str, str]) -> None:
    survivor, source = pair
    waiting = clinic.browser.get("/api/identity/duplicates").json()["pairs"]
    ours = next(p for p in waiting if {p["first"], p["second"]} == set(pair))
    assert ours["levels"]["family"] == "same"
    assert "Преображенская" not in str(waiting)
    status, merged = post(clinic, "merges", survivor=survivor, source=source, reason="the same passport")
    assert status == 201, merged
    history = clinic.browser.get(f"/api/identity/merges/{source}").json()["merges"]
    assert [(m["id"], m["reason"]) for m in history] == [(merged["merge"], "the same passport")]
    status, undone = post(clinic, f"merges/{merged['merge']}/undo", reason="her twin's passport")
    assert (status, undone["left"]) == (200, {})
    for act in ("identity-merge", "identity-unmerge"):
        assert audited(clinic, act) == {UUID(survivor), UUID(source)}


def test_what_is_wrong_is_named(clinic: Clinic, pair: tuple[str, str]) -> None:
    survivor, source = pair
    assert post(clinic, "merges", survivor=survivor, source=source, reason=" ")[0] == 422
    assert post(clinic, "merges", survivor=survivor)[0] == 422
    assert post(clinic, "merges", survivor=survivor, source=str(uuid4()), reason="x")[0] == 404
    assert post(clinic, f"merges/{uuid4()}/undo", reason="x")[0] == 404
    assert post(clinic, "decisions", first=survivor, second=source, decision="same")[0] == 422
    assert post(clinic, "decisions", first=survivor, second=source, decision="different")[0] == 200
    waiting = clinic.browser.get("/api/identity/duplicates").json()["pairs"]
    assert not [p for p in waiting if {p["first"], p["second"]} == set(pair)]


def test_the_commands_say_what_is_missing() -> None:
    assert CliRunner().invoke(cli.app, ["attach", "no such file.csv"]).exit_code == 2
