"""What makes files hostile: mutations of good ones, and what any reader must answer to them."""

from __future__ import annotations

import binascii
import dataclasses
import struct
from pathlib import Path
from random import Random

import numpy as np
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import synth
from feldsher_signal.formats import Content, Filters, FormatError, aecg, dicom, edf, load, own, scp, table, wfdb_write
from feldsher_signal.formats.marks import Mark

NUMBERS = (b"0", b"-1", b"nan", b"inf", b"1e308", b"99999999999", b"", b"65536", b"4294967296")


def seeded(seed: int) -> Random:
    """Return the same random changes for the same seed."""
    return Random(seed)  # noqa: S311 - nothing secret


def small() -> Content:
    """Return two leads of a tenth of a second, with all that a file may say beside them."""
    recording, _ = synth.ecg(synth.PRESETS["normal"], seconds=2, seed=1)
    cut = dataclasses.replace(
        recording,
        leads=recording.leads[:2],
        samples=np.ascontiguousarray(recording.samples[:2, 400:450]),
        uv_per_bit=recording.uv_per_bit[:2],
        baseline=recording.baseline[:2],
    )
    return Content(cut, Subject(age=63, sex="female"), Filters(0.05, 150.0, 50.0), marks=(Mark(20, "N"),))


def written() -> dict[str, bytes]:
    """Return a small recording in every format that is written, by the name of its file."""
    held = small()
    files = {f"r{suffix}": raw for suffix, raw in wfdb_write.dumps(held, "r").items()}
    files |= {"r.edf": edf.dumps(held), "r.scp": scp.dumps(held), "r.xml": aecg.dumps(held)}
    return files | {"r.dcm": dicom.dumps(held), "r.csv": table.dumps(held), "r.fecg": own.dumps(held.recording)}


def mutated(raw: bytes, random: Random) -> bytes:
    """Return bytes with one to four changes: bits, bytes, pieces moved, doubled or lost, numbers made absurd."""
    out = bytearray(raw)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(out) + 1)
        span = random.choice((1, 1, 2, 4, 8, 64, 1000))
        kind = random.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            out[at : at + span] = random.randbytes(span)
        elif kind == 2:
            del out[at : at + span]
        elif kind == 3:
            out[at:at] = out[at : at + span]
        elif kind == 4:
            out[at : at + span] = random.choice((b"\xff", b"\0", b"\x7f\xff")) * span
        elif kind == 5:
            digits = [k for k in range(len(out)) if 48 <= out[k] <= 57] or [0]
            at = random.choice(digits)
            out[at : at + random.randint(1, 4)] = random.choice(NUMBERS)
        else:
            other = random.randrange(len(out) + 1)
            out[at : at + span] = out[other : other + span]
    return bytes(out)


def resealed(raw: bytes) -> bytes:
    """Return an SCP-ECG record with the checksums and the length made right, so that what is wrong lies deeper."""
    out = bytearray(raw)
    if len(out) < 32:
        return raw
    struct.pack_into("<I", out, 2, len(out))
    for at in range(22, min(6 + struct.unpack_from("<I", out, 10)[0], len(out) - 10, 6 + 16 + 120), 10):
        _, length, index = struct.unpack_from("<HII", out, at)
        if 16 <= length <= len(out) and 0 < index <= len(out) - length and index != 7:
            struct.pack_into("<H", out, index - 1, binascii.crc_hqx(out[index + 1 : index - 1 + length], 0xFFFF))
    length = struct.unpack_from("<I", out, 10)[0]
    struct.pack_into("<H", out, 6, binascii.crc_hqx(out[8 : 6 + length], 0xFFFF))
    struct.pack_into("<H", out, 0, binascii.crc_hqx(out[2:], 0xFFFF))
    return bytes(out)


def verdict(path: Path) -> Content | None:
    """Return what a file says, None where it is refused; AssertionError where what is said is absurd."""
    try:
        held = load(path)
    except FormatError:
        return None
    recording = held.recording
    assert np.isfinite(recording.fs)
    assert recording.fs > 0
    assert recording.samples.dtype == np.int32
    assert recording.n > 0
    assert len(recording.leads) == len(set(recording.leads)) == len(recording.samples) == len(recording.uv_per_bit)
    assert all(np.isfinite(scale) and scale for scale in recording.uv_per_bit)
    assert not np.isinf(recording.microvolts()).any()
    assert held.subject.age is None or 0 <= held.subject.age <= 130
    return held
