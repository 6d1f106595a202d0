"""The machine-code CRC against the slow one of frame.py."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import frame
from kit.crc import crc16
from same import same


def test_check_value():
    same(crc16(b"123456789", 0, 9), 0x29B1)


def test_any_bytes_any_place():
    data = bytes([(index * index + 7 * index) & 255 for index in range(300)])
    for at in range(0, 60, 7):
        for end in range(at, 300, 41):
            same(crc16(data, at, end), frame.crc16_table(data[at:end]))


def test_of_a_memoryview():
    data = memoryview(bytearray(b"xx123456789yy"))
    same(crc16(data, 2, 11), 0x29B1)
