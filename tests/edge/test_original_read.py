"""What a child makes of an original's bytes: the recording and its label, and no word of the patient."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from feldsher_cloud_api import originals as cloud
from feldsher_cloud_api.config import Settings
from feldsher_edge.original import LONGEST_S, Seen
from feldsher_edge.original_read import keep, read, seal
from feldsher_edge.simulate import cart
from feldsher_ehr_core.ecg import Subject
from feldsher_signal.record import Recording
from hypothesis import given, settings
from hypothesis import strategies as st

AT = datetime(2026, 11, 23, 12, 0, 5)  # noqa: DTZ001 (a device's local time)
HELD = cart.recording()
NUMBER = "K7QX-3M9P"
KEY = cloud.new_key()
CERTIFICATE = KEY[KEY.index(b"-----BEGIN CERTIFICATE") :].decode()


@pytest.mark.parametrize("kind", [*cart.KINDS, "scp"])
def test_a_carts_file_says_recording_person_time_and_order_and_no_name(kind: str) -> None:
    it = read(cart.written(kind, HELD, cart.Patient(NUMBER), AT))
    assert it.fault is None
    assert it.recording is not None
    assert (it.subject, it.recorded_at) == (Subject(age=61, sex="female"), "2026-11-23T12:00:05")
    assert ("K7QX3M9P" in it.orders) == (kind != "scp")  # our writer of SCP-ECG has no place for a number
    assert len(it.recording.leads) == 12
    told = repr(it) + repr(msgspec.msgpack.encode(it))
    assert not [word for word in cart.NAME.split() if word in told.upper()]


def test_a_number_of_somebody_elses_does_not_leave_the_child() -> None:
    it = read(cart.written("dicom", HELD, cart.Patient("774-41-2020-INS"), AT))
    assert it.fault is None
    assert "774" not in repr(it).replace(repr(it.recording), "")


def test_samples_are_around_zero_and_missing_stays_missing() -> None:
    it = read(cart.written("contec", HELD, cart.Patient(), AT))
    assert it.recording is not None
    samples = np.frombuffer(it.recording.samples, "<i4").reshape(12, -1)
    expected = HELD.samples[HELD.leads.index("II")] * HELD.uv_per_bit[0]
    stored = samples[1] * it.recording.uv_per_bit[1]  # 5 µV units at another rate: peaks differ by a little
    assert (stored.max(), stored.min()) == pytest.approx((expected.max(), expected.min()), abs=30)


def test_what_is_too_long_is_refused_by_name() -> None:
    n = int(100 * (LONGEST_S + 1))
    held = Recording(("I", "II"), 100.0, np.zeros((2, n), np.int32), (1.0, 1.0))
    it = read(cart.written("edf", held, cart.Patient(), AT))
    assert (it.recording, it.fault) == (None, "duration: 301 s; at most 300 s are taken")


@pytest.mark.parametrize("kind", [*cart.KINDS, "scp"])
def test_what_cannot_be_read_is_named_without_its_name(kind: str) -> None:
    raw = cart.written(kind, HELD, cart.Patient(), AT)
    it = read(raw[: len(raw) // 2 + 1])
    assert it.recording is None
    assert it.fault
    assert "/proc" not in it.fault
    assert not [word for word in cart.NAME.split() if word in it.fault.upper()]


def test_a_wfdb_header_that_names_files_elsewhere_names_nothing_here() -> None:
    it = read(b"secret 1 500 5000\n../../etc/passwd 16 200 16 0 0 0 0 II\n")
    assert it.fault == "line 1: no column has a name and a unit in volts, as in: II (mV)"


def test_a_channel_that_somebody_named_after_the_patient_has_a_number_here() -> None:
    it = read(b"# fs: 500\nII (mV),Ivanova A P (mV),ECG 2 (mV)\n" + b"0.1,0.2,0.3\n0.2,0.4,0.1\n" * 500)
    assert it.recording is not None
    assert it.recording.leads == ("II", "ch2", "ECG 2")


def test_a_fault_does_not_quote_the_file() -> None:
    recording = Recording(("Ivanova",), 500.0, np.zeros((1, 5000), np.int32), (1.0,))
    raw = cart.written("dicom", recording, cart.Patient(), AT)
    assert b"Ivanova" in raw
    told = repr(read(raw))
    assert "Ivanova" not in told
    unread = read(raw.replace(b"uV", b"ml", 1))
    assert "Ivanova" not in repr(unread)


@settings(max_examples=60)
@given(st.sampled_from([*cart.KINDS, "scp"]), st.data())
def test_no_bytes_make_it_raise_or_tell_a_name(kind: str, data: st.DataObject) -> None:
    raw = bytearray(cart.written(kind, HELD.only(2), cart.Patient(), AT)) if kind != "contec" else bytearray(_CONTEC)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(raw), 4096) - 1))
        raw[at : at + 1] = data.draw(st.binary(max_size=4))
    it = read(bytes(raw))
    assert isinstance(it, Seen)
    assert (it.fault is None) != (it.recording is None)
    assert "SECRETOVA" not in repr(msgspec.structs.replace(it, recording=None))


_CONTEC = cart.written("contec", HELD, cart.Patient(), AT)


def test_sealed_bytes_are_opened_by_the_cloud_alone(tmp_path: Path) -> None:
    raw = b"SECRETOVA\r\n" + os.urandom(5000)
    sealed = seal(raw, CERTIFICATE)
    assert b"SECRETOVA" not in sealed
    ours, theirs = Settings("", state=tmp_path / "ours"), Settings("", state=tmp_path / "theirs")
    ours.secrets.mkdir(parents=True)
    (ours.secrets / "originals.pem").write_bytes(KEY)
    assert cloud.opened(ours, sealed) == raw
    with pytest.raises(cloud.SealError, match="not sealed to this installation"):
        cloud.opened(theirs, sealed)
    with pytest.raises(cloud.SealError):
        cloud.opened(ours, sealed[:-1000])


def test_openssl_opens_it_too(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(KEY)
    (tmp_path / "x.p7m").write_bytes(seal(b"original\r\n\x00", CERTIFICATE))
    command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-in", "x.p7m", "-inkey", "key.pem"]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("NO openssl ON THIS MACHINE")
    assert done.stdout == b"original\r\n\x00"


def test_kept_twice_is_kept_once_with_its_reason(tmp_path: Path) -> None:
    raw = b"bytes"
    for _ in range(2):
        keep(raw, tmp_path, CERTIFICATE, "byte 0: no format known here")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[-4:] for name in names] == [".p7m", ".txt"]
    assert {name[:-4] for name in names} == {read(raw).sha256.hex()}
    assert (tmp_path / names[1]).read_text() == "byte 0: no format known here\n"
    assert (tmp_path / names[0]).stat().st_mode & 0o777 == 0o600


def test_another_kind_of_certificate_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="PEM"):
        keep(b"x", tmp_path, "no certificate", None)
    assert list(tmp_path.iterdir()) == []
