"""A gateway that was off for 45 days: its certificate has ended, its clock says 1970, and it recovers unaided."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from feldsher_cloud_api import ca, db
from feldsher_edge import identity
from feldsher_tools.services import Broker
from feldsher_tools.technician import Technician

NAME = "village-9"
WITHOUT_A_CLOCK = """
from feldsher_edge import clock
clock.SystemClock.wall_us = lambda self: 3_600_000_000 + self.mono_ns() // 1000
clock.SystemClock.quality = lambda self: "unsynced"
"""
"""The gateway's clock, read in the first hour of 1970. OpenSSL's own is not asked (feldsher_edge/tls.py)."""


def grow_old(technician: Technician, authority: ca.CertificateAuthority, days: float, database: str) -> int:
    """Make the gateway's certificate one that was issued so many days ago, here and in the cloud's books."""
    mine = identity.load_identity(technician.gateway)
    assert mine is not None
    now = datetime.now(UTC)
    then = ca.load(authority.directory, lambda: now - timedelta(days=days))
    old = then.sign_csr(identity.request_pem(mine.private(), NAME).encode(), NAME)
    former = str(mine.shown().serial_number)
    mine.certificate.write_bytes(old)
    with db.connect(database, autocommit=True) as connection:
        connection.execute(
            "UPDATE cloud.certificate SET serial = %s, issued_at = %s, expires = %s WHERE serial = %s",
            (str(ca.serial(old)), now - timedelta(days=days), mine.shown().not_valid_after_utc, former),
        )
    assert mine.left(now) < timedelta(0)
    return ca.serial(old)


def test_off_for_45_days_with_an_expired_certificate_and_a_clock_at_1970(
    tmp_path: Path, mosquitto: Broker, database: str
) -> None:
    technician = Technician(tmp_path, mosquitto, database)
    claim = technician.cloud("gateway", "add", NAME).stdout.strip()
    with technician.running("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port)):
        assert technician.claim(claim).returncode == 0
        old = grow_old(technician, mosquitto.authority, 19 + 45, database)
        with technician.running("feldsher_edge", "run", "--config", str(technician.config), before=WITHOUT_A_CLOCK):
            status = technician.status()
            assert status["clock"] == "unsynced"
            deadline = time.monotonic() + 60
            while identity.settle(technician.gateway) != "settled":
                assert time.monotonic() < deadline, "the renewed certificate was not confirmed"
                time.sleep(0.1)
    mine = identity.load_identity(technician.gateway)
    assert mine is not None
    assert mine.shown().serial_number != old
    assert mine.left(datetime.now(UTC)) > timedelta(days=29)
    with db.connect(database) as connection:
        row = connection.execute("SELECT certificate_serial FROM cloud.gateway WHERE id = %s", (NAME,)).fetchone()
    assert row == (str(mine.shown().serial_number),)


@pytest.mark.slow
def test_a_gateway_revoked_while_it_was_off_stays_out(tmp_path: Path, mosquitto: Broker, database: str) -> None:
    technician = Technician(tmp_path, mosquitto, database)
    claim = technician.cloud("gateway", "add", NAME).stdout.strip()
    with technician.running("feldsher_cloud_api", "serve", "--tls", "--port", str(technician.port)):
        assert technician.claim(claim).returncode == 0
        grow_old(technician, mosquitto.authority, 64, database)
        technician.cloud("gateway", "revoke", NAME)
        with technician.running("feldsher_edge", "run", "--config", str(technician.config), before=WITHOUT_A_CLOCK):
            status = technician.status(connected=False)
            deadline = time.monotonic() + 60
            while "revoked" not in (status["certificate"]["refused"] or ""):
                assert time.monotonic() < deadline, status["certificate"]
                status = technician.status(connected=False)
    assert status["connection"]["connections"] == 0
