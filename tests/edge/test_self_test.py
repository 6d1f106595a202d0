"""The self-test's judgement of what the gateway and its devices say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from feldsher_edge import self_test, status
from feldsher_edge.checks import Check, good
from feldsher_edge.local.client import LocalError
from feldsher_edge.local.words import Judged, LeadSignal

LINK = status.Connection("b:1", True, 1, 0, 0, 0, 0, 0, 0, 0, None, None)
TOUCHING = (LeadSignal("I", 900.0, 0.0, off=False), LeadSignal("II", 1200.0, 0.0, off=False))
KIT = status.DeviceLine("ecg-1", "cardiograph", "present", 1.0, model="feldsher kit", battery=80)
CUFF = status.DeviceLine("cuff-1", "cuff", None, None, address="AA")


def report(*devices: status.DeviceLine, connection: status.Connection = LINK) -> status.Report:
    return status.Report(
        "gw", "x", 1, "synced", connection, (0, 0, 0), 0, None, 0, 0, 0, "ready", devices, (), ()
    )  # fmt: skip


@dataclass
class Gateway:
    """A gateway that says what a test wants; the last report is said for ever."""

    reports: list[status.Report | None]
    tested: Judged | str = field(default_factory=lambda: Judged("ecg-1", 4.0, 0, 0, 1.0, None, TOUCHING))

    def ask(self, _state: Path) -> status.Report:
        one = self.reports.pop(0) if len(self.reports) > 1 else self.reports[0]
        if one is None:
            raise status.StatusError("no gateway answers")
        return one

    async def record(self, *_: object) -> Judged:
        if isinstance(self.tested, str):
            raise LocalError(self.tested)
        return self.tested


def run(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, *names: str, wait_s: float = 0.0) -> dict[str, Check]:
    monkeypatch.setattr(status, "ask", gateway.ask)
    monkeypatch.setattr(self_test, "ask_soon", gateway.record)
    monkeypatch.setattr(self_test, "_LOOK_S", 0.001)
    found = asyncio.run(
        self_test.run(Path("/nowhere"), list(names), connect_s=0.05, wait_s=wait_s, tell=lambda _: None)
    )
    return {check.name: check for check in found}


def test_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    brought = msgspec.structs.replace(CUFF, readings=1, battery=90)
    found = run(Gateway([None, report(KIT, brought)]), monkeypatch, "ecg-1", "cuff-1")
    assert good(list(found.values()))
    assert found["ecg-1"].detail == "feldsher kit, battery 80 %"
    assert found["cuff-1"].detail == "first reading received, battery 90 %"
    assert all(not check.next for check in found.values())


def test_a_gateway_that_does_not_start_or_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "journalctl" in run(Gateway([None]), monkeypatch)["gateway"].next
    away = msgspec.structs.replace(LINK, connected=False, last_error="refused")
    told = run(Gateway([report(connection=away)]), monkeypatch)["connection"]
    assert (told.ok, "refused" in told.detail, told.next) == (False, True, "feldsher-edge network check")


def test_a_device_that_the_gateway_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(Gateway([report()]), monkeypatch, "ecg-1")["ecg-1"].ok is False


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (msgspec.structs.replace(KIT, state=None), "not seen yet"),
        (msgspec.structs.replace(KIT, state="absent", detail="unplugged"), "absent: unplugged"),
    ],
)
def test_a_cardiograph_that_is_not_there(monkeypatch: pytest.MonkeyPatch, line: status.DeviceLine, words: str) -> None:
    told = run(Gateway([report(line)]), monkeypatch, "ecg-1")["ecg-1"]
    assert (told.ok, words in told.detail, bool(told.next)) == (False, True, True)


def test_electrodes_that_are_off_are_no_fault_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    none = Gateway([report(KIT)], "no lead can be measured, electrodes off: RA, LA")
    found = run(none, monkeypatch, "ecg-1")
    assert (found["ecg-1: electrodes"].ok, good(list(found.values()))) == (None, True)
    off = Judged("ecg-1", 4.0, 0, 0, 1.0, None, (TOUCHING[0], LeadSignal("II", 0.0, 0.0, off=True)))
    assert run(Gateway([report(KIT)], off), monkeypatch, "ecg-1")["ecg-1: electrodes"].detail == "off: II"
    other = run(Gateway([report(KIT)], "its amplifier does not answer"), monkeypatch, "ecg-1")
    assert other["ecg-1: recording"].ok is False


def test_a_recording_with_holes_is_a_fault() -> None:
    found = {c.name: c for c in self_test.judged(Judged("ecg-1", 4.0, 12, 3, 1.0, "no data", TOUCHING))}
    assert found["ecg-1: recording"].ok is False
    assert "12 samples lost, 3 damaged; no data" in found["ecg-1: recording"].detail


@pytest.mark.parametrize("spread", [0.0, 29.9, 20_000.1])
def test_a_lead_that_is_flat_or_far_too_large_is_named(spread: float) -> None:
    leads = (TOUCHING[0], LeadSignal("V1", spread, 0.0, off=False))
    told = self_test.judged(Judged("ecg-1", 4.0, 0, 0, 1.0, None, leads))[-1]
    assert (told.ok, "V1" in told.detail) == (None, True)


def test_a_device_that_comes_by_itself_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    brought = msgspec.structs.replace(CUFF, readings=1)
    assert run(Gateway([*[report(CUFF)] * 4, report(brought)]), monkeypatch, "cuff-1", wait_s=5.0)["cuff-1"].ok
    assert run(Gateway([report(CUFF)]), monkeypatch, "cuff-1")["cuff-1"].ok is None
    failed = msgspec.structs.replace(CUFF, state="fault", detail="encryption failed")
    told = run(Gateway([report(failed)]), monkeypatch, "cuff-1")["cuff-1"]
    assert (told.ok, "encryption failed" in told.detail) == (False, True)
