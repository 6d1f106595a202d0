"""A long recording's report in words and numbers, for the terminal and the page."""

from __future__ import annotations

from feldsher_ehr_core.ambulatory import Ambulatory, Ectopy, Event, EventKind

_NAMES: dict[EventKind, str] = {
    "pause": "Pause",
    "ventricular_tachycardia": "Ventricular tachycardia",
    "ventricular_run": "Ventricular run",
    "supraventricular_run": "Supraventricular run",
    "couplet": "Ventricular couplet",
    "bigeminy": "Bigeminy",
    "trigeminy": "Trigeminy",
    "fibrillation": "Atrial fibrillation",
    "fastest": "Fastest eight beats",
    "slowest": "Slowest eight beats",
}
ALARMING: tuple[EventKind, ...] = ("ventricular_tachycardia", "pause")
Block = tuple[str, list[tuple[str, str]]]
"""A heading and its rows of name and value."""


def clock(seconds: float) -> str:
    """Return a time from the recording's beginning as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def duration(seconds: float) -> str:
    """Return a length of time in the two largest units that it fills."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def event(event: Event, fs: float) -> str:
    """Return an event in words, when it was first."""
    words = f"{clock(event.start / fs)}  {_NAMES[event.kind]}"
    if event.kind in ("pause", "fibrillation"):
        return f"{words}, {duration((event.end - event.start) / fs)}"
    if event.kind not in ("fastest", "slowest"):
        words += f", {event.beats} beats"
    return words if event.rate is None else f"{words}, {event.rate:.0f}/min"


def _number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _ectopy(e: Ectopy) -> list[tuple[str, str]]:
    run = f"{e.longest_run} / {_number(e.fastest_run)}" if e.runs else "–"
    return [
        ("Beats", f"{e.beats} ({100 * e.part:.1f} %)"),
        ("Isolated / couplets", f"{e.isolated} / {e.couplets}"),
        ("Runs", f"{e.runs}"),
        ("Longest / fastest", run),
        ("Bi- / trigeminy", f"{e.bigeminy} / {e.trigeminy}"),
    ]


def blocks(report: Ambulatory) -> list[Block]:
    """Return the report's numbers in four blocks."""
    af, v = report.fibrillation, report.variability
    pause = f"{report.pauses}" + (f" ({report.longest_pause_s:.1f} s)" if report.longest_pause_s is not None else "")
    return [
        (
            "Beats and rate",
            [
                ("Judged", duration(report.judged_s)),
                ("Artefact", duration(report.artefact_s)),
                ("Beats", f"{report.beats.all}"),
                ("Rate mean", _number(report.rate_mean)),
                ("Rate least / greatest", f"{_number(report.rate_min)} / {_number(report.rate_max)}"),
                ("Pauses > 2 s (longest)", pause),
                ("Fibrillation", f"{100 * af.part:.1f} %"),
                ("Episodes/longest", f"{af.episodes} / {duration(af.longest_s)}"),
            ],
        ),
        ("Ventricular", _ectopy(report.ventricular)),
        ("Supraventricular", _ectopy(report.supraventricular)),
        (
            "Variability (normal beats)",
            [
                ("Mean NN / SDNN ms", f"{_number(v.mean_nn)} / {_number(v.sdnn)}"),
                ("SDANN / index ms", f"{_number(v.sdann)} / {_number(v.sdnn_index)}"),
                ("RMSSD ms / pNN50 %", f"{_number(v.rmssd)} / {_number(v.pnn50, 1)}"),
                ("Triangular index", _number(v.triangular, 1)),
                ("VLF ms²", _number(v.vlf)),
                ("LF / HF ms²", f"{_number(v.lf)} / {_number(v.hf)}"),
                ("LF/HF", _number(v.lf_hf, 2)),
                ("5-min segments", f"{v.segments}"),
            ],
        ),
    ]


def text(report: Ambulatory) -> str:
    """Return the report as lines for a terminal: conclusion, numbers, hours, events."""
    lines = [
        f"Ambulatory ECG, {duration(report.samples / report.fs)}, {', '.join(report.leads)}",
        report.conclusion,
        "",
    ]
    for heading, rows in blocks(report):
        lines.append(heading)
        lines += [f"  {name:24s} {value}" for name, value in rows]
    lines += ["", "  hour   beats  rate least mean greatest      V      S  AF min  pauses"]
    for hour in report.hours:
        rates = f"{_number(hour.rate_min):>10s} {_number(hour.rate_mean):>4s} {_number(hour.rate_max):>8s}"
        counts = f"{hour.beats.V:6d} {hour.beats.S:6d} {hour.af_s / 60:7.1f} {hour.pauses:7d}"
        lines.append(f"  {clock(hour.start)[:-3]:>5s} {hour.beats.all:7d} {rates} {counts}")
    lines += ["", "Events" if report.events else "No events"]
    lines += [f"  {event(each, report.fs)}" for each in report.events[:30]]
    more = len(report.events) - 30 + report.events_left
    return "\n".join([*lines, *([f"  … {more} more"] if more > 0 else [])])
