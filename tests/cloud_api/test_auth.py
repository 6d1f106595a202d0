"""Sign-in: passwords, the lock, the brake, CSRF, and where a sign-in may lead."""

from __future__ import annotations

import pytest
from feldsher_cloud_api import auth, limits, passwords
from feldsher_tools.clinic import Clinic


def test_wrong_name_and_wrong_password_look_the_same(clinic: Clinic) -> None:
    answers = [
        clinic.browser.post("/login", data=form, follow_redirects=False)
        for form in ({"username": "doctor", "password": "wrong"}, {"username": "nobody", "password": "wrong"}, {})
    ]
    assert {(a.status_code, a.headers["location"]) for a in answers} == {(303, "/login?reason=failed")}
    assert all("feldsher_session" not in a.headers["set-cookie"] for a in answers)


def test_wanted_page_travels_sealed_and_never_in_an_address(clinic: Clinic) -> None:
    path = f"/patient/{clinic.patients[0]}"
    answer = clinic.browser.get(path, headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.headers["location"] == "/login"
    assert clinic.patients[0] not in str(answer.headers)
    assert f'value="{path}"' in clinic.browser.get("/login").text
    form = {"username": "doctor", "password": "wrong", "next": path}
    answer = clinic.browser.post("/login", data=form, follow_redirects=False)
    assert clinic.patients[0] not in str(answer.headers)
    form["password"] = clinic.password("doctor")
    answer = clinic.browser.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == path
    assert "feldsher_next" not in clinic.browser.cookies
    clinic.sign_out()
    clinic.browser.cookies.set("feldsher_next", "forged", path="/login")
    assert 'name="next" value="/"' in clinic.browser.get("/login").text


def test_account_is_locked_and_opens_again(clinic: Clinic) -> None:
    wrong = {"username": "boris", "password": "wrong"}
    right = {"username": "BORIS", "password": clinic.password("boris")}

    def reason(form: dict[str, str]) -> str:
        answer = clinic.browser.post("/login", data=form, headers={"accept": "application/json"})
        return str(answer.json().get("error", ""))

    assert [reason(wrong) for _ in range(5)] == ["failed"] * 4 + ["locked"]
    assert reason(right) == "locked"
    clinic.time.move(seconds=61)
    assert reason(right) == ""
    assert reason(wrong) == "failed"  # counting began anew


def test_session_cookie_is_closed_to_scripts_and_other_sites(clinic: Clinic) -> None:
    form = {"username": "doctor", "password": clinic.password("doctor"), "next": "/patients"}
    answer = clinic.browser.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/patients"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    with clinic.owner() as connection:
        kept = connection.execute("SELECT token_hash FROM cloud.session").fetchall()
    assert kept == [(auth.digest(clinic.browser.cookies[auth.COOKIE]),)]


def test_change_needs_the_csrf_token_of_its_session(clinic: Clinic) -> None:
    headers = clinic.log_in("doctor")
    search = "/fhir/Patient/_search"
    assert clinic.browser.post(search).status_code == 403
    assert clinic.browser.post(search, headers={"x-csrf-token": "x" * 43}).status_code == 403
    assert clinic.browser.post(search, headers=headers).status_code == 200
    assert clinic.browser.post(search, data={"csrf": headers["x-csrf-token"]}).status_code == 200
    assert clinic.browser.post(search, headers=headers | {"origin": "https://evil.example"}).status_code == 403
    assert clinic.browser.post(search, headers=headers | {"sec-fetch-site": "cross-site"}).status_code == 403
    assert clinic.browser.post("/logout").status_code == 403
    assert clinic.browser.post("/logout", headers=headers, follow_redirects=False).headers["location"] == "/login"
    assert clinic.browser.get("/fhir/Patient").status_code == 401


def test_sign_in_from_another_site_is_refused(clinic: Clinic) -> None:
    form = {"username": "doctor", "password": clinic.password("doctor")}
    answer = clinic.browser.post("/login", data=form, headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "x", "/a\r\nB: c"],
)
def test_sign_in_never_leads_to_another_site(target: str) -> None:
    assert auth.local_path(target) == "/"


def test_sign_in_leads_to_the_page_that_was_wanted() -> None:
    assert auth.local_path("/oauth/authorize?client_id=x&state=y") == "/oauth/authorize?client_id=x&state=y"


def test_page_sends_to_sign_in_and_api_answers_401(clinic: Clinic) -> None:
    answer = clinic.browser.get("/fhir/Patient", headers={"accept": "text/html"})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (401, "login")
    assert clinic.browser.get("/api/me").status_code == 401


def test_guessing_from_one_address_is_slowed(clinic: Clinic) -> None:
    form, headers = {"username": "nobody", "password": "x"}, {"accept": "application/json"}
    clinic.context.brake = limits.Brake(burst=2, every=60)
    codes = [clinic.browser.post("/login", data=form, headers=headers).status_code for _ in range(3)]
    assert codes == [401, 401, 429]


def test_password_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 10"):
        passwords.hash_password("short")


def test_every_sign_in_is_audited(clinic: Clinic) -> None:
    clinic.log_in("doctor")
    clinic.browser.post("/login", data={"username": "doctor", "password": "a mistyped secret"})
    with clinic.owner() as connection:
        rows = connection.execute(
            "SELECT content ->> 'outcome', content::text FROM fhir.auditevent ORDER BY 1"
        ).fetchall()
    assert [r[0] for r in rows] == ["0", "4"]
    assert "mistyped" not in rows[1][1]
