from decimal import Decimal
from itertools import pairwise

import pytest
from feldsher_edge.devices.openview_packet import KINDS, Board, Parser, Sample, Vitals, decode, encode, pack
from hypothesis import given
from hypothesis import strategies as st

BYTES = st.one_of(st.none(), st.integers(1, 255))
PERCENT = st.one_of(st.none(), st.integers(1, 100))
CELSIUS = st.one_of(st.none(), st.integers(1, 32_767).map(lambda n: n * Decimal("0.01")))
SMALL = st.integers(-(2**15), 2**15 - 1)
LARGE = st.integers(-(2**31), 2**31 - 1)
ALL = st.builds(Vitals, PERCENT, BYTES, BYTES, CELSIUS)
RATES = st.builds(Vitals, heart_rate=BYTES, respiration=BYTES)

Case = tuple[Board, int, Sample]


def case(board: Board, kind: int, sample: st.SearchStrategy[Sample]) -> st.SearchStrategy[Case]:
    return st.tuples(st.just(board), st.just(kind), sample)


CASES = st.one_of(
    case("healthypi4", 2, st.builds(Sample, st.tuples(SMALL), st.booleans(), ALL)),
    case("ads1292r", 2, st.builds(Sample, st.tuples(SMALL), vitals=RATES)),
    case("healthypi5", 2, st.builds(Sample, st.tuples(LARGE), vitals=ALL)),
    case("healthypi5", 3, st.builds(Sample, st.tuples(*[LARGE] * 8), vitals=RATES)),
    case("healthypi5", 4, st.builds(Sample, vitals=st.builds(Vitals, PERCENT, temperature=CELSIUS))),
)


def fed(board: Board, data: bytes, cuts: list[int]) -> tuple[list[tuple[int, bytes, int]], Parser]:
    parser = Parser(KINDS[board])
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [packet for a, b in pairwise(edges) for packet in parser.feed(data[a:b])], parser


@given(CASES)
def test_what_is_encoded_is_decoded(made: Case):
    board, kind, sample = made
    ((found, payload, skipped),), _ = fed(board, encode(board, kind, sample), [])
    assert (found, skipped) == (kind, 0)
    assert decode(board, kind, payload) == sample


def test_a_packet_of_healthypi_4_by_hand():
    payload = bytes.fromhex("d2ff 0000 00000000 00000000 500e 10 61 48 50 78 00")
    raw = bytes.fromhex("0afa 1400 02") + payload + bytes.fromhex("000b")
    assert pack(2, payload) == raw
    (packet,), _ = fed("healthypi4", raw, [])
    found = decode("healthypi4", packet[0], packet[1])
    assert found == Sample((-46,), off=False, vitals=Vitals(97, 72, 16, Decimal("36.64")))


def test_the_blood_pressure_that_its_firmware_makes_up_is_nowhere():
    raw = encode("healthypi4", 2, Sample((1,), vitals=Vitals(97, 72, 16)))
    assert (raw[5 + 17], raw[5 + 18]) == (80, 120)
    assert set(vars_of(decode("healthypi4", 2, raw[5:-2]).vitals)) == {97, 72, 16, None}


def vars_of(it: Vitals) -> list[object]:
    return [it.saturation, it.heart_rate, it.respiration, it.temperature]


def test_zero_is_no_measurement():
    boards: list[tuple[Board, int]] = [("healthypi4", 2), ("healthypi5", 2), ("healthypi5", 4), ("ads1292r", 2)]
    for board, kind in boards:
        raw = encode(board, kind, Sample())
        assert decode(board, kind, raw[5:-2]).vitals == Vitals()


def test_the_unit_of_healthypi_4_is_that_of_its_register_not_of_its_comment():
    kind = KINDS["healthypi4"]
    assert kind.uv_per_bit == pytest.approx(2.42e6 / 12 / 2**23 * 256, rel=1e-6)
    assert kind.uv_per_bit == pytest.approx(6.15, abs=0.01)


@given(st.lists(st.integers(-1000, 1000), max_size=20), st.lists(st.integers(0, 10**6), max_size=8))
def test_packets_survive_however_they_are_cut(values: list[int], cuts: list[int]):
    data = b"".join(encode("healthypi4", 2, Sample((value,))) for value in values)
    found, parser = fed("healthypi4", data, cuts)
    assert [decode("healthypi4", kind, payload).ecg for kind, payload, _ in found] == [(value,) for value in values]
    assert parser.skipped == 0


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=600), st.lists(st.integers(0, 10**6), max_size=5))
def test_any_bytes_give_packets_of_their_form(board: Board, data: bytes, cuts: list[int]):
    found, parser = fed(board, data, cuts)
    for kind, payload, _ in found:
        decode(board, kind, payload)
    assert sum(len(payload) + 7 for _, payload, _ in found) + parser.skipped <= len(data)


@given(st.integers(0, 8 * 27 - 1), st.integers(1, 26))
def test_lost_bytes_cost_the_packets_they_belong_to_and_are_told(at: int, many: int):
    data = b"".join(encode("healthypi4", 2, Sample((1000 + n,))) for n in range(10))
    found, _ = fed("healthypi4", data[:at] + data[at + many :], [])
    hurt = set(range(at // 27, (at + many - 1) // 27 + 1))
    assert [decode("healthypi4", *packet[:2]).ecg[0] - 1000 for packet in found] == [
        n for n in range(10) if n not in hurt
    ]
    assert sum(skipped for *_, skipped in found) == 27 * len(hurt) - many


def test_a_packet_of_another_board_is_none():
    data = encode("healthypi5", 2, Sample((5,)))
    found, parser = fed("healthypi4", data + encode("healthypi4", 2, Sample((6,))), [])
    assert (len(found), parser.skipped) == (1, len(data))
