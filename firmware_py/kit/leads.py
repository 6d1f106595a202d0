"""Which electrodes touch: looked at while nothing is recorded, so that a question is answered at once."""

import asyncio

import frame

from kit.afe import Afe, AfeError

SETTLE_MS = 30
"""Fifteen conversions at 500 per second: the comparators' state follows them."""
RIGHT_LEG_MS = 60
"""RL falls through its threshold within 50 ms of the current source where it does not touch (TI forum 1560061)."""
ALL_OFF = 0x3FF


class Leads:
    """`off`: electrodes off, bits as frame.ELECTRODES, all at first; `fault`, `faults`: the chip does not answer."""

    def __init__(self, afe: Afe) -> None:
        self.off = ALL_OFF
        self.faults = 0
        self.fault = False
        self.enabled = True
        self._afe = afe
        self._turn = 0

    @property
    def right_leg_off(self) -> bool:
        """Say whether RL did not touch when it was last looked at: while recording it drives and cannot be sensed."""
        return bool(self.off & 1 << frame.ELECTRODES.index("RL"))

    def interrupt(self) -> None:
        """Give the chip to a recording: a look that is under way ends without a word, RL is driven again."""
        self._turn += 1
        self._afe.check_right_leg(False)

    async def look(self) -> None:
        """Look once; takes a tenth of a second. A chip that does not answer as it was set is a fault."""
        turn = self._turn
        try:
            self._afe.check()
            if not self.enabled:
                self.off = 0
            elif not await self._sense(turn):
                return
            self.fault = False
        except AfeError:
            if not self.fault:
                self.faults += 1
            self.fault = True

    async def _sense(self, turn: int) -> bool:
        """Read the state of all electrodes; return whether nobody came in between."""
        self._afe.converting(True)
        await asyncio.sleep_ms(SETTLE_MS)
        if turn != self._turn:
            return False
        positive, negative = self._afe.electrodes()
        self._afe.converting(False)
        self._afe.check_right_leg(True)
        await asyncio.sleep_ms(RIGHT_LEG_MS)
        if turn != self._turn:
            return False
        right_leg = 1 if self._afe.right_leg_off() else 0
        self._afe.check_right_leg(False)
        self.off = frame.electrodes_off(positive, negative, right_leg)
        return True
