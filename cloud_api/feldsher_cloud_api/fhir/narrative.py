"""The human words of a resource (`text.div`): XHTML of the kinds that FHIR allows, and nothing that runs or fetches.

After http://hl7.org/fhir/R4/narrative.html#xhtml (txt-1; txt-2, that it says something, is broken by the standard's own
examples and not asked for). What is not allowed is refused, never mended: the
words may have been signed.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET


def _words(text: str) -> list[str]:
    return text.split()


_SPACE = "{http://www.w3.org/1999/xhtml}"
_ELEMENTS = frozenset(
    _words("""
    a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd del dfn div dl dt em h1 h2 h3
    h4 h5 h6 hr i img ins kbd li ol p pre q s samp small span strong strike sub sup table tbody td tfoot th thead
    tr tt u ul var center font map area
""")
)
_ATTRIBUTES = frozenset(
    _words("""
    abbr accesskey align alt axis bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff
    charset cite class color colspan compact coords dir face frame headers height href hreflang hspace id lang
    link longdesc name noshade nowrap rel rev rowspan rules scope shape size span src start style summary tabindex
    target text title type valign value vlink vspace width usemap
""")
)
_ADDRESS = re.compile(
    r"(?:#|https?:|ftp:|mailto:|tel:|data:\s*image/(?:png|jpeg|gif);|(?!//)[A-Za-z0-9_.~/%-]+(?:[?#]|$))", re.IGNORECASE
)
_STYLE = re.compile(
    r"""expression|javascript|@import|behaviou?r|-moz-binding|\\|/\*|url\s*\((?!\s*["']?(?:data:\s*image/(?:png|gif|jpeg);|[\w.-]+["']?\)))""",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9A-Fa-f]+);)")
_NAMED = {"nbsp": "\u00a0", "copy": "©", "reg": "®", "trade": "™", "deg": "°", "micro": "µ", "times": "×", "ndash": "–"}
_NAME = re.compile(rf"&({'|'.join(_NAMED)});")


def fault(div: str) -> str | None:
    """Return what is wrong with a narrative, None where it is as it must be."""
    plain = _NAME.sub(lambda m: _NAMED[m[1]], div)
    if "<!" in plain.replace("<!--", "") or "<?" in plain:
        return "declarations, entities and instructions have no place in a narrative"
    if _ENTITY.search(plain):
        return "an entity that is not XHTML's is in the narrative"
    try:
        root = ET.fromstring(plain)  # noqa: S314 - declarations and entities were refused above
    except ET.ParseError as error:
        return f"the narrative is not well-formed: {error}"
    if root.tag != _SPACE + "div":
        return 'the narrative is not one <div xmlns="http://www.w3.org/1999/xhtml">'
    for element in root.iter():
        words = _element(element)
        if words is not None:
            return words
    return None


def _element(element: ET.Element) -> str | None:
    name = str(element.tag).removeprefix(_SPACE)
    if name not in _ELEMENTS:
        return f"the element <{name[:40]}> has no place in a narrative"
    for written, value in element.attrib.items():
        plain = written.rpartition("}")[2]
        if plain not in _ATTRIBUTES:
            return f"the attribute {plain[:40]!r} of <{name}> has no place in a narrative"
        if plain in ("href", "src", "cite", "longdesc") and value and not _ADDRESS.match(value.strip()):
            return f"the address in {plain} of <{name}> has no place in a narrative"
        if plain == "style" and _STYLE.search(value):
            return f"the style of <{name}> fetches or runs something"
    return None
