"""Updates: an artefact comes in pieces, is refused as early as it can be, and never runs unsigned, older or unasked.

The head is verified before a byte of flash is written; the image is hashed as it comes and again as it lies in flash;
the new firmware is on trial until the gateway confirms it, and the bootloader returns to the old one otherwise.
"""

import hashlib

import artefact
import esp32
import frame

from kit.config import Store
from kit.p256 import Verification

BLOCK = 4096
TRIAL_MS = 300_000
"""A firmware on trial that nobody confirms in five minutes gives way to the one before."""

_IDLE = 0
_HEAD = 1
_VERIFY = 2
_IMAGE = 3
_CHECK = 4
_READY = 5


class Update:
    """`key`: the release key, x and y (64 bytes); `sequence`, `board`: of the running firmware.

    Every call answers a frame.RESULT_*; `wanted` is the offset of the byte that should come next.
    """

    def __init__(self, store: Store, key: bytes, board: str, sequence: int) -> None:
        self.wanted = 0
        self.on_trial = False
        self._store = store
        self._key = key
        self._board = board
        self._sequence = sequence
        self._phase = _IDLE
        self._refused = frame.RESULT_ORDER
        self._total = 0
        self._head = b""
        self._head_length = artefact.HEAD
        self._verification: Verification | None = None
        self._manifest = artefact.Manifest("", "", 0, 0, b"")
        self._slot: esp32.Partition | None = None
        self._block = bytearray(0)
        self._hash = hashlib.sha256()
        self._read = 0
        self._started()

    def state(self) -> int:
        """Return frame.UPDATE_*."""
        if self._phase == _READY:
            return frame.UPDATE_READY
        if self._phase != _IDLE:
            return frame.UPDATE_RECEIVING
        if self.on_trial:
            return frame.UPDATE_ON_TRIAL
        return frame.UPDATE_ROLLED_BACK if self._store.config.failed else frame.UPDATE_NONE

    def begin(self, total: int) -> int:
        """Expect an artefact of so many bytes; what came of another one is forgotten."""
        if self.on_trial:
            return self._stop(frame.RESULT_REFUSED)  # the only way back would be overwritten
        self._stop(frame.RESULT_ORDER)
        slot = _next_slot()
        if not artefact.HEAD < total <= _size(slot) + artefact.HEAD + artefact.MANIFEST_MAX:
            return self._stop(frame.RESULT_MALFORMED)
        self._slot = slot
        self._total = total
        self._head_length = artefact.HEAD
        self._phase = _HEAD
        return frame.RESULT_OK

    def piece(self, offset: int, data: bytes) -> int:
        """Take a piece. One that lies before `wanted` came twice, and is fine."""
        if self._phase in (_VERIFY, _CHECK):
            return frame.RESULT_WAIT
        if self._phase == _READY:
            return frame.RESULT_OK
        if self._phase == _IDLE:
            return self._refused
        if offset < self.wanted:
            return frame.RESULT_OK
        if offset > self.wanted:
            return frame.RESULT_ORDER
        if offset + len(data) > self._total:
            return self._stop(frame.RESULT_MALFORMED)
        return self._take_head(data) if self._phase == _HEAD else self._take_image(data)

    def end(self) -> int:
        """Finish: what lies in flash is checked (RESULT_WAIT until it is), then it will run after the next restart."""
        if self._phase == _READY:
            return frame.RESULT_OK
        if self._phase == _IDLE:
            return self._refused
        if self._phase == _IMAGE:
            if self.wanted != self._total:
                return frame.RESULT_ORDER
            self._write_rest()
            self._hash = hashlib.sha256()
            self._read = 0
            self._phase = _CHECK
        return frame.RESULT_ORDER if self._phase == _HEAD else frame.RESULT_WAIT

    def confirm(self, healthy: bool) -> int:
        """Keep the firmware on trial; refused while it is not healthy. Harmless where nothing is on trial."""
        if not self.on_trial:
            return frame.RESULT_OK
        if not healthy:
            return frame.RESULT_FAULT
        esp32.Partition.mark_app_valid_cancel_rollback()
        config = self._store.config
        config.floor = max(config.floor, self._sequence)
        config.trial = 0
        config.failed = 0
        self._store.save()
        self.on_trial = False
        return frame.RESULT_OK

    def step(self) -> bool:
        """Do a piece of the work that takes long; return whether there is more."""
        if self._phase == _VERIFY and self._verification is not None:
            if self._verification.step():
                self._judge(self._verification.valid)
            return True
        if self._phase == _CHECK:
            self._check_block()
            return True
        return False

    def _started(self) -> None:
        """Look at what the bootloader made of the last update."""
        config = self._store.config
        if config.trial == self._sequence:
            self.on_trial = True
        elif config.trial:
            config.failed, config.trial = config.trial, 0
            self._store.save()

    def _stop(self, result: int) -> int:
        self._phase = _IDLE
        self._refused = result
        self.wanted = 0
        self._head = b""
        self._verification = None
        self._block = bytearray(0)
        return result

    def _take_head(self, data: bytes) -> int:
        data = data[: self._head_length - self.wanted]
        self._head += data
        self.wanted += len(data)
        if self.wanted < self._head_length:
            return frame.RESULT_OK
        if self._head_length == artefact.HEAD:
            try:
                self._head_length = artefact.head_length(self._head)
            except artefact.ArtefactError:
                return self._stop(frame.RESULT_MALFORMED)
            return frame.RESULT_OK
        digest = hashlib.sha256(artefact.signed(self._head[artefact.HEAD :])).digest()
        self._verification = Verification(self._key, digest, self._head[: artefact.SIGNATURE])
        self._phase = _VERIFY
        return frame.RESULT_WAIT

    def _judge(self, valid: bool) -> None:
        """Decide on a head whose signature has been looked at."""
        self._verification = None
        if not valid:
            self._stop(frame.RESULT_SIGNATURE)
            return
        try:
            manifest = artefact.parse_manifest(self._head[artefact.HEAD :])
        except artefact.ArtefactError:
            self._stop(frame.RESULT_NOT_FOR_THIS)
            return
        slot_size = _size(self._slot) if self._slot else 0
        if manifest.board != self._board:
            self._stop(frame.RESULT_NOT_FOR_THIS)
        elif manifest.sequence <= max(self._sequence, self._store.config.floor):
            self._stop(frame.RESULT_ROLLBACK)
        elif self._head_length + manifest.size != self._total or manifest.size > slot_size:
            self._stop(frame.RESULT_MALFORMED)
        else:
            self._manifest = manifest
            self._block = bytearray(BLOCK)
            self._hash = hashlib.sha256()
            self._phase = _IMAGE

    def _take_image(self, data: bytes) -> int:
        at = (self.wanted - self._head_length) % BLOCK
        part = data[: BLOCK - at]
        self._block[at : at + len(part)] = part
        self.wanted += len(part)
        if at + len(part) == BLOCK and self._slot is not None:
            self._slot.writeblocks((self.wanted - self._head_length) // BLOCK - 1, self._block)
        return frame.RESULT_OK if len(part) == len(data) else self._take_image(data[len(part) :])

    def _write_rest(self) -> None:
        """Write the last block, unless the image ends with a whole one."""
        rest = self._manifest.size % BLOCK
        if rest and self._slot is not None:
            for at in range(rest, BLOCK):
                self._block[at] = 0xFF
            self._slot.writeblocks(self._manifest.size // BLOCK, self._block)

    def _check_block(self) -> None:
        """Read the next block of what lies in flash; after the last one, let it run at the next restart."""
        if self._slot is None:
            return
        self._slot.readblocks(self._read // BLOCK, self._block)
        length = min(BLOCK, self._manifest.size - self._read)
        self._hash.update(memoryview(self._block)[:length])
        self._read += length
        if self._read == self._manifest.size:
            if self._hash.digest() == self._manifest.sha256:
                self._install(self._slot)
            else:
                self._stop(frame.RESULT_DAMAGED)

    def _install(self, slot: esp32.Partition) -> None:
        config = self._store.config
        config.trial = self._manifest.sequence
        self._store.save()
        try:
            slot.set_boot()
        except OSError:  # ESP-IDF looks at the image itself (its checksum; with secure boot, its signature)
            config.trial = 0
            self._store.save()
            self._stop(frame.RESULT_DAMAGED)
            return
        self._block = bytearray(0)
        self._phase = _READY


def _next_slot() -> esp32.Partition:
    """Return the slot of flash that does not run."""
    running = esp32.Partition(esp32.Partition.RUNNING)  # pyright: ignore[reportArgumentType] - the stub knows names only
    return running.get_next_update()


def _size(slot: esp32.Partition) -> int:
    return int(slot.info()[3])  # pyright: ignore[reportUnknownArgumentType] - a bare Tuple in the stub
