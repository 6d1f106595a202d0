from itertools import pairwise

import pytest
from feldsher_edge.devices.cyton_packet import (
    FULL_SCALE,
    SIZE,
    Packet,
    Parser,
    channel_command,
    lead_off_command,
    parse_banner,
    successes,
    uv_per_bit,
)
from hypothesis import given
from hypothesis import strategies as st

CODES = st.integers(-FULL_SCALE - 1, FULL_SCALE)
PACKETS = st.builds(
    Packet,
    st.integers(0, 255),
    st.tuples(*[CODES] * 8),
    st.binary(min_size=6, max_size=6),
    st.integers(0xC0, 0xC6),
)
BANNER = (
    b"OpenBCI V3 8-16 channel\r\nOn Board ADS1299 Device ID: 0x3E\r\nLIS3DH Device ID: 0x33\r\nFirmware: v3.1.2\r\n$$$"
)


def fed(data: bytes, cuts: list[int]) -> tuple[list[Packet], Parser]:
    parser = Parser()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found = [packet for a, b in pairwise(edges) for packet in parser.feed(data[a:b])]
    return found + parser.end(), parser


def test_a_packet_by_hand():
    raw = bytes([0xA0, 7]) + bytes.fromhex("7fffff 800000 000001 ffffff 000000 000100 010000 fffe00")
    raw += bytes.fromhex("0001 0002 1f40") + b"\xc0"
    (packet,), _ = fed(raw, [])
    assert packet.count == 7
    assert packet.channels == (8388607, -8388608, 1, -1, 0, 256, 65536, -512)
    assert (packet.aux.hex(), packet.stop, packet.pack()) == ("000100021f40", 0xC0, raw)


def test_a_unit_is_as_openbci_says():
    assert uv_per_bit(24) == pytest.approx(0.02235, abs=1e-5)
    assert uv_per_bit(1) == pytest.approx(24 * uv_per_bit(24))


@given(st.lists(PACKETS, max_size=20), st.lists(st.integers(0, 10**6), max_size=10))
def test_packets_survive_however_they_are_cut(packets: list[Packet], cuts: list[int]):
    found, parser = fed(b"".join(packet.pack() for packet in packets), cuts)
    assert found == packets
    assert (parser.skipped, parser.broken) == (0, 0)


@given(st.binary(max_size=500), st.lists(st.integers(0, 10**6), max_size=5))
def test_any_bytes_give_packets_of_their_form_and_keep_no_memory(data: bytes, cuts: list[int]):
    found, parser = fed(data, cuts)
    assert all(data.count(packet.pack()) for packet in found)
    assert len(found) * SIZE + parser.skipped <= len(data)


@given(st.lists(PACKETS, min_size=8, max_size=8), st.integers(0, 8 * SIZE - 2), st.integers(1, 40))
def test_lost_bytes_cost_at_most_the_packets_they_belong_to_and_one_more(packets: list[Packet], at: int, many: int):
    data = b"".join(packet.pack() for packet in packets)
    found, _ = fed(data[:at] + data[at + many :], [])
    hurt = set(range(at // SIZE, min(8, (at + many - 1) // SIZE + 2)))
    sure = [packet for k, packet in enumerate(packets) if k not in hurt]
    position = 0
    for packet in sure:  # in their order, with at most what chance has made of the ruins between them
        position = found.index(packet, position) + 1


def test_marks_inside_a_sample_are_no_packet_after_a_break():
    inner = bytes([0xA0] * 3)
    packets = [Packet(n, (int.from_bytes(inner, "big", signed=True),) * 8, b"\xc0" * 6) for n in range(5)]
    data = b"".join(packet.pack() for packet in packets)
    found, parser = fed(data[5:], [])
    assert found == packets[1:]
    assert parser.skipped == SIZE - 5


def test_a_stream_that_ends_with_half_a_packet_forgets_it():
    data = Packet(1, (0,) * 8).pack() + Packet(2, (0,) * 8).pack()[:20]
    found, parser = fed(data, [])
    assert [packet.count for packet in found] == [1]
    assert parser.feed(Packet(3, (0,) * 8).pack() + b"\xa0")[0].count == 3


def test_the_banner():
    board = parse_banner(BANNER)
    assert (board.firmware, board.major, board.amplifier, board.daisy) == ("v3.1.2", 3, True, False)
    old = parse_banner(b"OpenBCI V3 16 channel\nADS1299 Device ID: 0x3E\nLIS3DH Device ID: 0x33\n$$$")
    assert (old.firmware, old.major) == (None, 1)
    assert parse_banner(BANNER + b"On Daisy ADS1299 Device ID: 0x3E").daisy
    assert not parse_banner(BANNER.replace(b"0x3E", b"0x00")).amplifier


def test_commands_are_those_of_the_sdk_page():
    assert channel_command(3, 2) == b"x3010100X"
    assert channel_command(8, 12) == b"x8050100X"
    assert channel_command(5, None) == b"x5160000X"
    assert (lead_off_command(4, on=True), lead_off_command(4, on=False)) == (b"z411Z", b"z400Z")


def test_every_channel_must_have_succeeded():
    text = b"Success: Channel set for 1$$$Success: Channel set for 2$$$"
    assert successes(text, b"Channel", [1, 2])
    assert not successes(text, b"Channel", [1, 2, 3])
    assert not successes(b"Failure: too few chars$$$", b"Channel", [1])
    assert not successes(text[:-3], b"Channel", [2])
