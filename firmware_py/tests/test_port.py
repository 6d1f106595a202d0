"""The port: whole frames on a line that takes what it likes, and commands found in what comes."""

# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportMissingModuleSource=false, reportOptionalSubscript=false
# The stubs know the chip's modules, not those that stand for them here.

import time

import frame
from kit import port
from kit.port import Link, Port, UartLink
from same import raises, same


class _Line(Link):
    """Takes `room` bytes at a time; gives `coming`."""

    def __init__(self) -> None:
        self.room = 1000
        self.sent = b""
        self.coming = b""

    def read(self, into: bytearray) -> int:
        count = min(len(into), len(self.coming))
        into[:count] = self.coming[:count]
        self.coming = self.coming[count:]
        return count

    def write(self, data: memoryview) -> int:
        count = min(self.room, len(data))
        self.sent += bytes(data[:count])
        return count


ONE = frame.frame(frame.EV_ID, 1, b"0123456789")
TWO = frame.frame(frame.EV_ID, 2, b"abcdef")


def test_pieces_of_two_frames_never_mix():
    line = _Line()
    it = Port(line)
    line.room = 5
    assert it.send(memoryview(ONE))
    assert not it.send(memoryview(TWO))  # the rest of the first is not through
    it.post(TWO)
    while not it.flush():
        pass
    same(line.sent, ONE + TWO)


def test_a_line_that_takes_nothing():
    line = _Line()
    it = Port(line)
    line.room = 0
    assert not it.send(memoryview(ONE))
    it.wake()
    time.sleep_ms(20)
    assert it.stuck_ms() >= 20
    for _ in range(50):
        it.post(ONE)  # what finds no room is dropped, whole
    line.room = 1000
    assert it.flush()
    same(line.sent, ONE * (256 // len(ONE)))
    line.room, line.sent = 3, b""
    it.send(memoryview(ONE))
    it.forget()
    assert it.flush()
    same(line.sent, ONE[:3])


def test_commands_come_in_pieces_and_silence_ends_noise():
    port._QUIET_MS = 20
    line = _Line()
    it = Port(line)
    line.coming = frame.frame(frame.CMD_ID, 3)[:4]
    same(it.receive(), [])
    line.coming = frame.frame(frame.CMD_ID, 3)[4:]
    same(it.receive(), [(frame.CMD_ID, 3, b"")])
    line.coming = b"\xaa\x55\x60\x00\x40" + frame.frame(frame.CMD_STOP, 4)
    same(it.receive(), [])
    time.sleep_ms(30)
    same(it.receive(), [(frame.CMD_STOP, 4, b"")])


def test_a_uart_and_its_host():
    class _Uart:
        def readinto(self, into):
            return None

        def write(self, data):
            return None

    level = [1]
    link = UartLink(_Uart(), lambda: level[0])
    same((link.read(bytearray(4)), link.write(memoryview(b"x")), link.present()), (0, 0, True))
    level[0] = 0
    same((link.present(), UartLink(_Uart()).present(), Link().present()), (False, True, True))
    raises(NotImplementedError, "", lambda: Link().read(bytearray(1)))
