"""A cuff, real or virtual: a reading arrives, and so does the next one after the cuff has hung up."""

from typing import Protocol

from feldsher_edge.simulate.sink import Kept
from feldsher_ehr_core.vitals import VITALS


class Bench(Protocol):
    @property
    def kept(self) -> Kept: ...

    async def reading(self) -> None: ...


async def test_readings_arrive_session_after_session(cuff: Bench):
    for _ in range(2):
        await cuff.reading()
    assert len(cuff.kept.sets) >= 2
    assert cuff.kept.quarantined == []
    for one in cuff.kept.sets:
        (reading,) = one.readings
        assert {value.code for value in reading.values} <= set(VITALS)
        assert reading.raw
    assert any(state.state == "present" for state in cuff.kept.states)
