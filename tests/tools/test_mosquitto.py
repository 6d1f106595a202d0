from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiomqtt
import pytest
from feldsher_cloud_api.ca import CertificateAuthority, create, serial
from feldsher_tools.mosquitto import Mosquitto, TlsFiles
from feldsher_tools.services import Broker, client_files
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

UP = "feldsher/1/07/gw-one/up/vitals"


def client(port: int, files: TlsFiles, name: str, *, clean: bool = True) -> aiomqtt.Client:
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(files.certificate, files.key)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0 if clean else 3600
    return aiomqtt.Client(
        "127.0.0.1",
        port,
        identifier=name,
        protocol=aiomqtt.ProtocolVersion.V5,
        tls_context=context,
        clean_start=clean,
        properties=properties,
        timeout=2,
    )


async def receive(client: aiomqtt.Client) -> aiomqtt.Message:
    async with asyncio.timeout(10):
        return await anext(aiter(client.messages))


def port_of(broker: Broker) -> int:
    return int(broker.url.rpartition(":")[2])


async def test_a_gateway_speaks_in_its_own_name_only(mosquitto: Broker) -> None:
    port = port_of(mosquitto)
    ingest = client(port, mosquitto.credentials("ingest"), "ingest-acl")
    gateway = client(port, mosquitto.credentials("gw-one"), "gw-one-acl")
    async with ingest, gateway:
        await ingest.subscribe("feldsher/1/+/+/up/#", qos=1)
        await gateway.publish("feldsher/1/07/gw-two/up/vitals", b"forged", qos=1)
        await gateway.publish(UP, b"own", qos=1)
        message = await receive(ingest)
        assert (message.topic.value, message.payload) == (UP, b"own")


async def test_without_a_certificate_of_this_authority_nobody_enters(mosquitto: Broker, tmp_path: Path) -> None:
    foreign = client_files(create(tmp_path / "ca"), "gw-one")
    files = TlsFiles(mosquitto.authority.directory / "ca.pem", foreign.certificate, foreign.key)
    with pytest.raises(aiomqtt.MqttError):
        async with client(port_of(mosquitto), files, "foreign") as stranger:
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
        async with client(own_mosquitto.port, from_authority, "gw-revoked"):
            pass


async def test_an_orderly_stop_keeps_what_waits_for_an_absent_worker(
    own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    port = own_mosquitto.port
    async with client(port, client_files(authority, "ingest"), "worker", clean=False) as worker:
        await worker.subscribe("feldsher/1/+/+/up/#", qos=1)
    async with client(port, client_files(authority, "gw-one"), "gw-one") as gateway:
        await gateway.publish(UP, b"kept", qos=1)
    own_mosquitto.stop()
    own_mosquitto.start()
    async with client(port, client_files(authority, "ingest"), "worker", clean=False) as worker:
        assert (await receive(worker)).payload == b"kept"


async def test_it_comes_back_on_its_port_after_sigkill(
    own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    own_mosquitto.kill()
    assert not own_mosquitto.process.running
    own_mosquitto.start()
    async with client(own_mosquitto.port, client_files(authority, "ingest"), "again"):
        pass
