"""Sessions: their list and ends, a new password, and a shared computer that several people use by turns."""

from __future__ import annotations

import json
import re

import pytest
from feldsher_cloud_api import access, accounts, auth, password_change
from feldsher_cloud_api.care import signature
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic

DOCTOR = demo_id("person/doctor")


def test_a_person_sees_where_they_are_signed_in_and_ends_it(clinic: Clinic) -> None:
    elsewhere = auth.open_session(clinic.context, DOCTOR, "Telephone of the doctor")
    csrf = {"csrf": clinic.sign_in("doctor")["x-csrf-token"]}
    page = clinic.browser.get("/account").text
    assert "Telephone of the doctor" in page
    assert "this one" in page
    row = page.partition("Telephone of the doctor")[2]
    session = re.findall(r'name="session" value="([^"]+)"', row)[0]
    clinic.browser.post("/account/session", data=csrf | {"session": session})
    assert "Telephone of the doctor" not in clinic.browser.get("/account").text
    clinic.sign_out()
    clinic.browser.cookies.set(auth.COOKIE, elsewhere)
    assert clinic.browser.get("/api/me").status_code == 401


def test_nobody_ends_another_persons_session(clinic: Clinic) -> None:
    token = auth.open_session(clinic.context, DOCTOR, "d")
    with clinic.owner() as connection:
        session = connection.execute("SELECT id FROM cloud.session WHERE agent = 'd'").fetchone()
    assert session is not None
    csrf = {"csrf": clinic.sign_in("anna")["x-csrf-token"]}
    clinic.browser.post("/account/session", data=csrf | {"session": str(session[0])})
    clinic.sign_out()
    clinic.browser.cookies.set(auth.COOKIE, token)
    assert clinic.browser.get("/api/me").status_code == 200


@pytest.mark.parametrize("by", ["idle", "absolute"])
def test_sessions_end(clinic: Clinic, by: str) -> None:
    clinic.sign_in("doctor")
    clinic.time.move(minutes=29)
    assert clinic.browser.get("/api/me").status_code == 200
    if by == "idle":
        clinic.time.move(minutes=31)
    else:
        for _ in range(24):
            clinic.time.move(minutes=29)
            clinic.browser.get("/api/me")
    assert clinic.browser.get("/api/me").status_code == 401


def test_an_administrator_ends_all_of_a_persons(clinic: Clinic) -> None:
    token = clinic.person_token("doctor", "user/*.rs offline_access")["access_token"]
    clinic.sign_in("doctor")
    with clinic.owner() as connection:
        seen = accounts.sessions_of(connection, "doctor", clinic.time(), clinic.settings.session_idle)
        assert len(seen) == 2
        accounts.sign_out(connection, "doctor", clinic.time())
        with pytest.raises(ValueError, match="no such account"):
            accounts.sign_out(connection, "nobody", clinic.time())
    assert clinic.browser.get("/api/me").status_code == 401
    assert clinic.browser.get("/fhir/Patient", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_a_new_password_signs_everything_else_out_and_the_signing_key_opens_with_it(clinic: Clinic) -> None:
    old, new = clinic.password("doctor"), "a new long password"
    elsewhere = auth.open_session(clinic.context, DOCTOR)
    granted = clinic.person_token("doctor", "user/*.rs offline_access")["access_token"]
    csrf = {"csrf": clinic.sign_in("doctor")["x-csrf-token"]}
    short = clinic.browser.post("/account/password", data=csrf | {"old": old, "new": "short"}).text
    assert "too short" in short
    wrong = clinic.browser.post("/account/password", data=csrf | {"old": "wrong", "new": new}).text
    assert "not right" in wrong
    done = clinic.browser.post("/account/password", data=csrf | {"old": old, "new": new}).text
    assert "Everything else is signed out" in done
    try:
        assert clinic.browser.get("/api/me").status_code == 200  # this browser stays
        assert clinic.browser.get("/fhir/Patient", headers={"authorization": f"Bearer {granted}"}).status_code == 401
        clinic.sign_out()
        clinic.browser.cookies.set(auth.COOKIE, elsewhere)
        assert clinic.browser.get("/api/me").status_code == 401
        with clinic.owner() as connection:
            assert signature.open_signer(connection, DOCTOR, new).sign(b"x").count(".") == 2
    finally:
        with access.nobody(clinic.context.pool) as connection:
            doctor = auth.load_principal(connection, DOCTOR, "web")
        assert password_change.change(clinic.context, doctor, new, old, None)


def _sign_in(clinic: Clinic, name: str) -> str:
    form = {"username": name, "password": clinic.password(name)}
    return str(clinic.browser.post("/login", data=form, follow_redirects=False).headers["location"])


def _csrf(clinic: Clinic) -> dict[str, str]:
    return {"csrf": clinic.browser.get("/api/me").json()["csrf"]}


def test_people_take_turns_at_one_computer_and_each_goes_on_where_they_were(clinic: Clinic) -> None:
    _sign_in(clinic, "doctor")
    typed = json.dumps([[0, "note", "textarea", "rests well", False]])
    path = f"/patient/{clinic.patients[1]}"
    left = clinic.browser.post("/lock", data=_csrf(clinic) | {"path": path, "fields": typed}, follow_redirects=False)
    assert left.headers["location"] == "/login?reason=away"
    assert clinic.patients[1] not in str(left.headers)
    assert clinic.browser.get("/api/me").status_code == 401
    assert "DEMO Doctor" in clinic.browser.get("/login").text
    _sign_in(clinic, "anna")
    assert clinic.browser.get("/api/me").json()["role"] == "patient"
    draft = clinic.browser.post("/api/draft", data=_csrf(clinic) | {"path": path})
    assert draft.status_code == 204  # what the doctor typed is not hers
    clinic.browser.post("/lock", data=_csrf(clinic) | {"path": "/me"})
    clinic.time.move(hours=2)  # who has locked is not idle
    assert _sign_in(clinic, "doctor") == f"{path}?back"
    assert clinic.browser.get("/api/me").json()["role"] == "doctor"
    draft = clinic.browser.post("/api/draft", data=_csrf(clinic) | {"path": path})
    assert draft.json() == json.loads(typed)
    assert clinic.browser.post("/api/draft", data=_csrf(clinic) | {"path": path}).status_code == 204
    with clinic.owner() as connection:
        assert connection.execute("SELECT count(*) FROM cloud.session").fetchone() == (2,)


def test_a_locked_session_opens_to_nobody_else(clinic: Clinic) -> None:
    _sign_in(clinic, "doctor")
    token = str(clinic.browser.cookies[auth.COOKIE])
    clinic.browser.post("/lock", data=_csrf(clinic) | {"path": "/worklist"})
    clinic.browser.cookies.set(auth.COOKIE, token)
    assert clinic.browser.get("/api/me").status_code == 401
    clinic.browser.cookies.clear()
    clinic.browser.cookies.set("feldsher_locked", "forged")
    assert clinic.browser.get("/login").status_code == 200
    assert _sign_in(clinic, "doctor") == "/"
