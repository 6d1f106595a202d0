"""The gateway's page: what it shows, to whom, and what it must not let happen."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncGenerator
from datetime import UTC
from pathlib import Path
from typing import Any

import msgspec
import pytest
from feldsher_edge import status
from feldsher_edge.local import page as pages
from feldsher_edge.local import pin
from feldsher_edge.local.client import LocalError
from feldsher_edge.local.guard import Guard
from feldsher_edge.local.page import Page, ago, spoken
from feldsher_edge.local.words import Drawn, EcgLine, Ecgs, Judged, LeadSignal, Picture, Piece, ReadingLine
from feldsher_ehr_core.vitals import VITALS
from feldsher_signal.registry import REGISTRY
from starlette.testclient import TestClient

PIN = "274183"
EVIL = "<script>alert(1)</script>"
LINK = status.Connection("b:1", False, 1, 0, 0, 0, 0, 0, 0, 0, "refused", None)
REPORT = status.Report(
    "gw-7", "feldsher-edge 1", 1, "synced", LINK, (0, 0, 0), 0, 12.0, 0, 0, 0, "ready",
    (status.DeviceLine(f"ecg{EVIL}", "cardiograph", "present", 1.0, battery=80, detail=None, model="kit"),
     status.DeviceLine("cuff-1", "cuff", "fault", None, detail="encryption failed")), (), (),
    waiting={"alarm": 2}, certificate=status.CertificateLine("2026-12-24T00:00:00+00:00"),
)  # fmt: skip
ECG = EcgLine(7, "ecg-1", 1_000_000, False, 134.0, ("Acute anterior infarction",))
READING = ReadingLine("AA:BB", "Systolic blood pressure", "132", "mm[Hg]", 2_000_000, sent=True)
TRIAL = Judged(
    "ecg-1", 4.0, 0, 0, 1.0, None, (LeadSignal("I", 900.0, 0.0, off=False), LeadSignal("V1", 0, 0, off=True))
)


class Gateway:
    """What the page asks, answered from here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = False
        self.ecgs = [ECG]
        monkeypatch.setattr(status, "ask", self.status)
        monkeypatch.setattr(pages, "ask_soon", self.ask)
        monkeypatch.setattr(pages, "live", self.live)

    def status(self, state: Path) -> status.Report:
        if self.away:
            raise status.StatusError(f"no gateway answers in {state}")
        return REPORT

    async def ask(self, _state: Path, question: object, _kind: object) -> Any:
        if self.away:
            raise LocalError("no gateway answers")
        if isinstance(question, Picture):
            if question.seq != 7:
                raise LocalError(f"no ECG has the number {question.seq}")
            return Drawn("<svg/>")
        if isinstance(question, Ecgs):
            return self.ecgs
        return TRIAL if type(question).__name__ == "TrialRecording" else [READING]

    async def live(self, _state: Path) -> AsyncGenerator[Piece]:
        yield Piece("ecg-1", 500.0, ("I",), 0, ((1, None),))


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    return Gateway(monkeypatch)


def client(state: Path, *, lan: bool = False, base: str = "http://127.0.0.1:8088", **guard: Any) -> TestClient:
    page = Page(state, Guard(state, lan, **guard), UTC)
    return TestClient(page.app(), base_url=base, follow_redirects=False, headers={"accept-language": "en"})


def test_this_machine_sees_everything_also_without_a_link(gateway: Gateway, tmp_path: Path) -> None:
    text = client(tmp_path).get("/").text
    shown = (
        "NOT connected", "refused", "Acute anterior infarction", "134 /min", "132 mmHg", "encryption failed",
        "2 messages", "2026-12-24", "battery 80 %", "confirmed by nobody",
    )  # fmt: skip
    for words in shown:
        assert words in text
    gateway.ecgs = []
    assert "No critical ECG." in client(tmp_path).get("/").text


def test_what_devices_say_is_text_and_never_more(gateway: Gateway, tmp_path: Path) -> None:
    text = client(tmp_path).get("/").text
    assert EVIL not in text
    assert "&lt;script&gt;" in text
    assert gateway.away is False


