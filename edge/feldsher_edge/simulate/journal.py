"""The journal of a trial: what the gateway has committed, on a disk of its own, whatever is killed.

A line each: `C device number reading-id true-µs from-s until-s`, `I device number` (a recording that begins), `E number
sha256`, `T ms cpu-ms` (a commit).
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


class Journal:
    """The journal in `path`, continued where a SIGKILL cut it off."""

    def __init__(self, path: Path) -> None:
        self._next: dict[str, int] = {}
        if path.exists():
            for words in map(str.split, path.read_text().splitlines()):
                if words[0] in ("C", "I"):
                    self._next[words[1]] = max(self._next.get(words[1], 0), int(words[2]) + 1)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def next(self, device: str) -> int:
        """Return the number of the first reading that a device still has."""
        return self._next.get(device, 0)

    def begin(self, device: str, number: int) -> None:
        """Note that a device gives a recording away and will not bring it again."""
        self._next[device] = number + 1
        self.write(f"I {device} {number}")

    def commit(self, device: str, numbers: range, *lines: str) -> None:
        """Note that the gateway has committed a device's readings."""
        self._next[device] = numbers.stop
        self.write(*lines)

    def write(self, *lines: str) -> None:
        """Append lines in one write: a SIGKILL leaves all of them or none."""
        os.write(self._file, "".join(f"{line}\n" for line in lines).encode())


@dataclass(slots=True)
class Committed:
    """What a journal says.

    `readings`: per reading id its device and, for each delivery, the true time (µs) and the virtual seconds in which it
    lay; `recordings`: SHA-256 of their samples; `wall_ms`, `cpu_ms`: of each commit.
    """

    readings: dict[str, tuple[str, list[tuple[int, float, float]]]] = field(
        default_factory=dict[str, tuple[str, list[tuple[int, float, float]]]]
    )
    recordings: list[bytes] = field(default_factory=list[bytes])
    wall_ms: list[float] = field(default_factory=list[float])
    cpu_ms: list[float] = field(default_factory=list[float])

    def of_device(self, ids: set[str]) -> dict[str, int]:
        """Return how many of some readings are of each device."""
        counts: dict[str, int] = defaultdict(int)
        for reading in ids:
            counts[self.readings[reading][0]] += 1
        return counts


def read(path: Path) -> Committed:
    """Return what a journal holds; a reading that was brought twice is one."""
    found = Committed()
    for words in map(str.split, path.read_text().splitlines()):
        if words[0] == "C":
            found.readings.setdefault(words[3], (words[1], []))[1].append(
                (int(words[4]), float(words[5]), float(words[6]))
            )
        elif words[0] == "E":
            found.recordings.append(bytes.fromhex(words[2]))
        elif words[0] == "T":
            found.wall_ms.append(float(words[1]))
            found.cpu_ms.append(float(words[2]))
    return found
