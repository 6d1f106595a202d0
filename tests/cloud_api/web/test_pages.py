"""The pages through the real application and database: what each role sees, and what it cannot."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from feldsher_cloud_api.web import people, record
from feldsher_ehr_core import wire
from feldsher_ehr_core.ids import order_number
from msgspec.structs import replace

CUFF = "AA:BB:CC:00:11:22"


def ordered(clinic: Any, doctor: Any, **changes: str) -> UUID:
    """The doctor orders an ECG of Anna; returns the order's id."""
    doctor.get("/order")
    form = {
        "patient": str(clinic.patient),
        "device": clinic.seeded["cardiograph"],
        "indication": "Palpitations",
        "pacemaker": "no",
    }
    before = clinic.query("SELECT id FROM fhir.servicerequest")
    doctor.post("/order", **(form | changes))
    (new,) = set(clinic.query("SELECT id FROM fhir.servicerequest")) - set(before)
    return new[0]


def test_nobody_sees_anything_without_signing_in(visitor: Any) -> None:
    for path in ("/", "/worklist", "/patients", f"/patient/{uuid4()}", f"/ecg/{uuid4()}", "/me", "/fleet", "/order"):
        response = visitor.client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
        assert response.status_code == 303
        assert response.headers["location"] == "/login"


def test_wrong_password_says_so_and_keeps_the_name_out_of_the_address(visitor: Any) -> None:
    page = visitor.post("/login", username="doctor-who", password="not the password")
    assert "Account or password is not right" in page
    assert "doctor-who" not in str(visitor.client.cookies) + page


def test_lock_after_failures_is_told(clinic: Any, visitor: Any) -> None:
    page = ""
    for _ in range(6):
        page = visitor.post("/login", username="clara", password="wrong again")
    assert "Too many failed attempts" in page
    page = visitor.post("/login", username="clara", password=clinic.password("clara"))
    assert "Too many failed attempts" in page


@pytest.mark.parametrize(
    ("name", "home"), [("doctor", "/worklist"), ("anna", "/me"), ("technician", "/fleet"), ("manager", "/fleet")]
)
def test_each_role_has_its_first_page(clinic: Any, visitor: Any, name: str, home: str) -> None:
    visitor.post("/login", username=name, password=clinic.password(name))
    assert visitor.client.get("/", headers={"accept": "text/html"}).url.path == home


def test_who_signs_out_is_out(visitor: Any) -> None:
    kept = visitor.sign_in("doctor").client.cookies["feldsher_session"]
    assert "Sign in" in visitor.post("/logout")
    visitor.client.cookies.set("feldsher_session", kept)
    assert "You were signed out" in visitor.get("/worklist")


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        ("doctor", ["/me", "/fleet"]),
        ("anna", ["/worklist", "/worklist/rows", "/patients", "/order", "/fleet", "/patient/{patient}"]),
        ("technician", ["/worklist", "/patients", "/order", "/me", "/patient/{patient}", "/ecg/{ecg}"]),
    ],
)
def test_pages_of_other_roles_are_closed(clinic: Any, visitor: Any, name: str, closed: list[str]) -> None:
    ecg = clinic.recording()
    visitor.sign_in(name)
    for path in closed:
        page = visitor.get(path.format(patient=clinic.patient, ecg=ecg), status=403)
        assert "Your role does not open this page" in page


def test_another_patients_ecg_looks_as_if_it_did_not_exist(clinic: Any, visitor: Any) -> None:
    ecg = clinic.recording()  # belongs to nobody
    visitor.sign_in("boris")
    for path in (
        f"/ecg/{ecg}",
        f"/ecg/{ecg}/samples",
        f"/ecg/{ecg}/paper.svg",
        f"/ecg/{ecg}/paper.pdf",
        f"/ecg/{uuid4()}",
    ):
        assert "There is no such page" in visitor.get(path, status=404)


def test_every_page_carries_strict_headers(clinic: Any, doctor: Any) -> None:
    ecg = clinic.recording()
    for path in ("/worklist", "/order", "/patients", f"/patient/{clinic.patient}", f"/ecg/{ecg}", f"/ecg/{ecg}/print"):
        response = doctor.client.get(path, headers={"accept": "text/html"})
        assert response.headers["cache-control"] == "no-store"
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        inline = re.findall(r"<script(?![^>]*(?:src=|application/json))|\sstyle=|\son[a-z]+=", response.text)
        assert inline == [], path
        assert "https://" not in response.text
        assert "DEMO" in response.text


