"""From real MQTT into a real database: what is stored, what is refused, and what the gateway is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from feldsher_ehr_core import wire
from feldsher_ingest.consume import Worker
from feldsher_ingest.settings import Settings
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway

Rows = Callable[[str], list[tuple[Any, ...]]]
Connect = Callable[[str], GatewayClient]
Run = Callable[[Settings], Worker]


def test_every_kind_is_stored_once_and_receipted(
    settings: Settings, gateway: Connect, running: Run, rows: Rows
) -> None:
    made = SimulatedGateway("gw-a", 1)
    env = made.envelope
    messages: list[wire.Up] = [
        made.birth(),
        made.heartbeat(),
        made.pressure(3),
        made.recording(seconds=1.0),
        wire.DeviceStatus(env=env(), device="kit-a", state="present", battery=80),
        wire.Gap(env=env(), what="heartbeat", why="outbox full", count=3, first_us=1, last_us=2),
        wire.ClockOffset(env=env(), offset_us=5, source="ntp"),
        wire.OrderState(env=env(), order=env().id, state="armed"),
        wire.Death(env=env(), cause="stopping"),
    ]
    running(settings)
    client = gateway("gw-a")
    for message in messages:
        client.send(message)
    assert client.wait_receipts({m.env.id for m in messages})
    assert [client.receipts[m.env.id] for m in messages] == [["stored"]] * len(messages)
    assert rows("select count(*), count(distinct reading_id) from vital_sign") == [(12, 3)]
    assert rows("select n, array_length(leads, 1) from ecg_recording") == [(500, 12)]
    assert rows("select kind from event order by id") == [
        (kind,) for kind in ("gateway", "vitals", "ecg", "device", "gap", "clock", "order", "gateway")
    ]
    assert rows("select count(*) from message") == [(len(messages),)]
    assert rows("select count(*) from dead_letter") == [(0,)]
