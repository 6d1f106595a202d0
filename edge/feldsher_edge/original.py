"""What the gateway hears of a foreign cardiograph's file or DICOM object: the recording, and nothing about the person.

The words between the daemon and the children that read originals (reader_child.py, dicom_child.py): a length of four
bytes, then MessagePack. Whatever names somebody stays in the child's memory, and on disk only sealed to the cloud.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from feldsher_ehr_core.ecg import Subject

PART_S = 60.0
"""Longest recording that one message carries; longer ones are cut into equal parts."""
LONGEST_S = 300.0
"""Longest recording that is taken from a file: a rhythm strip. A day's recording is not for this line."""
MOST_SAMPLES = 4_000_000
"""The most samples of one original, all leads together: what the daemon holds of it at once (16 MB)."""


class Samples(msgspec.Struct, frozen=True, array_like=True):
    """The recording of an original: `samples` as little-endian int32, lead-major, around zero."""

    leads: tuple[str, ...]
    fs: float
    n: int
    samples: bytes
    uv_per_bit: tuple[float, ...]


class Seen(msgspec.Struct, frozen=True, tag=True):
    """An original that was read, with its bytes still in the child's memory.

    `uid`: SHA-256 of its SOP Instance UID, empty where it has none. `fault`: the field or byte at which it cannot be
    read, and why; then there is no `recording`. `recorded_at`: ISO 8601, without offset where the device wrote none.
    `orders`: what may be our order numbers. `mark`: the file that was read: device, inode, bytes and time of change.
    """

    sha256: bytes
    size: int
    uid: bytes = b""
    fault: str | None = None
    format: str = ""
    recording: Samples | None = None
    subject: Subject | None = None
    recorded_at: str | None = None
    maker: str = ""
    model: str = ""
    serial: str = ""
    orders: tuple[str, ...] = ()
    mark: tuple[int, int, int, int] = (0, 0, 0, 0)


Why = Literal["being written", "gone", "not readable", "too large", "no plain file", "empty"]


class Left(msgspec.Struct, frozen=True, tag=True):
    """A file that was not read and stays where it is."""

    why: Why


class Kept(msgspec.Struct, frozen=True, tag=True):
    """What was read last is on disk, sealed; or `fault` says why it is not."""

    fault: str | None = None


class Look(msgspec.Struct, frozen=True, tag=True):
    """Read a file of at most `most` bytes; `parse` False: only its bytes, because reading it ended badly before."""

    path: bytes
    most: int
    parse: bool = True


class Keep(msgspec.Struct, frozen=True, tag=True):
    """Seal what was read last to `certificate` (PEM) and write it into `folder`, with `reason` beside it if given."""

    folder: bytes
    certificate: str
    reason: str | None = None
