"""A radio made of software, with the `bluetooth` module's interface: what a central does is a method."""


class UUID:
    """A UUID of 16 or 128 bits; its bytes are little-endian, as on the air."""

    def __init__(self, value: object) -> None:
        if isinstance(value, int):
            self.data = value.to_bytes(2, "little")
        else:
            self.data = bytes(reversed(bytes.fromhex(value.replace("-", ""))))

    def __bytes__(self) -> bytes:
        return self.data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UUID) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)


class BLE:
    """The one radio of a process."""

    _one: object = None

    def __new__(cls) -> object:
        if BLE._one is None:
            BLE._one = object.__new__(cls)
            BLE._one.clear()
        return BLE._one

    def clear(self) -> None:
        """Forget everything: a radio as it was made."""
        self.settings: dict[str, object] = {}
        self.handler: object = None
        self.values: dict[int, bytes] = {}
        self.handles: dict[bytes, int] = {}
        self.flags: dict[int, int] = {}
        self.appending: dict[int, int] = {}
        self.advertising: tuple[bytes, bytes] | None = None
        self.notified: list[tuple[int, int, bytes]] = []
        self.buffers = 1000
        self.sent_away: list[int] = []

    def active(self, on: bool = True) -> bool:
        """Switch it on."""
        return on

    def config(self, **settings: object) -> None:
        """Set it."""
        self.settings.update(settings)

    def irq(self, handler: object) -> None:
        """Tell whom to call."""
        self.handler = handler

    def gatts_register_services(self, services: tuple[object, ...]) -> tuple[tuple[int, ...], ...]:
        """Give every characteristic its handle."""
        handles: list[tuple[int, ...]] = []
        number = 10
        for _service, characteristics in services:
            row: list[int] = []
            for uuid, flags in characteristics:
                number += 3
                self.handles[uuid.data] = number
                self.flags[number] = flags
                self.values[number] = b""
                row.append(number)
            handles.append(tuple(row))
        return tuple(handles)

    def gatts_set_buffer(self, handle: int, length: int, append: bool = False) -> None:
        """Let writes be added to each other."""
        self.appending[handle] = length if append else 0

    def gatts_write(self, handle: int, data: bytes, send_update: bool = False) -> None:
        """Set a value."""
        self.values[handle] = data

    def gatts_read(self, handle: int) -> bytes:
        """Return a value; one that is appended to is empty afterwards."""
        value = self.values[handle]
        if handle in self.appending:
            self.values[handle] = b""
        return value

    def gatts_notify(self, connection: int, handle: int, data: bytes) -> None:
        """Notify; OSError (ENOMEM) while all buffers are full."""
        if not self.buffers:
            raise OSError(12)
        self.buffers -= 1
        self.notified.append((connection, handle, data))

    def gap_advertise(self, interval_us: int | None, adv_data: bytes = b"", resp_data: bytes = b"") -> None:
        """Be found, or not."""
        self.advertising = None if interval_us is None else (adv_data, resp_data)

    def gap_disconnect(self, connection: int) -> bool:
        """Send a peer away."""
        self.sent_away.append(connection)
        return True

    # What a central does.

    def connect(self, connection: int) -> None:
        """A central connects: advertising ends."""
        self.advertising = None
        self.handler(1, (connection, 0, b"\x01\x02\x03\x04\x05\x06"))

    def disconnect(self, connection: int) -> None:
        """It goes."""
        self.handler(2, (connection, 0, b"\x01\x02\x03\x04\x05\x06"))

    def write(self, connection: int, uuid: UUID, data: bytes) -> None:
        """It writes."""
        handle = self.handles[uuid.data]
        old = self.values[handle] if handle in self.appending else b""
        self.values[handle] = (old + data)[: self.appending.get(handle, 20) or 20]
        self.handler(3, (connection, handle))

    def exchange_mtu(self, connection: int, mtu: int) -> None:
        """It agrees on the length of packets."""
        self.handler(21, (connection, mtu))

    def encrypt(self, connection: int, bonded: bool, new_key: bytes = b"") -> bool:
        """It encrypts; with `new_key` it bonds, and what the kit says to that is returned."""
        kept = not new_key or bool(self.handler(30, (1, new_key, b"secret of " + new_key)))
        self.handler(28, (connection, 1, 0, 1 if bonded else 0, 16))
        return kept
