"""What a technician may know of a running gateway: no patient, no values. Asked over a socket in its state folder."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec
from feldsher_ehr_core.wire import ClockQuality

from feldsher_edge.gateway import SOFTWARE, Gateway
from feldsher_edge.room import Priority

_SOCKET = "status.sock"
_TIMEOUT_S = 5.0
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Kind = Literal["cardiograph", "cuff", "seen"]


class StatusError(Exception):
    """No gateway answers; the text says what the technician can do."""


class DeviceLine(msgspec.Struct, frozen=True):
    """One device: what it is, its last reported state, and the seconds since its last sign of life.

    `address`: of a Bluetooth device; `detail`: of its state; `battery` in percent; `readings`: readings or recordings
    that it brought since the daemon's start.
    """

    device: str
    kind: Kind
    state: str | None
    age_s: float | None
    address: str | None = None
    detail: str | None = None
    battery: int | None = None
    model: str | None = None
    readings: int = 0


class OrderLine(msgspec.Struct, frozen=True):
    """One open order, without anything of the patient."""

    order: str
    device: str
    state: str


class Connection(msgspec.Struct, frozen=True):
    """The connection to the broker, and what the cloud has receipted since the daemon's start."""

    broker: str
    connected: bool
    connections: int
    in_flight: int
    stored: int
    duplicate: int
    quarantined: int
    refused: int
    repeated: int
    malformed: int
    last_error: str | None
    last_receipt_age_s: float | None
    taken_over: int = 0


class CertificateLine(msgspec.Struct, frozen=True):
    """The certificate: when it ends (ISO 8601, None: none is kept here), and why the cloud does not renew it, if so."""

    until: str | None = None
    refused: str | None = None


class Report(msgspec.Struct, frozen=True):
    """The status of a gateway.

    `outbox`: rows waiting: alarms and ECGs, vital signs, continuous data; `waiting`: rows per class; `dropped` messages
    and `thinned` readings in all its life, all of them on record in the cloud; `pid`: of the daemon.
    """

    gateway: str
    software: str
    starts: int
    clock: ClockQuality
    connection: Connection
    outbox: tuple[int, int, int]
    outbox_bytes: int
    oldest_age_s: float | None
    held: int
    kept: int
    dead_letters: int
    interpreter: Literal["ready", "warming", "off"]
    devices: tuple[DeviceLine, ...]
    orders: tuple[OrderLine, ...]
    late_tasks: tuple[str, ...]
    certificate: CertificateLine = CertificateLine()
    waiting: dict[str, int] = {}
    dropped: int = 0
    thinned: int = 0
    pid: int | None = None


async def report(gateway: Gateway) -> Report:
    """Return the present status of a gateway."""
    clock = gateway.outbox.envelopes.clock
    counts = await gateway.outbox.call(gateway.outbox.counts)
    orders = await gateway.outbox.call(gateway.orders.open)
    oldest_s = None if counts.oldest_us is None else round((clock.wall_us() - counts.oldest_us) / 1e6, 3)
    interpreter = gateway.interpreter
    return Report(
        gateway=gateway.outbox.envelopes.gateway,
        software=SOFTWARE,
        starts=gateway.starts,
        clock=clock.quality(),
        connection=_connection(gateway),
        outbox=(counts.waiting[0] + counts.waiting[1], *counts.waiting[2:]),
        waiting=dict(zip((p.name.lower() for p in Priority), counts.waiting, strict=True)),
        dropped=counts.dropped,
        thinned=counts.thinned,
        outbox_bytes=counts.waiting_bytes,
        oldest_age_s=oldest_s,
        held=counts.held,
        kept=counts.kept,
        dead_letters=counts.dead,
        interpreter="off" if interpreter is None else "ready" if interpreter.ready else "warming",
        devices=_devices(gateway),
        orders=tuple(OrderLine(str(o.id), o.device, o.state) for o in orders),
        late_tasks=tuple(gateway.pulses.late()),
        certificate=_certificate(gateway),
        pid=os.getpid(),
    )


def _certificate(gateway: Gateway) -> CertificateLine:
    renewal = gateway.renewal
    if renewal is None or renewal.until is None:
        return CertificateLine()
    return CertificateLine(renewal.until.isoformat(timespec="seconds"), renewal.refused)


def _connection(gateway: Gateway) -> Connection:
    figures = gateway.publisher.figures
    now = asyncio.get_running_loop().time()
    return Connection(
        broker=gateway.publisher.address,
        connected=figures.connected,
        connections=figures.connections,
        in_flight=figures.in_flight,
        stored=figures.stored,
        duplicate=figures.duplicate,
        quarantined=figures.quarantined,
        refused=figures.refused,
        repeated=figures.repeated,
        malformed=figures.malformed,
        last_error=figures.last_error,
        last_receipt_age_s=None if figures.last_receipt is None else round(now - figures.last_receipt, 3),
        taken_over=figures.taken_over,
    )


def _devices(gateway: Gateway) -> tuple[DeviceLine, ...]:
    sources = gateway.sources
    addresses = {it.device: it.address.upper() for _, it in gateway.config.bluetooth() if it.address}
    kinds: dict[str, Kind] = {c.device: "cardiograph" for c in gateway.cardiographs}
    kinds |= {c.device: "cuff" for c in gateway.cuffs}
    known = {*kinds, *addresses.values()}
    kinds |= {device: "seen" for device in sources.ages_s() | sources.states() if device not in known}
    return tuple(_device(gateway, device, kind, addresses.get(device)) for device, kind in kinds.items())


def _device(gateway: Gateway, device: str, kind: Kind, address: str | None) -> DeviceLine:
    """Return the line of a device; what a Bluetooth device does is known under its address."""
    sources, name = gateway.sources, address or device
    said = sources.said(name)
    return DeviceLine(
        device,
        kind,
        sources.states().get(name),
        sources.ages_s().get(name),
        address=address,
        detail=said.detail if said else None,
        battery=said.battery if said else None,
        model=said.identity.model if said and said.identity else None,
        readings=sources.readings(name),
    )


async def serve(gateway: Gateway, state: Path) -> None:
    """Answer every connection to the state directory's socket with the status as JSON, until cancelled."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(msgspec.json.encode(await report(gateway)))
        await writer.drain()
        writer.close()

    async with await listening(state, _SOCKET, answer) as server:
        await server.serve_forever()


async def listening(state: Path, name: str, answer: Answer) -> asyncio.Server:
    """Return a server at the socket `name` of a state directory, which only the directory's owner may speak to."""
    with short_path(state, name) as path:
        with suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - a name in /proc/self/fd, and at once
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            ear.bind(path)
            # Before anybody can connect. Not by the umask: that is the whole process's, and two of us wait in turns.
            os.chmod(path, 0o600)  # noqa: PTH101 - a name in /proc/self/fd, and at once
            return await asyncio.start_unix_server(answer, sock=ear)
        except BaseException:
            ear.close()
            raise


def ask(state: Path) -> Report:
    """Return the status of the gateway that runs on a state directory; StatusError where none answers."""
    answer = bytearray()
    try:
        with short_path(state, _SOCKET) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(path)
            while part := connection.recv(65_536):
                answer += part
        return msgspec.json.decode(bytes(answer), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise StatusError(
            f"no gateway answers in {state} ({error}); is it running? (systemctl status feldsher-edge)"
        ) from error


@contextmanager
def short_path(state: Path, name: str) -> Generator[str]:
    """Give a path to the socket `name` that fits a socket address (108 bytes), however deep the directory lies."""
    handle = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)
