"""The page of a continuous ECG: its trace part by part, holes, report, signing; who sees it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api import assignment, db
from feldsher_cloud_api.project import common, stream
from feldsher_cloud_api.web.stream_routes import seconds
from feldsher_tools.clinic import belt_pieces

HOME, BELT = "gw-home", "C0:FF:EE:00:00:52"


def recorded(
    clinic: Any,
    now: datetime,
    length: float = 300.0,
    *,
    hole: bool = False,
    patient: str = "normal",
    ended: bool = True,
) -> UUID:
    """Anna's belt has recorded; returns the report's id."""
    identity, began = uuid4(), now - timedelta(seconds=length)
    with db.connect(clinic.url) as connection:
        belt = common.device(connection, HOME, BELT, now, kind="belt")
        assignment.assign(connection, belt, clinic.patient, now - timedelta(days=1))
    pieces = belt_pieces(identity, length, began, clinic.home.envelope, BELT, patient)
    for piece in pieces[:5] + pieces[9:] if hole else pieces:
        clinic.send(piece)
    if ended:
        with db.connect(clinic.url, db.WORKER) as connection:
            while stream.settle(connection, now, quiet_s=-60, demo=True) is not None:
                pass
    return identity


@pytest.mark.parametrize(
    ("text", "wanted"), [("75", 75), ("75.5", 75.5), ("1:02:05", 3725), ("62:05", 3725), ("x", 0), ("-1", 0), ("", 0)]
)
def test_places_are_typed_as_people_write_them(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


def test_the_patients_page_leads_to_it_and_it_shows_its_parts(clinic: Any, doctor: Any, now: datetime) -> None:
    identity = recorded(clinic, now)
    assert f'href="/stream/{identity}"' in doctor.get(f"/patient/{clinic.patient}")
    assert f'href="/stream/{identity}"' in doctor.get("/worklist")
    page = doctor.get(f"/stream/{identity}")
    for words in ("Continuous ECG", "UNCONFIRMED", "Beats", "Mean rate", "Fastest eight beats", "0:05:00 h"):
        assert words in page
    links = dict(re.findall(r'id="go-([a-z]+)" href="[^"]*at=([0-9.]+)&amp;for=10', page))
    assert links == {"first": "0.000", "earlier": "0.000", "later": "10.000", "last": "290.000"}
    page = doctor.get(f"/stream/{identity}?at=0:02:00&for=60")
    assert 'paper.svg?at=120.000&amp;for=60"' in page
    picture = doctor.get(f"/stream/{identity}/paper.svg?at=120&for=60")
    assert "0:02:00 + 60 s" in picture
    assert "UNCONFIRMED" in picture
    assert "<script" not in picture
    assert "at=290.000" in doctor.get(f"/stream/{identity}?at=99:00:00&for=7")
    assert doctor.client.get(f"/stream/{identity}/paper.png?at=5").content.startswith(b"\x89PNG")
    assert "Ambulatory electrocardiogram" in doctor.get(f"/stream/{identity}/report.svg")


def test_what_was_not_recorded_is_told(clinic: Any, doctor: Any, now: datetime) -> None:
    identity = recorded(clinic, now, hole=True)
    page = doctor.get(f"/stream/{identity}")
    assert "Not recorded in between: 40 s in 1 places" in page
    assert "0:00:50" in page
    empty = doctor.get(f"/stream/{identity}?at=60")
    assert "Nothing was recorded here." in empty
    assert "paper.svg" not in empty


def test_a_running_one_can_be_looked_at_and_evaluated(clinic: Any, doctor: Any, now: datetime) -> None:
    identity = recorded(clinic, now, 120, ended=False)
    page = doctor.get(f"/stream/{identity}")
    assert "still being recorded" in page
    assert "report.svg" not in page
    assert "Sign" not in re.sub(r"Sign(ed in| out)", "", page)
    assert "running" in doctor.get(f"/patient/{clinic.patient}")
    assert f"/stream/{identity}" not in doctor.get("/worklist")
    assert "Ambulatory electrocardiogram" in doctor.get(f"/stream/{identity}/now.svg")
    assert clinic.query("SELECT report FROM cloud.stream_report WHERE stream = %s", identity) == [(None,)]


def test_it_is_signed_as_others_are(clinic: Any, doctor: Any, now: datetime) -> None:
    identity = recorded(clinic, now, 120)
    page = doctor.get(f"/stream/{identity}")
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    form = {"version": version[1], "conclusion": "Sinus rhythm.", "password": clinic.password("doctor")}
    assert "Nothing was changed" not in doctor.post(
        f"/stream/{identity}/sign", **(form | {"conclusion": ""}), status=422
    )
    doctor.get(f"/stream/{identity}")
    assert "not right" in doctor.post(f"/stream/{identity}/sign", **(form | {"password": "wrong"}), status=422)
    doctor.get(f"/stream/{identity}")
    signed = doctor.post(f"/stream/{identity}/sign", **form)
    assert "Signed by" in signed
    assert "Sinus rhythm." in signed
    assert "UNCONFIRMED" not in doctor.get(f"/stream/{identity}/report.svg")


def test_the_patient_sees_it_others_do_not_and_every_look_is_on_record(
    clinic: Any, visitor: Any, now: datetime
) -> None:
    identity = recorded(clinic, now, 120)
    query = "SELECT count(*) FROM fhir.auditevent WHERE terms && ARRAY[fhir.term('entity=' || %s)]"
    before = clinic.query(query, f"DiagnosticReport/{identity}")[0][0]
    visitor.sign_in("anna").get(f"/stream/{identity}")
    visitor.get(f"/stream/{identity}/paper.svg")
    assert f"/stream/{identity}" in visitor.get("/me")
    assert clinic.query(query, f"DiagnosticReport/{identity}")[0][0] >= before + 3
    for name, status in (("boris", 404), ("technician", 403)):
        visitor.sign_out().sign_in(name)
        for path in ("", "/paper.svg", "/report.svg", "/now.svg"):
            visitor.get(f"/stream/{identity}{path}", status=status)
    visitor.sign_out().sign_in("doctor").get(f"/stream/{uuid4()}", status=404)
