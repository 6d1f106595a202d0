"""The ring: order, what happens when it is full, and that nothing is allocated."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import micropython
from kit.ring import Ring
from same import same


def _put(ring: Ring, value: int) -> bool:
    number = ring.claim()
    if number < 0:
        return False
    ring.slots[number][0] = value
    ring.commit()
    return True


def _get(ring: Ring) -> int:
    number = ring.first()
    if number < 0:
        return -1
    value = ring.slots[number][0]
    ring.release()
    return value


def test_first_in_first_out_over_the_edge():
    ring = Ring(1, 4)
    for value in range(20):
        assert _put(ring, value)
        same(_get(ring), value)
    same((_get(ring), len(ring), ring.high), (-1, 0, 1))


def test_a_full_ring_takes_nothing_and_loses_nothing():
    ring = Ring(1, 4)
    same([_put(ring, value) for value in range(5)], [True, True, True, False, False])
    same((len(ring), ring.high), (3, 3))
    same([_get(ring) for _ in range(4)], [0, 1, 2, -1])
    assert _put(ring, 9)
    ring.clear()
    same((len(ring), ring.high), (0, 0))


def test_slots_are_memory_of_their_own():
    ring = Ring(3, 2)
    ring.slots[0][:] = b"abc"
    same(bytes(ring.slots[1]), b"\0\0\0")
    same(bytes(ring.slots[0]), b"abc")


def test_nothing_is_allocated():
    ring = Ring(1, 8)
    micropython.heap_lock()
    try:
        for value in range(30):
            _put(ring, value)
            _get(ring)
    finally:
        micropython.heap_unlock()
