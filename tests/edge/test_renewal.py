"""Renewal against a cloud over real TLS: when, with which key, what a power cut leaves, and a clock that says 1970."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from feldsher_edge import files, identity
from feldsher_edge.api import Api
from feldsher_edge.identity import Identity, ProvisionError, load_identity
from feldsher_edge.provision import claim_identity
from feldsher_edge.publish import Figures
from feldsher_edge.renewal import Renewal, renew
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.true_time import TrueTime
from feldsher_tools.office import GATEWAY, Office

DAY_US = 86_400_000_000
RENEW, TIME, CONFIRM = "/base/provision/renew", "/base/provision/time", "/base/provision/confirm"


def us(at: datetime) -> int:
    return int(at.timestamp() * 1e6)


@dataclass
class Broker:
    """Stands for the publisher: lets in whom `takes` accepts."""

    state: Path
    takes: Callable[[Identity], bool] = lambda _: True
    figures: Figures = field(default_factory=Figures)
    used: list[int] = field(default_factory=list[int])

    def reconnect(self) -> None:
        mine = load_identity(self.state)
        assert mine is not None
        self.used.append(mine.shown().serial_number)
        self.figures.connected = self.takes(mine)
        self.figures.connections += self.figures.connected


@dataclass
class Case:
    """A claimed gateway that looks after its certificate."""

    office: Office
    state: Path
    clock: VirtualClock
    time: TrueTime
    broker: Broker
    renewal: Renewal
    told: list[int]

    @property
    def mine(self) -> Identity:
        found = load_identity(self.state)
        assert found is not None
        return found

    def pass_days(self, days: float) -> None:
        self.clock.advance(days * 86_400)
        self.office.shift += timedelta(days=days)

    def restart(self) -> None:
        """Begin a new run of the program."""
        self.time = self.renewal.time = TrueTime(self.clock, self.state)


@pytest.fixture
def case(office: Office, tmp_path: Path) -> Case:
    state = tmp_path / "state"
    claim_identity(office.claim(), state)
    clock = VirtualClock(us(office.now()))
    broker, told = Broker(state), list[int]()

    async def tell(behind_us: int) -> None:
        told.append(behind_us)

    time = TrueTime(clock, state)
    renewal = Renewal(state, time, clock, broker, tell, random.Random(1), trial_s=0.3)  # noqa: S311
    return Case(office, state, clock, time, broker, renewal, told)


async def test_nothing_happens_before_two_thirds_of_its_life(case: Case) -> None:
    case.pass_days(19)
    assert 0 < await case.renewal.step() <= 3600
    assert RENEW not in case.office.paths


async def test_at_two_thirds_a_new_key_is_certified_and_the_old_one_goes_when_the_new_one_has_connected(
    case: Case,
) -> None:
    before, old_key = case.mine.shown(), case.mine.key.read_bytes()
    case.pass_days(20.5)
    await case.renewal.step()
    after = case.mine.shown()
    assert after.not_valid_after_utc > before.not_valid_after_utc + timedelta(days=20)
    assert after.public_key() == case.mine.private().public_key()
    assert case.mine.key.read_bytes() != old_key
    assert case.broker.used == [after.serial_number]
    assert case.office.paths[-2:] == [RENEW, CONFIRM]
    assert sorted(p.name for p in case.state.iterdir()) == ["identity"]
    assert case.mine.place.claimed_ms > 0
    assert case.mine.place.word_keys == tuple(case.office.grant({"csr": _csr(case)})[1]["word_keys"])


def _csr(case: Case) -> str:
    return identity.request_pem(case.mine.private(), GATEWAY)


async def test_a_certificate_that_the_broker_does_not_take_is_given_back_for_the_former(case: Case) -> None:
    before = case.mine.shown().serial_number
    case.broker.takes = lambda mine: mine.shown().serial_number == before
    case.pass_days(20.5)
    with pytest.raises(ProvisionError, match="former one is in use again"):
        await case.renewal.step()
    assert case.mine.shown().serial_number == before
    assert case.broker.figures.connected
    assert CONFIRM not in case.office.paths
    case.broker.takes = lambda _: True
    await case.renewal.step()  # later it is tried again, without asking for another
    assert case.mine.shown().serial_number != before
    assert case.office.paths.count(RENEW) == 1


async def test_off_for_45_days_with_the_clock_at_1970_it_recovers_unaided(case: Case) -> None:
    before = case.mine.shown()
    case.office.shift += timedelta(days=19 + 45)
    case.clock.set_wall(3_600_000_000)  # the first of January 1970, one o'clock
    case.clock.trust = "unsynced"
    case.clock.reboot()
    case.restart()
    assert case.mine.left(case.office.now()) < timedelta(0)
    await case.renewal.step()
    assert case.office.paths[-3:] == [TIME, RENEW, CONFIRM]
    assert case.mine.shown().serial_number != before.serial_number
    assert case.mine.left(case.office.now()) > timedelta(days=29)
    behind_days = case.told[0] / DAY_US
    assert abs(case.clock.wall_us() + case.told[0] - us(case.office.now())) < 60_000_000
    assert behind_days > 20_000


async def test_a_clock_far_ahead_is_told_by_the_cloud_too(case: Case) -> None:
    case.clock.set_wall(us(case.office.now()) + 3650 * DAY_US)
    case.clock.trust = "unsynced"
    case.restart()
    assert await case.renewal.step() > 0
    assert abs(case.time.now_us() - us(case.office.now())) < 60_000_000
    assert RENEW not in case.office.paths


async def test_a_synchronised_clock_that_the_cloud_finds_wrong_is_not_insisted_on(case: Case) -> None:
    case.pass_days(20.5)
    first = iter([(401, {"error": "not ours", "code": "clock"})])
    case.office.answers[RENEW] = lambda body: next(first, None) or case.office.grant(body)
    await case.renewal.step()
    assert case.office.paths[-4:] == [RENEW, TIME, RENEW, CONFIRM]


async def test_time_signed_by_somebody_else_or_of_yesterday_is_not_believed(case: Case, tmp_path: Path) -> None:
    api = Api(case.mine, case.time)
    good = case.office.tell_time
    api.ask_time()
    other = Office(tmp_path / "other")
    case.office.answers[TIME] = other.tell_time
    with pytest.raises(ProvisionError, match="somebody is in between"):
        api.ask_time()
    other.close()
    said = good({"nonce": "00" * 16})
    case.office.answers[TIME] = lambda _: said  # an answer to another question: recorded and played again
    with pytest.raises(ProvisionError, match="somebody is in between"):
        api.ask_time()
    case.office.answers[TIME] = good
    case.office.shift -= timedelta(hours=1)
    with pytest.raises(ProvisionError, match="was signed after"):
        api.ask_time()


async def test_a_revoked_gateway_is_told_so_and_keeps_what_it_has(case: Case) -> None:
    before = case.mine.shown().serial_number
    case.pass_days(20.5)
    case.office.answers[RENEW] = lambda _: (403, {"error": "revoked; claim the gateway anew", "code": "revoked"})
    with pytest.raises(ProvisionError, match="claim the gateway anew"):
        await case.renewal.step()
    assert case.mine.shown().serial_number == before


async def test_a_lost_confirmation_is_repeated(case: Case) -> None:
    case.pass_days(20.5)
    good: tuple[int, dict[str, Any]] = (200, {})
    answers = iter([(503, {"error": "later"})])
    case.office.answers[CONFIRM] = lambda _: next(answers, good)
    with pytest.raises(ProvisionError):
        await case.renewal.step()
    assert identity.settle(case.state) == "trial"
    await case.renewal.step()
    assert identity.settle(case.state) == "settled"
    assert case.office.paths.count(RENEW) == 1


def foreign_key(office: Office) -> dict[str, Any]:
    return {"certificate_pem": office.authority.issue_client(GATEWAY).certificate_pem.decode()}


def foreign_authority(office: Office) -> dict[str, Any]:
    return {"gateway": "gw-8"}


@pytest.mark.parametrize("change", [foreign_key, foreign_authority])
async def test_a_wrong_answer_changes_nothing(case: Case, change: Callable[[Office], dict[str, Any]]) -> None:
    before = case.mine.shown().serial_number
    case.pass_days(20.5)
    case.office.answers[RENEW] = lambda body: (200, case.office.grant(body)[1] | change(case.office))
    with pytest.raises(ProvisionError):
        await case.renewal.step()
    assert case.mine.shown().serial_number == before
    case.office.answers[RENEW] = case.office.grant
    await case.renewal.step()
    assert case.mine.shown().serial_number != before


def _whole(mine: Identity) -> bool:
    return mine.shown().public_key() == mine.private().public_key() and mine.place.gateway == GATEWAY


@pytest.mark.parametrize("at", range(16))
def test_killed_at_any_step_an_identity_that_works_is_left_and_the_next_run_finishes(case: Case, at: int) -> None:
    """A child process renews and switches; SIGKILL meets it at its n-th change of the disk."""
    case.pass_days(20.5)
    child = os.fork()
    if child == 0:
        _die_at(at)
        renew(Api(case.mine, case.time), case.state)
        identity.switch(case.state)
        identity.back(case.state)
        identity.switch(case.state)
        identity.keep(case.state)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    assert _whole(case.mine)
    standing = identity.settle(case.state)
    if standing == "settled":
        if not identity.is_next_complete(case.state):
            renew(Api(case.mine, case.time), case.state)
        identity.switch(case.state)
    identity.keep(case.state)
    assert _whole(case.mine)
    assert case.mine.left(case.office.now()) > timedelta(days=29)


def _die_at(number: int) -> None:
    """Let this process be killed before its n-th rename (every change of the disk ends in one)."""
    left = [number]
    real, real_write = files.rename, files.write_file

    def count() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def rename(source: Path, target: Path) -> None:
        count()
        real(source, target)

    def write(path: Path, data: bytes) -> None:
        count()
        real_write(path, data)
        count()

    identity.rename, identity.write_file = rename, write
