"""Patients made of equations: twelve leads with a known truth, for tests, the demo and the virtual cardiograph.

The heart vector comes from synth_dipole (Gaussian waves on three axes, Dower's leads), its timing from synth_beats, the
disturbance from synth_noise. Fibrillation and flutter waves follow the sawtooth model of Stridh and Sörnmo, IEEE Trans
Biomed Eng 2001;48:105. The same patient, length, rate and seed give the same samples on every machine of one numpy.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from feldsher_ehr_core.ecg import STANDARD_LEADS, Beat, Measurements, Wave
from numpy.typing import NDArray

from feldsher_signal import synth_beats, synth_dipole, synth_noise
from feldsher_signal.record import Recording
from feldsher_signal.synth_beats import Event
from feldsher_signal.synth_dipole import EDGE, Form, Gauss, Region
from feldsher_signal.synth_noise import Noise

__all__ = [
    "ELECTRODES",
    "PRESETS",
    "RAIL_UV",
    "Electrode",
    "Form",
    "Noise",
    "Patient",
    "Region",
    "Rhythm",
    "Truth",
    "ecg",
    "leads_off",
    "qrs_ms",
    "qt_ms",
]

Rhythm = Literal[
    "sinus",
    "atrial_fibrillation",
    "atrial_flutter",
    "supraventricular_tachycardia",
    "ventricular_tachycardia",
    "junctional",
    "ventricular_escape",
    "second_degree_block_1",
    "second_degree_block_2",
    "third_degree_block",
    "paced",
    "paced_dual",
    "ventricular_fibrillation",
    "asystole",
]
Electrode = Literal["RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6"]
ELECTRODES: tuple[Electrode, ...] = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")

RAIL_UV = 32000.0
"""Where an electrode that is off comes to rest: the end of a 16-bit scale of 1 µV."""
_QRS_MS: dict[Form, float] = {"normal": 92, "LBBB": 152, "RBBB": 142, "ventricular": 150, "paced": 160}
_BEAT_AXIS: dict[Form, float] = {"ventricular": 105, "paced": -70}


@dataclass(frozen=True, slots=True)
class Patient:
    """What a synthetic heart does: rates per minute, times in ms, axes in degrees, amplitudes in mV.

    `rate`: of the atria in heart block, of the ventricles elsewhere; `breathing`: depth of sinus arrhythmia (0 to 0.3);
    `rr_sd`: spread of cycles as a part of their mean; `qrs`, `qt`: None = usual for conduction and rate (QT by
    Fridericia from `qtc`); `voltage` scales the QRS; `st`, `t`: shift of ST segment and T peak by region, in mV in that
    region's lead (synth_dipole.region); `pac`, `pvc`: chance that a beat is followed by an early one; `pvc_every`: 2 =
    bigeminy, 3 = trigeminy; `pvc_run`: ventricular beats in a row at `run_rate`; `exit_block`: sinus beats of which one
    is missing; `retrograde`: from a junctional QRS to the P wave behind it in ms, None = hidden in the QRS;
    `block_ratio`: P waves of which one is not conducted; `off`: electrodes that do not touch; `swapped`: two electrodes
    in each other's place.
    """

    rate: float = 70.0
    rhythm: Rhythm = "sinus"
    conduction: Form = "normal"
    rr_sd: float = 0.02
    breathing: float = 0.0
    pr: float = 160.0
    p_dur: float = 104.0
    qrs: float | None = None
    qt: float | None = None
    qtc: float = 405.0
    axis: float = 50.0
    p_axis: float = 55.0
    t_axis: float = 40.0
    voltage: float = 1.0
    t_mv: float = 0.30
    st: Mapping[Region, float] = field(default_factory=dict[Region, float])
    t: Mapping[Region, float] = field(default_factory=dict[Region, float])
    pac: float = 0.0
    pvc: float = 0.0
    pvc_every: int = 0
    pvc_run: int = 1
    run_rate: float = 150.0
    exit_block: int = 0
    retrograde: float | None = None
    block_ratio: int = 4
    escape_rate: float = 38.0
    atrial_rate: float = 300.0
    noise: Noise = field(default_factory=Noise)
    off: tuple[Electrode, ...] = ()
    swapped: tuple[Electrode, Electrode] | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What the equations say: beats and `global` waves in samples, all P peaks (conducted or not), pacing spikes.

    `measurements` hold what is the same in every beat that the sinus node (or the only focus) conducts; None elsewhere.
    """

    beats: tuple[Beat, ...]
    waves: tuple[Wave, ...]
    p_peaks: tuple[int, ...]
    spikes: tuple[int, ...]
    measurements: Measurements


