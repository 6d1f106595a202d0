"""The kit's frames: known bytes, round trips, damaged streams, and the same bytes under MicroPython."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from feldsher_signal import frame
from feldsher_tools.place import Place, ServiceError
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
FRAMES = st.lists(
    st.tuples(st.integers(0x20, 0x7F), st.integers(0, 255), st.binary(max_size=frame.MAX_PAYLOAD)), max_size=12
)


def _bitwise_crc(data: bytes) -> int:
    """Oracle: one bit at a time, from the polynomial."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def test_crc_check_value() -> None:
    # The catalogue's check value of CRC-16/CCITT-FALSE (IBM-3740) for "123456789".
    assert frame.crc16(b"123456789") == 0x29B1
    assert frame.crc16_table(b"123456789") == 0x29B1


@given(st.binary(max_size=80))
def test_crc_ways_agree(data: bytes) -> None:
    assert frame.crc16(data) == frame.crc16_table(data) == _bitwise_crc(data)


def test_known_frame() -> None:
    assert frame.frame(frame.CMD_ID, 7) == bytes.fromhex("aa55030700") + _bitwise_crc(b"\3\7\0").to_bytes(2)
    assert frame.frame(frame.CMD_START, 1, frame.pack_start(5000)).hex()[:18] == "aa5501010400001388"
    with pytest.raises(frame.FrameError, match="payload: 65 bytes, at most 64"):
        frame.frame(1, 0, bytes(65))


@given(FRAMES, st.integers(1, 50))
def test_any_cut_gives_the_same_frames(frames: list[tuple[int, int, bytes]], cut: int) -> None:
    line = b"".join(frame.frame(*each) for each in frames)
    parser = frame.Parser()
    found = [each for i in range(0, len(line), cut) for each in parser.feed(line[i : i + cut])]
    assert found == frames
    assert (parser.bad_crc, parser.skipped) == (0, 0)


@given(FRAMES, st.binary(max_size=60), st.integers(1, 70))
def test_every_byte_is_counted_and_silence_frees_what_noise_held(
    frames: list[tuple[int, int, bytes]], noise: bytes, cut: int
) -> None:
    line = noise + b"".join(frame.frame(*each) for each in frames)
    parser = frame.Parser()
    found = [each for i in range(0, len(line), cut) for each in parser.feed(line[i : i + cut])]
    found += parser.idle()
    assert sum(7 + len(each[2]) for each in found) + parser.skipped == len(line)
    # The noise can swallow a frame only by being one itself: a false start costs its own bytes alone.
    assert found[len(found) - len(frames) :] == frames
    assert parser.idle() == []


@given(FRAMES.filter(len), st.data())
def test_one_broken_byte_costs_one_frame(frames: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(frames) - 1))
    pieces = [frame.frame(*each) for each in frames]
    at = data.draw(st.integers(0, len(pieces[index]) - 1))
    broken = bytearray(pieces[index])
    broken[at] ^= data.draw(st.integers(1, 255))
    parser = frame.Parser()
    found = parser.feed(b"".join([*pieces[:index], bytes(broken), *pieces[index + 1 :]])) + parser.idle()
    assert found[:index] == frames[:index]
    assert found[len(found) - (len(frames) - index - 1) :] == frames[index + 1 :]
    assert frames[index] not in found[index : len(found) - (len(frames) - index - 1)]


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_the_buffer_is_bounded(chunks: list[bytes]) -> None:
    parser = frame.Parser()
    total = sum(len(chunk) for chunk in chunks)
    frames = [each for chunk in chunks for each in parser.feed(chunk)]
    held = total - parser.skipped - sum(7 + len(each[2]) for each in frames)
    assert 0 <= held < frame.MAX_FRAME


def test_an_answer_behind_a_false_start_needs_no_more_bytes_than_silence() -> None:
    parser = frame.Parser()
    answer = frame.frame(frame.EV_ACK, 3, frame.Ack(frame.CMD_STOP).pack())
    assert parser.feed(b"\xaa\x55\x60\x00\x40" + answer) == []
    assert parser.idle() == [(frame.EV_ACK, 3, answer[5:-2])]
    assert parser.skipped == 5


@given(st.integers(0, 2**32 - 1), st.integers(0, 0x3FF), st.tuples(*[st.integers(-(2**23), 2**23 - 1)] * 8))
def test_data_round_trip(counter: int, off: int, channels: tuple[int, ...]) -> None:
    payload = frame.pack_data(counter, frame.pack_afe(off, channels))
    assert len(frame.frame(frame.EV_DATA, counter, payload)) == 38
    assert frame.parse_data(payload) == (counter, off, channels)


