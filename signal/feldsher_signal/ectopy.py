"""Early beats and their company: single, in pairs, in runs, every second, every third."""

from __future__ import annotations

import re
from dataclasses import dataclass

from feldsher_signal.findings import Findings, Verdict, noisy
from feldsher_signal.stretch import stretches

RUN_BEATS, LONG_BEATS = 3, 6
"""A run is of three beats, a long one of six and more: EC57 (couplets, short and long runs)."""
VT_RATE, SUSTAINED_S = 100.0, 30.0
"""Ventricular tachycardia: three and more beats in a row over 100/min, sustained from 30 s: AHA/ACC/HRS 2017."""
ALARM_BEATS, ALARM_RATE = 4, 110.0
"""Alarmed from so many beats and so fast: shorter and slower ones are stated only (house rule)."""
IDIO_RATE = 40.0
"""An idioventricular rhythm is accelerated from 40/min (to 100): AHA/ACC/HRS 2007 part II (Mason)."""
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Beats `first` … `last` − 1 of one class in a row, at `rate` per minute."""

    first: int
    last: int
    rate: float

    @property
    def beats(self) -> int:
        """How many beats it is of."""
        return self.last - self.first


def runs(f: Findings, kind: str, fewest: int = RUN_BEATS) -> list[Run]:
    """Return the runs of at least `fewest` beats of one class; each rate with the interval that leads into the run."""
    out: list[Run] = []
    for a, b in stretches(f.letters == ord(kind)):
        if b - a >= fewest:
            out.append(Run(a, b, 60.0 * f.fs * (b - a - 1) / float(f.r[b - 1] - f.r[a])))
    return out


def patterns(kinds: str, cycle: int) -> list[tuple[int, int]]:
    """Return the stretches of beats in which every `cycle`-th is early, three times and more, all of one class."""
    normal = "N" * (cycle - 1)
    found = [m for kind in "VS" for m in re.finditer(f"(?:{normal}{kind}){{{_FEWEST},}}", kinds)]
    return sorted((m.start(), m.end()) for m in found)


def judge(f: Findings) -> list[Verdict]:
    """Return the verdicts on early beats."""
    v, s = f.kinds.count("V"), f.kinds.count("S")
    seconds = f.samples / f.fs
    text = "".join(f.kinds)
    two, three = patterns(text, 2), patterns(text, 3)
    early = (f"{v} early wide beats in {seconds:.0f} s",)
    return [
        Verdict("PVC", 1 - 0.5**v if v else 0.02, v > 0, early),
        Verdict("PAC", 1 - 0.6**s if s else 0.02, s > 0, (f"{s} early narrow beats in {seconds:.0f} s",)),
        _pattern("BIGU", "second", two),
        _pattern("TRIGU", "third", three),
        _pairs(f, text),
        _tachycardia(f),
        _idioventricular(f),
        _supraventricular(f),
    ]


def _pattern(code: str, which: str, found: list[tuple[int, int]]) -> Verdict:
    beats = sum(b - a for a, b in found)
    because = (f"every {which} beat is early in {len(found)} stretches of {beats} beats together",)
    return Verdict(code, min(1.0, 0.6 * len(found)), bool(found), because)


def _pairs(f: Findings, text: str) -> Verdict:
    """Return whether ventricular beats come in pairs."""
    count = len(re.findall("(?<!V)VV(?!V)", text))
    return Verdict("VPAIR", 0.8 if count else 0.0, count > 0, (f"{count} pairs of ventricular beats",))


def _tachycardia(f: Findings) -> Verdict:
    fast = [run for run in runs(f, "V") if run.rate > VT_RATE]
    if not fast:
        return Verdict("VTAC", 0.0)
    longest = max(fast, key=lambda run: run.beats)
    lasted = float(f.r[longest.last - 1] - f.r[longest.first]) / f.fs
    held = "sustained" if lasted >= SUSTAINED_S else "not sustained"
    because = (
        f"{longest.beats} ventricular beats in a row at {longest.rate:.0f}/min, {held} ({lasted:.1f} s)",
        f"{len(fast)} such runs" if len(fast) > 1 else "",
    )
    certainty = "probable" if longest.beats >= LONG_BEATS else "possible"
    alarmed = any(run.beats >= ALARM_BEATS and run.rate >= ALARM_RATE for run in fast)
    return Verdict("VTAC", 0.9, True, because, certainty, alarmed and not noisy(f))


def _idioventricular(f: Findings) -> Verdict:
    """Return whether the ventricles go on alone, no faster than 100/min: accelerated from 40."""
    slow = [run for run in runs(f, "V") if run.rate <= VT_RATE]
    if not slow:
        return Verdict("IVR", 0.0)
    longest = max(slow, key=lambda run: run.beats)
    name = "accelerated" if longest.rate >= IDIO_RATE else "slow"
    return Verdict(
        "IVR", 0.7, True, (f"{longest.beats} ventricular beats in a row at {longest.rate:.0f}/min, {name}",), "possible"
    )


def _supraventricular(f: Findings) -> Verdict:
    """Return whether supraventricular beats run three and more in a row over 100/min."""
    fast = [run for run in runs(f, "S") if run.rate > VT_RATE]
    if not fast:
        return Verdict("PSVT", 0.0)
    longest = max(fast, key=lambda run: run.beats)
    because = (f"{longest.beats} early narrow beats in a row at {longest.rate:.0f}/min, {len(fast)} such runs",)
    return Verdict("PSVT", 0.7, True, because, "possible")
