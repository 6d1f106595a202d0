"""The second factor: RFC 6238's own vectors, enrolment, codes that are good once, the lock, recovery, roles."""

from __future__ import annotations

import base64
import dataclasses
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from feldsher_cloud_api import second_factor
from feldsher_cloud_api.demo import demo_id
from feldsher_tools.clinic import Clinic
from httpx2 import Response

ANNA = demo_id("person/anna")
SECRET = b"12345678901234567890"


# RFC 6238, appendix B (SHA-1): the last six of the eight digits given there
@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_vectors_of_the_standard(at: int, code: str) -> None:
    now = datetime.fromtimestamp(at, UTC)
    assert second_factor.matching(SECRET, code, now) == at // 30
    assert second_factor.matching(SECRET, code, datetime.fromtimestamp(at + 90, UTC)) is None
    assert second_factor.matching(SECRET, code, datetime.fromtimestamp(at - 90, UTC)) is None
    assert second_factor.matching(SECRET, "", now) is None


def code_of(clinic: Clinic, secret: str) -> str:
    totp = TOTP(base64.b32decode(secret), 6, SHA1(), 30)  # noqa: S303 as the standard has it
    return totp.generate(int(clinic.time.now.timestamp())).decode()


def enrol(clinic: Clinic, person: UUID = ANNA) -> tuple[str, list[str]]:
    begun = second_factor.begin(clinic.context, person, "anna")
    assert begun == second_factor.begin(clinic.context, person, "anna")  # a page that is loaded again shows the same
    codes = second_factor.confirm(clinic.context, person, code_of(clinic, begun.secret))
    assert codes is not None
    clinic.time.move(seconds=60)
    return begun.secret, codes


def log_in(clinic: Clinic, name: str = "anna", **more: str) -> Response:
    form = {"username": name, "password": clinic.password(name)} | more
    return clinic.browser.post("/login", data=form, headers={"accept": "application/json"})


def test_a_password_alone_opens_nothing_any_more_and_each_code_is_good_once(clinic: Clinic) -> None:
    secret, codes = enrol(clinic)
    assert (log_in(clinic).status_code, log_in(clinic).json()) == (401, {"error": "second_factor"})
    assert clinic.browser.get("/api/me").status_code == 401
    code = code_of(clinic, secret)
    assert log_in(clinic, code=code).status_code == 200
    assert clinic.browser.get("/api/me").json()["role"] == "patient"
    clinic.sign_out()
    assert log_in(clinic, code=code).status_code == 401
    assert log_in(clinic, code=codes[0].upper()).status_code == 200
    clinic.sign_out()
    assert log_in(clinic, code=codes[0]).status_code == 401
    clinic.time.move(seconds=30)
    assert log_in(clinic, code=code_of(clinic, secret)).status_code == 200
    with clinic.owner() as connection:
        kept = connection.execute(
            "SELECT f.*::text, r.*::text FROM cloud.second_factor f, cloud.recovery_code r"
        ).fetchall()
        assert not any(code in str(kept) for code in (secret, *codes))
        factors = connection.execute("SELECT DISTINCT factors FROM cloud.session").fetchall()
    assert factors == [(["password", "totp"],)]


def test_wrong_codes_lock_and_the_lock_opens_again(clinic: Clinic) -> None:
    secret, codes = enrol(clinic)
    for _ in range(second_factor.FREE_ATTEMPTS):
        assert not second_factor.check(clinic.context, ANNA, "000000")
    assert not second_factor.check(clinic.context, ANNA, code_of(clinic, secret))
    assert not second_factor.check(clinic.context, ANNA, codes[0])
    clinic.time.move(seconds=61)
    assert second_factor.check(clinic.context, ANNA, code_of(clinic, secret))
    assert not second_factor.check(clinic.context, demo_id("person/boris"), "000000")


def test_a_browser_is_led_over_the_page_of_the_code(clinic: Clinic) -> None:
    secret, _ = enrol(clinic)
    form = {"username": "anna", "password": clinic.password("anna"), "next": "/me"}
    answer = clinic.browser.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/login/code"
    assert clinic.browser.get("/me", follow_redirects=False).headers["location"] == "/login"
    assert 'autocomplete="one-time-code"' in clinic.browser.get("/login/code").text
    wrong = clinic.browser.post("/login/code", data={"code": "000000"})
    assert "not right" in wrong.text
    done = clinic.browser.post("/login/code", data={"code": code_of(clinic, secret)}, follow_redirects=False)
    assert done.headers["location"] == "/me"
    assert clinic.browser.get("/me").status_code == 200
    clinic.sign_out()
    assert (
        clinic.browser.post("/login/code", data={"code": "1"}, follow_redirects=False)
        .headers["location"]
        .startswith("/login?reason=expired")
    )


def test_a_role_that_must_have_one_enrols_before_anything_else(clinic: Clinic) -> None:
    clinic.context.settings = dataclasses.replace(clinic.settings, second_factor_roles=frozenset({"patient"}))
    form = {"username": "anna", "password": clinic.password("anna"), "next": "/me"}
    answer = clinic.browser.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/login/enrol"
    page = clinic.browser.get("/login/enrol").text
    assert "viewBox" in page.partition("<svg")[2].partition(">")[0]  # without it a QR code is cut where it is scaled
    assert "style=" not in page
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", page)[0]
    assert "not right" in clinic.browser.post("/login/enrol", data={"code": "000000"}).text
    assert clinic.browser.get("/api/me").status_code == 401
    done = clinic.browser.post("/login/enrol", data={"code": code_of(clinic, secret)}).text
    assert len(re.findall(r"<li><code>[0-9a-f]{10}</code></li>", done)) == second_factor.RECOVERY_CODES
    assert clinic.browser.get("/api/me").status_code == 200
    csrf = re.findall(r'name="csrf" value="([^"]+)"', clinic.browser.get("/account").text)[0]
    clinic.time.move(seconds=60)
    gone = {"csrf": csrf, "act": "remove", "code": code_of(clinic, secret)}
    assert "not right" in clinic.browser.post("/account/second-factor", data=gone).text  # the role must keep it


def test_a_person_sets_one_up_and_removes_it_on_their_page(clinic: Clinic) -> None:
    csrf = {"csrf": clinic.sign_in("anna")["x-csrf-token"]}
    page = clinic.browser.post("/account/second-factor", data=csrf).text
    secret = re.findall(r"<code>([A-Z2-7]{32})</code>", page)[0]
    done = clinic.browser.post("/account/second-factor", data=csrf | {"code": code_of(clinic, secret)}).text
    assert "shown only now" in done
    again = clinic.browser.post("/account/second-factor", data=csrf).text
    assert secret not in again
    remove = csrf | {"act": "remove"}
    assert "not right" in clinic.browser.post("/account/second-factor", data=remove | {"code": "1"}).text
    clinic.time.move(seconds=60)
    clinic.browser.post("/account/second-factor", data=remove | {"code": code_of(clinic, secret)})
    with clinic.owner() as connection:
        assert not second_factor.has(connection, ANNA)
    assert log_in(clinic).status_code == 200