def test_every_answer_has_the_headers_and_needs_nothing_from_elsewhere(gateway: Gateway, tmp_path: Path) -> None:
    there = client(tmp_path)
    for path in ("/", "/pin", "/strip", "/static/page.css", "/ecg/7", "/ecg/7.svg", "/nowhere"):
        headers = there.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert (headers["x-frame-options"], headers["cache-control"]) == ("DENY", "no-store")
        assert "set-cookie" not in headers
    for path in ("/", "/strip", "/ecg/7", "/pin"):
        text = there.get(path).text
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text)
        assert not re.search(r"<script(?! src=)|<style| style=| on[a-z]+=", text), path
    assert gateway.away is False


@pytest.mark.parametrize("host", ["evil.example:8088", "192.168.1.7:8088", ""])
def test_a_name_made_to_point_here_is_refused(gateway: Gateway, tmp_path: Path, host: str) -> None:
    """DNS rebinding: a page elsewhere must not read this one through the technician's browser."""
    there = client(tmp_path)
    assert there.get("/", headers={"host": host}).status_code == 421
    for name in ("localhost:8088", "127.0.0.1", "[::1]:8088"):
        assert there.get("/", headers={"host": name}).status_code == 200
    assert gateway.away is False


def form(text: str) -> dict[str, str]:
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found
    return {"csrf": found[1]}


def test_a_trial_recording_needs_the_pages_own_form(gateway: Gateway, tmp_path: Path) -> None:
    there = client(tmp_path)
    good = form(there.get("/").text)
    shown = there.post("/trial/ecg-1", data=good)
    assert (shown.status_code, "electrode off" in shown.text, "Nothing was lost." in shown.text) == (200, True, True)
    for data in ({}, {"csrf": ""}, {"csrf": "made up"}):
        assert there.post("/trial/ecg-1", data=data).status_code == 403
    assert there.delete("/").status_code == 405
    gateway.away = True
    assert there.post("/trial/ecg-1", data=good).status_code == 409


def test_the_network_needs_the_pin(gateway: Gateway, tmp_path: Path) -> None:
    pin.change(tmp_path, PIN)
    there = client(tmp_path, lan=True, base="http://gateway.clinic.example:8088")
    for path in ("/", "/strip", "/strip/stream", "/ecg/7", "/ecg/7.svg"):
        answer = there.get(path)
        assert (answer.status_code, answer.headers.get("location")) == (303, "/pin"), path
    assert there.post("/trial/ecg-1").headers["location"] == "/pin"
    assert there.post("/pin", data={"pin": "000001"}).status_code == 403
    way_in = there.post("/pin", data={"pin": PIN})
    cookie = way_in.headers["set-cookie"]
    assert (way_in.status_code, "HttpOnly" in cookie, "samesite=strict" in cookie.lower()) == (303, True, True)
    page = there.get("/")
    assert page.status_code == 200
    assert there.post("/leave", data=form(page.text)).status_code == 303
    assert there.get("/").status_code == 303
    assert gateway.away is False


def test_wrong_pins_brake_even_the_right_one(gateway: Gateway, tmp_path: Path) -> None:
    now = [0.0]
    pin.change(tmp_path, PIN)
    there = client(tmp_path, lan=True, now=lambda: now[0])
    for _ in range(pin.FREE):
        assert there.post("/pin", data={"pin": "000001"}).status_code == 403
    braked = there.post("/pin", data={"pin": PIN})
    assert (braked.status_code, "Too many wrong PINs" in braked.text) == (403, True)
    now[0] += 3
    assert there.post("/pin", data={"pin": PIN}).status_code == 303
    assert gateway.away is False