def ecg(
    patient: Patient, seconds: float = 10.0, fs: float = 500.0, seed: int = 0, uv_per_bit: float = 1.0
) -> tuple[Recording, Truth]:
    """Return a 12-lead recording of `seconds` at `fs` and its truth; ValueError where nothing can be sampled."""
    n = round(seconds * fs)
    if n < 1 or uv_per_bit <= 0:
        raise ValueError(f"seconds, fs, uv_per_bit: {seconds} s at {fs}/s in {uv_per_bit} µV cannot be sampled")
    rng = np.random.default_rng([seed, 0])
    happened = synth_beats.events(patient, seconds, rng)
    heart = _heart(patient, happened, n, fs, rng)
    noise_rng = np.random.default_rng([seed, 1])
    microvolts = _leads(patient, synth_dipole.DOWER @ heart * 1000, n, fs, noise_rng)
    samples = np.rint(microvolts / uv_per_bit).astype(np.int32)
    recording = Recording(STANDARD_LEADS, fs, samples, (uv_per_bit,) * 12, (0,) * 12)
    return recording, _truth(patient, happened, n, fs)


def qt_ms(patient: Patient) -> float:
    """Return the QT interval of the patient's own beats."""
    if patient.qt is not None:
        return patient.qt
    wide = max(0.0, qrs_ms(patient, patient.conduction) - 100)
    # Fridericia 1920: QT = QTc · (RR / 1 s)^(1/3). A wide QRS prolongs it by half of its excess.
    return patient.qtc * (60 / _ventricular_rate(patient)) ** (1 / 3) + wide / 2


def qrs_ms(patient: Patient, form: Form) -> float:
    """Return the QRS duration of a beat."""
    return patient.qrs if patient.qrs is not None and form == patient.conduction else _QRS_MS[form]


def _ventricular_rate(patient: Patient) -> float:
    return patient.escape_rate if patient.rhythm == "third_degree_block" else patient.rate


def _waves_of(patient: Patient, event: Event) -> tuple[list[Gauss], float | None, float | None]:
    """Return the Gaussians of an event and the times (s) of its T peak and T end."""
    out: list[Gauss] = []
    if event.p is not None:
        axis = -70.0 if event.ectopic else patient.p_axis
        duration = patient.p_dur / 1000 * (0.8 if event.ectopic else 1)
        out += synth_dipole.p_wave(event.p, duration, axis, 1.0)
    if event.qrs is None:
        return out, None, None
    axis = _BEAT_AXIS.get(event.form, patient.axis)
    duration = qrs_ms(patient, event.form) / 1000
    out += synth_dipole.qrs(event.form, event.qrs, duration, axis, patient.voltage)
    extra = max(0.0, qrs_ms(patient, event.form) - qrs_ms(patient, patient.conduction)) / 2000
    qt = qt_ms(patient) / 1000 + extra
    fall = 0.25 * qt
    rise = min(1.4 * fall, qt - fall - duration)
    amplitude = synth_dipole.repolarisation(event.form, axis)
    if amplitude is None:
        amplitude = synth_dipole.vector(patient.t_mv, patient.t_axis, -0.5 * patient.t_mv)
    for name, millivolts in patient.t.items():
        amplitude = amplitude + synth_dipole.region(name, millivolts)
    peak = event.qrs + qt - fall
    out.append(synth_dipole.t_wave(peak, rise, fall, amplitude))
    return out, peak, event.qrs + qt


