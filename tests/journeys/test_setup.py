"""From a claim to a first reading by the guided path, with the command lines that a technician types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from feldsher_cloud_api.ca import CertificateAuthority
from feldsher_edge.config import load
from feldsher_edge.link import tls_context
from feldsher_edge.simulate.cloud import VirtualCloud
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import INGEST_USERS
from feldsher_tools.dbus import DBus
from feldsher_tools.guided import GuidedPath
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.office import Office
from feldsher_tools.services import client_files
from feldsher_tools.simulator import CUFF_ADDRESS


@pytest.fixture
def office(tmp_path: Path, own_mosquitto: Mosquitto, authority: CertificateAuthority) -> Iterator[Office]:
    made = Office(tmp_path / "office", authority, broker=("127.0.0.1", own_mosquitto.port))
    yield made
    made.close()


@pytest.fixture
def path(tmp_path: Path, dbus: DBus) -> Iterator[GuidedPath]:
    made = GuidedPath(tmp_path, dbus)
    yield made
    made.close()


def test_from_a_claim_to_the_first_reading(
    path: GuidedPath, office: Office, own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    files = client_files(authority, INGEST_USERS[0])
    tls = tls_context(files.ca, files.certificate, files.key)
    with VirtualCloud("127.0.0.1", own_mosquitto.port, tls) as cloud:
        walked = path.walk(office.claim())
        assert (walked.code, walked.told.get("ready")) == (0, True), walked
        assert walked.told["devices"] == ["ecg-1", "cuff-1"]
        seen = {check["name"]: check["ok"] for check in walked.told["checks"]}
        assert seen["connection"]
        assert seen["ecg-1: recording"]
        assert seen["ecg-1: electrodes"]
        assert seen["cuff-1"], walked
        cloud.wait(lambda c: bool(c.of(wire.VitalsBatch)))
        (batch,) = cloud.of(wire.VitalsBatch)
        assert batch.device == CUFF_ADDRESS
        assert cloud.of(wire.EcgRecording) == []  # a test recording is nobody's
    config = load(path.config)
    assert (config.kit[0].port, config.cuff[0].address) == (path.port, CUFF_ADDRESS)
    again = path.edge("devices", "--listen", "0", "--port", path.port)
    assert again.told["found"][0]["configured"] == "ecg-1"
    forgotten = path.edge("forget", "cuff-1")
    assert forgotten.told == {"forgotten": "cuff-1", "bond_removed": True}, forgotten
    assert load(path.config).cuff == ()


def test_a_running_gateway_sends_what_waits_and_forgets_everything(
    path: GuidedPath, office: Office, own_mosquitto: Mosquitto, authority: CertificateAuthority
) -> None:
    assert path.walk(office.claim(), wait_s=0).code == 0
    files = client_files(authority, INGEST_USERS[1])
    with path.running():
        left = path.edge("return", "--wait", "0.5")
        assert (left.code, "have not reached the cloud" in left.told["error"]) == (1, True), left
        tls = tls_context(files.ca, files.certificate, files.key)
        with VirtualCloud("127.0.0.1", own_mosquitto.port, tls) as cloud:
            done = path.edge("return", "--wait", "60")
            assert (done.code, done.told["forgotten"]) == (0, True), done
            assert cloud.of(wire.VitalsBatch)[0].unowned  # measured before the pairing: nobody's
    assert list(path.state.iterdir()) == []
    assert (load(path.config).kit, load(path.config).cuff) == ((), ())
