"""WFDB in pieces: every stretch is that of the whole record, in every format; what is not simple is read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feldsher_signal.formats import FormatError, wfdb, wfdb_samples
from feldsher_signal.formats.wfdb_pieces import pieces

RNG = np.random.default_rng(8)
FORMATS = sorted(set(wfdb_samples.PACKINGS) - {8})


def _record(folder: Path, code: int, signals: int = 3, frames: int = 101, tail: str = "") -> Path:
    """Write a record of random bytes in a format; its middle signal is no electrocardiogram."""
    size = wfdb_samples.PACKINGS[code].size(frames * signals)
    (folder / "r.dat").write_bytes(b"head" + RNG.integers(0, 256, size, np.uint8).tobytes())
    units = ["mV", "mmHg", "uV"]
    lines = [f"r {signals} 250 {frames}"]
    lines += [f"r.dat {code}{tail}+4 200({k - 7})/{units[k % 3]} 12 0 0 0 0 X{k}" for k in range(signals)]
    # Without a checksum field nothing is compared.
    lines = [lines[0], *(" ".join([*line.split()[:5], "0"]) for line in lines[1:])]
    (folder / "r.hea").write_text("\n".join(lines) + "\n")
    return folder / "r.hea"


@pytest.mark.parametrize("code", FORMATS)
@pytest.mark.parametrize("signals", [1, 3])
def test_any_stretch_is_that_of_the_whole(tmp_path: Path, code: int, signals: int) -> None:
    path = _record(tmp_path, code, signals)
    whole, part = wfdb.read(path), pieces(path)
    assert part is not None
    assert (part.leads, part.fs, part.n) == (whole.leads, whole.fs, whole.n)
    expected = whole.microvolts()
    for start, stop in ((0, 101), (0, 1), (1, 2), (50, 53), (7, 99), (100, 101)):
        np.testing.assert_array_equal(part.take(start, stop), expected[:, start:stop])


def test_what_is_not_simple_is_read_whole(tmp_path: Path) -> None:
    assert pieces(_record(tmp_path, 16, tail=":3")) is None
    header = tmp_path / "r.hea"
    for line in ("r.dat 8+4 200/mV 12 0 0", "r.dat 16x2+4 200/mV 12 0 0", "r.dat 16+4 200/mmHg 12 0 0"):
        header.write_text(f"r 1 250 40\n{line}\n")
        assert pieces(header) is None
    header.write_text("r 1 250 1000000\nr.dat 16+4 200/mV 12 0 0\n")
    assert pieces(header) is None
    assert pieces(tmp_path / "other.edf") is None


def test_a_file_that_shrinks_while_it_is_read_ends_in_an_error(tmp_path: Path) -> None:
    part = pieces(_record(tmp_path, 212))
    assert part is not None
    (tmp_path / "r.dat").write_bytes(b"head" + bytes(20))
    with pytest.raises(OSError, match="ends within"):
        part.take(0, 101)


def test_a_header_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 1 250 40\n../r.dat 16 200/mV 12 0 0\n")
    with pytest.raises(FormatError, match="folder"):
        pieces(tmp_path / "r.hea")
