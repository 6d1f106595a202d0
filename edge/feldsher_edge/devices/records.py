"""Asking a glucose meter or sensor for what it has stored, from the last record on that this gateway has committed.

The last record itself is asked for again and must come back unchanged: then what follows it is all that is new. Where
it does not (a meter that was reset counts anew), everything is read; what was there before is one reading twice, and
the cloud keeps one.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
import structlog
from bleak.exc import BleakError

from feldsher_edge.ble import racp
from feldsher_edge.ble.racp import Op, Operator, Request, Response, Result

TIMEOUT_S = 30.0
"""Glucose Service 1.0, §3.5.2: a procedure without an answer or a record for so long has failed."""

_log = structlog.get_logger()


class Mark(msgspec.Struct, frozen=True):
    """The last record that was committed: its number and the hash of what it says."""

    sequence: int
    digest: bytes


class Marks(Protocol):
    """Where marks outlive the gateway's restarts."""

    def get(self, device: str, /) -> Mark | None:
        """Return the mark of a device, None where it has none."""
        ...

    def __setitem__(self, device: str, mark: Mark, /) -> None:
        """Keep the mark of a device."""
        ...


class RecordsError(BleakError):
    """The device refuses to report its records, or reported them only in part."""


class Records:
    """The records of one device in one session. `mark`: the last one of earlier sessions, advanced by `note`."""

    def __init__(self, mark: Mark | None, timeout_s: float = TIMEOUT_S) -> None:
        self.mark = mark
        self._wanted = mark
        self._came_back = False
        self._timeout_s = timeout_s
        self._timeout: asyncio.Timeout | None = None
        self._answered: asyncio.Future[int] | None = None

    def note(self, sequence: int, said: str) -> None:
        """Note a record that is committed; `said`: what it says, as text."""
        self.mark = Mark(sequence, hashlib.sha256(said.encode()).digest()[:8])
        self._came_back = self._came_back or self.mark == self._wanted
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._timeout_s)

    def answer(self, data: bytes) -> None:
        """Take what the control point indicates; what cannot be read is logged, and the procedure times out."""
        try:
            it = racp.parse(data)
        except ValueError as error:
            _log.warning("record_access_unreadable", why=str(error))
            return
        if isinstance(it, Response) and self._answered is not None and not self._answered.done():
            self._answered.set_result(it.result)

    async def fetch(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Have all reported that is new. RecordsError where the device refuses; TimeoutError where it is silent."""
        if self._wanted is not None:
            result = await self._ask(write, Request(Op.REPORT, Operator.AT_LEAST, (self._wanted.sequence,)))
            if self._came_back:
                _succeeded(result)
                return
            _log.info("records_read_anew", last=self._wanted.sequence, result=result)
        _succeeded(await self._ask(write, Request(Op.REPORT, Operator.ALL)))

    async def _ask(self, write: Callable[[bytes], Awaitable[None]], request: Request) -> int:
        self._answered = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(self._timeout_s) as self._timeout:
            await write(racp.encode(request))
            return await self._answered


def _succeeded(result: int) -> None:
    if result not in (Result.SUCCESS, Result.NO_RECORDS):
        known = result in {one.value for one in Result}
        raise RecordsError(f"records: {Result(result).name.lower() if known else f'answer 0x{result:02x}'}")
