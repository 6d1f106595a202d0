"""A new gateway's first minutes, with the command lines a technician types: add, claim, run."""

from pathlib import Path

import pytest
from feldsher_cloud_api.ca import CertificateAuthority
from feldsher_tools.mosquitto import Mosquitto
from feldsher_tools.services import Broker, reload_command
from feldsher_tools.technician import Technician

NAME = "village-7"


@pytest.fixture
def technician(tmp_path: Path, mosquitto: Broker, database: str) -> Technician:
    return Technician(tmp_path, mosquitto, database)


def test_a_gateway_is_added_claimed_and_connects_and_its_claim_is_good_once(technician: Technician) -> None:
    added = technician.cloud("gateway", "add", NAME)
    assert added.returncode == 0, added.stderr
    claim = added.stdout.strip()
    with technician.running("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port)):
        claimed = technician.claim(claim)
        assert claimed.returncode == 0, claimed.stderr
        assert f"This gateway is {NAME}; its broker is {technician.broker}." in claimed.stdout
        with technician.running("feldsher_edge", "run", "--config", str(technician.config)):
            status = technician.status()
        assert (status["gateway"], status["connection"]["broker"]) == (NAME, technician.broker)
        again = technician.claim(claim)
        assert (again.returncode, "--force replaces it" in again.stderr) == (2, True)
        used = technician.claim(claim, "--force")
        assert (used.returncode, "unknown, used or over" in used.stderr) == (2, True)
    key = technician.gateway / "identity" / "key.pem"
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_a_revoked_gateway_is_thrown_off_while_it_runs(
    tmp_path: Path, own_mosquitto: Mosquitto, authority: CertificateAuthority, database: str
) -> None:
    technician = Technician(tmp_path, Broker(own_mosquitto.url, authority), database)
    claim = technician.cloud("gateway", "add", NAME).stdout.strip()
    with technician.running("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port)):
        assert technician.claim(claim).returncode == 0
    with technician.running("feldsher_edge", "run", "--config", str(technician.config)):
        technician.status()
        half = technician.cloud("gateway", "revoke", NAME)
        assert (half.returncode, "FELDSHER_BROKER_RELOAD is not set" in half.stderr) == (1, True)
        technician.environment["FELDSHER_BROKER_RELOAD"] = reload_command(own_mosquitto.process.pid_file)
        done = technician.cloud("gateway", "revoke", NAME)
        assert (done.returncode, done.stderr) == (0, "")
        technician.status(connected=False)