def test_static_files_are_kept_for_ever_under_an_address_of_their_content(visitor: Any) -> None:
    page = visitor.get("/login")
    css = re.search(r'href="(/static/[0-9a-f]{16}/site.css)"', page)
    assert css is not None
    response = visitor.client.get(css[1])
    assert response.status_code == 200
    assert "immutable" in response.headers["cache-control"]


@pytest.mark.parametrize(
    ("redirect", "allowed"),
    [
        ("http://127.0.0.1:9123/cb", "form-action 'self' http://127.0.0.1:9123;"),
        ("https://app.example/cb", "form-action 'self' https://app.example;"),
        ("https://a;script-src *", "form-action 'self';"),
        ("javascript:alert(1)", "form-action 'self';"),
    ],
)
def test_sign_in_may_lead_back_to_the_program_that_asked(visitor: Any, redirect: str, allowed: str) -> None:
    target = "/oauth/authorize?" + urlencode({"client_id": "demo-app", "redirect_uri": redirect})
    response = visitor.client.get(target)
    assert response.url.path == "/login"
    assert response.url.query in ("", b"")
    assert allowed in response.headers["content-security-policy"]
    assert html.escape(target) in response.text


def test_forms_without_the_sessions_token_are_refused(clinic: Any, doctor: Any) -> None:
    for path in ("/order", "/patients", "/logout", "/language", f"/ecg/{clinic.recording()}/sign"):
        response = doctor.client.post(path, data={"csrf": "forged"})
        assert response.status_code == 403, path


def test_language_is_chosen_by_the_browser_and_then_by_the_person(visitor: Any) -> None:
    assert "Вход" in visitor.get("/login", **{"accept-language": "ru"})
    visitor.get("/login")
    visitor.post("/language", language="ru", back="/login")
    assert "Учётная запись" in visitor.get("/login", **{"accept-language": "en"})
    assert (
        visitor.client.post("/language", data={"back": "//evil.example/"}, follow_redirects=False).headers["location"]
        == "/"
    )


def test_order_goes_to_the_gateway_and_onto_the_worklist(clinic: Any, doctor: Any) -> None:
    order = ordered(clinic, doctor, indication="Chest <pain>", pacemaker="yes")
    page = doctor.get("/worklist")
    assert "Chest &lt;pain&gt;" in page
    assert "sent to the gateway" in page
    (payload,) = clinic.query("SELECT payload FROM cloud.gateway_command WHERE order_id = %s", order)[0]
    assert b"Anna" not in bytes(payload)
    assert b"pacemaker" in bytes(payload)


def test_order_form_names_what_is_missing_and_keeps_what_was_given(clinic: Any, doctor: Any) -> None:
    doctor.get("/order")
    page = doctor.post("/order", status=422, patient=str(clinic.patient), device="", indication=" ", pacemaker="no")
    assert "Choose a cardiograph." in page
    assert "Give an indication" in page
    assert "Choose a patient." not in page
    assert re.search(rf'value="{clinic.patient}" selected', page)
    page = doctor.post("/order", status=422, patient=str(uuid4()), device=str(uuid4()), indication="x", pacemaker="no")
    assert "Choose a patient." in page


def test_a_taken_ecg_is_on_the_worklist_critical_first(clinic: Any, doctor: Any) -> None:
    routine = clinic.recording(order=ordered(clinic, doctor), critical=False)
    critical = clinic.recording(order=ordered(clinic, doctor), critical=True)
    page = doctor.get("/worklist")
    assert page.index(f"/ecg/{critical}") < page.index(f"/ecg/{routine}")
    assert "CRITICAL" in page
    assert "Third-degree AV block" in page


