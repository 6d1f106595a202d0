"""Sheets as PDF 1.4, from the same millimetres: lines stay lines, words can be searched and copied, fonts are embedded.

Written by hand after ISO 32000-1: content in one compressed stream per page, two TrueType fonts by glyph number.
Nothing in it depends on the time, so that the same sheet always gives the same bytes.
"""

from __future__ import annotations

import zlib

from feldsher_signal import draw_font, draw_trace
from feldsher_signal.draw_sheet import Box, Clip, Grid, Item, Path, Sheet, Text, Trace
from feldsher_signal.draw_svg import number

POINT = 72 / 25.4
"""Points of a millimetre."""
A4 = (297.0, 210.0)


class _Document:
    """The numbered objects of a file in the making, and what its pages use."""

    def __init__(self) -> None:
        """Begin with the three objects whose numbers others name: catalogue, pages, information."""
        self.objects: list[bytes] = [b"", b"", b""]
        self.glyphs: dict[bool, dict[int, str]] = {False: {}, True: {}}
        self.clear: dict[str, str] = {}

    def add(self, body: str) -> int:
        """Return the number of a new object."""
        self.objects.append(body.encode("ascii"))
        return len(self.objects)

    def stream(self, data: bytes, more: str = "", *, packed: bool = False) -> int:
        """Return the number of a new compressed stream."""
        held = data if packed else zlib.compress(data, 6)
        head = f"<</Length {len(held)}/Filter/FlateDecode{more}>>stream\n".encode("ascii")
        self.objects.append(head + held + b"\nendstream")
        return len(self.objects)

    def file(self) -> bytes:
        """Return the whole file: objects, their places, the trailer."""
        out, places = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), list[int]()
        for k, body in enumerate(self.objects):
            places.append(len(out))
            out += b"%d 0 obj" % (k + 1) + body + b"\nendobj\n"
        start, count = len(out), len(places) + 1
        out += b"xref\n0 %d\n0000000000 65535 f \n" % count
        out += b"".join(b"%010d 00000 n \n" % at for at in places)
        return bytes(out) + b"trailer<</Size %d/Root 1 0 R/Info 3 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, start)


def pdf(*sheets: Sheet, a4: bool = True) -> bytes:
    """Return sheets as pages of one PDF; with `a4`, one that fits lies in the middle of A4, to print in true size."""
    document = _Document()
    sizes = [page(sheet) if a4 else (sheet.width, sheet.height) for sheet in sheets]
    streams = [
        document.stream(_content(sheet, size, document).encode("ascii"))
        for sheet, size in zip(sheets, sizes, strict=True)
    ]
    fonts = "".join(f"/{'B' if bold else 'R'} {_font(document, bold)} 0 R" for bold in (False, True))
    clear = "".join(f"/{name}<</ca {value}>>" for value, name in document.clear.items())
    resources = document.add(f"<</Font<<{fonts}>>/ExtGState<<{clear}>>>>")
    pages: list[int] = []
    for (width, height), stream in zip(sizes, streams, strict=True):
        media = f"[0 0 {width * POINT:.3f} {height * POINT:.3f}]"
        rest = f"/Resources {resources} 0 R/Contents {stream} 0 R>>"
        pages.append(document.add(f"<</Type/Page/Parent 2 0 R/MediaBox{media}{rest}"))
    kids = " ".join(f"{k} 0 R" for k in pages)
    document.objects[0] = b"<</Type/Catalog/Pages 2 0 R>>"
    document.objects[1] = f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode("ascii")
    title = ("\ufeff" + sheets[0].title).encode("utf-16-be").hex()
    document.objects[2] = f"<</Title<{title}>/Producer(feldsher)>>".encode("ascii")
    return document.file()


def page(sheet: Sheet) -> tuple[float, float]:
    """Return the paper's size in mm: A4, upright or across, where the sheet fits on it, else the sheet's own."""
    for width, height in (A4, A4[::-1]):
        if sheet.width <= width and sheet.height <= height:
            return width, height
    return sheet.width, sheet.height


def _content(sheet: Sheet, size: tuple[float, float], document: _Document) -> str:
    """Return the operators of a page of `size`, in millimetres downwards as the sheet has them."""
    width, height = size
    left, top = POINT * (width - sheet.width) / 2, POINT * (height - (height - sheet.height) / 2)
    start = f"{POINT:.6f} 0 0 {-POINT:.6f} {left:.3f} {top:.3f} cm 1 J 1 j\n"
    return start + "\n".join([_item(item, document) for item in sheet.items])


def _colour(colour: str, operator: str) -> str:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return " ".join(number(part) for part in parts) + f" {operator} "


def _item(item: Item, document: _Document) -> str:
    match item:
        case Text():
            return _text(item, document)
        case Trace():
            scale = f"q {draw_trace.UNIT} 0 0 {draw_trace.UNIT} {number(item.x)} {number(item.y)} cm "
            line = f"{number(item.line / draw_trace.UNIT)} w {_colour(item.stroke, 'RG')}"
            return f"{scale}{line}{draw_trace.text(item.corners, pdf=True)}S Q"
        case Box():
            return _box(item, document)
        case Path():
            return _path(item)
        case Grid():
            return _grid(item)
        case Clip():
            place = " ".join(number(each) for each in (item.x, item.y, item.width, item.height))
            return f"q {place} re W n " + "\n".join([_item(each, document) for each in item.items]) + " Q"


