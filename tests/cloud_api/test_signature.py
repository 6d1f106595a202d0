"""Signing: only a doctor, only again authenticated, only what was shown; and what was signed can be proved."""

from __future__ import annotations

import base64
from typing import Any
from uuid import UUID

from feldsher_cloud_api.care import signature
from feldsher_tools.clinic import Clinic


def _report(clinic: Clinic) -> str:
    message = clinic.recording(clinic.order())
    clinic.receive(message)
    clinic.work()
    return str(message.env.id)


def _sign(clinic: Clinic, report: str, headers: dict[str, str], **changes: Any) -> Any:
    given = {"password": clinic.password("doctor"), "version": 1} | changes
    parameters = [
        {"name": k, "valueInteger" if isinstance(v, int) else "valueString": v} for k, v in given.items() if v
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return clinic.browser.post(f"/fhir/DiagnosticReport/{report}/$sign", json=body, headers=headers)


def test_signed_report_is_final_and_can_be_proved(clinic: Clinic) -> None:
    report, headers = _report(clinic), clinic.sign_in("doctor")
    answer = _sign(clinic, report, headers)
    assert answer.status_code == 200, answer.text
    final = answer.json()
    assert (final["status"], final["meta"]["versionId"]) == ("final", "2")
    assert final["resultsInterpreter"][0]["display"] == "DEMO Doctor"
    assert clinic.browser.get(f"/fhir/DiagnosticReport/{report}/_history/1").json()["status"] == "preliminary"
    picture = clinic.browser.get(f"/fhir/{final['presentedForm'][0]['url']}").text
    assert ">Confirmed<" in picture
    assert "DEMO Doctor" in picture
    assert "UNCONFIRMED" not in picture
    before = clinic.browser.get(f"/fhir/DiagnosticReport/{report}/_history/1").json()
    assert "UNCONFIRMED" in clinic.browser.get(f"/fhir/{before['presentedForm'][0]['url']}").text
    results = clinic.browser.get("/fhir/Observation").json()["entry"]
    assert {e["resource"]["status"] for e in results} == {"final"}
    proof = clinic.browser.get(f"/fhir/Provenance?target=DiagnosticReport/{report}&signature-type:missing=false").json()
    mark = proof["entry"][0]["resource"]["signature"][0]
    assert mark["sigFormat"] == "application/jose"
    assert b".." in base64.b64decode(mark["data"])
    with clinic.owner() as connection:
        assert signature.verify(connection, UUID(report)) == ()


def test_ecg_of_nobody_is_not_signed(clinic: Clinic) -> None:
    message, headers = clinic.recording(), clinic.sign_in("doctor")
    clinic.receive(message)
    clinic.work()
    refused = _sign(clinic, str(message.env.id), headers)
    assert (refused.status_code, "assign it first" in refused.text) == (409, True)


_TAMPERINGS = (
    ("UPDATE fhir.diagnosticreport SET content = jsonb_set(content, '{conclusion}', '\"fine\"')", "conclusion"),
    ("UPDATE fhir.diagnosticreport SET content = jsonb_set(content, '{status}', '\"amended\"')", "status"),
    ("UPDATE fhir.diagnosticreport SET content = content - 'conclusionCode'", "conclusionCode"),
    ("UPDATE fhir.diagnosticreport SET content = content - 'result'", "result"),
    (
        'UPDATE fhir.diagnosticreport SET content = content || \'{"subject": {"reference": "Patient/1"}}\'',
        "subject",
    ),
    (
        "UPDATE fhir.diagnosticreport SET content = jsonb_set(content, '{effectivePeriod,start}', '\"2020\"')",
        "effectivePeriod",
    ),
    ("UPDATE fhir.diagnosticreport SET version = 3", "version 3, the current one, is not signed"),
    ("DELETE FROM fhir.diagnosticreport", "the report is not stored"),
    ("UPDATE fhir.binary SET bytes = replace(encode(bytes, 'escape'), 'Confirmed', 'Refuted')::bytea", "Binary/"),
    ("DELETE FROM fhir.binary", "Binary/"),
    (
        "UPDATE fhir.diagnosticreport_history SET content = jsonb_set(content, '{conclusion}', '\"fine\"')",
        "version 1, the one that was shown, is changed",
    ),
    ("DELETE FROM fhir.diagnosticreport_history", "version 1, the one that was shown, is missing"),
    ("UPDATE public.ecg_recording SET sha256 = decode('00', 'hex')", "samples"),
    ("UPDATE public.ecg_recording SET samples = '\\x00'", "samples"),
    ("UPDATE public.ecg_recording SET interpretation = interpretation || '\\x00'", "interpretation"),
    ("UPDATE cloud.signature SET signed = signed || ' '", "signature of version 1"),
    ("UPDATE cloud.signature SET jws = replace(jws, '..', '..A')", "signature of version 1"),
    ("UPDATE cloud.signature SET version = 2", "another report or version"),
    ("DELETE FROM cloud.signature", "no signature"),
)


def test_tampering_is_noticed_and_named(clinic: Clinic) -> None:
    report, headers = _report(clinic), clinic.sign_in("doctor")
    assert _sign(clinic, report, headers).status_code == 200
    with clinic.owner() as connection:
        for tampering, named in _TAMPERINGS:
            with connection.transaction(force_rollback=True):
                assert connection.execute(tampering.encode()).rowcount > 0, tampering
                found = signature.verify(connection, UUID(report))
            assert any(named in said for said in found), (tampering, found)
        assert signature.verify(connection, UUID(report)) == ()


def test_each_picture_is_signed(clinic: Clinic) -> None:
    report, headers = _report(clinic), clinic.sign_in("doctor")
    shown = clinic.browser.get(f"/fhir/DiagnosticReport/{report}", headers=headers).json()
    final = _sign(clinic, report, headers).json()
    with clinic.owner() as connection:
        for url in (shown["presentedForm"][0]["url"], final["presentedForm"][0]["url"]):
            identity = UUID(url.removeprefix("Binary/"))
            connection.execute("UPDATE fhir.binary SET bytes = bytes || ' ' WHERE id = %s", (identity,))
            assert f"pictures: {url} is changed" in signature.verify(connection, UUID(report))


def test_what_the_doctor_changed_stays_visible(clinic: Clinic) -> None:
    report, headers = _report(clinic), clinic.sign_in("doctor")
    final = _sign(clinic, report, headers, conclusion="Sinus rhythm with premature beats.").json()
    assert final["conclusion"] == "Sinus rhythm with premature beats."
    said = [e for e in final["extension"] if e["url"] == signature.INTERPRETER_SAID]
    assert said[0]["valueString"].endswith("Probable atrial fibrillation.")
    assert "conclusionCode" not in final
    picture = clinic.browser.get(f"/fhir/{final['presentedForm'][0]['url']}").text
    assert "Sinus rhythm with" in picture
    assert "Atrial fibrillation" not in picture
    with clinic.owner() as connection:
        assert signature.verify(connection, UUID(report)) == ()


def test_signing_is_refused(clinic: Clinic) -> None:
    report, headers = _report(clinic), clinic.sign_in("doctor")
    assert _sign(clinic, report, headers, password="wrong password").status_code == 403
    assert _sign(clinic, report, headers, password=None).status_code == 400
    assert _sign(clinic, report, headers, version=None).status_code == 400
    assert _sign(clinic, report, headers, version=2).status_code == 412
    assert _sign(clinic, str(UUID(int=0)), headers).status_code == 404
    assert _sign(clinic, report, headers).status_code == 200
    assert _sign(clinic, report, headers, version=2).status_code == 409
    program = {"authorization": f"Bearer {clinic.program_token()}"}
    clinic.sign_out()
    assert _sign(clinic, report, program).status_code == 403
    headers = clinic.sign_in("anna")
    assert _sign(clinic, report, headers, password=clinic.password("anna")).status_code == 403


def test_key_opens_with_its_password_alone() -> None:
    first, second = signature.new_key("a long password"), signature.new_key("a long password")
    assert first[0].startswith("-----BEGIN PUBLIC KEY-----")
    assert first[1:] != second[1:]
    assert b"PRIVATE" not in first[3]
