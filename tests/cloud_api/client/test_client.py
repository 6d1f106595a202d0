"""The client program's side: what it sends, how it takes refusals, pages, tokens that end; a server is not needed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx2
import msgspec
import pytest
from feldsher_cloud_api.client import (
    ConflictError,
    Credentials,
    Fhir,
    FhirClientError,
    GoneError,
    Key,
    PreconditionError,
    Secret,
)
from joserfc import jwt
from joserfc.jwk import ECKey

BASE = "https://clinic.example/fhir"
ANSWERS = Callable[[httpx2.Request], httpx2.Response]


def speaking(answer: ANSWERS) -> Fhir:
    return Fhir(BASE, http=httpx2.Client(transport=httpx2.MockTransport(answer)))


def json(status: int, body: object, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.Response(status, content=msgspec.json.encode(body), headers=named)


def test_decimals_keep_their_digits_both_ways() -> None:
    sent = list[bytes]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.content)
        return httpx2.Response(201, content=request.content)

    made = speaking(answer).create({"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.10")}})
    assert b'"value":1.10' in sent[0]
    assert str(made["valueQuantity"]["value"]) == "1.10"


@pytest.mark.parametrize(
    ("status", "kind"), [(409, ConflictError), (410, GoneError), (412, PreconditionError), (422, FhirClientError)]
)
def test_a_refusal_says_what_and_where(status: int, kind: type[FhirClientError]) -> None:
    issue = {"severity": "error", "code": "value", "diagnostics": "no code", "expression": ["Observation.status"]}
    with pytest.raises(kind) as refused:
        speaking(lambda _: json(status, {"resourceType": "OperationOutcome", "issue": [issue]})).read("Patient", "1")
    assert (refused.value.status, refused.value.issues[0].at) == (status, ("Observation.status",))
    assert "no code" in str(refused.value)


def test_a_refusal_of_something_that_speaks_no_fhir_is_one_too() -> None:
    with pytest.raises(FhirClientError, match="502"):
        speaking(lambda _: httpx2.Response(502, content=b"<html>")).read("Patient", "1")


def test_a_search_sends_its_parameters_in_the_body_and_follows_the_pages() -> None:
    asked = list[tuple[str, str, bytes]]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.method, str(request.url), request.content))
        first = request.method == "POST"
        link = [{"relation": "next", "url": f"{BASE}/Patient?_cursor=x"}] if first else []
        return json(200, {"link": link, "entry": [{"resource": {"id": "a" if first else "b"}}]})

    found = [p["id"] for p in speaking(answer).search("Patient", [("name", "Anna"), ("name", "Maria")])]
    assert found == ["a", "b"]
    assert asked[0][:2] == ("POST", f"{BASE}/Patient/_search")
    assert parse_qs(asked[0][2].decode()) == {"name": ["Anna", "Maria"]}
    assert asked[1][:2] == ("GET", f"{BASE}/Patient?_cursor=x")


def test_an_update_names_the_version_that_was_read() -> None:
    matched = list[str | None]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        matched.append(request.headers.get("if-match"))
        return httpx2.Response(200, content=request.content)

    resource = {"resourceType": "Patient", "id": "1", "meta": {"versionId": "7"}}
    speaking(answer).update(resource)
    speaking(answer).update(resource, always=True)
    assert matched == ['W/"7"', None]


class Tokens:
    """A token endpoint, and a resource behind it."""

    def __init__(self) -> None:
        self.forms = list[dict[str, list[str]]]()
        self.shown = list[str | None]()
        self.refuse = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/oauth/token":
            self.forms.append(parse_qs(request.content.decode()))
            return json(200, {"access_token": f"t{len(self.forms)}", "expires_in": 300})
        self.shown.append(request.headers.get("authorization"))
        if self.refuse:
            self.refuse -= 1
            return json(401, {})
        return json(200, {"id": "1"})

    def client(self, proof: Secret | Key, clock: Callable[[], float]) -> Fhir:
        auth = Credentials("https://clinic.example/oauth/token", proof, "system/*.rs", clock)
        return Fhir(BASE, auth, http=httpx2.Client(transport=httpx2.MockTransport(self)))


def test_a_token_is_kept_until_shortly_before_its_end_and_renewed_when_refused() -> None:
    tokens, now = Tokens(), [1000.0]
    client = tokens.client(Secret("lab", "s3cret"), lambda: now[0])
    client.read("Patient", "1")
    now[0] += 200
    client.read("Patient", "1")
    now[0] += 80
    client.read("Patient", "1")
    tokens.refuse = 1
    client.read("Patient", "1")
    assert tokens.shown == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3"]
    assert tokens.forms[0]["client_secret"] == ["s3cret"]


def test_a_key_signs_a_fresh_assertion_for_each_token() -> None:
    tokens, key, now = Tokens(), ECKey.generate_key("P-384"), [1000.0]
    client = tokens.client(Key("lab", key.as_pem(private=True).decode(), "k1"), lambda: now[0])
    client.read("Patient", "1")
    now[0] += 300
    client.read("Patient", "1")
    claims = [jwt.decode(f["client_assertion"][0], key, algorithms=["ES384"]).claims for f in tokens.forms]
    assert claims[0]["jti"] != claims[1]["jti"]
    assert {(c["iss"], c["sub"], c["aud"]) for c in claims} == {("lab", "lab", "https://clinic.example/oauth/token")}
    assert claims[0]["exp"] == 1000 + 240


def test_a_page_of_another_host_gets_no_token() -> None:
    shown = list[tuple[str, str | None]]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/oauth/token":
            return json(200, {"access_token": "t", "expires_in": 300})
        shown.append((request.url.host, request.headers.get("authorization")))
        return json(200, {"link": [{"relation": "next", "url": "https://elsewhere.example/x"}] * (len(shown) == 1)})

    auth = Credentials("https://clinic.example/oauth/token", Secret("lab", "s"), "system/*.rs", lambda: 0.0)
    client = Fhir(BASE, auth, http=httpx2.Client(transport=httpx2.MockTransport(answer)))
    assert list(client.search("Patient")) == []
    assert shown == [("clinic.example", "Bearer t"), ("elsewhere.example", None)]


def test_an_export_waits_reads_every_file_and_clears_up() -> None:
    asked, slept = list[tuple[str, str]](), list[float]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.method, request.url.path))
        place = f"{BASE}/$export-poll/1"
        if request.url.path == "/fhir/$export":
            return httpx2.Response(202, headers={"Content-Location": place})
        if request.method == "DELETE":
            return httpx2.Response(202)
        if request.url.path.endswith("ndjson"):
            return httpx2.Response(200, content=b'{"id":"a"}\n{"id":"b"}\n')
        if not slept:
            return httpx2.Response(202, headers={"Retry-After": "2"})
        return json(200, {"output": [{"type": "Patient", "url": f"{BASE}/f.ndjson"}]})

    found = list(speaking(answer).export(sleep=slept.append))
    assert found == [("Patient", {"id": "a"}), ("Patient", {"id": "b"})]
    assert slept == [2.0]
    assert asked[-1] == ("DELETE", "/fhir/$export-poll/1")


def test_the_client_needs_nothing_of_the_server() -> None:
    code = (
        "import sys, feldsher_cloud_api.client\n"
        "print([m for m in ('fastapi', 'psycopg', 'starlette', 'numpy', 'authlib', 'uvicorn') if m in sys.modules])"
    )
    done: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
