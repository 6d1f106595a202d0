"""The frames' CRC as machine code: the sender's only work per byte, 500 times 38 of them a second."""

import micropython


@micropython.viper
def crc16(data: ptr8, at: int, end: int) -> int:  # noqa: F821 - a type of viper
    """Return CRC-16/CCITT-FALSE of data[at:end]; `frame.crc16_table` is its oracle."""
    crc = 0xFFFF
    for index in range(at, end):
        # Four steps do what eight times shift-and-test would: x = high byte of the register and the byte, folded.
        x = (crc >> 8) ^ int(data[index])
        x ^= x >> 4
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xFFFF
    return crc
