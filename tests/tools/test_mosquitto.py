from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from feldsher_cloud_api.ca import CertificateAuthority, create, serial
from feldsher_tools.mosquitto import Mosquitto, TlsFiles
from feldsher_tools.services import Broker, client_files
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

UP = "feldsher/1/07/gw-one/up/vitals"


class Client(aiomqtt.Client):
    """A client whose end is seen: asyncio would complain where nobody waits for it any more."""

    def _on_disconnect(self, *given: Any, **named: Any) -> None:
        super()._on_disconnect(*given, **named)
        if self._disconnected.done():
            self._disconnected.exception()


def client(port: int, files: TlsFiles, name: str, *, clean: bool = True, answer_s: float = 60) -> aiomqtt.Client:
    """A client that waits `answer_s` for each answer: little where none will come."""
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(files.certificate, files.key)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0 if clean else 3600
    return Client(
        "127.0.0.1",
        port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=context,
        clean_start=clean,
        properties=properties,
        timeout=answer_s,
    )


async def receive(client: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(60):
        return await anext(aiter(client.messages))


def port_of(broker: Broker) -> int:
    return int(broker.url.rpartition(":")[2])


async def test_a_gateway_speaks_in_its_own_name_only(mosquitto: Broker) -> None:
    port = port_of(mosquitto)
    ingest = client(port, mosquitto.credentials("ingest.0"), "ingest.0")
    gateway = client(port, mosquitto.credentials("gw-one"), "gw-one")
    async with ingest, gateway:
        await ingest.subscribe("feldsher/1/+/+/up/#", qos=1)
        await gateway.publish("feldsher/1/07/gw-two/up/vitals", b"forged", qos=1)
        await gateway.publish(UP, b"own", qos=1)
        message = await receive(ingest)
        assert (message.topic.value, message.payload) == (UP, b"own")


@pytest.mark.parametrize("name", ["gw-one", "ingest", "cloud"])  # neither name is a service's
async def test_a_gateway_reads_only_what_is_sent_down_to_it(mosquitto: Broker, name: str) -> None:
    port = port_of(mosquitto)
    ingest = client(port, mosquitto.credentials("ingest.0"), "ingest.0")
    gateway = client(port, mosquitto.credentials(name), name)
    other = client(port, mosquitto.credentials("gw-two"), "gw-two")
    async with ingest, gateway, other:
        for topic in ("#", "feldsher/#", "feldsher/1/+/+/up/#", "feldsher/1/+/down/#", "feldsher/1/gw-two/down/#"):
            await gateway.subscribe(topic, qos=1)
        await other.publish("feldsher/1/07/gw-two/up/vitals", b"another's", qos=1)
        await ingest.publish("feldsher/1/gw-two/down/order", b"another's", qos=1)
        await ingest.publish(f"feldsher/1/{name}/down/order", b"own", qos=1)
        assert (await receive(gateway)).payload == b"own"


@pytest.mark.parametrize("name", ["ingest", "cloud"])
async def test_a_gateway_with_a_services_word_for_a_name_has_a_gateways_rights(mosquitto: Broker, name: str) -> None:
    port = port_of(mosquitto)
    victim = client(port, mosquitto.credentials("gw-one"), "gw-one")
    forger, cloud = (
        client(port, mosquitto.credentials(name), name),
        client(port, mosquitto.credentials("cloud.worker"), "cloud.worker"),
    )
    async with victim, forger, cloud:
        await victim.subscribe("feldsher/1/gw-one/down/#", qos=1)
        await forger.publish("feldsher/1/gw-one/down/order", b"forged", qos=1)
        await cloud.publish("feldsher/1/gw-one/down/order", b"true", qos=1)
        assert (await receive(victim)).payload == b"true"


@pytest.mark.parametrize("victim", ["gw-one", "ingest.15"])
async def test_anothers_client_id_takes_over_no_session(mosquitto: Broker, victim: str) -> None:
    port = port_of(mosquitto)
    topic = "feldsher/1/gw-one/down/#" if victim == "gw-one" else "feldsher/1/+/+/up/#"
    async with client(port, mosquitto.credentials(victim), victim, clean=False) as first:
        await first.subscribe(topic, qos=1)
    with_its_own = [("cloud.worker", "feldsher/1/gw-one/down/order"), ("gw-one", UP)][victim != "gw-one"]
    async with client(port, mosquitto.credentials(with_its_own[0]), with_its_own[0]) as sender:
        await sender.publish(with_its_own[1], b"while away", qos=1)
    thief_files = mosquitto.credentials("gw-thief")
    for clean in (False, True):  # to read the session, or to end it
        async with client(port, thief_files, victim, clean=clean) as thief:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(aiter(thief.messages))
    async with client(port, mosquitto.credentials(victim), victim, clean=False) as second:
        assert (await receive(second)).payload == b"while away"
        async with client(port, thief_files, victim):
            await second.subscribe(topic, qos=1)  # still connected: the broker answers
    async with client(port, mosquitto.credentials(victim), victim):
        pass  # ends the session


async def test_an_oversized_message_is_announced_and_ends_only_its_own_connection(mosquitto: Broker) -> None:
    port = port_of(mosquitto)
    ingest = client(port, mosquitto.credentials("ingest.0"), "ingest.0")
    async with ingest:
        await ingest.subscribe(UP, qos=1)
        async with client(port, mosquitto.credentials("gw-one"), "gw-one") as gateway:
            await gateway.publish(UP, bytes(1_099_000), qos=1)
            assert len((await receive(ingest)).payload) == 1_099_000
        with pytest.raises(aiomqtt.MqttError):
            async with client(port, mosquitto.credentials("gw-one"), "gw-one", answer_s=2) as gateway:
                await gateway.publish(UP, bytes(1_200_000), qos=1)
        async with client(port, mosquitto.credentials("gw-one"), "gw-one") as gateway:
            await gateway.publish(UP, b"next", qos=1)
            assert (await receive(ingest)).payload == b"next"


async def test_without_a_certificate_of_this_authority_nobody_enters(mosquitto: Broker, tmp_path: Path) -> None:
    foreign = client_files(create(tmp_path / "ca"), "gw-one")
    files = TlsFiles(mosquitto.authority.directory / "ca.pem", foreign.certificate, foreign.key)
    with pytest.raises(aiomqtt.MqttError):
        async with client(port_of(mosquitto), files, "foreign", answer_s=2) as stranger:
            await stranger.publish(UP, b"x", qos=1)


async def test_a_revoked_certificate_is_refused_after_a_restart(
    own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    from_authority = client_files(authority, "gw-revoked")
    async with client(own_mosquitto.port, from_authority, "gw-revoked"):
        pass
    authority.revoke(serial(from_authority.certificate.read_bytes()))
    own_mosquitto.stop()
    own_mosquitto.start()
    with pytest.raises(aiomqtt.MqttError):
        async with client(own_mosquitto.port, from_authority, "gw-revoked", answer_s=2):
            pass


async def test_an_orderly_stop_keeps_what_waits_for_an_absent_worker(
    own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    port = own_mosquitto.port
    async with client(port, client_files(authority, "ingest.0"), "ingest.0", clean=False) as worker:
        await worker.subscribe("feldsher/1/+/+/up/#", qos=1)
    async with client(port, client_files(authority, "gw-one"), "gw-one") as gateway:
        await gateway.publish(UP, b"kept", qos=1)
    own_mosquitto.stop()
    own_mosquitto.start()
    async with client(port, client_files(authority, "ingest.0"), "ingest.0", clean=False) as worker:
        assert (await receive(worker)).payload == b"kept"


async def test_it_comes_back_on_its_port_after_sigkill(
    own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    own_mosquitto.kill()
    assert not own_mosquitto.process.running
    own_mosquitto.start()
    async with client(own_mosquitto.port, client_files(authority, "ingest.0"), "ingest.0"):
        pass
