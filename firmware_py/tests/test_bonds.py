"""The secrets of peers: found as the radio asks, kept over a restart, bounded."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import esp32
from kit.bonds import Bonds
from same import same


def _open() -> Bonds:
    return Bonds(esp32.NVS("kit"))


def test_kept_found_and_forgotten():
    bonds = _open()
    same(bonds.get(1, 0, b"a"), None)
    assert bonds.put(1, b"a", b"one")
    assert bonds.put(1, b"b", b"two")
    assert bonds.put(2, b"a", b"\x00" * 80)
    again = _open()
    same((again.get(1, 0, b"b"), again.get(2, 0, b"a"), len(again)), (b"two", b"\x00" * 80, 3))
    same([again.get(1, index, None) for index in range(3)], [b"one", b"two", None])
    assert again.put(1, b"a", b"new")
    assert again.put(1, b"b", None)
    assert not again.put(1, b"b", None)
    same((len(_open()), _open().get(1, 0, b"a")), (2, b"new"))
    again.clear()
    same(len(_open()), 0)


def test_nobody_fills_the_flash():
    bonds = _open()
    taken = [bonds.put(1, bytes((number,)), b"x" * 100) for number in range(20)]
    same((taken.count(True), taken[0], taken[-1]), (9, True, False))
    same(len(_open()), 9)