def test_data_known_bytes() -> None:
    payload = bytes.fromhex("00000102" + "c01000" + "000001" + "ffffff" + "7fffff" + "800000" + "000000" * 4)
    assert frame.parse_data(payload) == (0x102, 0b10, (1, -1, 8388607, -8388608, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("off", "leads"),
    [
        ((), ()),
        (("V3",), ("V3",)),
        (("LA",), ("I", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")),
        (("LL",), ("II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")),
        (("RL",), ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")),
    ],
)
def test_leads_off(off: tuple[str, ...], leads: tuple[str, ...]) -> None:
    bits = sum(1 << frame.ELECTRODES.index(name) for name in off)
    assert frame.leads_off(bits) == leads


def test_payload_round_trips() -> None:
    assert frame.parse_start(frame.pack_start(5000)) == 5000
    config = frame.parse_config(frame.Config(1000, 12, frame.CONFIG_TEST_SIGNAL).pack())
    assert (config.rate, config.gain, config.flags) == (1000, 12, 2)
    ack = frame.parse_ack(frame.Ack(frame.CMD_STOP, frame.RESULT_OK, 4990, 10).pack())
    assert (ack.command, ack.result, ack.sent, ack.lost) == (2, 0, 4990, 10)
    status = frame.parse_status(frame.Status(frame.STATE_SAMPLING, 0x211, 77, 5, 6, 65537).pack())
    assert (status.state, status.off, status.battery, status.sent, status.lost, status.bad_crc) == (
        1,
        0x211,
        77,
        5,
        6,
        1,
    )
    identity = frame.parse_identity(frame.Identity("FK-1", "0.1.0").pack())
    assert (identity.serial, identity.firmware, identity.version, identity.channels) == ("FK-1", "0.1.0", 1, 8)
    # 2.4 V over gain 6 and 2^23 - 1 steps is 0.0477 µV.
    assert identity.uv_per_bit() == pytest.approx(0.047684, abs=1e-6)


def test_longer_payloads_of_a_later_version_are_read() -> None:
    longer = frame.Ack(1).pack() + b"new"
    assert frame.Parser().feed(frame.frame(frame.EV_ACK, 1, longer)) == [(frame.EV_ACK, 1, longer)]
    assert frame.parse_ack(longer).command == 1


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: frame.parse_start(b"\0"), "START: 1 bytes, at least 4"),
        (lambda: frame.parse_ack(b""), "ACK: 0 bytes, at least 10"),
        (lambda: frame.parse_status(bytes(13)), "STATUS: 13 bytes, at least 14"),
        (lambda: frame.parse_data(bytes(30)), "DATA: 30 bytes, at least 31"),
        (lambda: frame.parse_data(bytes(31)), "DATA status: 0x0 does not start with 1100"),
        (lambda: frame.pack_data(0, bytes(26)), "DATA: 26 bytes of the amplifier, not 27"),
        (lambda: frame.pack_afe(0, [2**23] + [0] * 7), "DATA I: 8388608 does not fit 24 bits"),
        (lambda: frame.parse_config(b"\1\0\5\0"), "CONFIG gain: 5"),
        (lambda: frame.parse_config(b"\0\0\6\0"), "CONFIG rate: 0"),
        (lambda: frame.parse_identity(b"\1\x08\0\0\6\0\0\0\1"), "ID gain, rate or reference: 0"),
        (lambda: frame.parse_identity(frame.Identity("é", "1").pack()), "ID text: byte 195"),
    ],
)
def test_refused_with_the_field(call: object, match: str) -> None:
    assert callable(call)
    with pytest.raises(frame.FrameError, match=match):
        call()


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import frame
parser = frame.Parser()
line = b"\\xaa\\x55noise\\xaa" + frame.frame(frame.CMD_START, 9, frame.pack_start(5000))
line += frame.frame(frame.EV_ID, 2, frame.Identity("FK-1", "0.1.0").pack())
line += frame.frame(frame.EV_STATUS, 3, frame.Status(1, 0x3FF, 50, 7, 8, 9).pack())
line += frame.frame(frame.EV_ACK, 4, frame.Ack(2, 0, 70000, 3).pack())
line += frame.frame(frame.CMD_CONFIG, 5, frame.Config(1000, 12, 1).pack())
for n in range(300):
    afe = frame.pack_afe(n & 0x3FF, [(n - 150) * 55924 - i for i in range(8)])
    line += frame.frame(frame.EV_DATA, n, frame.pack_data(n, afe))
print("".join("%02x" % b for b in line))
found = []
for i in range(0, len(line), 13):
    found += parser.feed(line[i : i + 13])
found += parser.idle()
print(parser.bad_crc, parser.skipped, len(found))
for kind, seq, payload in found:
    if kind == frame.EV_DATA:
        print(seq, frame.parse_data(payload), frame.leads_off(frame.parse_data(payload)[1]))
    elif kind == frame.EV_ID:
        identity = frame.parse_identity(payload)
        print(identity.serial, identity.firmware, identity.version, identity.rate)
    elif kind == frame.EV_STATUS:
        status = frame.parse_status(payload)
        print(status.state, status.off, status.battery, status.sent, status.lost, status.bad_crc)
    elif kind == frame.EV_ACK:
        ack = frame.parse_ack(payload)
        print(ack.command, ack.result, ack.sent, ack.lost)
    else:
        print(kind, seq, len(payload))
try:
    frame.parse_ack(b"")
except frame.FrameError as error:
    print(error)
"""


def _run(command: list[str], script: Path) -> str:
    result = subprocess.run(
        [*command, str(script), str(ROOT / "signal" / "feldsher_signal")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


def test_micropython_says_the_same_bytes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    try:
        place: Place = request.getfixturevalue("place")
        micropython = place.program("micropython")
    except ServiceError as error:
        pytest.skip(f"NO MICROPYTHON, the kit's frames were not run under it: {error}")
    script = tmp_path / "same.py"
    script.write_text(SCRIPT)
    ours = _run([sys.executable], script)
    assert ours.count("\n") > 300
    assert _run([micropython], script) == ours