def _opacity(value: float, document: _Document) -> str:
    if value >= 1:
        return ""
    name = document.clear.setdefault(number(value), f"G{len(document.clear)}")
    return f"/{name} gs "


def _box(item: Box, document: _Document) -> str:
    place = " ".join(number(each) for each in (item.x, item.y, item.width, item.height))
    fill = _colour(item.fill, "rg") if item.fill else ""
    stroke = _colour(item.stroke, "RG") + f"{number(item.line)} w " if item.stroke else ""
    paint = "B" if fill and stroke else "f" if fill else "S"
    return f"q {_opacity(item.opacity, document)}{fill}{stroke}{place} re {paint} Q"


def _path(item: Path) -> str:
    pieces = [f"{number(x)} {number(y)} {'l' if k else 'm'} " for line in item.lines for k, (x, y) in enumerate(line)]
    fill = _colour(item.fill, "rg") if item.fill else ""
    stroke = _colour(item.stroke, "RG") + f"{number(item.line)} w " if item.stroke else ""
    dash = f"[{number(item.dash)}] 0 d " if item.dash else ""
    paint = "b" if fill and stroke else "f" if fill else "S"
    return f"q {fill}{stroke}{dash}{''.join(pieces)}{paint} Q"


def _grid(item: Grid) -> str:
    x, y, right, low = item.x, item.y, number(item.x + item.width), number(item.y + item.height)
    down = [number(y + k * item.step) for k in range(int(item.height / item.step + 1e-6) + 1)]
    across = [number(x + k * item.step) for k in range(int(item.width / item.step + 1e-6) + 1)]
    data = [f"{number(x)} {at} m {right} {at} l" for at in down] + [f"{at} {number(y)} m {at} {low} l" for at in across]
    return f"q {_colour(item.stroke, 'RG')}{number(item.line)} w {' '.join(data)} S Q"


def _text(item: Text, document: _Document) -> str:
    face = draw_font.face(bold=item.bold)
    used = document.glyphs[item.bold]
    for character in item.words:
        used.setdefault(face.glyph(character), character)
    shown = "".join(f"{face.glyph(character):04x}" for character in item.words)
    width = face.width(item.words, item.size)
    x = item.x - {"start": 0.0, "middle": width / 2, "end": width}[item.anchor]
    size = number(item.size)
    place = f"BT /{'B' if item.bold else 'R'} 1 Tf {size} 0 0 -{size} {number(x)} {number(item.y)} Tm "
    rim = f"{place}1 Tr .7 w {_colour(item.rim, 'RG')}<{shown}> Tj ET " if item.rim else ""
    fill = f"{_opacity(item.opacity, document)}{_colour(item.fill, 'rg')}"
    return f"q {rim}{fill}{place}0 Tr <{shown}> Tj ET Q"


def _font(document: _Document, bold: bool) -> int:
    """Return the number of a typeface as a Type 0 font: its file, the widths and characters of the glyphs in use."""
    face, used = draw_font.face(bold=bold), document.glyphs[bold]
    file = document.stream(face.packed, f"/Length1 {face.size}", packed=True)
    box = " ".join(f"{1000 * each:.0f}" for each in face.box)
    looks = f"/Ascent {1000 * face.ascent:.0f}/Descent {1000 * face.descent:.0f}/CapHeight 729/ItalicAngle 0"
    rest = f"/Flags 32/FontBBox[{box}]{looks}/StemV {140 if bold else 90}/FontFile2 {file} 0 R>>"
    descriptor = document.add(f"<</Type/FontDescriptor/FontName/{face.name}{rest}")
    widths = "".join(f"{glyph}[{1000 * face.widths[glyph]:.0f}]" for glyph in sorted(used))
    system = "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/CIDToGIDMap/Identity"
    child = document.add(
        f"<</Type/Font/Subtype/CIDFontType2/BaseFont/{face.name}{system}/FontDescriptor {descriptor} 0 R/W[{widths}]>>"
    )
    meaning = document.stream(_meaning(used).encode("ascii"))
    names = f"/BaseFont/{face.name}/Encoding/Identity-H/DescendantFonts[{child} 0 R]/ToUnicode {meaning} 0 R"
    return document.add(f"<</Type/Font/Subtype/Type0{names}>>")


def _meaning(used: dict[int, str]) -> str:
    """Return the map from glyphs to characters, without which words could be seen but not searched."""
    head = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap"
        " /CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def"
        " /CMapName /Adobe-Identity-UCS def /CMapType 2 def"
        " 1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
    )
    rows = [f"<{glyph:04x}> <{character.encode('utf-16-be').hex()}>" for glyph, character in sorted(used.items())]
    blocks = [rows[k : k + 100] for k in range(0, len(rows), 100)]
    body = "".join(f"{len(block)} beginbfchar\n{chr(10).join(block)}\nendbfchar\n" for block in blocks)
    return f"{head}{body}endcmap CMapName currentdict /CMap defineresource pop end end"
