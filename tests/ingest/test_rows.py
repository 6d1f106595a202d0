"""Messages as parameters."""

from __future__ import annotations

from uuid import UUID

import msgspec
from feldsher_cloud_api.config import Settings
from feldsher_cloud_api.worker import projections
from feldsher_ehr_core.ids import uuid7
from feldsher_ingest.rows import event, made_ms
from feldsher_ingest.simulate import START_US, SimulatedGateway
from hypothesis import given
from hypothesis import strategies as st


def test_the_ledgers_time_is_that_of_the_id() -> None:
    assert made_ms(uuid7(START_US // 1000, bytes(10))) == START_US // 1000


@given(st.uuids())
def test_no_id_scatters_chunks(message_id: UUID) -> None:
    assert 1_577_836_800_000 <= made_ms(message_id) <= 4_102_444_800_000


def test_an_event_names_what_the_worker_has_to_fetch() -> None:
    message = SimulatedGateway("gw-a", 1).recording(seconds=1)
    kind, body = event(message, {}, {})
    assert kind == "ecg"
    assert str(message.env.id) in body


def test_a_piece_of_a_continuous_ecg_tells_of_its_stream() -> None:
    whole = SimulatedGateway("gw-a", 1).recording(seconds=1)
    kind, body = event(msgspec.structs.replace(whole, stream=UUID(int=7), part=3), {}, {})
    assert kind == "ecg_stream"
    assert kind in projections(Settings(""))
    assert msgspec.json.decode(body) == {"stream": str(UUID(int=7)), "device": whole.device}
