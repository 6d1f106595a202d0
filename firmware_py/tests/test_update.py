"""Updates in the kit: images of every length around a block, and what flash and bootloader may refuse."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import hashlib

import artefact
import esp32
import frame
from flash import BLOCK, boot_state, read
from kit import update
from kit.config import Store
from kit.update import Update
from same import same


class _Signed:
    """A signature whose answer is known: p256.py has its own tests."""

    valid = True

    def __init__(self, _key: bytes, _digest: bytes, signature: bytes) -> None:
        self.valid = signature == b"s" * 64

    def step(self) -> bool:
        return True


update.Verification = _Signed


def _made(sequence: int = 1) -> Update:
    return Update(Store(esp32.Partition.find(1, label="kitcfg")[0]), b"", "BOARD", sequence)


def _artefact(size: int, first: int = 0xE9, **fields: int) -> bytes:
    image = bytes((first,)) + bytes(size - 1)
    digest = hashlib.sha256(image).digest()
    manifest = artefact.Manifest("BOARD", "2", fields.get("sequence", 2), size, digest).pack()
    return artefact.pack(b"s" * 64, manifest, image)


def _hand(it: Update, data: bytes, step: int = 60) -> int:
    result = it.begin(len(data))
    while result == frame.RESULT_OK and it.wanted < len(data):
        result = it.piece(it.wanted, data[it.wanted : it.wanted + step])
        if result == frame.RESULT_WAIT:
            while it.step():
                pass
            result = it.piece(0, b"")
    if result == frame.RESULT_OK:
        result = it.end()
        while it.step():
            pass
        result = it.end()
    return result


def test_images_of_every_length_around_a_block():
    for size in (1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 5):
        for step in (7, 60):
            it = _made()
            data = _artefact(size)
            same((size, _hand(it, data, step), it.state()), (size, frame.RESULT_OK, frame.UPDATE_READY))
            found = bytearray(size)
            read("ota_1", 0, found)
            same(hashlib.sha256(found).digest(), hashlib.sha256(data[-size:]).digest())
            same(boot_state()["boot"], "ota_1")


def test_one_too_large_by_a_byte():
    it = _made()
    same(_hand(it, _artefact(24 * BLOCK + 1)), frame.RESULT_MALFORMED)
    same((it.state(), it.wanted), (frame.UPDATE_NONE, 0))


def test_what_the_bootloader_refuses_is_damaged():
    it = _made()
    same(_hand(it, _artefact(100, first=0x00)), frame.RESULT_DAMAGED)
    same((_made().on_trial, _made().state()), (False, frame.UPDATE_NONE))


def test_repeats_and_gaps():
    it = _made()
    data = _artefact(300)
    it.begin(len(data))
    same(it.piece(0, data[:50]), frame.RESULT_OK)
    same((it.piece(0, data[:50]), it.wanted), (frame.RESULT_OK, 50))
    same((it.piece(90, data[90:100]), it.wanted), (frame.RESULT_ORDER, 50))
    same((it.end(), it.wanted), (frame.RESULT_ORDER, 50))
    same(_hand(it, data), frame.RESULT_OK)
    same((it.piece(0, data[:50]), it.end()), (frame.RESULT_OK, frame.RESULT_OK))


def test_trial_confirmation_and_fall_back():
    same(_hand(_made(), _artefact(100)), frame.RESULT_OK)
    new = _made(2)
    same((new.on_trial, new.state()), (True, frame.UPDATE_ON_TRIAL))
    same(
        (new.begin(500), new.confirm(False), new.confirm(True)),
        (frame.RESULT_REFUSED, frame.RESULT_FAULT, frame.RESULT_OK),
    )
    same((new.on_trial, new.confirm(True)), (False, frame.RESULT_OK))
    same(_hand(_made(2), _artefact(100, sequence=3)), frame.RESULT_OK)
    old = _made(2)  # the third did not live
    same((old.on_trial, old.state()), (False, frame.UPDATE_ROLLED_BACK))
    # The first again, by whatever way it got there: what was confirmed is never gone below.
    same(_hand(_made(1), _artefact(100, sequence=2)), frame.RESULT_ROLLBACK)


def test_an_unsigned_one_never_reaches_flash():
    it = _made()
    same(_hand(it, b"x" + _artefact(100)[1:]), frame.RESULT_SIGNATURE)
    same(boot_state()["boot"], "ota_0")
