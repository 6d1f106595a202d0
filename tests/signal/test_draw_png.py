"""PNG: a picture that knows its size, made only where PDFium is."""

from __future__ import annotations

import struct
import sys
import zlib

import numpy as np
import pytest
from feldsher_signal import draw_png, picture
from sheets import SHEET

INSTALLED = pytest.mark.skipif(
    not __import__("importlib.util").util.find_spec("pypdfium2"),
    reason="the extra `pictures` is not installed: ./run installs it",
)


def _chunks(data: bytes) -> dict[bytes, bytes]:
    out: dict[bytes, bytes] = {}
    at = 8
    while at < len(data):
        (length,) = struct.unpack(">L", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">L", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        out[kind] = body
        at += 12 + length
    return out


@INSTALLED
@pytest.mark.parametrize("dpi", [100, 254])
def test_pixels_and_size(dpi: int) -> None:
    data = draw_png.png(SHEET, dpi)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks = _chunks(data)
    width, height, *kind = struct.unpack(">2L5B", chunks[b"IHDR"])
    assert (width, height) == pytest.approx((60 / 25.4 * dpi, 40 / 25.4 * dpi), abs=1)
    assert kind == [8, 2, 0, 0, 0]
    assert struct.unpack(">2LB", chunks[b"pHYs"]) == (round(dpi / 0.0254), round(dpi / 0.0254), 1)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    pixels = rows[:, 1:].reshape(height, width, 3)
    x, y = round(44 / 25.4 * dpi), round(21.4 / 25.4 * dpi)
    assert pixels[y, x].tolist() == [0, 255, 0]
    assert pixels[0, 0].tolist() == [255, 255, 255]


def test_absurd_sizes_are_refused() -> None:
    for dpi in (0, 10_000):
        with pytest.raises(ValueError, match="dpi"):
            draw_png.png(SHEET, dpi)


def test_without_the_extra_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(picture.PictureError, match="pictures"):
        picture.encoded(SHEET, "png")
