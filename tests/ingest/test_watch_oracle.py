"""The watch against an oracle that judges everything stored from scratch, after every step of made-up lives."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from feldsher_ehr_core import wire
from feldsher_ehr_core.artefact import Measured
from feldsher_ehr_core.monitoring import Both, Range, Rise, Rule
from feldsher_ehr_core.vitals import PULSE, SYSTOLIC, WEIGHT
from watching import HIGH, OTHER, SUBJECT, T0, Kit, Told, Ward, value

PULSES = Range(codes=(PULSE.mdc,), above=Decimal(100))
RULES: tuple[Rule, ...] = (
    HIGH,
    Range(codes=(SYSTOLIC.mdc,), above=Decimal(150), below=Decimal(95), times=2, of=3, within_h=36),
    Range(codes=(SYSTOLIC.mdc,), above=Decimal("21.5"), unit="kPa", every_min=720),
    Both((HIGH, PULSES)),
    Both((HIGH, PULSES), within_min=900),
    Rise(codes=(WEIGHT.mdc,), by=Decimal(2), days=1, before=3),
    Rise(codes=(SYSTOLIC.mdc,), by=Decimal(10), days=2, before=2, least=2),
)
STEPS = 14
SEEDS = 40


class Life:
    """Two people, their devices, gateways with and without a right clock; `seed` decides all that happens."""

    def __init__(self, ward: Ward, seed: int) -> None:
        self.ward = ward
        self.chance = random.Random(seed)  # noqa: S311 (a simulation)
        self.kits = [
            Kit("gw-a", "cuff"),
            Kit("gw-a", "AA:BB:CC:DD:EE:01"),
            Kit("gw-b", "AA:BB:CC:DD:EE:01", clock="unsynced", behind=timedelta(hours=seed % 3 * 40)),
            Kit("gw-b", "scale", clock="unsynced", behind=timedelta(hours=seed % 3 * 40)),
        ]
        self.sent: list[wire.Up] = []
        self.limits: list[UUID] = []
        self.told: Told = set()

    def measured(self) -> wire.VitalsBatch:
        """Return a message with a few readings of some days."""
        kit = self.chance.choice(self.kits)
        readings: list[tuple[datetime, list[Measured]]] = []
        for _ in range(self.chance.randrange(1, 4)):
            at = T0 + timedelta(minutes=self.chance.randrange(0, 6 * 24 * 4) * 15)
            values = [
                value(
                    SYSTOLIC.mdc,
                    str(self.chance.choice((90, 120, 155, 158, 165, 190))),
                    status=self.chance.choice((0, 0, 0, 1)),
                )
            ]
            values += [value(PULSE.mdc, self.chance.choice(("60", "101", "120")))] if self.chance.random() < 0.7 else []
            if kit.device == "scale":
                values = [value(WEIGHT.mdc, self.chance.choice(("80", "81", "82.5", "84", "401")))]
            readings.append((at, values))
        return kit.message(readings, user=self.chance.choice((1, 1, 1, 2)), clocked=kit.device != "scale")

    def batch(self) -> None:
        """Bring new messages and old ones, in any order."""
        new: list[wire.Up] = [self.measured() for _ in range(self.chance.randrange(1, 4))]
        again = self.chance.sample(self.sent, min(len(self.sent), self.chance.randrange(3)))
        self.sent += new
        batch = [*new, *again]
        self.chance.shuffle(batch)
        self.ward.take(*batch)

    def limit(self) -> None:
        """Set a new limit, or another version of one, from any time on."""
        since = T0 + timedelta(hours=self.chance.randrange(-48, 120))
        if self.limits and self.chance.random() < 0.4:
            self.ward.limit(self.chance.choice(RULES), SUBJECT, since, limit=self.chance.choice(self.limits))
        else:
            whose = self.chance.choice((SUBJECT, SUBJECT, OTHER))
            made = self.ward.limit(self.chance.choice(RULES), whose, since, zone="Asia/Yekaterinburg")
            self.limits += [made] if whose == SUBJECT else []

    def assign(self) -> None:
        """Cut somebody's time with a device short and give the rest to another."""
        at = T0 + timedelta(hours=self.chance.randrange(0, 140))
        (found,) = self.ward.ask(
            "select id, subject from watch_subject where device = 'gw-a/cuff' and upper_inf(during)"
        )
        if not self.ward.ask("select from watch_subject where id = %s and lower(during) < %s", found[0], at):
            return
        self.ward.ask(
            "update watch_subject set during = tstzrange(lower(during), %s) where id = %s returning 1", at, found[0]
        )
        self.ward.assign("gw-a/cuff", OTHER if found[1] == SUBJECT else SUBJECT, at)

    def correct(self) -> None:
        """Let the clock's error become known, or another one than was known."""
        kit = self.kits[2]
        kit.seq += 1
        self.ward.take(kit.corrected(T0 + timedelta(days=7, minutes=self.chance.randrange(3))))

    def step(self) -> None:
        """Let one thing happen, judge all of it, and compare."""
        what = self.chance.choices((self.batch, self.limit, self.assign, self.correct), (8, 3, 1, 1))[0]
        what()
        if what != self.batch or self.chance.random() < 0.2:
            self.ward.look_back()
        self.told |= self.ward.naive()
        mine = self.ward.alerts()
        assert {(limit, about) for limit, _, about, _ in mine} == {(limit, about) for limit, _, about, _ in self.told}
        assert mine <= self.told


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, SEEDS))])
def test_what_is_raised_is_what_an_oracle_finds_at_any_time(store_url: str, seed: int) -> None:
    with Ward(store_url) as ward:
        life = Life(ward, seed)
        for device, subject, user in (
            ("gw-a/cuff", SUBJECT, None),
            ("AA:BB:CC:DD:EE:01", SUBJECT, 1),
            ("AA:BB:CC:DD:EE:01", OTHER, 2),
            ("gw-b/scale", SUBJECT, None),
        ):
            ward.assign(device, subject, T0 - timedelta(days=40), user=user)
        ward.look_back()
        life.limit()
        for _ in range(STEPS):
            life.step()
        assert ward.ask("select limit_id, about from watch_alert group by 1, 2 having count(*) > 1") == []
        told = ward.ask("select count(*), (select count(*) from event where kind = 'alert') from watch_alert")
        assert told[0][0] == told[0][1]
