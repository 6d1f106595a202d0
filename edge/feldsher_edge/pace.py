"""Pace: how long to wait before connecting again, and how fast history may follow what is new."""

from __future__ import annotations

import random

_STEADY_S = 60.0
"""A connection that lived this long resets the back-off; one that dies sooner does not (research/edge.md §5)."""


_CROWDED = 5
"""How many times the cap a broker is spared that is reached and has no time for us."""


class Backoff:
    """Full-jitter exponential back-off: uniform between 0 and base·2^attempt, capped. `rng` makes it repeatable.

    A broker to which a whole region comes back shares its time among all: where more come than it can greet before
    they lose patience, it greets nobody, for ever. So whoever was reached and not greeted waits up to five caps.
    """

    def __init__(self, base_s: float, cap_s: float, rng: random.Random) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._rng = rng
        self._attempt = 0

    def next_s(self, lived_s: float, *, crowded: bool = False) -> float:
        """Return how long to wait after a connection that lived `lived_s` seconds (0: it never came about).

        `crowded`: the broker was reached and did not answer in time.
        """
        if lived_s >= _STEADY_S:
            self._attempt = 0
        limit = min(self._cap_s, self._base_s * 2 ** min(self._attempt, 32))
        if crowded:
            limit = _CROWDED * self._cap_s
        self._attempt += 1
        return self._rng.uniform(0, limit)


def bulk_spread_s(away_s: float) -> float:
    """Return over how many seconds cardiograms of a time without a connection are spread: a tenth, at most ten minutes.

    So no gateway's readings wait at the broker behind all the cardiograms of a region that comes back at once.
    """
    return min(600.0, 0.1 * away_s)


class Bucket:
    """A token bucket: `per_s` tokens a second, at most one second's worth (and at least one) saved up."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._tokens = self._most
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take a token at the time `now` (seconds, never going back); False where there is none."""
        if self._at is not None:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def next_s(self) -> float:
        """Return how many seconds after the last call of `take` there is a token again."""
        return max(0.0, 1 - self._tokens) / self._per_s
