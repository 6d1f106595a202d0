"""Searches over HTTP: of a type, of several, in a patient's compartment, by address and by form, page by page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from feldsher_tools.clinic import Clinic

BP = {150021: "132", 150022: "84.50", 149546: "71"}


def _bundle(clinic: Clinic, path: str, status: int = 200, **headers: str) -> dict[str, Any]:
    answer = clinic.browser.get(path, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def _names(bundle: dict[str, Any]) -> list[str]:
    return [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle.get("entry", [])]


def test_several_types_and_a_compartment_by_address_and_by_form(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP))
    clinic.work()
    headers = clinic.sign_in("doctor")
    anna = clinic.patients[0]
    several = _bundle(clinic, "/fhir?_type=Patient,Practitioner&_count=100")
    kinds = {name.partition("/")[0] for name in _names(several)}
    assert kinds == {"Patient", "Practitioner"}
    assert "_type=Patient%2CPractitioner" in several["link"][0]["url"]
    own = _bundle(clinic, f"/fhir/Patient/{anna}/Observation?_total=accurate")
    assert own["total"] == len(own["entry"]) > 0
    assert {e["resource"]["subject"]["reference"] for e in own["entry"]} == {f"Patient/{anna}"}
    assert f"Patient/{anna}" in _names(_bundle(clinic, f"/fhir/Patient/{anna}/*?_count=1000"))
    for path in ("/fhir/_search", "/fhir/Observation/_search", f"/fhir/Patient/{anna}/Observation/_search"):
        form = {"_type": "Observation"} if path == "/fhir/_search" else {"status": "final"}
        posted = clinic.browser.post(path, data=form, headers=headers)
        assert posted.status_code == 200, posted.text
        assert {n.partition("/")[0] for n in _names(posted.json())} == {"Observation"}


def test_what_is_not_there_is_refused(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    anna = clinic.patients[0]
    assert _bundle(clinic, "/fhir?_type=Banana", 400)["issue"][0]["expression"] == ["http._type"]
    _bundle(clinic, f"/fhir/Patient/{anna}/Banana", 404)
    _bundle(clinic, f"/fhir/Patient/{anna}/Organization", 404)
    _bundle(clinic, "/fhir/Patient?favourite=blue", 400)
    assert _bundle(clinic, "/fhir/Patient?favourite=blue", prefer="handling=lenient")["type"] == "searchset"
    many = "&".join(["name=a"] * 300)
    _bundle(clinic, f"/fhir/Patient?{many}", 400)


def test_pages_of_several_types_follow_their_links(clinic: Clinic) -> None:
    clinic.sign_in("doctor")
    whole = _names(_bundle(clinic, "/fhir?_type=Patient,Practitioner,Device&_count=100"))
    page = _bundle(clinic, "/fhir?_type=Patient,Practitioner,Device&_count=2")
    seen = _names(page)
    while following := [str(link["url"]) for link in page["link"] if link["relation"] == "next"]:
        parts = urlsplit(following[0])
        page = _bundle(clinic, f"{parts.path}?{parts.query}")
        seen += _names(page)
    assert seen == whole
    assert len(set(seen)) == len(seen) > 4


def test_what_comes_along_is_shown_as_such_and_audited(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP))
    clinic.work()
    clinic.sign_in("doctor")
    anna = clinic.patients[0]
    bundle = _bundle(clinic, f"/fhir/Observation?patient={anna}&_include=Observation:subject&_count=1")
    assert [(e["search"]["mode"], e["resource"]["resourceType"]) for e in bundle["entry"]] == [
        ("match", "Observation"),
        ("include", "Patient"),
    ]
    looked = _bundle(clinic, f"/fhir/AuditEvent?patient={anna}&_sort=-date&_count=1")["entry"][0]["resource"]
    shown = {e["what"]["reference"] for e in looked["entity"]}
    assert shown == {f"Observation/{bundle['entry'][0]['resource']['id']}", f"Patient/{anna}"}


def test_a_patient_finds_nothing_of_others_by_any_way(clinic: Clinic) -> None:
    clinic.receive(clinic.vitals(clinic.time.now, BP))
    clinic.work()
    clinic.sign_in("anna")
    own = _bundle(clinic, "/fhir/Patient")["entry"][0]["resource"]["id"]
    other = next(str(p) for p in clinic.patients if str(p) != own)
    for path in (
        f"/fhir/Patient/{other}/Observation?_total=accurate",
        f"/fhir/Observation?subject:Patient._id={other}&_total=accurate",
        f"/fhir/Patient?_has:Observation:patient:subject={other}&_total=accurate",
        f"/fhir/Observation?patient={other}&_total=estimate",
    ):
        found = _bundle(clinic, path)
        assert (found["total"], found.get("entry")) == (0, None), path
