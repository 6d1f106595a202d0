"""Leads as files hold them, made those of the house: their names, and the four that some files leave out."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS

from feldsher_signal.record import MISSING, Recording

_DERIVED = ("III", "aVR", "aVL", "aVF")
_OTHER = ("V7", "V8", "V9", "V3R", "V4R", "V5R", "V6R", "X", "Y", "Z", "-aVR", "MLII")
KNOWN = (*STANDARD_LEADS, *_OTHER)
"""The leads that have a standard name."""
_STANDARD = {name.lower(): name for name in KNOWN}
# EDF+ ("ECG V1"), cardiographs ("Lead I", "EKG II") and ISO/IEEE 11073-10102 ("MDC_ECG_LEAD_AVR").
_PREFIX = re.compile(r"(?:mdc_ecg_lead_|e[ck]g[\s_-]*lead[\s_-]+|e[ck]g[\s_-]+|lead[\s_-]+)(?=\S)", re.IGNORECASE)
_PLAIN = re.compile(r"(?:e[ck]g|lead|ch|channel)[\s_-]*\d{0,3}|(?:cm|cc|cb|cs|mcl|ml|mv)\d", re.IGNORECASE)
_HEART = re.compile(r"(?:e[ck]g|lead|ml)", re.IGNORECASE)
# The standard texts of EDF for signals in volts that are no electrocardiogram.
_NOT_HEART = re.compile(r"(?:eeg|eog|emg|erg|meg|mcg|ep|nc|resp|ppg|pleth|abp|art|cvp)\b", re.IGNORECASE)


def names(written: Iterable[str]) -> tuple[str, ...]:
    """Return lead names with the twelve standard ones in their standard spelling and repeated ones numbered (`ECG#2`).

    Other names (`MLII`, `ECG`) are kept: what a modified limb lead is good for is the engine's to judge.
    """
    out: list[str] = []
    for position, raw in enumerate(written):
        name = standard(raw) or f"ch{position + 1}"
        count = 1
        unique = name
        while unique in out:
            count += 1
            unique = f"{name}#{count}"
        out.append(unique)
    return tuple(out)


def standard(written: str) -> str:
    """Return a lead's name in its standard spelling ("MDC_ECG_LEAD_AVR": "aVR"), any other as it is."""
    stripped = " ".join("".join(letter if letter.isprintable() else " " for letter in written).split())
    short = _PREFIX.sub("", stripped, count=1) if _PREFIX.match(stripped) else stripped
    return _STANDARD.get(short.lower(), stripped)


def impersonal(written: Iterable[str]) -> tuple[str, ...]:
    """Return lead names with every one that is neither a lead's nor a mere number replaced by its place (`ch2`).

    A file's maker lets people type a channel's name, and some type the patient's.
    """
    given = list(written)
    stems = [name.partition("#")[0] for name in given]
    kept = [stem in KNOWN or _PLAIN.fullmatch(stem) is not None for stem in stems]
    return names(name if keep else "" for name, keep in zip(given, kept, strict=True))


def cardiac(written: Iterable[str]) -> list[bool]:
    """Return which signals in volts are the electrocardiogram: those named so, else all not named otherwise."""
    labels = [label.strip() for label in written]
    named = [standard(label).lower() in _STANDARD or _HEART.match(label) is not None for label in labels]
    return named if any(named) else [_NOT_HEART.match(label) is None for label in labels]


def twelve(recording: Recording) -> Recording:
    """Return a recording of I, II, V1 … V6 with III, aVR, aVL and aVF computed; any other as it is.

    Exact: the computed leads have half the scale of I and II, so that aVR = -(I + II) / 2 stays whole. A sample is
    missing where one that it is computed from is.
    """
    eight = [name for name in STANDARD_LEADS if name not in _DERIVED]
    if sorted(recording.leads) != sorted(eight):
        return recording
    rows = [recording.leads.index(name) for name in eight]
    scale = {recording.uv_per_bit[row] for row in rows[:2]}
    if len(scale) > 1:
        return recording
    bases = recording.baseline or (0,) * len(recording.leads)
    one, two = (recording.samples[row].astype(np.int64) - bases[row] for row in rows[:2])
    gone = (recording.samples[rows[:2]] == MISSING).any(axis=0)
    doubled = {"III": 2 * (two - one), "aVR": -one - two, "aVL": 2 * one - two, "aVF": 2 * two - one}
    samples = {name: np.where(gone, MISSING, values).astype(np.int32) for name, values in doubled.items()}
    half = scale.pop() / 2
    samples |= {name: recording.samples[row] for name, row in zip(eight, rows, strict=True)}
    uv_per_bit = {name: recording.uv_per_bit[row] for name, row in zip(eight, rows, strict=True)}
    baseline = {name: bases[row] for name, row in zip(eight, rows, strict=True)}
    return Recording(
        STANDARD_LEADS,
        recording.fs,
        np.stack([samples[name] for name in STANDARD_LEADS]),
        tuple(uv_per_bit.get(name, half) for name in STANDARD_LEADS),
        tuple(baseline.get(name, 0) for name in STANDARD_LEADS),
    )
