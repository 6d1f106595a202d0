"""Writer of HL7 Annotated ECG (ANSI/HL7 V3 ECG R1-2004, PORT_MT020001): one rhythm series, one sequence per lead.

Nothing of a person is written but age and sex where they are wanted; identifiers are made from the samples alone, so
that the same recording has the same ones. Lossless: digits are the samples, scale is their microvolts.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

import numpy as np

from feldsher_signal import codec
from feldsher_signal.formats.complete import complete
from feldsher_signal.formats.content import Content, Filters
from feldsher_signal.record import Recording

_MDC = 'codeSystem="2.16.840.1.113883.6.24" codeSystemName="MDC"'
_ACT = 'codeSystem="2.16.840.1.113883.5.4" codeSystemName="ActCode"'
_CPT = 'codeSystem="2.16.840.1.113883.6.12" codeSystemName="CPT-4"'
_LOINC = 'codeSystem="2.16.840.1.113883.6.1" codeSystemName="LOINC"'
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:schemaLocation="urn:hl7-org:v3 ../schema/PORT_MT020001.xsd" type="Observation">'
)
_GENDER = {"male": "M", "female": "F"}
_CODED = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9")
LEADS = {name: name.upper() for name in (*_CODED, "V3R", "V4R", "V5R", "V6R", "X", "Y", "Z")}
"""The leads with a code of ISO/IEEE 11073-10102 (`MDC_ECG_LEAD_…`); any other is written as `CONFIG`, unspecified."""


def dumps(held: Content, when: datetime | None = None) -> bytes:
    """Return the recording as an aECG document; ValueError where a sample in between is missing."""
    recording = complete(held.recording, "HL7 aECG")
    token = codec.sha256(recording.samples).hex() + repr(recording.fs)
    period = _period(recording, when)
    lines = [
        _HEAD,
        f'<id root="{uuid.uuid5(uuid.NAMESPACE_OID, token)}"/><code code="93000" {_CPT}/>{period}',
        _subject(held, token),
        f'<component><series><id root="{uuid.uuid5(uuid.NAMESPACE_OID, f"{token} series")}"/>',
        f'<code code="RHYTHM" {_ACT}/>{period}',
        *_filters(held.filters),
        "<component><sequenceSet>",
        _time(recording, when),
        *(_lead(recording, row) for row in range(len(recording.leads))),
        "</sequenceSet></component></series></component></AnnotatedECG>\n",
    ]
    return "\n".join(lines).encode()


def _period(recording: Recording, when: datetime | None) -> str:
    """Return from when to when was recorded; the schema demands the element, so an unknown time is said to be so."""
    if when is None:
        return '<effectiveTime><low nullFlavor="UNK"/><high nullFlavor="UNK"/></effectiveTime>'
    low, high = _stamp(when), _stamp(when + timedelta(seconds=recording.n / recording.fs))
    return f'<effectiveTime><low value="{low}"/><high value="{high}"/></effectiveTime>'


def _stamp(when: datetime) -> str:
    return f"{when:%Y%m%d%H%M%S}.{when.microsecond // 1000:03d}"


def _subject(held: Content, token: str) -> str:
    """Return the subject under a pseudonym with the sex, and the age as a related observation (LOINC 21612-7)."""
    gender = _GENDER.get(held.subject.sex)
    sex = f'<administrativeGenderCode code="{gender}" codeSystem="2.16.840.1.113883.5.1"/>' if gender else ""
    person = f"<subjectDemographicPerson>{sex}</subjectDemographicPerson>" if sex else ""
    subject = f'<trialSubject><id root="{uuid.uuid5(uuid.NAMESPACE_OID, f"{token} subject")}"/>{person}</trialSubject>'
    trial = f'<clinicalTrial><id root="{uuid.uuid5(uuid.NAMESPACE_OID, f"{token} trial")}"/></clinicalTrial>'
    assigned = f"<subject>{subject}</subject><componentOf>{trial}</componentOf>"
    event = (
        f"<timepointEvent><componentOf><subjectAssignment>{assigned}</subjectAssignment></componentOf></timepointEvent>"
    )
    age = (
        ""
        if held.subject.age is None
        else (
            f'<controlVariable><relatedObservation><code code="21612-7" {_LOINC} displayName="Reported Age"/>'
            f'<value xsi:type="PQ" value="{held.subject.age}" unit="a"/></relatedObservation></controlVariable>'
        )
    )
    return f"<componentOf>{event}</componentOf>{age}"


def _filters(filters: Filters) -> list[str]:
    """Return the filters that had been applied as control variables."""
    known = (
        ("FILTER_HIGH_PASS", "FILTER_CUTOFF_FREQ", filters.highpass),
        ("FILTER_LOW_PASS", "FILTER_CUTOFF_FREQ", filters.lowpass),
        ("FILTER_NOTCH", "FILTER_NOTCH_FREQ", filters.notch),
    )
    return [
        f'<controlVariable><controlVariable><code code="MDC_ECG_CTL_VBL_ATTR_{kind}" {_MDC}/>'
        "<component><controlVariable>"
        f'<code code="MDC_ECG_CTL_VBL_ATTR_{what}" {_MDC}/><value xsi:type="PQ" value="{hertz!r}" unit="Hz"/>'
        "</controlVariable></component></controlVariable></controlVariable>"
        for kind, what, hertz in known
        if hertz is not None
    ]


def _time(recording: Recording, when: datetime | None) -> str:
    """Return the sequence of times, relative where it is not known when they were."""
    code, kind = ("TIME_RELATIVE", "GLIST_PQ") if when is None else ("TIME_ABSOLUTE", "GLIST_TS")
    head = '<head value="0" unit="s"/>' if when is None else f'<head value="{_stamp(when)}"/>'
    step = f'<increment value="{1 / recording.fs!r}" unit="s"/>'
    value = f'<value xsi:type="{kind}">{head}{step}</value>'
    return f'<component><sequence><code code="{code}" {_ACT}/>{value}</sequence></component>'


def _lead(recording: Recording, row: int) -> str:
    units = recording.samples[row].astype(np.int64) - (recording.baseline[row] if recording.baseline else 0)
    code = LEADS.get(recording.leads[row], "CONFIG")
    return (
        f'<component><sequence><code code="MDC_ECG_LEAD_{code}" {_MDC}/><value xsi:type="SLIST_PQ">'
        f'<origin value="0" unit="uV"/><scale value="{recording.uv_per_bit[row]!r}" unit="uV"/>'
        f"<digits>{' '.join(map(str, units.tolist()))}</digits></value></sequence></component>"
    )