def _heart(patient: Patient, happened: list[Event], n: int, fs: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the heart vector (3, n) in mV."""
    t = np.arange(n) / fs
    heart = np.zeros((3, n))
    shift = sum((synth_dipole.region(name, mv) for name, mv in patient.st.items()), start=np.zeros(3))
    for event in happened:
        gaussians, t_peak, _ = _waves_of(patient, event)
        for gauss in gaussians:
            window = _window(gauss.centre - 6 * gauss.before, gauss.centre + 6 * gauss.after, n, fs)
            heart[:, window] += gauss.at(t[window])
        if event.qrs is not None and t_peak is not None and shift.any():
            j = event.qrs + qrs_ms(patient, event.form) / 1000
            window = _window(j - 0.1, t_peak + 0.3, n, fs)
            heart[:, window] += synth_dipole.plateau(t[window], j, t_peak, shift)
        for spike in event.spikes:
            if 0 <= round(spike * fs) < n:
                heart[:, round(spike * fs)] += synth_dipole.vector(2.5, -70, 0.8)
    return heart + _atrial(patient, happened, t, rng)


def _window(start: float, end: float, n: int, fs: float) -> slice:
    return slice(min(n, max(0, math.floor(start * fs))), min(n, max(0, math.ceil(end * fs))))


def _atrial(
    patient: Patient, happened: list[Event], t: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return what goes on without beats: fibrillation and flutter waves (Stridh and Sörnmo), else nothing."""
    if patient.rhythm == "atrial_fibrillation":
        # About 6/s, its frequency and size changing slowly: best seen in V1.
        phase = 2 * math.pi * 6.0 * t + 1.5 * np.sin(2 * math.pi * 0.21 * t + float(rng.uniform(0, 6)))
        size = 0.055 * (1 + 0.4 * np.sin(2 * math.pi * 0.37 * t + float(rng.uniform(0, 6))))
        return synth_dipole.vector(0.8, 115, -0.6)[:, None] * (size * _sawtooth(phase, 3))
    if patient.rhythm == "atrial_flutter":
        first = next((event.qrs for event in happened if event.qrs is not None), 0.0)
        phase = 2 * math.pi * patient.atrial_rate / 60 * (t - first)
        return synth_dipole.vector(0.22, -90, -0.06)[:, None] * _sawtooth(phase, 5)
    if patient.rhythm == "ventricular_fibrillation":
        drift = [4.0 + 3.0 * float(rng.random()) for _ in range(9)]
        waves = [np.sin(2 * math.pi * f * t + float(rng.uniform(0, 6))) for f in drift]
        return 0.22 * np.stack([waves[0] + waves[1] + waves[2], sum(waves[3:6]), sum(waves[6:9])])
    return np.zeros((3, t.size))


def _sawtooth(phase: NDArray[np.float64], harmonics: int) -> NDArray[np.float64]:
    return np.asarray(sum(np.sin(k * phase) / k for k in range(1, harmonics + 1)))


def _leads(
    patient: Patient, eight: NDArray[np.float64], n: int, fs: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return twelve leads (12, n) in µV from I, II, V1 … V6, by way of nine electrodes with their noise and faults."""
    right = -(eight[0] + eight[1]) / 3
    potential = np.concatenate([np.stack([right, right + eight[0], right + eight[1]]), eight[2:]])
    potential += synth_noise.electrodes(patient.noise, len(ELECTRODES), n, fs, rng)
    if patient.swapped is not None:
        a, b = (ELECTRODES.index(name) for name in patient.swapped)
        potential[[a, b]] = potential[[b, a]]
    ra, la, ll = potential[:3]
    centre = (ra + la + ll) / 3
    limb = [la - ra, ll - ra, ll - la, ra - (la + ll) / 2, la - (ra + ll) / 2, ll - (ra + la) / 2]
    leads = np.concatenate([np.stack(limb), potential[3:] - centre])
    for row, name in enumerate(STANDARD_LEADS):
        if name in leads_off(patient):
            leads[row] = RAIL_UV
    return leads


def leads_off(patient: Patient) -> tuple[str, ...]:
    """Return the leads that the patient's loose electrodes take away."""
    limb = {"I": "RA LA", "II": "RA LL", "III": "LA LL"}
    off = set(patient.off)
    return tuple(name for name in STANDARD_LEADS if off & {name, *limb.get(name, "RA LA LL").split()})


def _truth(patient: Patient, happened: list[Event], n: int, fs: float) -> Truth:
    inside = [event for event in happened if event.qrs is not None and 0 <= _r(patient, event, fs) < n]
    inside.sort(key=lambda event: _r(patient, event, fs))
    beats = tuple(Beat(_r(patient, event, fs), event.kind) for event in inside)
    p_peaks = sorted(round((event.p + _p_dur(patient, event) / 2) * fs) for event in happened if event.p is not None)
    spikes = sorted(round(spike * fs) for event in happened for spike in event.spikes)
    return Truth(
        beats=beats,
        waves=tuple(_wave(patient, index, event, n, fs) for index, event in enumerate(inside)),
        p_peaks=tuple(each for each in p_peaks if 0 <= each < n),
        spikes=tuple(each for each in spikes if 0 <= each < n),
        measurements=_measurements(patient, beats, fs),
    )


def _p_dur(patient: Patient, event: Event) -> float:
    return patient.p_dur / 1000 * (0.8 if event.ectopic else 1)


def _r(patient: Patient, event: Event, fs: float) -> int:
    """Return the sample at which the QRS vector is longest."""
    axis = _BEAT_AXIS.get(event.form, patient.axis)
    after = synth_dipole.r_after(event.form, qrs_ms(patient, event.form) / 1000, axis)
    return round(((event.qrs or 0.0) + after) * fs)


def _wave(patient: Patient, index: int, event: Event, n: int, fs: float) -> Wave:
    def sample(seconds: float | None) -> int | None:
        at = -1 if seconds is None else round(seconds * fs)
        return at if 0 <= at < n else None

    gaussians, t_peak, t_off = _waves_of(patient, event)
    onset = event.qrs or 0.0
    end = onset + qrs_ms(patient, event.form) / 1000
    last = gaussians[-1]
    p = event.p
    return Wave(
        beat=index,
        lead="global",
        p_on=sample(p),
        p_peak=sample(None if p is None else p + _p_dur(patient, event) / 2),
        p_off=sample(None if p is None else p + _p_dur(patient, event)),
        qrs_on=sample(onset),
        r=_r(patient, event, fs),
        qrs_off=sample(end),
        t_on=sample(max(end, last.centre - EDGE * last.before)),
        t_peak=sample(t_peak),
        t_off=sample(t_off),
    )


def _measurements(patient: Patient, beats: tuple[Beat, ...], fs: float) -> Measurements:
    only: dict[str, Form] = dict.fromkeys(
        ("ventricular_tachycardia", "third_degree_block", "ventricular_escape"), "ventricular"
    )
    form = only.get(patient.rhythm, "paced" if patient.rhythm.startswith("paced") else patient.conduction)
    constant_pr = patient.rhythm in {"sinus", "second_degree_block_2", "paced_dual"}
    has_p = constant_pr or patient.rhythm in {"second_degree_block_1", "third_degree_block"}
    if not beats:
        return Measurements()
    extra = max(0.0, qrs_ms(patient, form) - qrs_ms(patient, patient.conduction)) / 2
    rr = [(b.r - a.r) / fs for a, b in itertools.pairwise(beats)]
    return Measurements(
        rate=60 * len(rr) / sum(rr) if rr else None,
        pr=patient.pr if constant_pr else None,
        p_dur=patient.p_dur if has_p else None,
        qrs=qrs_ms(patient, form),
        qt=qt_ms(patient) + extra,
        axis_qrs=_BEAT_AXIS.get(form, patient.axis),
        axis_p=patient.p_axis if has_p else None,
    )


PRESETS: Mapping[str, Patient] = {
    "normal": Patient(noise=Noise(baseline=30)),
    "bradycardia": Patient(rate=44),
    "tachycardia": Patient(rate=128, pr=130),
    "sinus_arrhythmia": Patient(rate=66, breathing=0.14),
    "atrial_fibrillation": Patient(rate=92, rhythm="atrial_fibrillation"),
    "atrial_flutter": Patient(rate=75, rhythm="atrial_flutter"),
    "supraventricular_tachycardia": Patient(rate=188, rhythm="supraventricular_tachycardia"),
    "ventricular_tachycardia": Patient(rate=172, rhythm="ventricular_tachycardia", rr_sd=0.01),
    "ventricular_fibrillation": Patient(rhythm="ventricular_fibrillation"),
    "asystole": Patient(rhythm="asystole"),
    "ectopic_atrial": Patient(rate=66, pr=134, p_axis=-82),
    "junctional": Patient(rate=47, rhythm="junctional"),
    "accelerated_junctional": Patient(rate=84, rhythm="junctional", retrograde=130),
    "ventricular_escape": Patient(rate=33, rhythm="ventricular_escape"),
    "sinus_pause": Patient(rate=52, exit_block=6),
    "atrial_ectopy": Patient(pac=0.2),
    "ventricular_ectopy": Patient(pvc=0.15),
    "bigeminy": Patient(rate=76, pvc_every=2),
    "trigeminy": Patient(rate=76, pvc_every=3),
    "ventricular_couplets": Patient(rate=72, pvc_every=6, pvc_run=2),
    "ventricular_runs": Patient(rate=72, pvc_every=7, pvc_run=5),
    "idioventricular_run": Patient(rate=62, pvc_every=5, pvc_run=5, run_rate=74),
    "first_degree_block": Patient(pr=248, rate=64),
    "second_degree_block_1": Patient(rate=72, rhythm="second_degree_block_1"),
    "second_degree_block_2": Patient(rate=78, rhythm="second_degree_block_2"),
    "second_degree_block_2_1": Patient(rate=84, rhythm="second_degree_block_2", block_ratio=2),
    "third_degree_block": Patient(rate=82, rhythm="third_degree_block"),
    "lbbb": Patient(conduction="LBBB", axis=-15, rate=72),
    "rbbb": Patient(conduction="RBBB", axis=60, rate=68),
    "paced": Patient(rate=60, rhythm="paced"),
    "paced_dual": Patient(rate=70, rhythm="paced_dual"),
    "anterior_stemi": Patient(rate=92, st={"anterior": 0.35}, t={"anterior": 0.3}),
    "inferior_stemi": Patient(rate=58, st={"inferior": 0.28}, t={"inferior": 0.2}),
    "st_depression": Patient(rate=96, st={"lateral": -0.16}),
    "t_inversion": Patient(t={"anterior": -0.7}),
    "long_qt": Patient(qtc=510, rate=62),
    "left_axis": Patient(axis=-48),
    "right_axis": Patient(axis=118),
    "low_voltage": Patient(voltage=0.3, t_mv=0.1),
    "high_voltage": Patient(voltage=2.2, axis=10),
    "noisy": Patient(noise=Noise(white=6, baseline=250, mains=40, muscle=35, motion=600)),
    "lead_off": Patient(off=("V3",)),
    "limb_off": Patient(off=("LA",)),
    "limbs_swapped": Patient(swapped=("RA", "LA")),
}
"""Patients by name, for the demo and the command line."""
