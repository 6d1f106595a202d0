"""Flash as files of a folder: only erasing sets bits, power may go in the middle, the bootloader keeps A/B rules."""

import json
import os

from workbench import bench

BLOCK = 4096
SIZES = {"ota_0": 24, "ota_1": 24, "kitcfg": 2}
"""Blocks of each partition: the real slots are larger, and work the same."""


class PowerCutError(Exception):
    """Power went in the middle of a write."""


class Flash:
    """`left`: bytes that can still be written before power goes, -1 for as many as one likes."""

    left = -1


def path(label: str) -> str:
    """Return the file of a partition."""
    return bench.folder + "/" + label


def _open(label: str):
    name = path(label)
    try:
        return open(name, "r+b")
    except OSError:
        with open(name, "wb") as file:
            for _ in range(SIZES[label]):
                file.write(b"\xff" * BLOCK)
        return open(name, "r+b")


def read(label: str, at: int, into: bytearray) -> None:
    """Read what lies in a partition."""
    with _open(label) as file:
        file.seek(at)
        file.readinto(into)


def erase(label: str, block: int) -> None:
    """Set every bit of a block."""
    if Flash.left == 0:
        raise PowerCutError
    with _open(label) as file:
        file.seek(block * BLOCK)
        file.write(b"\xff" * BLOCK)


def write(label: str, at: int, data: bytes) -> None:
    """Clear bits; OSError beyond the end, PowerCutError where the power goes in the middle."""
    if at + len(data) > SIZES[label] * BLOCK:
        raise OSError(28)
    count = len(data) if Flash.left < 0 else min(len(data), Flash.left)
    old = bytearray(count)
    read(label, at, old)
    for index in range(count):
        old[index] &= data[index]
    with _open(label) as file:
        file.seek(at)
        file.write(old)
    if Flash.left >= 0:
        Flash.left -= count
        if count < len(data):
            raise PowerCutError


def boot_state() -> dict[str, object]:
    """Return what the bootloader knows: slot to boot, slot that runs, state of each."""
    try:
        with open(path("boot.json")) as file:
            return json.load(file)
    except OSError:
        return {"boot": "ota_0", "running": "ota_0", "state": {}}


def write_boot_state(state: dict[str, object]) -> None:
    """Let the bootloader know it."""
    with open(path("boot.json"), "w") as file:
        json.dump(state, file)


def bootloader() -> str:
    """Choose what runs, as ESP-IDF's does with rollback enabled: a new image once, then only if it was confirmed."""
    facts = boot_state()
    slot, states = facts["boot"], facts["state"]
    if states.get(slot) == "pending":
        states[slot] = "aborted"
        slot = facts["boot"] = other(slot)
    elif states.get(slot) == "new":
        states[slot] = "pending"
    facts["running"] = slot
    write_boot_state(facts)
    return slot


def other(slot: str) -> str:
    """Return the other one of two slots."""
    return "ota_1" if slot == "ota_0" else "ota_0"


def erase_everything() -> None:
    """A kit as it was made."""
    for name in os.listdir(bench.folder):
        os.remove(bench.folder + "/" + name)
