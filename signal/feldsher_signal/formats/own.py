"""The project's own record, one file `.fecg`: what samples, scale and leads need, and nothing about a person.

Layout: 8 bytes `89 "FECG" 0D 0A 01` (the last is the version), then one MessagePack map with the fields of `_Record`:
`leads`, `fs`, `uv_per_bit`, `baseline`, `n`, `codec`, `samples` (coded bytes), `sha256` (of the samples as
little-endian int32, lead-major). Fields are only ever added; a reader ignores what it does not know.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import msgspec

from feldsher_signal import codec
from feldsher_signal.formats import source
from feldsher_signal.formats.error import FormatError
from feldsher_signal.record import Recording

_MAX_BYTES = 5 * codec.MAX_SAMPLES
SUFFIX = ".fecg"
MAGIC = b"\x89FECG\r\n\x01"


class _Record(msgspec.Struct, frozen=True):
    leads: tuple[str, ...]
    fs: float
    uv_per_bit: tuple[float, ...]
    baseline: tuple[int, ...]
    n: int
    codec: str
    samples: bytes
    sha256: bytes


def dumps(recording: Recording) -> bytes:
    """Return a recording as the bytes of a `.fecg` file; ValueError where it is empty or too long for one."""
    if not 0 < recording.samples.size <= codec.MAX_SAMPLES:
        raise ValueError(f"samples: {recording.samples.size} is not between 1 and {codec.MAX_SAMPLES}")
    record = _Record(
        leads=recording.leads,
        fs=float(recording.fs),
        uv_per_bit=recording.uv_per_bit,
        baseline=recording.baseline,
        n=recording.n,
        codec=codec.ZDB32,
        samples=codec.encode(recording.samples),
        sha256=codec.sha256(recording.samples),
    )
    return MAGIC + msgspec.msgpack.encode(record)


def write(path: str | Path, recording: Recording) -> None:
    """Write a recording as `.fecg`; the file appears whole or not at all."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(dumps(recording))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: str | Path) -> Recording:
    """Return the recording of a `.fecg` file; FormatError names the byte or field, a wrong checksum included."""
    return loads(source.whole(Path(path), _MAX_BYTES), path)


def loads(raw: bytes, path: str | Path = "record") -> Recording:
    """Return the recording in the bytes of a `.fecg` file; `path` is what a FormatError names."""
    if not raw.startswith(MAGIC):
        raise FormatError(path, "byte 0", "not a .fecg file of version 1")
    try:
        record = msgspec.msgpack.decode(raw[len(MAGIC) :], type=_Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(path, f"byte {len(MAGIC)}", str(error)) from error
    _check(record, path)
    try:
        samples = codec.decode(record.samples, len(record.leads), record.n, record.codec)
    except codec.CodecError as error:
        field, _, what = str(error).partition(": ")
        raise FormatError(path, field, what) from error
    if codec.sha256(samples) != record.sha256:
        raise FormatError(path, "sha256", "the samples are not those that were written")
    return Recording(record.leads, record.fs, samples, record.uv_per_bit, record.baseline)


def _check(record: _Record, path: str | Path) -> None:
    leads = len(record.leads)
    if len(set(record.leads)) != leads:
        raise FormatError(path, "leads", "a name occurs twice")
    if not (math.isfinite(record.fs) and record.fs > 0):
        raise FormatError(path, "fs", f"{record.fs} is not a sampling rate")
    if len(record.uv_per_bit) != leads or not all(math.isfinite(each) and each for each in record.uv_per_bit):
        raise FormatError(path, "uv_per_bit", f"{leads} finite scales are needed")
    for each in record.uv_per_bit:
        source.checked_scale(Path(path), "uv_per_bit", each)
    if len(record.baseline) not in (0, leads):
        raise FormatError(path, "baseline", f"{leads} or none are needed")
