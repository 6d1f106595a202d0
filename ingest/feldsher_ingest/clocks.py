"""What is known of gateways' clocks: by how much a wall clock was behind the truth when a message was made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from feldsher_ehr_core import wire


@dataclass(frozen=True, slots=True)
class Correction:
    """A trusted correction. `base_us`: true minus monotonic time of the boot, None where only `offset_us` is known."""

    mono_ns: int
    offset_us: int
    base_us: int | None


def base_us(env: wire.Envelope) -> int | None:
    """Return wall minus monotonic time of a message whose clock was not synced, None where nothing is to correct."""
    return None if env.clock == "synced" else env.wall_us - env.mono_ns // 1000


class Clocks:
    """Corrections per gateway and boot of its kernel. `rows`: gateway, boot, mono_ns, offset_us, base_us."""

    def __init__(self, rows: Iterable[tuple[str, UUID, int, int, int | None]] = ()) -> None:
        self._known: dict[tuple[str, UUID], list[Correction]] = defaultdict(list)
        for gateway, boot, mono_ns, offset_us, base in rows:
            self._known[gateway, boot].append(Correction(mono_ns, offset_us, base))

    def shift(self, env: wire.Envelope) -> int | None:
        """Return the microseconds by which the wall clock was behind, None where that is not known or it was synced.

        By the first correction of the boot after the message that knows true against monotonic time, else by the last
        before it, else by how far the next correction moved the clock.
        """
        base = base_us(env)
        known = self._known.get((env.gateway, env.boot))
        if base is None or not known:
            return None
        found = min(
            (c for c in known if c.base_us is not None),
            key=lambda c: (c.mono_ns <= env.mono_ns, abs(c.mono_ns - env.mono_ns)),
            default=None,
        )
        if found is not None and found.base_us is not None:
            return found.base_us - base
        moved = min(
            (c for c in known if c.mono_ns > env.mono_ns and c.base_us is None),
            key=lambda c: c.mono_ns,
            default=None,
        )
        return None if moved is None else moved.offset_us
