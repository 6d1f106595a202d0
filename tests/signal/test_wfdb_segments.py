"""Records of several segments: fixed and variable layout, gaps, gains that change, and headers that contradict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from feldsher_signal.formats import FormatError, read
from feldsher_signal.record import MISSING


def _segment(folder: Path, name: str, signals: dict[str, tuple[str, list[int]]], fs: int = 250) -> None:
    samples = np.array([values for _, values in signals.values()], "<i2")
    (folder / f"{name}.dat").write_bytes(samples.T.tobytes())
    lines = [f"{name} {len(signals)} {fs} {samples.shape[1]}"]
    lines += [f"{name}.dat 16 {gain} 16 0 0 0 0 {lead}" for lead, (gain, _) in signals.items()]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    _segment(tmp_path, "a", {"II": ("200(0)/mV", [1, 2, 3]), "V1": ("200(0)/mV", [4, 5, 6])})
    _segment(tmp_path, "b", {"V": ("200(0)/mV", [7, 8]), "II": ("200(0)/mV", [9, -32768])})
    _segment(tmp_path, "c", {"II": ("400(10)/mV", [20, 30])})
    (tmp_path / "layout.hea").write_text(
        "layout 3 250 0\n" + "".join(f"~ 0 200 16 0 0 0 0 {x}\n" for x in ("V1", "V", "II"))
    )
    return tmp_path


def test_variable_layout(parts: Path) -> None:
    (parts / "r.hea").write_text("r/4 3 250 7\nlayout 0\na 3\n~ 2\nb 2\n# Age: 50 Sex: F\n")
    recording = read(parts / "r.hea")
    gone = int(MISSING)
    assert recording.leads == ("V1", "V", "II")
    assert recording.samples.tolist() == [
        [4, 5, 6, gone, gone, gone, gone],
        [gone, gone, gone, gone, gone, 7, 8],
        [1, 2, 3, gone, gone, 9, gone],
    ]
    assert recording.uv_per_bit == (5.0, 5.0, 5.0)


def test_fixed_layout(parts: Path) -> None:
    (parts / "r.hea").write_text("r/2 2 250 6\na 3\na 3\n")
    assert read(parts / "r").samples.tolist() == [[1, 2, 3, 1, 2, 3], [4, 5, 6, 4, 5, 6]]


def test_segments_of_other_gain_keep_their_microvolts(parts: Path) -> None:
    (parts / "r.hea").write_text("r/2 2 250 5\na 3\nc 2\n")
    recording = read(parts / "r.hea")
    assert recording.microvolts()[recording.leads.index("II")].tolist() == [5.0, 10.0, 15.0, 25.0, 50.0]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("r/2 2 250 9\na 3\na 3\n", "9 are stated, the segments have 6"),
        ("r/2 2 360 6\na 3\na 3\n", "a.hea: sampling frequency: 250, but 360"),
        ("r/1 2 250 4\na 4\n", "a.hea: number of samples: 3, but 4"),
        ("r/1 2 250 3\n../a 3\n", "is not in the header's folder"),
        ("r/1 2 250 3\nr 3\n", "a segment cannot have segments"),
        ("r/1 2 250 3\nabsent 3\n", "absent.hea: file: No such file"),
        ("r/1 2 250\n~ 3\n", "segments: none has samples"),
        ("r/2 2 250\nlayout 0\n~ 999999999\n", "leads of 999999999 samples"),
        ("r/3 1 250\na 3\n~ 99999999\n~ 99999999\n", "number of samples: 2 leads"),
    ],
)
def test_refused(parts: Path, header: str, match: str) -> None:
    (parts / "r.hea").write_text(header)
    with pytest.raises(FormatError, match=match):
        read(parts / "r.hea")


def test_gains_too_far_apart(tmp_path: Path) -> None:
    _segment(tmp_path, "a", {"II": ("1e6/mV", [1, 2, 3])})
    _segment(tmp_path, "b", {"II": ("0.01/mV", [9000, 2, 3])})
    (tmp_path / "r.hea").write_text("r/2 1 250 6\na 3\nb 3\n")
    with pytest.raises(FormatError, match="lead 'II': the segments' gains are too far apart"):
        read(tmp_path / "r.hea")
