"""Limits: bursts, refilling, 429 with Retry-After, and ten thousand wrong passwords that cost a handful of hashes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from fastapi import Request
from feldsher_cloud_api import auth, limits, passwords
from feldsher_cloud_api.limits import TooFastError
from feldsher_tools.clinic import Clinic


def test_brake_lets_bursts_through_and_refills() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    brake = limits.Brake(burst=3, every=10, capacity=2)
    assert [brake.allows("a", now) for _ in range(4)] == [True, True, True, False]
    assert brake.allows("b", now)
    assert not brake.allows("a", now + timedelta(seconds=9))
    assert brake.allows("a", now + timedelta(seconds=20))
    assert brake.allows("c", now)  # and the memory stays bounded: the oldest is forgotten
    assert brake.allows("b", now)
    assert brake.wait_s("b", now) == 0
    assert limits.Brake(burst=1, every=40).wait_s("d", now) == 0


def test_who_asks_too_fast_is_told_when_to_ask_again(clinic: Clinic) -> None:
    bearer = {"authorization": f"Bearer {clinic.program_token()}"}
    clinic.context.askers = limits.Brake(burst=2, every=7)
    answers = [clinic.browser.get("/fhir/Patient", headers=bearer) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "7"
    assert answers[2].json()["issue"][0]["code"] == "throttled"
    clinic.time.move(seconds=7)
    assert clinic.browser.get("/fhir/Patient", headers=bearer).status_code == 200
    clinic.context.addresses = limits.Brake(burst=1, every=3)
    answers = [clinic.browser.get("/login") for _ in range(2)]
    assert [(a.status_code, a.headers.get("retry-after")) for a in answers] == [(200, None), (429, "3")]
    assert clinic.browser.get("/health/live").status_code == 200


def test_a_person_in_a_browser_who_asks_too_fast_gets_a_page(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    clinic.context.askers = limits.Brake(burst=1, every=9)
    pages = [clinic.browser.get("/worklist") for _ in range(2)]
    assert [(p.status_code, p.headers.get("retry-after")) for p in pages] == [(200, None), (429, "9")]
    assert "Too many requests" in pages[1].text


def _from(address: str) -> Request:
    return Request({"type": "http", "method": "POST", "path": "/login", "headers": [], "client": (address, 1)})


@pytest.mark.parametrize("addresses", [1, 10_000], ids=["one address", "an address each"])
def test_ten_thousand_wrong_passwords_cost_a_handful_of_hashes(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    hashed: list[str] = []

    def matches(password_hash: str, password: str) -> bool:
        hashed.append(password)
        return False

    monkeypatch.setattr(passwords, "matches", matches)
    reasons = [
        auth.sign_in(clinic.context, _from(f"10.0.{n % addresses}"), "boris", f"guess {n}")[1] for n in range(10_000)
    ]
    assert len(hashed) <= 60
    assert set(reasons) == {"failed", "locked", "busy"}
    assert reasons.count("busy") > 9_900
    # the others are not held up, and the account opens again by itself
    monkeypatch.undo()
    who, _ = auth.sign_in(clinic.context, _from("10.9.9.9"), "anna", clinic.password("anna"))
    assert who is not None
    clinic.time.move(minutes=20)
    who, _ = auth.sign_in(clinic.context, _from("10.9.9.9"), "boris", clinic.password("boris"))
    assert who is not None


def test_hashes_that_wait_are_few_and_the_rest_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    enough, started = threading.Event(), threading.Semaphore(0)

    class Slow:
        def verify(self, password_hash: str, password: str) -> bool:
            started.release()
            return enough.wait(60)

    monkeypatch.setattr(passwords, "_hasher", Slow())
    monkeypatch.setattr(passwords, "_places", threading.BoundedSemaphore(2))
    threads = [threading.Thread(target=passwords.matches, args=("", "")) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert all(started.acquire(timeout=60) for _ in threads)
    with pytest.raises(TooFastError):
        passwords.matches("", "")
    enough.set()
    for thread in threads:
        thread.join()
    assert passwords.matches("", "")
