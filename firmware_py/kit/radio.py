"""The kit over Bluetooth: the same frames through a GATT service of our own, beside battery and device information.

Bonding is open for two minutes after a long press of the button; at other times only known peers are served. Nothing is
read from or sent to a peer whose link is not encrypted.
"""

import binascii
import time

import bluetooth

from kit.bonds import Bonds
from kit.port import Link

SERVICE = "0c5f7b76-c1ed-4118-8e42-a9eb9dcfdf15"
COMMANDS = "0c5f7b77-c1ed-4118-8e42-a9eb9dcfdf15"
EVENTS = "0c5f7b78-c1ed-4118-8e42-a9eb9dcfdf15"
MANUFACTURER = "feldsher"
MODEL = "feldsher kit"
PAIRING_MS = 120_000
STRANGER_MS = 10_000
"""A peer that has not encrypted its link by then is sent away: only one can be connected."""

# The events of the bluetooth module's documentation.
_CONNECT = 1
_DISCONNECT = 2
_WRITE = 3
_MTU = 21
_ENCRYPTION = 28
_GET_SECRET = 29
_SET_SECRET = 30

_READ = 0x0002
_WRITE_NO_RESPONSE = 0x0004
_WRITE_FLAG = 0x0008
_NOTIFY = 0x0010
_READ_ENCRYPTED = 0x0200
_WRITE_ENCRYPTED = 0x1000
_NO_INPUT_NO_OUTPUT = 3
_ADVERTISE_US = 250_000
_PREFERRED_MTU = 247
_LEAST_MTU = 23
_RECEIVED_MAX = 512