def test_a_long_worklist_shows_critical_ecgs_first_and_says_what_is_not_on_the_page(
    clinic: Any, doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.execute("TRUNCATE fhir.diagnosticreport, fhir.diagnosticreport_history")
    monkeypatch.setattr(record, "PAGE", 2)
    taken = [clinic.recording(critical=False) for _ in range(5)] + [clinic.recording(critical=True) for _ in range(3)]
    page, seen, left = doctor.get("/worklist"), list[list[str]](), list[str]()
    while True:
        assert "8 ECGs wait for confirmation" in page
        assert "3 critical" in page
        seen.append(re.findall(r'class="button" id="e-([0-9a-f-]{36})"', page))
        said = re.search(r"<strong>(\d+) more ECGs? wait", page)
        following = re.search(r'id="worklist-next" href="(/worklist\?after=[\w=-]+)"', page)
        if following is None:
            break
        assert said is not None
        left.append(said[1])
        rows = doctor.client.get(following[1].replace("?", "/rows?"), headers={"x-shown-version": "old"})
        page = doctor.get(following[1])
        assert re.findall(r'id="e-([0-9a-f-]{36})"', rows.text) == re.findall(r'id="e-([0-9a-f-]{36})"', page)
    order = [str(i) for i in taken[5:] + taken[:5]]
    assert seen == [order[:2], order[2:5], order[5:7], order[7:]]
    assert left == ["6", "3", "1"]
    assert "There is no such page" in doctor.get("/worklist?after=forged", status=400)


def test_rows_are_sent_again_only_when_they_have_changed(clinic: Any, doctor: Any) -> None:
    version = re.search(r'data-version="(\w+)"', doctor.get("/worklist"))
    assert version is not None
    looked = clinic.query("SELECT count(*) FROM fhir.auditevent")
    same = doctor.client.get("/worklist/rows", headers={"x-shown-version": version[1]})
    assert same.status_code == 204
    assert clinic.query("SELECT count(*) FROM fhir.auditevent") == looked
    ecg = clinic.recording(order=ordered(clinic, doctor))
    changed = doctor.client.get("/worklist/rows", headers={"x-shown-version": version[1]})
    assert changed.status_code == 200
    assert str(ecg) in changed.text
    assert clinic.query("SELECT count(*) FROM fhir.auditevent") > looked


def test_ecg_page_says_unconfirmed_and_what_was_not_judged_before_any_finding(clinic: Any, doctor: Any) -> None:
    page = doctor.get(f"/ecg/{clinic.recording(order=ordered(clinic, doctor))}")
    at = [
        page.index(text)
        for text in ("UNCONFIRMED", "What could not be judged", "V3: flat line", "Statements", "75 per minute")
    ]
    assert at == sorted(at)
    assert "Palpitations" in page
    assert "QRS axis" in page
    assert "not measurable" in page


def test_ecg_page_says_where_another_cardiographs_recording_came_from_and_what_is_doubted(
    clinic: Any, doctor: Any
) -> None:
    order = ordered(clinic, doctor)
    doubt = "it does not say when it was recorded: dated by its arrival"
    origin = wire.Origin(
        "folder", "SCP-ECG", bytes(range(32)), 61_338, 1_000_000, None, "Mortara", "ELI <250>", doubts=(doubt,)
    )
    page = doctor.get(f"/ecg/{clinic.recording(order=order, origin=origin)}")
    assert "SCP-ECG file of another cardiograph <b>Mortara ELI &lt;250&gt;" in page
    assert bytes(range(32)).hex() in page
    assert page.index(f"Not certain: {doubt}") < page.index("Statements")


def test_an_order_on_the_worklist_has_its_number_for_the_cardiograph(clinic: Any, doctor: Any) -> None:
    number = order_number(ordered(clinic, doctor))
    assert f"number for the cardiograph {number[:4]}-{number[4:]}" in doctor.get("/worklist")


def test_samples_are_those_of_the_recording(clinic: Any, doctor: Any) -> None:
    response = doctor.client.get(f"/ecg/{clinic.recording()}/samples")
    assert response.headers["content-type"] == "application/octet-stream"
    assert len(response.content) == 12 * 5000 * 4


def test_signing_needs_the_password_and_the_version_that_was_shown(clinic: Any, doctor: Any) -> None:
    ecg = clinic.recording(order=ordered(clinic, doctor))
    page = doctor.get(f"/ecg/{ecg}")
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version is not None
    assert re.search(r'class="mono">[0-9a-f]{64}<', page)
    form = {"version": version[1], "conclusion": "AV block III, my words", "password": "wrong"}
    page = doctor.post(f"/ecg/{ecg}/sign", status=422, **form)
    assert "The password is not right" in page
    assert "AV block III, my words" in page
    page = doctor.post(
        f"/ecg/{ecg}/sign", status=422, **(form | {"password": clinic.password("doctor"), "version": "9"})
    )
    assert "The report changed while you read it" in page
    page = doctor.post(f"/ecg/{ecg}/sign", status=422, **(form | {"conclusion": "  "}))
    assert "A conclusion is needed" in page
    assert clinic.query("SELECT count(*) FROM cloud.signature WHERE report = %s", ecg) == [(0,)]


def test_a_signed_ecg_is_signed_everywhere(clinic: Any, doctor: Any) -> None:
    ecg = clinic.recording(order=ordered(clinic, doctor))
    version = re.search(r'name="version" value="(\d+)"', doctor.get(f"/ecg/{ecg}"))
    assert version is not None
    form = {"version": version[1], "conclusion": "AV block III, my words", "password": clinic.password("doctor")}
    page = doctor.post(f"/ecg/{ecg}/sign", **form)
    assert "Signed by DEMO Doctor at 23 Nov 2026, 09:00 UTC" in page
    assert "UNCONFIRMED" not in page
    assert "Sign…" not in page
    assert "AV block III, my words" in page
    assert "not signed: replaced by the doctor" in page
    assert "CRITICAL" not in page
    assert "Machine's text, before the doctor" in html.unescape(page)
    assert str(ecg) not in doctor.get("/worklist")
    svg = doctor.get(f"/ecg/{ecg}/paper.svg")
    assert "UNCONFIRMED" not in svg
    assert "DEMO Doctor" in svg
    assert "UNCONFIRMED" not in doctor.get(f"/ecg/{ecg}/print")
    pdf = doctor.client.get(f"/ecg/{ecg}/paper.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.content.startswith(b"%PDF-1.4")
    assert pdf.headers["cache-control"] == "no-store"
    assert doctor.client.get(f"/ecg/{ecg}/paper.gif").status_code == 422


def test_a_doctor_who_agrees_signs_the_statements_and_no_word_unconfirmed_is_left(clinic: Any, doctor: Any) -> None:
    ecg = clinic.recording(order=ordered(clinic, doctor))
    page = doctor.get(f"/ecg/{ecg}")
    draft = re.search(r'<textarea id="conclusion"[^>]*>([^<]*)</textarea>', page)
    assert draft is not None
    assert "Sinus rhythm; third-degree AV block" in draft[1]
    words = html.unescape(draft[1]).replace("\n", "\r\n")
    page = doctor.post(f"/ecg/{ecg}/sign", version="1", conclusion=words, password=clinic.password("doctor"))
    assert "not signed: replaced" not in page
    assert "CRITICAL FINDING" in page
    (content,) = clinic.query("SELECT content FROM fhir.diagnosticreport WHERE id = %s", ecg)[0]
    assert [c["coding"][0]["code"] for c in content["conclusionCode"]] == ["SR", "3AVB", "X-OWN"]


def test_a_patient_reads_their_own_ecg_but_cannot_sign(clinic: Any, doctor: Any) -> None:
    ecg = clinic.recording(order=ordered(clinic, doctor))
    anna = doctor.sign_out().sign_in("anna")
    portal = anna.get("/me")
    assert f"/ecg/{ecg}" in portal
    assert "unconfirmed" in portal
    page = anna.get(f"/ecg/{ecg}")
    assert "UNCONFIRMED" in page
    assert "Sign…" not in page
    anna.post(f"/ecg/{ecg}/sign", status=403, version="1", conclusion="fine", password=clinic.password("anna"))


def test_a_patient_sees_who_looked(clinic: Any, doctor: Any) -> None:
    doctor.get(f"/patient/{clinic.patient}")
    page = doctor.sign_out().sign_in("anna").get("/me")
    looked = html.unescape(page[page.index("Who looked at this record") :])
    assert "DEMO Doctor" in looked
    assert "doctor" in looked


def test_readings_are_in_chart_and_table(clinic: Any, doctor: Any) -> None:
    clinic.pressure()
    rows = clinic.query(
        "SELECT value::int FROM vital_sign WHERE code IN (150021, 150022, 149546) ORDER BY time DESC, code LIMIT 3"
    )
    pulse, systolic, diastolic = (r[0] for r in rows)
    page = doctor.get(f"/patient/{clinic.patient}")
    row = rf'"Systolic, mmHg">{systolic}</td>.*"Diastolic, mmHg">{diastolic}</td>.*"Pulse, 1/min">{pulse}</td>'
    assert re.search(row, page)
    assert f"{systolic}.0" in page[page.index("trend-data") :]
    assert "no target band" in page
    assert f"{systolic}/{diastolic}" in doctor.get("/worklist")


def test_kilopascals_are_shown_as_mmhg_with_what_was_sent_beside_them(clinic: Any, doctor: Any) -> None:
    message = clinic.home.pressure(1, CUFF)
    assert message.code == (150021, 150022, 150023, 149546)
    clinic.send(replace(message, value=("17.6", "11.3", "13.4", "71"), unit=("kPa", "kPa", "kPa", "/min")))
    page = doctor.get(f"/patient/{clinic.patient}")
    row = r'"Systolic, mmHg">132.0</td>.*"Diastolic, mmHg">84.8</td>.*"Pulse, 1/min">71</td>.*"Note">'
    assert re.search(row + r"17.6/11.3/13.4 kPa as sent</td>", page)
    worklist = doctor.get("/worklist")
    assert re.search(r'132.0/84.8 <span class="soft small">17.6/11.3/13.4 kPa as sent</span>', worklist)


def test_a_reading_of_a_wrong_clock_stands_at_its_corrected_time(clinic: Any, doctor: Any) -> None:
    message = clinic.home.pressure(1, CUFF)
    n = len(message.code)
    late = replace(
        message,
        sent_at=("2026-10-01T08:00:00",) * n,
        time_us=(1_790_841_600_000_000,) * n,
        device_now="2026-10-01T08:00:00",
        gateway_now_us=message.env.wall_us,
    )
    clinic.send(late)
    for page in (doctor.get(f"/patient/{clinic.patient}"), doctor.get("/worklist")):
        assert "time corrected" in page
        assert "device said 1 Oct 2026, 08:00" in page


def test_what_a_list_leaves_out_is_said(clinic: Any, doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        clinic.recording(order=ordered(clinic, doctor))
    whole = doctor.get(f"/patient/{clinic.patient}")
    assert "the newest. The older ones" not in whole
    monkeypatch.setattr(record, "_MOST", 1)
    page = doctor.get(f"/patient/{clinic.patient}")
    said = re.findall(r"1 of (\d+), the newest", page)
    assert len(said) == 2  # of the ECGs and of the documents
    assert set(said) == {str(whole.count("/paper.") or whole.count('href="/ecg/'))}
    ordered(clinic, doctor)
    ordered(clinic, doctor)
    assert re.search(r"1 of \d+, the newest", doctor.get("/worklist"))


def test_the_form_knows_the_patient_it_was_opened_for(
    clinic: Any, doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "MOST", 1)
    last = clinic.seeded["patients"][2]
    page = doctor.get(f"/patient/{last}/order")
    assert f'value="{last}" selected' in page
    assert "The first 1 patients by name" in page


def test_patients_are_found_by_a_form_not_by_an_address(clinic: Any, doctor: Any) -> None:
    assert "Demo-Bravo" in doctor.get("/patients")
    page = doctor.post("/patients", name="alpha")
    assert "Demo-Alpha" in page
    assert "Demo-Bravo" not in page
    assert "Nobody found" in doctor.post("/patients", name="zzz")


def test_technician_adds_a_gateway_and_sees_its_claim_once(clinic: Any, visitor: Any) -> None:
    technician = visitor.sign_in("technician")
    page = technician.post("/fleet/gateways/new", name="gw-new")
    claim = re.search(r"feldsher-edge claim (feldsher1\.[\w-]+)", page)
    assert claim is not None
    page = technician.get("/fleet/gateways")
    assert "gw-new" in page
    assert claim[1] not in page
    for wrong in ("Anna Walker", "ingest.0", "cloud.worker"):
        assert "cannot name a gateway" in technician.post("/fleet/gateways/new", status=422, name=wrong)


def test_technician_sees_life_and_outbox_and_no_patient(clinic: Any, visitor: Any) -> None:
    clinic.recording()
    clinic.send(clinic.clinic.birth())
    page = visitor.sign_in("technician").get("/fleet/gateways")
    assert "online" in page
    assert "simulated" in page
    assert "Demo-Alpha" not in page
    assert "Third-degree" not in page
