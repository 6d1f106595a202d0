"""The API's metrics: on a port of their own, counts alone, and honest where the database is silent."""

from __future__ import annotations

import urllib.request
from dataclasses import replace

from feldsher_cloud_api import db, metrics
from feldsher_cloud_api.metrics import Metrics
from feldsher_ehr_core import wire
from feldsher_tools.clinic import CUFF, HOME, Clinic
from prometheus_client import generate_latest


def value(said: str, name: str) -> float:
    return next(float(line.rpartition(" ")[2]) for line in said.splitlines() if line.startswith(f"{name} "))


def test_they_are_on_a_port_of_their_own_and_name_nobody(clinic: Clinic) -> None:
    online = 'feldsher_fleet_gateways{state="online"}'
    before = value(generate_latest(clinic.metrics.registry).decode(), online)  # other tests have gateways too
    clinic.receive(wire.Birth(env=clinic.envelope(HOME), software="feldsher", starts=1))
    clinic.work()
    server = metrics.serve(clinic.metrics, 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=60) as answer:
            said = answer.read().decode()
    finally:
        server.shutdown()
        server.server_close()
    assert value(said, online) == before + 1
    assert value(said, 'feldsher_fleet_devices{life="assigned"}') >= 1
    assert value(said, 'feldsher_fleet_problems{code="calibration_missing",of="device"}') >= 1
    for word in (HOME, CUFF, clinic.made["cuff"], *clinic.patients, "Demo"):
        assert word not in said
    assert clinic.browser.get("/metrics").status_code == 404


def test_where_the_database_is_silent_that_is_said(clinic: Clinic) -> None:
    nowhere = replace(clinic.settings, database_url="postgresql://127.0.0.1:1/nothing")
    with db.pool(nowhere.database_url, db.API, size=1) as pool:
        said = generate_latest(Metrics(nowhere, pool).registry).decode()
    assert "feldsher_events_parked NaN" in said
    assert "feldsher_fleet_gateways" not in said
