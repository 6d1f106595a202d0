"""The HTTP layer: compression both ways, sizes, bombs, HEAD, `_pretty`, `Accept`, and the request's id."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator

import pytest
from feldsher_cloud_api.fhir import transport
from httpx2 import Response
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.responses import Response as Answer
from starlette.routing import Route
from starlette.testclient import TestClient

KNOWN = {"authorization": "Bearer x"}
MOST = 1_500_000
"""What is taken here, so that what is too much is made quickly."""


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", MOST)


async def _echo(request: Request) -> Answer:
    body = await request.body()
    said = {"method": request.method, "length": len(body), "encoding": request.headers.get("content-encoding"),
            "said": request.headers.get("content-length"), "begin": body[:20].decode("latin-1"), "x": 1.5}  # fmt: skip
    return JSONResponse(said, media_type=transport.MEDIA_TYPE)


def _large(_: Request) -> Answer:
    return Answer(json.dumps({"x": "abc" * 2000}).encode(), media_type=transport.MEDIA_TYPE)


def _stream(_: Request) -> Answer:
    def lines() -> Iterator[bytes]:
        for i in range(40):
            yield b'{"n":%d}\n' % i

    return StreamingResponse(lines(), media_type="application/fhir+ndjson")


_PATHS = ("/fhir/Patient", "/fhir/Binary/1", "/other")
_METHODS = ["GET", "POST", "PUT", "PATCH"]
_app = Starlette(
    routes=[
        *[Route(path, _echo, methods=_METHODS) for path in _PATHS],
        Route("/fhir/large", _large),
        Route("/fhir/stream", _stream),
    ]
)


@pytest.fixture
def client() -> TestClient:
    return TestClient(transport.Transport(_app), headers=KNOWN)


def _refusal(answer: Response) -> tuple[int, str]:
    assert answer.json()["resourceType"] == "OperationOutcome"
    return answer.status_code, answer.json()["issue"][0]["code"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"{}" * 900)), ("deflate", zlib.compress(b"{}" * 900)), ("identity", b"{}" * 900)],
)
def test_a_compressed_body_arrives_unpacked(client: TestClient, encoding: str, packed: bytes) -> None:
    got = client.post("/fhir/Patient", content=packed, headers={"content-encoding": encoding}).json()
    assert (got["length"], got["said"], got["encoding"]) == (1800, "1800", None)


def test_a_body_of_unknown_length_arrives(client: TestClient) -> None:
    assert client.post("/fhir/Patient", content=iter([b"ab", b"cd"])).json()["length"] == 4


@pytest.mark.parametrize(
    ("encoding", "body", "refusal"),
    [
        ("br", b"x", (415, "not-supported")),
        ("gzip", b"not compressed", (400, "structure")),
        ("gzip", gzip.compress(b"{}" * 900)[:-6], (400, "structure")),
        ("gzip", gzip.compress(b"{}") + b"more", (400, "structure")),
        ("gzip", gzip.compress(bytes(MOST + 1)), (413, "too-long")),
        ("identity", bytes(MOST + 1), (413, "too-long")),
    ],
)
def test_bodies_that_are_refused(client: TestClient, encoding: str, body: bytes, refusal: tuple[int, str]) -> None:
    assert _refusal(client.post("/fhir/Patient", content=body, headers={"content-encoding": encoding})) == refusal


def test_a_bomb_is_given_up_before_it_fills_the_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    unpacked = transport._unpacked  # pyright: ignore[reportPrivateUsage]

    def counting(unpack: zlib._Decompress, part: bytes) -> Iterator[bytes]:  # pyright: ignore[reportPrivateUsage]
        for piece in unpacked(unpack, part):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(transport, "_unpacked", counting)
    bomb = gzip.compress(bytes(20_000_000))
    assert _refusal(client.post("/fhir/Patient", content=bomb, headers={"content-encoding": "gzip"}))[0] == 413
    assert sum(pieces) < MOST + 1_100_000


def test_who_shows_nothing_sends_little() -> None:
    stranger = TestClient(transport.Transport(_app))
    assert stranger.post("/fhir/Patient", content=b"x" * 1000).status_code == 200
    assert _refusal(stranger.post("/fhir/Patient", content=bytes(200_000)))[0] == 413


def test_answers_are_compressed_where_that_is_taken(client: TestClient) -> None:
    for path in ("/fhir/large", "/fhir/stream"):
        plain = client.get(path, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        packed = client.get(path, headers={"accept-encoding": "br, gzip;q=0.5"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.content == plain.content
        assert "content-encoding" not in client.get(path, headers={"accept-encoding": "gzip;q=0"}).headers
    assert "content-encoding" not in client.get("/fhir/Patient", headers={"accept-encoding": "gzip"}).headers


def test_head_is_get_without_its_body(client: TestClient) -> None:
    answer = client.head("/fhir/Patient")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(client.get("/fhir/Patient").content)


def test_pretty_keeps_numbers(client: TestClient) -> None:
    text = client.get("/fhir/Patient?_pretty=true").text
    assert '\n  "x": 1.5' in text


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        ("application/fhir+json", "", 200),
        ("application/json", "", 200),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", "", 200),
        ("application/fhir+xml;q=1.0, application/fhir+json;q=0.9", "", 200),
        ("application/fhir+json; fhirVersion=4.0", "", 200),
        ("application/fhir+json; fhirVersion=3.0", "", 406),
        ("application/fhir+xml", "", 406),
        ("application/fhir+json;q=0", "", 406),
        ("application/fhir+xml", "?_format=json", 200),
        ("application/fhir+json", "?_format=xml", 406),
        ("application/fhir+json", "?_format=application/fhir+json", 200),
        ("application/fhir+json", "?_format=text/turtle", 406),
        ("", "", 200),
    ],
)
def test_only_json_of_r4_is_served(client: TestClient, accept: str, query: str, status: int) -> None:
    answer = client.get(f"/fhir/Patient{query}", headers={"accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert _refusal(answer) == (406, "not-supported")


def test_a_binary_may_be_of_any_kind_and_other_paths_are_left_alone(client: TestClient) -> None:
    assert client.get("/fhir/Binary/1", headers={"accept": "image/svg+xml"}).status_code == 200
    assert "x-request-id" not in client.get("/other", headers={"accept": "image/svg+xml"}).headers
    packed = gzip.compress(b"{}")
    assert client.post("/other", content=packed, headers={"content-encoding": "gzip"}).json()["length"] == len(packed)


def test_a_request_has_an_id(client: TestClient) -> None:
    assert client.get("/fhir/Patient", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = {client.get("/fhir/Patient", headers={"x-request-id": bad}).headers["x-request-id"] for bad in ("", "a b")}
    assert len(made) == 2