def test_many_wrong_pins_at_once_brake_like_one_after_the_other(tmp_path: Path) -> None:
    """Whoever sends them in parallel must not have more looked at than the brake lets through."""
    pin.change(tmp_path, PIN)
    guard = Guard(tmp_path, lan=True, now=lambda: 0.0)
    together = threading.Barrier(3 * pin.FREE)

    def guess() -> None:
        together.wait()
        assert guard.enter("000001") is None

    threads = [threading.Thread(target=guess) for _ in range(3 * pin.FREE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert guard.brake.wrong == pin.FREE


def test_nobody_fills_the_memory_before_giving_the_pin(gateway: Gateway, tmp_path: Path) -> None:
    pin.change(tmp_path, PIN)
    there = client(tmp_path, lan=True)
    assert there.post("/pin", data={"pin": "0" * 20_000}).status_code == 413
    assert there.post("/pin", content=iter([b"pin=", PIN.encode()])).status_code == 413  # of a length not said
    assert there.post("/pin", data={"pin": PIN}).status_code == 303
    assert gateway.away is False


def test_without_a_pin_the_network_sees_nothing(gateway: Gateway, tmp_path: Path) -> None:
    there = client(tmp_path, lan=True)
    assert there.post("/pin", data={"pin": ""}).status_code == 403
    assert there.get("/").status_code == 303
    assert gateway.away is False


def test_an_ecg_has_its_picture_and_other_numbers_have_none(gateway: Gateway, tmp_path: Path) -> None:
    there = client(tmp_path)
    assert '<img src="/ecg/7.svg"' in there.get("/ecg/7").text
    assert there.get("/ecg/7.svg").headers["content-type"] == "image/svg+xml"
    assert there.get("/ecg/8").status_code == there.get("/ecg/8.svg").status_code == 404
    assert there.get("/ecg/x").status_code == 404
    gateway.away = True
    assert there.get("/ecg/7").status_code == 503


def test_the_strip_streams_pieces_quality_and_the_end(gateway: Gateway, tmp_path: Path) -> None:
    text = client(tmp_path).get("/strip/stream").text
    events = re.findall(r"event: (\w+)\ndata: (.*)\n", text)
    assert [name for name, _ in events] == ["piece", "quality", "away"]
    assert msgspec.json.decode(events[0][1])["uv"] == [[1, None]]
    assert gateway.away is False


def test_a_gateway_that_does_not_answer_is_told(gateway: Gateway, tmp_path: Path) -> None:
    gateway.away = True
    shown = client(tmp_path).get("/")
    assert (shown.status_code, "does not answer" in shown.text) == (503, True)


def test_findings_and_readings_are_told_in_the_pages_language() -> None:
    ecg = EcgLine(7, "e", 1, False, None, ("Suspected infarction", "Something new"), ("STEMI", "NEW"))
    assert pages.findings(ecg, "ru") == "Подозрение на инфаркт с подъёмом ST; Something new"
    assert pages.findings(ecg, "en") == "Suspected infarction; Something new"
    assert pages.findings(ECG, "ru") == "Acute anterior infarction"
    assert pages.measured(msgspec.structs.replace(READING, code=150021), "ru") == "Систолическое давление"
    assert pages.measured(READING, "ru") == "Systolic blood pressure"


def test_every_finding_that_is_translated_exists() -> None:
    translated = pages._TOML["findings"]["ru"]  # pyright: ignore[reportPrivateUsage]
    assert set(translated) <= set(REGISTRY)
    assert set(map(int, pages._TOML["measured"]["ru"])) <= set(VITALS)  # pyright: ignore[reportPrivateUsage]


def test_both_languages_have_every_word() -> None:
    words = pages._WORDS  # pyright: ignore[reportPrivateUsage]
    assert words["en"].keys() == words["ru"].keys()
    assert [spoken(text) for text in ("ru-RU,ru;q=0.9,en", "en-US,ru", "de,ru;q=0.8", "de", "")] == [
        "ru", "en", "ru", "en", "en",
    ]  # fmt: skip
    assert [ago(s, words["en"]) for s in (None, 5.0, 120.0, 7200.0, 1e6)] == [
        "never", "5 s ago", "2 min ago", "2 h ago", "12 days ago",
    ]  # fmt: skip
