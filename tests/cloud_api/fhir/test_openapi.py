"""The OpenAPI document says what is served: every path and method of it has a route, and every FHIR route is in it."""

from __future__ import annotations

import re

from fastapi.routing import APIRoute
from feldsher_cloud_api.fhir import openapi, rest, search_routes, writing
from feldsher_tools.clinic import Clinic

DOCUMENT = openapi.describe("http://testserver/fhir")
_ELSEWHERE = re.compile(r"/\$(sign|window)$|^/Patient/\{\}|^/_search$")
"""Operations and compartments: the CapabilityStatement lists them."""


def plain(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path).removeprefix("/fhir").rstrip("/")


def test_paths_are_the_routes() -> None:
    routes = [r for router in (rest, search_routes, writing) for r in router.router.routes if isinstance(r, APIRoute)]
    served = {(plain(r.path), m) for r in routes for m in r.methods or () if not _ELSEWHERE.search(plain(r.path))}
    said = {(plain(p), m.upper()) for p, item in DOCUMENT["paths"].items() for m in item if m != "parameters"}
    assert said == served


def test_names_lead_somewhere() -> None:
    text = str(DOCUMENT)
    schemas = DOCUMENT["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= set(schemas)
    for path, item in DOCUMENT["paths"].items():
        named = set(re.findall(r"\{(\w+)\}", path))
        assert {p["name"] for p in item.get("parameters", [])} == named, path


def test_it_is_served_to_everybody(clinic: Clinic) -> None:
    answer = clinic.browser.get("/openapi.json")
    assert (answer.status_code, answer.json()["servers"]) == (200, [{"url": "http://testserver/fhir"}])
    assert answer.json()["paths"].keys() == DOCUMENT["paths"].keys()
