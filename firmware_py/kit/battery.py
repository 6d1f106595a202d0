"""How full the battery is: one lithium cell, by its voltage."""

import frame
import machine

# Open-circuit voltage of a lithium cobalt cell against its charge, in mV and %: a coarse curve, good to about 10 %.
_CURVE = ((3300, 0), (3600, 10), (3700, 30), (3800, 55), (3950, 80), (4150, 100))
ABSENT_MV = 2500


def percent(millivolts: int) -> int:
    """Return the charge in %; frame.BATTERY_UNKNOWN for a voltage that is no battery's (mains, or none fitted)."""
    if millivolts < ABSENT_MV:
        return frame.BATTERY_UNKNOWN
    below_mv, below = _CURVE[0]
    if millivolts <= below_mv:
        return below
    for above_mv, above in _CURVE[1:]:
        if millivolts <= above_mv:
            return below + (above - below) * (millivolts - below_mv) // (above_mv - below_mv)
        below_mv, below = above_mv, above
    return 100


class Battery:
    """The cell behind a divider by two."""

    def __init__(self, adc: machine.ADC) -> None:
        self._adc = adc

    def percent(self) -> int:
        """Measure; return the charge in %."""
        return percent(self._adc.read_uv() * 2 // 1000)
