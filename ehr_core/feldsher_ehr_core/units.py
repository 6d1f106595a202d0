"""UCUM units that devices send, and what makes values in two of them comparable: exact factors to one base per kind."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal

from feldsher_ehr_core.vitals import GLUCOSE, PASCALS_PER_MMHG

EXACT = Context(prec=80)
"""Enough digits for what a device may send (30 before and after the point) times any factor: nothing is rounded."""
_GLUCOSE = frozenset(one.mdc for one in GLUCOSE)
_ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of one kind of quantity: base = (value - zero) x factor. Only kind and ratio matter, never the base."""

    kind: str
    factor: Decimal = _ONE
    zero: Decimal = Decimal(0)


UNITS: dict[str, Unit] = {
    "mm[Hg]": Unit("pressure", PASCALS_PER_MMHG),
    "kPa": Unit("pressure", Decimal(1000)),
    "kg": Unit("mass"),
    "g": Unit("mass", Decimal("0.001")),
    # the international pound is 0.453 592 37 kg exactly, the inch 2.54 cm (NIST SP 811, appendix B.6)
    "[lb_av]": Unit("mass", Decimal("0.45359237")),
    "cm": Unit("length"),
    "m": Unit("length", Decimal(100)),
    "[in_i]": Unit("length", Decimal("2.54")),
    # in ninths of a kelvin, so that Fahrenheit needs no division (0 °C = 273.15 K = 32 °F)
    "Cel": Unit("temperature", Decimal(9)),
    "K": Unit("temperature", Decimal(9), Decimal("273.15")),
    "[degF]": Unit("temperature", Decimal(5), Decimal(32)),
    "mg/dL": Unit("glucose"),
    # C6H12O6 with IUPAC's abridged atomic weights (C 12.011, H 1.008, O 15.999): 180.156 g/mol
    "mmol/L": Unit("glucose", Decimal("18.0156")),
    "ms": Unit("time"),
    "s": Unit("time", Decimal(1000)),
}


def known(unit: str, code: int) -> Unit:
    """Return a unit as values of a code (MDC) have it; one that is not known is comparable with itself alone.

    Millimoles are milligrams only of a known substance: of other codes than glucose they stay a kind of their own.
    """
    found = UNITS.get(unit)
    if found is None or (found.kind == "glucose" and code not in _GLUCOSE):
        return Unit(unit)
    return found


def comparable(unit: str, other: str, code: int) -> bool:
    """Return whether values of a code (MDC) in one unit can be compared with those in another."""
    return unit == other or known(unit, code).kind == known(other, code).kind


def base(value: Decimal, unit: str, code: int) -> Decimal:
    """Return a value in the base of its unit's kind, exactly: comparable with any value of that kind and code."""
    of = known(unit, code)
    return EXACT.multiply(EXACT.subtract(value, of.zero), of.factor)


def converted(value: Decimal, unit: str, to: str, code: int) -> Decimal:
    """Return a value in another unit of the same kind, to 28 significant digits: to be shown, not to be compared."""
    if unit == to:
        return value
    target = known(to, code)
    return base(value, unit, code) / target.factor + target.zero
