"""Pieces of running recordings pass to those who watch, checked and unstored; what does not fit is dropped."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import psycopg
import pytest
from feldsher_ehr_core import wire
from feldsher_ingest.consume import Worker
from feldsher_ingest.live import CHANNEL, payload
from feldsher_ingest.settings import Settings
from feldsher_ingest.simulate import GatewayClient, SimulatedGateway
from feldsher_signal import codec
from hypothesis import given
from hypothesis import strategies as st

ORDER = UUID("018f0000-0000-7000-8000-000000000001")
TOPIC = wire.up_topic("gw-a", "live")


def piece(samples: np.ndarray | None = None, order: UUID | None = ORDER) -> wire.LiveStrip:
    found = np.arange(1200, dtype=np.int32).reshape(12, 100) if samples is None else samples
    return wire.LiveStrip(
        env=SimulatedGateway("gw-a", 1).envelope(),
        device="kit-1",
        order=order,
        fs=500.0,
        leads=tuple(f"L{n}" for n in range(found.shape[0])),
        uv_per_bit=(1.0,) * found.shape[0],
        first=0,
        n=found.shape[1],
        codec=codec.ZDB32,
        samples=codec.encode(found),
    )


def test_a_piece_is_shown_as_it_came() -> None:
    data = wire.encode(piece())
    shown = payload(TOPIC, data)
    assert shown is not None
    assert base64.b64decode(shown) == data


def test_a_piece_of_noise_in_twelve_leads_fits_a_notification() -> None:
    """0.2 s at 500 samples a second of 16 bits: more than a heart ever fills."""
    noise = np.random.default_rng(1).integers(-(2**15), 2**15, (12, 100), dtype=np.int32)
    assert payload(TOPIC, wire.encode(piece(noise))) is not None


@pytest.mark.parametrize(
    ("topic", "made"),
    [
        (wire.up_topic("gw-b", "live"), piece()),
        (TOPIC, piece(order=None)),
        (TOPIC, piece(np.random.default_rng(1).integers(-(2**31), 2**31, (12, 400), dtype=np.int32))),
        (TOPIC, msgspec.structs.replace(piece(), n=99)),
        (TOPIC, msgspec.structs.replace(piece(), fs=0.0)),
        (wire.up_topic("gw-a", "birth"), SimulatedGateway("gw-a", 1).birth()),
    ],
    ids=["another's topic", "nobody's order", "too large", "another length", "no rate", "no piece"],
)
def test_what_must_not_be_shown_is_not(topic: str, made: wire.Up) -> None:
    assert payload(topic, wire.encode(made)) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_not_shown(data: bytes) -> None:
    assert payload(TOPIC, data) is None


def test_from_the_broker_to_a_listener_and_into_no_table(
    settings: Settings,
    gateway: Callable[[str], GatewayClient],
    running: Callable[[Settings], Worker],
    rows: Callable[[str], list[tuple[Any, ...]]],
) -> None:
    running(settings)
    client = gateway("gw-a")
    with psycopg.connect(settings.database_url, autocommit=True) as listener:
        listener.execute(f"listen {CHANNEL}".encode())
        client.send_bytes(TOPIC, b"not a piece", qos=0)
        sent = piece()
        client.send_bytes(TOPIC, wire.encode(sent), qos=0)
        (notice,) = listener.notifies(timeout=60, stop_after=1)
    assert wire.decode_up(base64.b64decode(notice.payload)) == sent
    own = SimulatedGateway("gw-a", 2).pressure()
    client.send(own)
    assert client.wait_receipts({own.env.id})
    assert rows("select count(*) from message") == [(1,)]
    assert rows("select count(*) from dead_letter") == [(0,)]
