"""The guided path step by step, with hands that do what a test says: its order, its failures, and going on later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from feldsher_edge import config_file
from feldsher_edge.checks import Check
from feldsher_edge.config import Config, load
from feldsher_edge.devices import DeviceError, Identity
from feldsher_edge.guide import STEPS, Done, Guide, GuideError, Hands, described, proposed
from feldsher_edge.identity import Identity as Claimed
from feldsher_edge.provision import claim_identity
from feldsher_edge.search import Found
from feldsher_tools.office import Office

KIT = Found("kit", port="/dev/ttyACM0", model="feldsher kit", serial="7")
CUFF = Found("cuff", address="AA:BB:CC:DD:EE:01", name="A&D_UA-651BLE", signal=-60)
STRANGER = Found("cuff", address="AA:BB:CC:DD:EE:99", name="next door", signal=-90)
MUTE = Found(None, port="/dev/ttyUSB9", why="no answer")
FINE = [Check("connection", True, "connected")]


@dataclass
class Walker:
    """A person with fixed answers, who remembers what was shown."""

    text: str
    refuses: tuple[str, ...] = (STRANGER.where,)
    tries: int = 0
    names: dict[str, str] = field(default_factory=dict[str, str])
    steps: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=list[str])

    def step(self, number: int, of: int, name: str) -> None:
        assert (STEPS[number - 1], of) == (name, len(STEPS))
        self.steps.append(name)

    def tell(self, text: str) -> None:
        self.told.append(text)

    def checks(self, checks: list[Check]) -> None:
        self.told += [check.name for check in checks]

    def claim(self) -> str:
        return self.text

    def wants(self, found: Found) -> bool:
        return found.where not in self.refuses

    def name(self, found: Found, proposed: str) -> str:
        return self.names.get(found.where, proposed)

    def again(self, words: str) -> bool:
        self.told.append(words)
        self.tries -= 1
        return self.tries >= 0


@dataclass
class World:
    """What the hands meet."""

    network: list[list[Check]] = field(default_factory=lambda: [[Check("broker", True, "answers")]])
    pairing: list[Exception] = field(default_factory=list[Exception])
    tested: list[list[str]] = field(default_factory=list[list[str]])
    starts: int = 0
    serial: Found = KIT
    paired: list[str] = field(default_factory=list[str])
    test: list[Check] = field(default_factory=lambda: list(FINE))

    def hands(self) -> Hands:
        def network(_config: Config, _identity: Claimed) -> list[Check]:
            return self.network.pop(0) if len(self.network) > 1 else self.network[0]

        async def serial(configured: dict[str, str]) -> list[Found]:
            return [msg(self.serial, configured), MUTE]

        async def bluetooth(configured: dict[str, str]) -> list[Found]:
            return [msg(CUFF, configured), STRANGER]

        async def pair(found: Found) -> tuple[Identity, int | None]:
            if self.pairing:
                raise self.pairing.pop(0)
            self.paired.append(found.where)
            return Identity("UA-651"), 87

        async def start() -> None:
            self.starts += 1

        async def test(names: list[str]) -> list[Check]:
            self.tested.append(names)
            return self.test

        return Hands(claim_identity, network, serial, bluetooth, pair, start, test)


def msg(found: Found, configured: dict[str, str]) -> Found:

    return msgspec.structs.replace(found, configured=configured.get(found.where))


Walk = Callable[[Walker, World], Done]


@pytest.fixture
def walk(tmp_path: Path) -> Walk:
    return lambda person, world: asyncio.run(
        Guide(tmp_path / "etc" / "edge.toml", person, world.hands(), tmp_path / "state", "Asia/Omsk").walk()
    )


def test_from_a_claim_to_ready(office: Office, walk: Walk, tmp_path: Path) -> None:
    person, world = Walker(office.claim(), names={CUFF.where: "nurse"}), World()
    done = walk(person, world)
    assert (done.gateway, done.ready, done.added) == ("gw-7", True, ("ecg-1", "nurse"))
    assert person.steps == ["claim", "network", "search", "choose", "name", "pair", "name", "start", "test", "ready"]
    config = load(tmp_path / "etc" / "edge.toml")
    assert (config.timezone, config.kit[0].port, config.cuff[0].address) == ("Asia/Omsk", KIT.port, CUFF.address)
    assert (world.starts, world.paired, world.tested) == (1, [CUFF.address], [["ecg-1", "nurse"]])
    assert any("no answer" in text for text in person.told)
    assert any("battery 87 %" in text for text in person.told)
    assert any("give each device" in todo for todo in done.next)


def test_walked_again_it_asks_for_nothing_that_is_done(office: Office, walk: Walk) -> None:
    walk(Walker(office.claim()), World())
    person, world = Walker("no claim is needed"), World()
    done = walk(person, world)
    assert (done.ready, done.added, done.devices) == (True, (), ("ecg-1", "cuff-1"))
    assert "claimed already: gw-7" in person.told
    assert "pair" not in person.steps
    assert len(office.asked) == 1


def test_a_broken_off_path_goes_on_where_it_stopped(office: Office, walk: Walk, tmp_path: Path) -> None:
    world = World(network=[[Check("broker", False, "refused", "open port 8883")]])
    with pytest.raises(GuideError, match="broker: refused") as ended:
        walk(Walker(office.claim()), world)
    assert (ended.value.step, ended.value.todo) == ("network", "open port 8883")
    assert (tmp_path / "state" / "identity").exists()
    done = walk(Walker("not needed"), World())
    assert done.ready


def test_what_failed_is_tried_again_when_the_person_says_so(office: Office, walk: Walk) -> None:
    world = World(
        network=[[Check("names", False, "unknown", "set DNS")], [Check("names", True, "known")]],
        pairing=[DeviceError("not heard")],
    )
    done = walk(Walker(office.claim(), tries=2), world)
    assert done.ready
    assert world.paired == [CUFF.address]


def test_a_device_that_does_not_pair_is_left_out_and_told(office: Office, walk: Walk) -> None:
    done = walk(Walker(office.claim()), World(pairing=[DeviceError("not heard")]))
    assert (done.ready, done.added) == (False, ("ecg-1",))
    assert f"pair {CUFF.where}: feldsher-edge pair {CUFF.where}" in done.next


def test_a_failed_self_test_is_not_ready(office: Office, walk: Walk) -> None:
    world = World(test=[Check("ecg-1: recording", False, "12 samples lost", "another cable")])
    done = walk(Walker(office.claim()), world)
    assert not done.ready
    assert done.next[0] == "ecg-1: recording: another cable"


def test_a_bad_claim_says_where_to_get_another(walk: Walk) -> None:
    with pytest.raises(GuideError, match="must begin with") as ended:
        walk(Walker("hello"), World())
    assert "gateway add" in ended.value.todo


def test_a_name_that_is_taken_ends_with_what_to_do(office: Office, walk: Walk) -> None:
    person = Walker(office.claim(), names={KIT.where: "same", CUFF.where: "same"})
    with pytest.raises(GuideError, match="two devices are called 'same'") as ended:
        walk(person, World())
    assert "another name" in ended.value.todo


def test_without_devices_it_says_how_to_come_by_one(office: Office, walk: Walk) -> None:
    person = Walker(office.claim(), refuses=(KIT.where, CUFF.where, STRANGER.where))
    done = walk(person, World())
    assert done.ready
    assert "no device yet" in done.next[0]


def test_a_device_whose_wiring_nobody_can_guess_is_left_to_the_technician(office: Office, walk: Walk) -> None:
    person, world = Walker(office.claim()), World()
    world.serial = Found("bitalino", port="/dev/ttyUSB1")
    done = walk(person, world)
    assert done.added == ("cuff-1",)
    assert any("write its table by hand" in text for text in person.told)


def test_a_cytons_wiring_is_written_and_told(office: Office, walk: Walk, tmp_path: Path) -> None:
    person, world = Walker(office.claim()), World()
    world.serial = Found("cyton", port="/dev/ttyUSB1")
    assert walk(person, world).added == ("ecg-1", "cuff-1")
    assert load(tmp_path / "etc" / "edge.toml").cyton[0].channels[:3] == ("I", "II", "V1")
    assert any("change `channels`" in text for text in person.told)


def test_names_are_proposed_by_kind() -> None:
    assert proposed("kit", set()) == "ecg-1"
    assert proposed("glucose_sensor", {"glucose-sensor-1"}) == "glucose-sensor-2"


def test_a_device_is_described_in_words() -> None:
    assert described(KIT) == "12-lead ECG kit, feldsher kit, no. 7, /dev/ttyACM0"
    assert described(CUFF) == "blood pressure cuff, A&D_UA-651BLE, AA:BB:CC:DD:EE:01, signal -60 dBm"


def test_a_configuration_with_a_mistake_is_named(office: Office, walk: Walk, tmp_path: Path) -> None:
    config_file.create(tmp_path / "etc" / "edge.toml", tmp_path / "state", "UTC")
    (tmp_path / "etc" / "edge.toml").write_text("timezone = 'Moon/Sea'")
    with pytest.raises(GuideError, match="no IANA time zone"):
        walk(Walker(office.claim()), World())
