"""What the kit remembers, in two slots of flash: the newer whole one counts, the older one is written next.

A power cut while writing leaves the other slot; one broken slot costs one change.
"""

import binascii
import struct

import esp32

_MAGIC = b"FKC1"
_LAYOUT = ">4sIIIIIBB22s12x"
_SIZE = 60
"""With its CRC a multiple of 16: what encrypted flash takes at once."""
RECORD = _SIZE + 4
SERIAL_MAX = 22
_ERASE = 6  # ioctl of the block protocol
"""Erase one block."""


class ConfigError(OSError):
    """Flash that does not hold what was written to it."""


class Config:
    """The values. `floor`: highest sequence ever confirmed; `trial`: sequence that should run now, unconfirmed.

    `failed`: the last one that fell back; `bluetooth`: whether the radio is on; `serial`: given once, in production.
    """

    def __init__(self) -> None:
        self.floor = 0
        self.trial = 0
        self.failed = 0
        self.boots = 0
        self.bluetooth = True
        self.serial = ""


class Store:
    """The two slots: blocks 0 and 1 of a partition. `damaged`: slots that could not be read when it was opened."""

    def __init__(self, partition: esp32.Partition) -> None:
        self._partition = partition
        self._generation = 0
        self._slot = 1
        self.damaged = 0
        self.config = Config()
        for slot in (0, 1):
            record = bytearray(RECORD)
            partition.readblocks(slot, record, 0)
            generation = _generation(record)
            if generation == 0:
                self.damaged += 0 if bytes(record) == b"\xff" * RECORD else 1
            elif generation > self._generation:
                self._generation, self._slot = generation, slot
                self.config = _unpack(record)

    def save(self) -> None:
        """Write the values into the older slot; ConfigError where they cannot be read back."""
        slot = 1 - self._slot
        record = _pack(self.config, self._generation + 1)
        self._partition.ioctl(_ERASE, slot)
        self._partition.writeblocks(slot, record, 0)
        found = bytearray(RECORD)
        self._partition.readblocks(slot, found, 0)
        if bytes(found) != record:
            raise ConfigError("slot " + str(slot) + ": it does not hold what was written")
        self._generation += 1
        self._slot = slot

    def wipe(self) -> None:
        """Forget what belongs to a user; keep the serial number, the counters and what guards updates."""
        self.config.bluetooth = True
        # Twice: neither slot may go on holding the old values.
        self.save()
        self.save()


def _pack(config: Config, generation: int) -> bytes:
    body = struct.pack(
        _LAYOUT,
        _MAGIC,
        generation,
        config.floor,
        config.trial,
        config.failed,
        config.boots & 0xFFFFFFFF,
        1 if config.bluetooth else 0,
        len(config.serial),
        config.serial.encode(),
    )
    return body + struct.pack(">I", binascii.crc32(body))


def _generation(record: bytearray) -> int:
    """Return the generation of a whole record, 0 of anything else."""
    magic, generation = struct.unpack(">4sI", record[:8])
    whole = magic == _MAGIC and struct.unpack(">I", record[_SIZE:])[0] == binascii.crc32(record[:_SIZE])
    return int(generation) if whole else 0


def _unpack(record: bytearray) -> Config:
    config = Config()
    _, _, config.floor, config.trial, config.failed, config.boots, bluetooth, length, serial = struct.unpack(
        _LAYOUT, record[:_SIZE]
    )
    config.bluetooth = bool(bluetooth)
    config.serial = serial[:length].decode()
    return config