class Radio(Link):
    """One peer at a time. `bonds`: the peers known; `battery`: what was last told of it."""

    def __init__(self, ble: bluetooth.BLE, bonds: Bonds, name: str, serial: str, firmware: str) -> None:
        self._ble = ble
        self._bonds = bonds
        self._name = name
        self._peer: memoryview | None = None
        self._trusted = False
        self._stranger = False
        self._since_ms = time.ticks_ms()
        self._pairing = False
        self._pairing_ms = time.ticks_ms()
        self._mtu = _LEAST_MTU
        self._received = bytearray(0)
        self._chunk = bytearray(_PREFERRED_MTU - 3)
        self._chunk_view = memoryview(self._chunk)
        self._filled = 0
        ble.active(True)
        ble.config(gap_name=name, mtu=_PREFERRED_MTU, bond=True, le_secure=True, mitm=False, io=_NO_INPUT_NO_OUTPUT)
        ble.irq(self._event)
        self._commands, self._events, self._battery = self._register(serial, firmware)
        self._advertise()

    def open_pairing(self) -> None:
        """Take new peers for PAIRING_MS."""
        self._pairing = True
        self._pairing_ms = time.ticks_ms()

    def tick(self, charge: int) -> None:
        """Once a second: tell the battery, end what has lasted long enough."""
        now = time.ticks_ms()
        if self._pairing and time.ticks_diff(now, self._pairing_ms) > PAIRING_MS:
            self._pairing = False
        self._ble.gatts_write(self._battery, bytes((min(charge, 100),)), True)
        if self._peer is not None and not self._trusted and time.ticks_diff(now, self._since_ms) > STRANGER_MS:
            self._send_away()

    def read(self, into: bytearray) -> int:
        """Take what came; what waits to be sent goes first, however little it is."""
        self._push()
        count = min(len(self._received), len(into))
        if count:
            into[:count] = self._received[:count]
            self._received = self._received[count:]
        return count

    def write(self, data: memoryview) -> int:
        """Fill a notification and send it when it is full; return how much found room."""
        if not self.present():
            return 0
        size = min(self._mtu - 3, len(self._chunk))
        done = 0
        while done < len(data):
            if self._filled == size and not self._push():
                break
            part = min(size - self._filled, len(data) - done)
            self._chunk_view[self._filled : self._filled + part] = data[done : done + part]
            self._filled += part
            done += part
        return done

    def present(self) -> bool:
        """Say whether a peer is there whom we know, over an encrypted link."""
        return self._peer is not None and self._trusted

    def forget(self) -> None:
        """Forget all peers, and send away the one that is here."""
        self._bonds.clear()
        if self._peer is not None:
            self._send_away()

    def _push(self) -> bool:
        """Send the notification that waits; return whether it went: the radio refuses while its buffers are full."""
        if not self._filled:
            return True
        if self._peer is None:
            return False
        try:
            data = bytes(self._chunk_view[: self._filled])
            self._ble.gatts_notify(self._peer, self._events, data)  # pyright: ignore[reportCallIssue] - a stub without data
        except OSError:
            return False
        self._filled = 0
        return True

    def _register(self, serial: str, firmware: str) -> tuple[memoryview, memoryview, memoryview]:
        own = (
            bluetooth.UUID(SERVICE),
            (
                (bluetooth.UUID(COMMANDS), _WRITE_FLAG | _WRITE_NO_RESPONSE | _WRITE_ENCRYPTED),
                (bluetooth.UUID(EVENTS), _NOTIFY | _READ | _READ_ENCRYPTED),
            ),
        )
        battery = (bluetooth.UUID(0x180F), ((bluetooth.UUID(0x2A19), _READ | _NOTIFY),))
        texts = ((0x2A29, MANUFACTURER), (0x2A24, MODEL), (0x2A25, serial), (0x2A26, firmware))
        about = (bluetooth.UUID(0x180A), tuple((bluetooth.UUID(uuid), _READ) for uuid, _ in texts))
        (commands, events), (level,), handles = self._ble.gatts_register_services((own, battery, about))
        self._ble.gatts_set_buffer(commands, _RECEIVED_MAX, True)
        for index, handle in enumerate(handles):
            self._ble.gatts_write(handle, texts[index][1].encode())
        return commands, events, level

    def _advertise(self) -> None:
        name = self._name.encode()
        service = bytes(reversed(binascii.unhexlify(SERVICE.replace("-", ""))))
        # Flags: found by everybody, no classic Bluetooth; the name; in the answer to a scan, the service.
        data = b"\x02\x01\x06" + bytes((len(name) + 1, 0x09)) + name
        self._ble.gap_advertise(_ADVERTISE_US, data, resp_data=bytes((len(service) + 1, 0x07)) + service)

    def _send_away(self) -> None:
        peer, self._peer = self._peer, None
        self._trusted = False
        if peer is not None:
            self._ble.gap_disconnect(peer)

    def _event(self, event: int, data: tuple[memoryview, ...]) -> object:
        """Take an event of the radio; what a secret is asked for is answered."""
        if event == _WRITE:
            received = self._ble.gatts_read(self._commands)
            if self._trusted and len(self._received) + len(received) <= _RECEIVED_MAX:
                self._received.extend(received)
        elif event == _MTU:
            self._mtu = int(data[1])
        elif event == _ENCRYPTION:
            self._encrypted(bool(data[1]), bool(data[3]))
        elif event == _CONNECT:
            self._arrived(data[0])
        elif event == _DISCONNECT:
            self._left()
        elif event == _GET_SECRET:
            kind, index, key = data
            return self._bonds.get(int(kind), int(index), bytes(key) if key else None)
        elif event == _SET_SECRET:
            return self._keep(*data)
        return None

    def _arrived(self, peer: memoryview) -> None:
        self._peer = peer
        self._since_ms = time.ticks_ms()
        self._trusted = self._stranger = False
        self._mtu = _LEAST_MTU
        self._filled = 0
        self._received = bytearray(0)

    def _left(self) -> None:
        self._peer = None
        self._trusted = False
        self._filled = 0
        self._advertise()

    def _keep(self, kind: memoryview, key: memoryview, value: memoryview | None) -> bool:
        """Keep a secret of a new bond; while bonding is closed the peer is a stranger."""
        if value is not None and not self._pairing:
            self._stranger = True
            return False
        return self._bonds.put(int(kind), bytes(key), None if value is None else bytes(value))

    def _encrypted(self, encrypted: bool, bonded: bool) -> None:
        """Trust a peer that encrypts as one of ours."""
        self._trusted = encrypted and bonded and not self._stranger
        if encrypted and not self._trusted:
            self._send_away()
