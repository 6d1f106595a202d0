"""The `esp32` module over files (flash.py): partitions, NVS, the pulse counter."""

import json

import flash
from flash import BLOCK, SIZES, boot_state, other, path, write_boot_state
from machine import Pin
from workbench import bench


class Partition:
    """A partition of flash."""

    BOOT = 0
    RUNNING = 1
    TYPE_APP = 0
    TYPE_DATA = 1

    def __init__(self, id: object, block_size: int = BLOCK) -> None:
        facts = boot_state()
        self.label = facts["boot"] if id == 0 else facts["running"] if id == 1 else id

    @staticmethod
    def find(type: int = 0, subtype: int = 255, label: str = "") -> list[object]:
        """Return the partition of a name."""
        return [Partition(label)] if label in SIZES else []

    def info(self) -> tuple[int, int, int, int, str, bool]:
        """Return type, subtype, address, size, label, whether it is encrypted."""
        return (0, 0, 0, SIZES[self.label] * BLOCK, self.label, False)

    def get_next_update(self) -> object:
        """Return the other slot."""
        return Partition(other(self.label))

    def readblocks(self, block: int, into: bytearray, offset: int = 0) -> None:
        """Read."""
        flash.read(self.label, block * BLOCK + offset, into)

    def writeblocks(self, block: int, data: bytes, offset: int = -1) -> None:
        """Write; without an offset, erase before."""
        if offset < 0:
            flash.erase(self.label, block)
            offset = 0
        flash.write(self.label, block * BLOCK + offset, data)

    def ioctl(self, operation: int, argument: int = 0) -> int:
        """Erase a block (6), or say how many there are (4) and how large (5)."""
        if operation == 6:
            flash.erase(self.label, argument)
        return {4: SIZES[self.label], 5: BLOCK}.get(operation, 0)

    def set_boot(self) -> None:
        """Run this slot from the next start on; OSError where it holds no image (0xE9, as ESP-IDF's have)."""
        first = bytearray(1)
        flash.read(self.label, 0, first)
        if first[0] != 0xE9:
            raise OSError(-5379)
        facts = boot_state()
        facts["boot"] = self.label
        facts["state"][self.label] = "new"
        write_boot_state(facts)

    @classmethod
    def mark_app_valid_cancel_rollback(cls) -> None:
        """Keep the running image."""
        facts = boot_state()
        facts["state"][facts["running"]] = "valid"
        write_boot_state(facts)


class NVS:
    """Names and blobs, kept at `commit`."""

    def __init__(self, namespace: str) -> None:
        self._path = path("nvs-" + namespace)
        try:
            with open(self._path) as file:
                self._blobs = json.load(file)
        except OSError:
            self._blobs = {}

    def get_blob(self, key: str, into: bytearray) -> int:
        """Read; OSError where there is none."""
        if key not in self._blobs:
            raise OSError(-4354)
        blob = bytes(self._blobs[key])
        into[: len(blob)] = blob
        return len(blob)

    def set_blob(self, key: str, value: bytes) -> None:
        """Write."""
        self._blobs[key] = list(value)

    def commit(self) -> None:
        """Keep what was written."""
        with open(self._path, "w") as file:
            json.dump(self._blobs, file)


class PCNT:
    """Counts the falling edges of DRDY, as the model tells them."""

    INCREMENT = 1

    def __init__(self, id: int, pin: Pin | None = None, falling: int = 0, max: int = 0) -> None:
        self._max = max
        self._zero = 0

    def start(self) -> None:
        """Count."""

    def value(self, value: int | None = None) -> int:
        """Return the count; with 0, begin anew."""
        pulses = bench.front_end.pulses if bench.front_end is not None else 0
        now = (pulses - self._zero) % self._max
        if value is not None:
            self._zero = pulses
        return now
