"""Releases of the kit: what is signed, what is refused to be packed, what is found in a file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from feldsher_tools import kit_firmware
from feldsher_tools.kit_firmware import ReleaseError
from releases import KEY, OTHER, image, release


def test_a_key_is_made_once_and_is_nobody_elses(tmp_path: Path):
    path = tmp_path / "release.pem"
    key = kit_firmware.make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kit_firmware.load_key(path).private_numbers() == key.private_numbers()
    with pytest.raises(ReleaseError, match="there already"):
        kit_firmware.make_key(path)
    path.write_text("no key")
    with pytest.raises(ReleaseError, match="no release key"):
        kit_firmware.load_key(path)


def test_what_is_staged_is_found_again(tmp_path: Path):
    path = kit_firmware.stage(KEY.public_key(), "1.2.0", 7, tmp_path / "build")
    facts: dict[str, object] = {}
    exec(path.read_text(), facts)  # noqa: S102 - written by us
    assert (facts["VERSION"], facts["SEQUENCE"]) == ("1.2.0", 7)
    assert facts["KEY"] == kit_firmware.public_bytes(KEY.public_key())
    assert kit_firmware.MARK.findall(str(facts["MARK"]).encode()) == [(b"1.2.0", b"7", b"FELDSHER_KIT_S3")]
    for version, sequence in (("", 1), ("a b", 1), ("1", 0), ("1", 2**32)):
        with pytest.raises(ReleaseError):
            kit_firmware.stage(KEY.public_key(), version, sequence, tmp_path)


def test_signed_and_found_damaged():
    data = release("1.2.0", 7)
    signature, signed, manifest = kit_firmware.unpack(data)
    assert (manifest.version, manifest.sequence) == ("1.2.0", 7)
    assert kit_firmware.verifies(KEY.public_key(), signed, signature)
    assert not kit_firmware.verifies(OTHER.public_key(), signed, signature)
    for broken in (data[:-1], data[:-1] + b"\0\0", b"", bytes(200)):
        with pytest.raises(ReleaseError):
            kit_firmware.unpack(broken)


@pytest.mark.parametrize(
    ("key", "data", "match"),
    [
        (KEY, b"nothing", "says 0 times what it is"),
        (KEY, image("1.2.0", 7) + image("1.3.0", 8), "says 2 times what it is"),
        (KEY, image("1.2.0-dev", 7), "one of development"),
        (OTHER, image("1.2.0", 7), "holds another release key"),
    ],
)
def test_not_packed(key: kit_firmware.ec.EllipticCurvePrivateKey, data: bytes, match: str):
    with pytest.raises(ReleaseError, match=match):
        kit_firmware.pack(key, data)
