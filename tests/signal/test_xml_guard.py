"""XML that is no cardiogram but an attack: bombs, external entities, depth, numbers, and what is not well-formed."""

from __future__ import annotations

import base64
import time
import tracemalloc
from pathlib import Path

import pytest
from feldsher_signal.formats import FormatError, load, xml_guard

AECG = '<AnnotatedECG xmlns="urn:hl7-org:v3">{}</AnnotatedECG>'
LAUGHS = "".join(f'<!ENTITY l{k + 1} "{f"&l{k};" * 10}">' for k in range(9))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]>' + AECG.format("&l9;"), "line 1, byte .*: entities are not read"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + AECG.format("&x;"), "entities are not read"),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://x/y">%x;]>' + AECG.format(""), "entities are not read"),
        (AECG.format("<a>" * 200 + "</a>" * 200), "more than 200000 elements or 100 levels"),
        (AECG.format("<a/>" * 200_001), "more than 200000 elements or 100 levels"),
        (AECG.format("<a " + " ".join(f'a{k}=""' for k in range(101)) + "/>"), "more than"),
        (AECG.format("<a>"), r"is not well-formed XML \(mismatched tag\)"),
        (AECG.format("&nbsp;"), "is not well-formed XML"),
        ('<?xml version="1.0" encoding="klingon"?>' + AECG.format(""), r"is not well-formed XML \(unknown encoding\)"),
        (AECG.format("<parsedwaveforms>ä</parsedwaveforms>"), "parsedwaveforms: is not base64"),
    ],
)
def test_refused_before_a_tree_is_built(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "x.xml"
    path.write_text(text, encoding="utf-8")
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(FormatError, match=match):
        xml_guard.checked(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert time.process_time() - begun < 2


def test_through_the_door(tmp_path: Path) -> None:
    pytest.importorskip("ecgdatakit")
    path = tmp_path / "x.xml"
    path.write_text('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + AECG.format("&x;"))
    with pytest.raises(FormatError, match="entities are not read"):
        load(path)


def test_too_long(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    with path.open("wb") as stream:
        stream.truncate(xml_guard.MAX_BYTES + 1)
    with pytest.raises(FormatError, match=r"at most \d+ are read"):
        xml_guard.checked(path)


def test_a_bomb_of_compressed_leads(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    # LZW: a zero, then ever the code that was just made: strings of 1, 2, 3 … 767 bytes, each ten bits long.
    codes = [0, *range(256, 1022)] + [1021] * 20_000
    bits = "".join(f"{code:010b}" for code in codes)
    chunk = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    packed = len(chunk).to_bytes(4, "little") + bytes(4) + chunk
    path.write_text(f"<a><parsedwaveforms>{base64.b64encode(packed).decode()}</parsedwaveforms></a>")
    with pytest.raises(FormatError, match="parsedwaveforms: unpacks to more than 4194304 bytes"):
        xml_guard.checked(path)


def test_what_is_allowed_is_handed_back(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_text('<!DOCTYPE RestingECG SYSTEM "restecg.dtd"><RestingECG/>')
    assert xml_guard.checked(path) == path.read_bytes()
