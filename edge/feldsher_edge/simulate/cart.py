"""A virtual closed cardiograph: it knows its patient's name and writes it into every file, as real ones do."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from feldsher_ehr_core.ecg import Subject
from feldsher_signal import synth
from feldsher_signal.formats import Content, aecg, dicom, edf, scp
from feldsher_signal.record import MISSING, Recording

KINDS = ("dicom", "aecg", "edf", "contec")
NAME = "SECRETOVA MARIA"
"""The name that must not be found anywhere but in the cart's own files."""
SUBJECT = Subject(age=61, sex="female")
_SEX = {"male": "M", "female": "F", "unknown": ""}
_CONTEC_LEADS = ("II", "III", "V1", "V2", "V3", "V4", "V5", "V6")


@dataclass(frozen=True, slots=True)
class Patient:
    """What somebody typed into the cart: a name, a number (an order's, where it was typed), age and sex."""

    number: str = "774-41"
    name: str = NAME
    subject: Subject = SUBJECT


def recording(seed: int = 1, seconds: float = 10.0, fs: float = 500.0, preset: str = "normal") -> Recording:
    """Return twelve leads of a synthetic patient."""
    return synth.ecg(synth.PRESETS[preset], seconds, fs, seed)[0]


def written(kind: str, held: Recording, who: Patient, at: datetime, *, study: str = "", instance: str = "") -> bytes:
    """Return a file of one of KINDS; `study`, `instance`: the UIDs of a DICOM object, made of the samples if empty."""
    content = Content(held, who.subject)
    if kind == "dicom":
        return _dicom(dicom.dumps(content, at), who, study, instance)
    if kind == "aecg":
        return _aecg(aecg.dumps(content, at), who)
    if kind == "edf":
        return _edf(edf.dumps(content, at), who)
    if kind == "scp":
        return scp.dumps(content, at)
    return _contec(held, who, at)


def _dicom(raw: bytes, who: Patient, study: str, instance: str) -> bytes:
    import pydicom  # noqa: PLC0415 (an optional extra)
    from pydicom.uid import UID  # noqa: PLC0415

    file = pydicom.dcmread(io.BytesIO(raw))  # pyright: ignore[reportUnknownMemberType]
    file.PatientName, file.PatientID = who.name.replace(" ", "^"), who.number
    file.AccessionNumber = who.number
    file.Manufacturer, file.ManufacturerModelName, file.DeviceSerialNumber = "Virtual", "Cart 1", "0042"
    file.StudyInstanceUID = study or file.StudyInstanceUID
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = UID(instance or file.SOPInstanceUID)
    out = io.BytesIO()
    file.save_as(out)
    return out.getvalue()


def _aecg(raw: bytes, who: Patient) -> bytes:
    family, given = who.name.split()
    person = (
        f'<trialSubject><id root="2.16.840.1.113883.3.99" extension="{who.number}"/><subjectDemographicPerson>'
        f"<name><family>{family}</family><given>{given}</given></name>"
    )
    before, _, rest = raw.decode().partition("<trialSubject>")
    return (before + person + rest.partition("<subjectDemographicPerson>")[2]).encode()


def _edf(raw: bytes, who: Patient) -> bytes:
    sex = _SEX[who.subject.sex] or "X"
    age = f" Age_{who.subject.age}" if who.subject.age is not None else ""
    field = f"{who.number} {sex} X {who.name.replace(' ', '_')}{age}"
    return raw[:8] + field.encode().ljust(80)[:80] + raw[88:]


def _contec(held: Recording, who: Patient, at: datetime) -> bytes:
    """Return a Contec ECG90A file (feldsher_signal.formats.contec): 800 samples a second, 5 µV around 2048."""
    count = int(held.n / held.fs * 800)
    rows = [
        np.interp(np.arange(count) / 800, np.arange(held.n) / held.fs, _microvolts(held, it)) for it in _CONTEC_LEADS
    ]
    stored = np.clip(np.rint(np.stack(rows) / 5.0) + 2048, 0, 4095).astype("<u2")
    sex = {"female": 0, "male": 1}.get(who.subject.sex, 255)
    name = who.name.encode()[:9].ljust(10, b"\0")
    head = (
        who.number.replace("-", "").encode()[:8].ljust(10, b"\0")
        + at.strftime("%Y-%m-%d %H:%M:%S").encode()
        + b"\0"
        + name
    )
    return head + struct.pack("<BBB", sex, who.subject.age or 0, 0) + stored.T.tobytes() + bytes(37)


def _microvolts(held: Recording, name: str) -> np.ndarray:
    row = held.samples[held.leads.index(name)]
    return np.where(row == MISSING, 0, row) * held.uv_per_bit[held.leads.index(name)]
