"""The kit's one button: a short press records, a long one opens the kit to a new Bluetooth peer."""

import time

import machine

NONE = 0
SHORT = 1
LONG = 2
LONG_MS = 3000
BOUNCE_MS = 40


class Button:
    """A button to ground, to be polled: `pin` reads 0 while it is held."""

    def __init__(self, pin: machine.Pin) -> None:
        self._pin = pin
        self._held = False
        self._told = False
        self._since_ms = time.ticks_ms()

    def poll(self) -> int:
        """Return SHORT once when it is let go, LONG once when it has been held long enough, otherwise NONE."""
        held = not self._pin()
        now = time.ticks_ms()
        if held != self._held:
            lasted = time.ticks_diff(now, self._since_ms)
            self._held = held
            self._since_ms = now
            if not held and not self._told and lasted >= BOUNCE_MS:
                return SHORT
            self._told = False
        elif held and not self._told and time.ticks_diff(now, self._since_ms) >= LONG_MS:
            self._told = True
            return LONG
        return NONE
