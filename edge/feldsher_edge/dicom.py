"""The DICOM port of the gateway: a child process speaks with the carts, the daemon knows orders and commits what comes.

The daemon loads no DICOM library. What the child may tell it of an object is what feldsher_edge.original says.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from feldsher_edge.config import Dicom
from feldsher_edge.config import Originals as Bounds
from feldsher_edge.devices import Sink, Status
from feldsher_edge.dicom_talk import Brought, Failed, FromChild, Heard, Listening, Peer, Said, Setup, Want, Work
from feldsher_edge.dropbox import DONE, NO_CERTIFICATE, QUARANTINE
from feldsher_edge.interpreter import LENGTH
from feldsher_edge.orders import Order
from feldsher_edge.original import Seen
from feldsher_edge.originals import Trust, Verdict, Via
from feldsher_edge.reader import ENVIRONMENT
from feldsher_edge.store import StoreError
from feldsher_edge.worklist_item import item

_log = structlog.get_logger("dicom")
CHILD = (sys.executable, "-m", "feldsher_edge.dicom_child")
_NO_LIBRARY = "the DICOM port needs `pip install feldsher[dicom,formats]`"
_ENDED = "the DICOM child ended; another is started"
_LARGEST = 64_000_000
_TIDY_S = 3600.0
_MOST_QUARANTINED = 1_000
_decoder = msgspec.msgpack.Decoder(FromChild)


class DicomError(Exception):
    """The port cannot be opened; the text says why, for the technician."""


class Taking(Protocol):
    """What the port needs of feldsher_edge.originals."""

    def take(self, device: str, via: Via, seen: Seen, trust: Trust) -> Awaitable[Verdict]:
        """Commit an original."""
        ...

    def quarantined(self, device: str) -> int:
        """Return how many originals are in quarantine."""
        ...

    def remove_due(self, device: str, days: float, most_bytes: int, *folders: Path) -> int:
        """Delete what is due."""
        ...


class DicomPort:
    """The port. `orders`: returns the open orders; `folder`: for sealed originals; `certificate`: to which.

    `port`, `pid`: the open port and the child's process while it runs.
    """

    def __init__(
        self,
        it: Dicom,
        bounds: Bounds,
        originals: Taking,
        orders: Callable[[], Awaitable[list[Order]]],
        trust: Trust,
        folder: Path,
        certificate: Callable[[], str],
        command: Sequence[str] = CHILD,
    ) -> None:
        self._it = it
        self._bounds = bounds
        self._originals = originals
        self._orders = orders
        self._trust = trust
        self._folder = folder
        self._certificate = certificate
        self._command = command
        self.port: int | None = None
        self.pid: int | None = None
        self.greeting_s = 10

    @property
    def device(self) -> str:
        """The port's name in the log; the carts behind it are `devices`."""
        return f"dicom port {self._it.port}"

    @property
    def devices(self) -> tuple[str, ...]:
        """The ids by which orders name the carts."""
        return tuple(cart.device for cart in self._it.cart)

    async def run(self, sink: Sink) -> None:
        """Keep the child until cancelled; DicomError where the port cannot be opened."""
        if importlib.util.find_spec("pynetdicom") is None:
            self._fault(sink, _NO_LIBRARY)
            raise DicomError(_NO_LIBRARY)
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, env=ENVIRONMENT)
        self.pid = process.pid
        tidying = asyncio.create_task(self._tidy())
        try:
            await self._serve(process, sink)
        except (OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
            self._fault(sink, _ENDED)
            raise DicomError(_ENDED) from error
        except DicomError as error:
            self._fault(sink, str(error))
            raise
        finally:
            self.port = self.pid = None
            tidying.cancel()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    def _fault(self, sink: Sink, why: str) -> None:
        for device in self.devices:
            sink.status(Status(device, "fault", why))

    async def _serve(self, process: Process, sink: Sink) -> None:
        await self._send(process, self._setup())
        while True:
            message = await self._read(process)
            if isinstance(message, Failed):
                raise DicomError(f"the DICOM port cannot be opened: {message.why}")
            if isinstance(message, Listening):
                self.port = message.port
                _log.info("DICOM port is open", port=message.port, ae_title=self._it.ae_title)
            elif isinstance(message, Heard):
                sink.status(Status(message.device, "present"))
            elif isinstance(message, Want):
                open_orders = [it for it in await self._orders() if it.device == message.device and it.state == "armed"]
                items = tuple(item(order, self._trust.zone) for order in open_orders)
                await self._send(process, Work(items))
            else:
                await self._send(process, await self._said(message, sink))

    async def _said(self, brought: Brought, sink: Sink) -> Said:
        """Return what became of an object; without a place for its original nothing is taken, and the cart keeps it."""
        certificate = await asyncio.to_thread(self._certificate)
        if not certificate:
            sink.status(Status(brought.device, "fault", NO_CERTIFICATE))
            return Said(None)
        if brought.seen.recording is None and self._originals.quarantined(brought.device) >= _MOST_QUARANTINED:
            sink.status(Status(brought.device, "fault", "objects cannot be read, and the quarantine is full"))
            return Said(None)
        try:
            verdict = await self._originals.take(brought.device, "dicom", brought.seen, self._trust)
        except StoreError as error:
            _log.error("not stored, the cart keeps the object", device=brought.device, error=str(error))
            return Said(None)
        return Said(verdict, certificate)

    def _setup(self) -> Setup:
        it = self._it
        return Setup(
            ae_title=it.ae_title,
            listen=it.listen,
            port=it.port,
            peers=tuple(Peer(cart.device, cart.ae_title, cart.address) for cart in it.cart),
            folder=os.fspath(self._folder),
            most=it.most_mb << 20,
            greeting_s=self.greeting_s,
            certificate=None if it.certificate is None else os.fspath(it.certificate),
            key=None if it.key is None else os.fspath(it.key),
            ca=None if it.ca is None else os.fspath(it.ca),
        )

    async def _tidy(self) -> None:
        folders = (self._folder / DONE, self._folder / QUARANTINE)
        while True:
            for device in self.devices:
                most = self._bounds.mb * 1_000_000
                with contextlib.suppress(StoreError):
                    await asyncio.to_thread(self._originals.remove_due, device, self._bounds.days, most, *folders)
            await asyncio.sleep(_TIDY_S)

    async def _send(self, process: Process, message: Setup | Work | Said) -> None:
        if process.stdin is None:
            raise BrokenPipeError("no child")
        body = msgspec.msgpack.encode(message)
        process.stdin.write(LENGTH.pack(len(body)) + body)
        await process.stdin.drain()

    async def _read(self, process: Process) -> Listening | Failed | Heard | Want | Brought:
        if process.stdout is None:
            raise BrokenPipeError("no child")
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        return _decoder.decode(await process.stdout.readexactly(min(length, _LARGEST)))
