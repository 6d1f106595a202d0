"""From conversions to frames: their numbers, their losses, their bytes against frame.py, and no allocation."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import frame
import micropython
from kit import sampler
from kit.sampler import Sampler
from same import same


class _Pulses:
    """The hardware counter: a number that a test sets."""

    def __init__(self) -> None:
        self.count = 0
        self.later = 0

    def value(self, value=None) -> int:
        now = self.count
        if value is not None:
            self.count = 0
        elif self.later:
            self.count += self.later
            self.later = 0
        return now


class _Afe:
    """The chip: its next conversion is `bytes`."""

    def __init__(self) -> None:
        self.bytes = bytearray(frame.pack_afe(0, [1, -1, 2, -2, 3, -3, 8388607, -8388608]))
        self.running = False

    def begin(self) -> None:
        self.running = True

    def end(self) -> None:
        self.running = False

    def read(self, into: memoryview) -> None:
        for at in range(27):  # a slice would allocate
            into[at] = self.bytes[at]


def _made(slots: int = 8):
    pulses, chip = _Pulses(), _Afe()
    return Sampler(chip, pulses, slots), pulses, chip


def _sample(it: Sampler, pulses: _Pulses, conversions: int = 1) -> None:
    pulses.count = (pulses.count + conversions) % sampler.WRAP
    it.drdy(None)


def _frames(it: Sampler) -> list[tuple[int, int, bytes]]:
    parser = frame.Parser()
    found = []
    while True:
        data = it.next_frame()
        if data is None:
            break
        found += parser.feed(bytes(data))
        it.ring.release()
    same((parser.bad_crc, parser.skipped), (0, 0))
    return found


def test_the_bytes_are_those_of_frame_py():
    it, pulses, chip = _made()
    it.begin(0, True, False)
    for _ in range(3):
        _sample(it, pulses)
    found = it.next_frame()
    same(bytes(found), frame.frame(frame.EV_DATA, 0, frame.pack_data(0, bytes(chip.bytes))))
    same(
        [(kind, seq, frame.parse_data(payload)[0]) for kind, seq, payload in _frames(it)],
        [(0x90, 0, 0), (0x90, 1, 1), (0x90, 2, 2)],
    )
    same((it.counter, it.put, it.lost, it.torn), (3, 3, 0, 0))


def test_overwritten_conversions_leave_a_hole_of_their_size():
    it, pulses, _ = _made()
    it.begin(0, True, False)
    _sample(it, pulses)
    _sample(it, pulses, 4)
    it.drdy(None)  # the late interrupts of those that were overwritten
    it.drdy(None)
    _sample(it, pulses)
    same([frame.parse_data(payload)[0] for _, _, payload in _frames(it)], [0, 4, 5])
    same((it.counter, it.put, it.lost), (6, 3, 3))


def test_the_counter_of_pulses_begins_anew():
    it, pulses, _ = _made()
    it.begin(0, True, False)
    pulses.count = it._last = sampler.WRAP - 1
    it.counter = 70000
    _sample(it, pulses, 3)
    same([(seq, frame.parse_data(payload)[0]) for _, seq, payload in _frames(it)], [(70002 & 255, 70002)])


def test_a_full_ring_loses_the_newest_and_counts():
    it, pulses, _ = _made(4)
    it.begin(0, True, False)
    for _ in range(5):
        _sample(it, pulses)
    same((it.put, it.lost, it.ring.high), (3, 2, 3))
    same([frame.parse_data(payload)[0] for _, _, payload in _frames(it)], [0, 1, 2])


def test_torn_and_foreign_conversions_are_dropped():
    it, pulses, chip = _made()
    it.begin(0, True, False)
    pulses.later = 1  # the next one comes while this one is read
    _sample(it, pulses)
    chip.bytes[0] = 0x00  # not 1100: not a conversion
    _sample(it, pulses)
    same((it.put, it.torn, it.lost), (0, 2, it.counter))


def test_it_ends_where_it_was_told():
    it, pulses, _ = _made()
    it.begin(3, True, False)
    for _ in range(2):
        _sample(it, pulses)
    assert it.running
    _sample(it, pulses)
    assert not it.running
    _sample(it, pulses)
    same((it.counter, it.put, it.lost, len(_frames(it))), (3, 3, 0, 3))
    it.begin(3, True, False)
    _sample(it, pulses, 5)  # the end was overwritten
    same((it.running, it.put, it.lost), (False, 0, 3))


def test_only_what_is_sensed_is_told():
    it, pulses, chip = _made()
    chip.bytes[0:3] = b"\xcf\xff\xff"
    it.begin(0, True, True)
    _sample(it, pulses)
    same(it.off, 0x3FF)
    same(bytes(it.next_frame()[9:12]), b"\xcf\xf0\x31")
    it.begin(0, False, True)
    _sample(it, pulses)
    same((it.off, bytes(it.next_frame()[9:12])), (0, b"\xc0\x00\x00"))


def test_nothing_is_allocated():
    it, pulses, _ = _made()
    it.begin(0, True, True)
    _sample(it, pulses)
    it.ring.release()
    micropython.heap_lock()
    try:
        for _ in range(20):
            _sample(it, pulses)
            it.next_frame()
            it.ring.release()
    finally:
        micropython.heap_unlock()
    same(it.put, 21)
