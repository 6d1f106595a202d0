"""Files of bad will: cut short at every byte, mutated, absurd in one field. Each is read or refused, nothing else."""

from __future__ import annotations

import importlib.util
import time
import tracemalloc
from pathlib import Path

import hostile
import pytest
from feldsher_signal.formats import FormatError, load, marks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ecgdatakit") is None, reason="NO feldsher[formats] INSTALLED")
SAMPLES = Path(__file__).parents[2].parent / "shared" / "ecg" / "formats"
FILES = hostile.written()
REAL = sorted(path for path in SAMPLES.glob("*") if path.suffix != ".csv") if SAMPLES.is_dir() else []
WFDB = ("r.hea", "r.dat", "r.atr")


def _verdict(folder: Path, name: str, raw: bytes) -> object:
    """Return what is made of one changed file (None: refused), the rest of its record being good."""
    if name in WFDB:
        for other in WFDB:
            (folder / other).write_bytes(FILES[other])
    (folder / name).write_bytes(raw)
    if name == "r.atr":
        try:
            return marks.read(folder / name)
        except FormatError:
            return None
    return hostile.verdict(folder / ("r.hea" if name in WFDB else name))


@pytest.mark.parametrize("name", FILES)
def test_cut_short(tmp_path: Path, name: str) -> None:
    _cut(tmp_path, name, max(1, len(FILES[name]) // 80))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_cut_short_at_every_byte(tmp_path: Path, name: str) -> None:
    _cut(tmp_path, name, 1)


def _cut(tmp_path: Path, name: str, step: int) -> None:
    """A header or table may end early and still say enough; every binary and XML file is refused."""
    whole = _verdict(tmp_path, name, FILES[name])
    assert whole is not None
    raw = FILES[name]
    for size in range(0, len(raw) - (name == "r.xml"), step):
        found = _verdict(tmp_path, name, raw[:size])
        assert found is None or name in {"r.hea", "r.csv"} or (name == "r.atr" and size == 0), (name, size)


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_files_cut_short(tmp_path: Path, path: Path) -> None:
    raw = path.read_bytes()
    for size in hostile.seeded(1).sample(range(len(raw) - 3), 5):
        assert _verdict(tmp_path, path.name, raw[:size]) is None


@given(name=st.sampled_from(sorted(FILES)), seed=st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=250)
def test_mutated(tmp_path: Path, name: str, seed: int) -> None:
    raw = hostile.mutated(FILES[name], hostile.seeded(seed))
    _verdict(tmp_path, name, hostile.resealed(raw) if name == "r.scp" else raw)


@pytest.mark.skipif(not REAL, reason=f"NO SAMPLES OF FOREIGN FORMATS: {SAMPLES} is absent")
@given(index=st.integers(0, 99), seed=st.integers(0, 2**32))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
def test_real_files_mutated(tmp_path: Path, index: int, seed: int) -> None:
    path = REAL[index % len(REAL)]
    raw = hostile.mutated(path.read_bytes(), hostile.seeded(seed))
    _verdict(tmp_path, path.name, hostile.resealed(raw) if path.suffix == ".scp" else raw)


@pytest.mark.slow
def test_mutated_for_two_minutes(tmp_path: Path) -> None:
    """Memory and time stay bounded: no mutation of these files costs more than 200 MB or ten seconds."""
    pool = FILES | {path.name: path.read_bytes() for path in REAL}
    end, seed = time.monotonic() + 120, time.time_ns() % (1 << 32)
    tracemalloc.start()
    while time.monotonic() < end:
        seed += 1
        source = hostile.seeded(seed)
        name = source.choice(sorted(pool))
        raw = hostile.mutated(pool[name], source)
        begun = time.process_time()
        try:
            _verdict(tmp_path, name, hostile.resealed(raw) if name.endswith("scp") else raw)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {name}") from error
        assert time.process_time() - begun < 10, (seed, name)
        assert tracemalloc.get_traced_memory()[1] < 200e6, (seed, name)
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("r.xml", b'increment value="0.002"', b'increment value="0"'),
        ("r.xml", b'increment value="0.002"', b'increment value="-1"'),
        ("r.xml", b'increment value="0.002"', b'increment value="nan"'),
        ("r.xml", b'increment value="0.002"', b'increment value="1e-300"'),
        ("r.xml", b'increment value="0.002" unit="s"', b'increment value="0.002" unit="fortnight"'),
        ("r.xml", b'scale value="1.0"', b'scale value="0"'),
        ("r.xml", b'scale value="1.0"', b'scale value="inf"'),
        ("r.xml", b'scale value="1.0"', b'scale value="1e300"'),
        ("r.xml", b'origin value="0"', b'origin value="1e300"'),
        ("r.xml", b"<digits>", b"<digits>nan 1e400 "),
        ("r.xml", b"<digits>", b"<digits>1e300 "),
        ("r.xml", b"<digits>", b"<digits>Ivanova "),
        ("r.dcm", b"\x3a\x00\x1a\x00DS\x04\x00500 ", b"\x3a\x00\x1a\x00DS\x04\x000   "),
        ("r.dcm", b"\x3a\x00\x1a\x00DS\x04\x00500 ", b"\x3a\x00\x1a\x00DS\x04\x00-500"),
        ("r.dcm", b"\x3a\x00\x1a\x00DS\x04\x00500 ", b"\x3a\x00\x1a\x00DS\x04\x00nan "),
        ("r.dcm", b"\x3a\x00\x10\x02DS\x02\x001 ", b"\x3a\x00\x10\x02DS\x02\x000 "),
        ("r.dcm", b"\x3a\x00\x10\x00UL\x04\x00\x32\x00\x00\x00", b"\x3a\x00\x10\x00UL\x04\x00\xff\xff\xff\xff"),
        ("r.dcm", b"\x3a\x00\x05\x00US\x02\x00\x02\x00", b"\x3a\x00\x05\x00US\x02\x00\xff\xff"),
        ("r.hea", b" 500.0 ", b" 0 "),
        ("r.hea", b" 500.0 ", b" -1 "),
        ("r.hea", b"r.dat", b"../../etc/passwd"),
        ("r.hea", b"r.dat", b"/etc/passwd"),
        ("r.hea", b" 50\n", b" 9999999999\n"),
        ("r.hea", b" 16 1.0(0)", b" 16 1e-90(0)"),
        ("r.csv", b"# fs: 500.0", b"# fs: inf"),
        ("r.csv", b"uv_per_bit: 1.0", b"uv_per_bit: 0"),
    ],
)
def test_absurd_fields(tmp_path: Path, name: str, old: bytes, new: bytes) -> None:
    assert old in FILES[name]
    if name in WFDB:
        (tmp_path / "r.dat").write_bytes(FILES["r.dat"])
    path = tmp_path / name
    path.write_bytes(FILES[name].replace(old, new, 1))
    with pytest.raises(FormatError) as caught:
        load(path)
    assert "Ivanova" not in str(caught.value)
    assert str(path.parent) in str(caught.value)
