"""The settings in two slots: what is kept, what a power cut leaves at every byte, what a broken slot costs."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import esp32
from flash import BLOCK, Flash, PowerCutError, erase, read, write
from kit.config import RECORD, ConfigError, Store
from same import raises, same


def _open() -> Store:
    return Store(esp32.Partition.find(1, label="kitcfg")[0])


def _saved(boots: int, serial: str = "FK-1") -> Store:
    store = _open()
    store.config.boots, store.config.serial = boots, serial
    store.save()
    return store


def test_a_new_kit():
    store = _open()
    same((store.config.serial, store.config.floor, store.config.boots, store.config.bluetooth), ("", 0, 0, True))
    same(store.damaged, 0)


def test_everything_is_kept():
    store = _open()
    it = store.config
    it.floor, it.trial, it.failed, it.boots, it.bluetooth, it.serial = (
        7,
        8,
        6,
        4294967295,
        False,
        "FK-0123456789-ABCDEFGH",
    )
    store.save()
    again = _open().config
    same(
        (again.floor, again.trial, again.failed, again.boots, again.bluetooth, again.serial),
        (7, 8, 6, 4294967295, False, "FK-0123456789-ABCDEFGH"),
    )


def test_the_newest_of_many():
    store = _saved(1)
    for boots in range(2, 9):
        store.config.boots = boots
        store.save()
        same(_open().config.boots, boots)


def test_power_goes_at_every_byte():
    _saved(1)
    _saved(2)
    for left in range(RECORD):
        store = _open()
        store.config.boots = 3
        Flash.left = left
        raises(PowerCutError, "", store.save)
        Flash.left = -1
        same(_open().config.boots, 2)


def test_a_broken_slot_costs_one_change_and_two_cost_all():
    _saved(1)
    _saved(2)
    for slot, boots in ((1, 1), (0, 0)) if _newest() else ((0, 1), (1, 0)):
        write("kitcfg", slot * BLOCK + 20, b"\0" * 8)
        same((_open().config.boots, _open().damaged), (boots, 2 - boots))


def _newest() -> int:
    records = [bytearray(8), bytearray(8)]
    for slot in (0, 1):
        read("kitcfg", slot * BLOCK, records[slot])
    return 1 if records[1][4:] > records[0][4:] else 0


def test_flash_that_does_not_hold_is_told():
    store = _saved(1)
    store._partition.writeblocks = lambda *_: None
    raises(ConfigError, "does not hold what was written", store.save)


def test_wiping_keeps_what_guards_the_kit():
    store = _saved(5)
    store.config.bluetooth, store.config.floor = False, 9
    store.save()
    store.wipe()
    erase("kitcfg", _newest())
    again = _open().config
    same((again.bluetooth, again.floor, again.serial, again.boots), (True, 9, "FK-1", 5))
