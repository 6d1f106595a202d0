import pytest
from feldsher_edge.ble.user_data import Consent, Op, Response, Result, encode, parse


def test_a_user_consents_with_a_code():
    assert encode(Consent(2, 1234)).hex() == "0202d204"
    assert parse(bytes.fromhex("200201")) == Response(Op.CONSENT, Result.SUCCESS)
    assert parse(bytes.fromhex("20010103")) == Response(Op.REGISTER, Result.SUCCESS, user=3)


def test_a_code_has_four_digits():
    with pytest.raises(ValueError, match="code: 10000"):
        encode(Consent(1, 10_000))


@pytest.mark.parametrize(("raw", "byte"), [("", 0), ("07", 0), ("0202", 2), ("02021027", 2), ("20020100", 3)])
def test_what_is_wrong_names_its_byte(raw: str, byte: int):
    with pytest.raises(ValueError, match=f"byte {byte}:"):
        parse(bytes.fromhex(raw))
