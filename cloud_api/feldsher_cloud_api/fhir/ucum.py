"""UCUM units of clinical quantities: their dimension and size in base units, so that 1 g and 1000 mg meet.

After the UCUM specification (ucum.org/ucum): prefixes, products, quotients, exponents and annotations over the units
below. Special units (Cel, [degF], pH) are comparable with themselves and, where they differ by an offset, converted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache

_EXACT = Context(prec=60)
_PREFIXES = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18, "z": -21, "y": -24,
}  # fmt: skip
# Size in base units and their exponents. Metric units take prefixes (UCUM tables 1 to 5).
_METRIC: dict[str, tuple[str, str]] = {
    "m": ("1", "m"), "s": ("1", "s"), "g": ("1", "g"), "K": ("1", "K"), "rad": ("1", "rad"), "C": ("1", "C"),
    "cd": ("1", "cd"), "mol": ("602213670000000000000000", ""), "sr": ("1", "rad2"), "Hz": ("1", "s-1"),
    "N": ("1000", "g.m.s-2"), "Pa": ("1000", "g.m-1.s-2"), "J": ("1000", "g.m2.s-2"), "W": ("1000", "g.m2.s-3"),
    "A": ("1", "C.s-1"), "V": ("1000", "g.m2.s-2.C-1"), "F": ("0.001", "g-1.m-2.s2.C2"),
    "Ohm": ("1000", "g.m2.s-1.C-2"),
    "S": ("0.001", "g-1.m-2.s.C2"), "L": ("0.001", "m3"), "l": ("0.001", "m3"), "bar": ("100000000", "g.m-1.s-2"),
    "cal": ("4184", "g.m2.s-2"), "eq": ("602213670000000000000000", ""), "osm": ("602213670000000000000000", ""),
    "kat": ("602213670000000000000000", "s-1"), "U": ("10036894500000000", "s-1"), "m[Hg]": ("133322000", "g.m-1.s-2"),
    "m[H2O]": ("9806650", "g.m-1.s-2"), "Bq": ("1", "s-1"), "Gy": ("1", "m2.s-2"), "Sv": ("1", "m2.s-2"),
    "t": ("1000000", "g"), "[iU]": ("1", "[iU]"), "[IU]": ("1", "[iU]"), "dyn": ("0.01", "g.m.s-2"),
}  # fmt: skip
_WHOLE: dict[str, tuple[str, str]] = {
    "1": ("1", ""), "%": ("0.01", ""), "[ppth]": ("0.001", ""), "[ppm]": ("0.000001", ""), "10*": ("10", ""),
    "10^": ("10", ""), "min": ("60", "s"), "h": ("3600", "s"), "d": ("86400", "s"), "wk": ("604800", "s"),
    "mo": ("2629800", "s"), "a": ("31557600", "s"), "[in_i]": ("0.0254", "m"), "[ft_i]": ("0.3048", "m"),
    "[yd_i]": ("0.9144", "m"), "[mi_i]": ("1609.344", "m"), "[lb_av]": ("453.59237", "g"),
    "[oz_av]": ("28.349523125", "g"),
    "[stone_av]": ("6350.29318", "g"), "[gr]": ("0.06479891", "g"), "deg": ("0.0174532925199432957692", "rad"),
    "[arb'U]": ("1", "[arb'U]"), "[USP'U]": ("1", "[USP'U]"), "[CFU]": ("1", "[CFU]"), "[diop]": ("1", "m-1"),
    "[Cal]": ("4184000", "g.m2.s-2"), "[pH]": ("1", "[pH]"), "[foz_us]": ("0.0000295735295625", "m3"),
    "[drp]": ("0.00000005", "m3"), "[tsp_us]": ("0.00000492892159375", "m3"), "[tbs_us]": ("0.00001478676478125", "m3"),
}  # fmt: skip
# Value in kelvin = (value + offset) * factor.
_OFFSET = {"Cel": ("273.15", "1"), "[degF]": ("459.67", "0.5555555555555555555555555555555555555556")}
_TERM = re.compile(
    r"([./]?)(?:(\()|((?:[A-Za-z%*^]|\[[^\]]*\]|10[*^]|1(?![0-9]))(?:[A-Za-z%']|\[[^\]]*\])*|[0-9]+)([+-]?[0-9]+)?)"
)
_ANNOTATION = re.compile(r"\{[^}]*\}")
_DIMENSION = re.compile(r"([A-Za-z]+|\[[^\]]*\])(-?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: base = (value + offset) * factor, of a dimension written as base units with exponents (`g.m-1.s-2`)."""

    factor: Decimal
    dimension: str
    offset: Decimal = Decimal(0)


@lru_cache(4096)
def unit(code: str) -> Unit | None:
    """Return a unit by its UCUM code; None where it is not known here."""
    if code in _OFFSET:
        offset, factor = _OFFSET[code]
        return Unit(Decimal(factor), "K", Decimal(offset))
    plain = _ANNOTATION.sub("", code)
    if not plain.strip("./") or plain == "1":
        return Unit(Decimal(1), "") if code else None
    found = _product(plain.replace("./", "/"))
    if found is None:
        return None
    factor, powers = found
    return Unit(factor, ".".join(f"{u}{p if p != 1 else ''}" for u, p in sorted(powers.items()) if p))


def _product(text: str) -> tuple[Decimal, dict[str, int]] | None:
    factor, powers, at = Decimal(1), dict[str, int](), 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            return None
        if match[2]:
            end = text.find(")", at)
            inner = _product(text[match.end() : end]) if end > 0 else None
            at, exponent = end + 1, 1
        else:
            inner, at, exponent = _simple(match[3]), match.end(), int(match[4] or 1)
        if inner is None or abs(exponent) > 9:
            return None
        exponent = -exponent if match[1] == "/" else exponent
        factor = _EXACT.multiply(factor, _EXACT.power(inner[0], exponent))
        for base, power in inner[1].items():
            powers[base] = powers.get(base, 0) + power * exponent
    return factor, powers


def _simple(name: str) -> tuple[Decimal, dict[str, int]] | None:
    if name.isdigit():
        return Decimal(name), {}
    size, dimension = _WHOLE.get(name) or _METRIC.get(name) or (None, "")
    scale = 0
    if size is None:
        for length in (1, 2):
            metric = _METRIC.get(name[length:])
            if name[:length] in _PREFIXES and metric is not None:
                (size, dimension), scale = metric, _PREFIXES[name[:length]]
                break
        else:
            return None
    powers = {u: int(p or 1) for u, p in _DIMENSION.findall(dimension)}
    return _EXACT.scaleb(Decimal(size), scale), powers


def canonical(value: Decimal, code: str) -> tuple[Decimal, str] | None:
    """Return a value in base units and its dimension; None where the unit is not known here."""
    of = unit(code)
    return (
        None
        if of is None
        else (_EXACT.multiply(_EXACT.add(value, of.offset), of.factor).normalize(_EXACT), of.dimension)
    )
