"""The way to the cloud, step by step, against a real cloud's TLS and a real broker; every failure is named."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from feldsher_cloud_api import ca
from feldsher_edge import network, proxy
from feldsher_edge.checks import Check, good
from feldsher_edge.cli_network import cloud as cloud_of
from feldsher_edge.config import Config
from feldsher_edge.network import Cloud
from feldsher_edge.provision import claim_identity
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.office import Office
from feldsher_tools.place import Place, free_port
from feldsher_tools.services import listener_files
from feldsher_tools.web_proxy import WebProxy


@pytest.fixture(autouse=True)
def no_proxy_afterwards() -> Iterator[None]:
    yield
    proxy.use(None)


@pytest.fixture
def cloud(tmp_path: Path, own_mosquitto: Mosquitto, authority: ca.CertificateAuthority) -> Iterator[Cloud]:
    """A cloud that is all there, as a claimed gateway knows it."""
    office = Office(tmp_path / "office", authority, broker=("127.0.0.1", own_mosquitto.port))
    state = tmp_path / "state"
    identity = claim_identity(office.claim(), state)
    yield dataclasses.replace(cloud_of(Config(state=state), identity), web_port=own_mosquitto.web_port)
    office.close()


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name.split(" (")[0] if "websocket" not in check.name else "websocket": check for check in checks}


def test_all_is_well(cloud: Cloud) -> None:
    found = [network.names("localhost"), *network.cloud_and_time(cloud), *network.broker(cloud)]
    assert good(found)
    told = by_name(found)
    assert told["cloud"].detail.startswith(cloud.api_url)
    assert told["time"].ok
    assert told["broker"].ok
    assert told["websocket"].ok


def test_a_closed_port_with_websocket_open_names_the_way_round(cloud: Cloud) -> None:
    direct, web = network.broker(dataclasses.replace(cloud, port=free_port()))
    assert (direct.ok, web.ok) == (False, True)
    assert "refused" in direct.detail
    assert f'transport = "websockets", port = {cloud.web_port}' in direct.next


def test_websocket_alone_is_looked_at_where_it_is_configured(cloud: Cloud) -> None:
    (web,) = network.broker(dataclasses.replace(cloud, websockets=True, port=cloud.web_port))
    assert web.ok
    (none,) = network.broker(dataclasses.replace(cloud, websockets=True))
    assert (none.ok, good([none])) == (False, False)


def test_neither_way_is_open(cloud: Cloud) -> None:
    direct, web = network.broker(dataclasses.replace(cloud, port=free_port(), web_port=free_port()))
    assert direct.ok is False
    assert web.ok is None
    assert direct.next


def test_a_broker_of_another_authority_is_named(cloud: Cloud, tmp_path: Path, place: Place) -> None:
    other = ca.create(tmp_path / "other-ca")
    with Mosquitto(place, tmp_path / "other", listener_files(other), name=f"test-other-{free_port()}") as foreign:
        direct = network.broker(dataclasses.replace(cloud, port=foreign.port, web_port=free_port()))[0]
    assert (direct.ok, "replaces certificates" in direct.next) == (False, True)


def test_a_silent_firewall_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        direct = network.broker(dataclasses.replace(cloud, port=silent.getsockname()[1], web_port=free_port()))[0]
    assert direct.ok is False
    assert "firewall" in direct.next


def test_a_cloud_that_does_not_answer_and_a_clock_that_is_off(cloud: Cloud) -> None:
    def away() -> int:
        raise network.ProvisionError("127.0.0.1:1 cannot be reached: refused")

    told, time = network.cloud_and_time(dataclasses.replace(cloud, behind_us=away))
    assert (told.ok, time.ok) == (False, None)
    told, time = network.cloud_and_time(dataclasses.replace(cloud, behind_us=lambda: -3_600_000_000))
    assert told.ok
    assert "3600 s ahead" in time.detail
    assert good([told, time])


def test_the_proxy_is_looked_at_only_where_there_is_one() -> None:
    assert network.web_proxy("cloud.example", 443).ok is None
    with WebProxy(answer="403 Forbidden") as there:
        proxy.use(there.url)
        refused = network.web_proxy("cloud.example", 443)
    assert (refused.ok, "403 Forbidden" in refused.detail) == (False, True)


def test_a_name_that_nobody_knows() -> None:
    told = network.names("localhost", "no-such-host.invalid")
    assert told.ok is False
    assert "no-such-host.invalid" in told.detail
    assert told.next


def interface(root: Path, name: str, state: str, carrier: str | None) -> None:
    (root / name).mkdir(parents=True)
    (root / name / "operstate").write_text(state + "\n")
    if carrier is not None:
        (root / name / "carrier").write_text(carrier + "\n")


def test_cables(tmp_path: Path) -> None:
    interface(tmp_path, "lo", "unknown", "1")
    interface(tmp_path, "wlan0", "down", None)
    interface(tmp_path, "eth0", "down", "0")
    unplugged = network.interfaces(tmp_path)
    assert (unplugged.ok, "eth0, wlan0" in unplugged.detail) == (False, True)
    interface(tmp_path, "wwan0", "unknown", "1")
    assert network.interfaces(tmp_path) == Check("interface", True, "connected: wwan0")


@pytest.mark.parametrize(
    ("found", "ok", "words"),
    [("10.1.2.3", True, "10.1.2.3"), ("169.254.7.7", False, "DHCP"), (None, False, "no way out")],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, found: str | None, ok: bool, words: str) -> None:
    class Probe(socket.socket):
        def connect(self, address: object) -> None:
            if found is None or self.family != socket.AF_INET:
                raise OSError("Network is unreachable")

        def getsockname(self) -> tuple[str | None, int]:
            return found, 1

    monkeypatch.setattr(network.socket, "socket", Probe)
    told = network.address()
    assert (told.ok, words in told.detail) == (ok, True)
    assert bool(told.next) is not ok


def test_what_is_near_is_looked_at_first(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "interfaces", lambda: Check("interface", False, "none", "plug it in"))
    assert [check.name for check in network.look(cloud)] == ["interface", "address"]
    monkeypatch.setattr(network, "interfaces", lambda: Check("interface", True, "eth0"))
    monkeypatch.setattr(network, "address", lambda: Check("address", True, "10.0.0.1"))
    assert good(network.look(cloud))
