"""The way out through a clinic's web proxy, and MQTT over WebSocket, against a real broker and real TLS."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest
from feldsher_edge import diagnostics, proxy
from feldsher_edge.clock import Envelopes
from feldsher_edge.config import ConfigError, Mqtt, parse
from feldsher_edge.identity import ProvisionError
from feldsher_edge.link import Broker
from feldsher_edge.outbox import Outbox
from feldsher_edge.provision import claim_identity
from feldsher_edge.publish import Publisher
from feldsher_edge.simulate.clock import VirtualClock
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_edge.store import Store
from feldsher_edge.watchdog import Pulses
from feldsher_ehr_core import wire
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.office import Office
from feldsher_tools.web_proxy import WebProxy

StartCloud = Callable[..., VirtualCloud]


@pytest.fixture(autouse=True)
def no_proxy_afterwards() -> Iterator[None]:
    yield
    proxy.use(None)


@pytest.mark.parametrize(
    ("text", "is_"),
    [
        (None, None),
        ("", None),
        ("http://squid:3128", proxy.Proxy("squid", 3128)),
        ("http://nurse:a%40b@squid:3128/", proxy.Proxy("squid", 3128, "nurse:a@b")),
    ],
)
def test_a_proxys_address_is_read(text: str | None, is_: proxy.Proxy | None) -> None:
    assert proxy.parse(text) == is_


@pytest.mark.parametrize("text", ["squid:3128", "https://squid:3128", "http://squid", "http://u:secret@squid:port"])
def test_an_address_that_is_none_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ConfigError, match=r"matching regex.*\$\.network\.proxy") as refused:
        parse(f'[network]\nproxy = "{text}"')
    assert "secret" not in str(refused.value)
    assert proxy.shown("http://nurse:secret@squid:3128") == "http://squid:3128"


def test_a_claim_goes_through_the_proxy_and_each_refusal_is_named(office: Office, tmp_path: Path) -> None:
    with WebProxy(credentials="nurse:secret") as there:
        proxy.use(there.url)
        assert claim_identity(office.claim(), tmp_path / "state").place.gateway == "gw-7"
        assert there.asked == [f"127.0.0.1:{office.server.server_address[1]}"] * 2
        proxy.use(f"http://127.0.0.1:{there.port}")
        with pytest.raises(ProvisionError, match="wants another user name and password"):
            claim_identity(office.claim(), tmp_path / "other")
        there.credentials, there.answer = None, "403 Forbidden"
        with pytest.raises(ProvisionError, match=r"refuses the way to 127\.0\.0\.1"):
            claim_identity(office.claim(), tmp_path / "other")
        proxy.use(f"http://127.0.0.1:{office.server.server_address[1]}")
        with pytest.raises(ProvisionError, match=r"without an answer|cannot be reached"):
            claim_identity(office.claim(), tmp_path / "other")


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncGenerator[Outbox]:
    made = Outbox(Store(tmp_path / "outbox.sqlite3"), Envelopes("gw-web", VirtualClock()))
    yield made
    made.close()


async def ignore(message: wire.DownMessage) -> None:
    del message


async def test_readings_reach_the_cloud_over_websocket_and_through_a_proxy(
    own_mosquitto: Mosquitto, cloud: StartCloud, reach: Callable[..., Broker], outbox: Outbox
) -> None:
    """The client certificate still says who the gateway is, and the broker's rules hold."""
    at = dataclasses.replace(reach("gw-web", own_mosquitto.port), port=own_mosquitto.web_port, path="/mqtt")
    there = cloud(own_mosquitto.port)
    outbox.put(lambda env: wire.DeviceStatus(env=env, device="d", state="present", detail="x" * 100_000))
    publisher = Publisher(
        outbox,
        at,
        Mqtt(backoff_base_s=0.05, backoff_cap_s=0.3),
        lambda env: wire.Birth(env=env, software="test", starts=1),
        ignore,
        Random(1),  # noqa: S311 - jitter
        Pulses(outbox.envelopes.clock.mono_ns),
    )
    with WebProxy() as way:
        proxy.use(way.url)
        task = asyncio.create_task(publisher.run())
        async with asyncio.timeout(60):
            while outbox.counts().kept != 1:
                assert not task.done()
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert way.asked[0] == f"127.0.0.1:{own_mosquitto.web_port}"
    assert [m.detail for m in there.of(wire.DeviceStatus)] == ["x" * 100_000]


def test_the_configuration_gives_nothing_away() -> None:
    config = parse('[network]\nproxy = "http://nurse:secret@squid:3128"\n[mqtt]\ntransport = "websockets"')
    shown = msgspec.json.encode(diagnostics._without_secrets(config), enc_hook=str)  # pyright: ignore[reportPrivateUsage]
    assert b"secret" not in shown
    assert b"squid:3128" in shown
