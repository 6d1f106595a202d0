"""HTTP around the FHIR routes: gzip both ways within limits, sizes, HEAD, `_pretty`, `Accept`, and a request's id.

One ASGI layer, so that no route can forget any of it. A body is read whole before its route runs, because every
route needs it whole; what is compressed is unpacked step by step and given up as soon as it is too large.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import msgspec
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from feldsher_cloud_api import db
from feldsher_cloud_api.fhir.outcome import FhirError

PREFIX = "/fhir"
MAX_BODY, STRANGERS_BODY = 50_000_000, 100_000
"""Bytes of a body, unpacked: a year's record as one transaction has about a fifth; who shows nothing needs little."""
SMALLEST = 1000
"""Bytes from which an answer is compressed: below a packet nothing is won."""
MEDIA_TYPE = "application/fhir+json"
_JSON = ("application/fhir+json", "application/json", "application/*", "*/*", "text/json", "json", "text/html")
_STREAMS = ("application/fhir+ndjson", "application/ndjson", "ndjson")
_VERSIONS = ("4.0", "4.0.1")
_REQUEST_ID = re.compile(r"[A-Za-z0-9\-._]{1,64}")
_PACKED = ("application/fhir+json", "application/json", "application/fhir+ndjson", "application/ndjson")


class Transport:
    """The ASGI layer; what is not FHIR passes through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of an application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or not (path == PREFIX or path.startswith(PREFIX + "/")):
            await self.app(scope, receive, send)
            return
        headers, query = Headers(scope=scope), _query(scope)
        answer = _Answer(send, scope, headers, pretty=query.get("_pretty") == "true")
        try:
            acceptable(path, headers, query)
            body = await _body(receive, headers, scope["method"])
        except FhirError as error:
            await answer.refuse(error)
            return
        # The scope itself is changed: who counts requests finds the route in it afterwards.
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        if body is not None:
            kept = [(n, v) for n, v in scope["headers"] if n not in (b"content-encoding", b"content-length")]
            scope["headers"] = [*kept, (b"content-length", str(len(body)).encode())]
            receive = _again(body, receive)
        await self.app(scope, receive, answer.send)


def _query(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))


def acceptable(path: str, headers: Headers, query: dict[str, str]) -> None:
    """Raise FhirError 406 where a client takes only what is not served: XML, or another version of FHIR."""
    asked = query.get("_format") or headers.get("accept") or "*/*"
    for part in asked.replace(" ", "+").split(","):
        kind, *parameters = (p.strip(" +").lower() for p in part.split(";"))
        if "q=0" in parameters:
            continue
        version = next((p.removeprefix("fhirversion=") for p in parameters if p.startswith("fhirversion=")), "4.0")
        if version in _VERSIONS and (kind in _JSON or kind in _STREAMS or path.startswith(f"{PREFIX}/Binary/")):
            return
    raise FhirError(406, "not-supported", "only application/fhir+json of FHIR 4.0 is served: no XML, no other version")


async def _body(receive: Receive, headers: Headers, method: str) -> bytes | None:
    """Return a request's body, unpacked; None where its method has none. FhirError 400, 413 or 415."""
    if method not in ("POST", "PUT", "PATCH"):
        return None
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
        raise FhirError(415, "not-supported", f"the content encoding {encoding[:40]!r} is not taken, gzip is")
    length = headers.get("content-length", "")
    most = MAX_BODY if "authorization" in headers or "cookie" in headers else STRANGERS_BODY
    if length.isdigit() and int(length) > most:
        raise _too_large(most)
    unpack = zlib.decompressobj(47) if encoding != "identity" else None  # 47: gzip or zlib, by its first bytes
    out = bytearray()
    async for part in _parts(receive):
        for piece in [part] if unpack is None else _unpacked(unpack, part):
            out += piece
            if len(out) > most:
                raise _too_large(most)
    if unpack is not None and not unpack.eof and (out or length not in ("", "0")):
        raise FhirError(400, "structure", "the body's compression ends too early")
    return bytes(out)


def _too_large(most: int) -> FhirError:
    return FhirError(413, "too-long", f"a body may have {most:,} bytes, unpacked: send it in parts, or use $import")


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            raise FhirError(400, "incomplete", "the body has ended too early")
        yield bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return


_STEP = 1 << 20


def _unpacked(unpack: zlib._Decompress, part: bytes) -> Iterator[bytes]:  # pyright: ignore[reportPrivateUsage]
    """Yield what a part holds, a megabyte at a time: of a bomb never more than that is in memory."""
    try:
        while part:
            yield unpack.decompress(part, _STEP)
            if unpack.eof and unpack.unused_data:
                raise FhirError(400, "structure", "something follows the body's compression")
            part = unpack.unconsumed_tail
    except zlib.error as error:
        raise FhirError(400, "structure", "the body's compression is damaged") from error


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body once and then what the client does."""
    given = False

    async def once() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


class _Answer:
    """What goes back: pretty where asked, compressed where taken, without body for HEAD, with the request's id."""

    def __init__(self, send: Send, scope: Scope, headers: Headers, *, pretty: bool) -> None:
        self.out, self.pretty, self.head = send, pretty, scope["method"] == "HEAD"
        self.gzip = any(
            p.partition(";")[0].strip().lower() == "gzip" and "q=0" not in p.replace(" ", "").split(";")[1:]
            for p in headers.get("accept-encoding", "").split(",")
        )
        given = headers.get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid4())
        structlog.contextvars.bind_contextvars(request_id=self.request_id if _is_uuid(given) or not given else "named")
        self.start: Message | None = None
        self.packer: zlib._Compress | None = None  # pyright: ignore[reportPrivateUsage]

    async def refuse(self, error: FhirError) -> None:
        body = db.dumps(error.outcome())
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message  # what the body is like decides its headers
            return
        if message["type"] != "http.response.body":
            await self.out(message)
            return
        body, more = bytes(message.get("body", b"")), bool(message.get("more_body", False))
        if self.start is not None:
            body = await self._open(self.start, body, more=more)
            self.start = None
        elif self.packer is not None:
            body = self.packer.compress(body) + (b"" if more else self.packer.flush())
        if self.head:
            body = b""
        await self.out({"type": "http.response.body", "body": body, "more_body": more})

    async def _open(self, start: Message, body: bytes, *, more: bool) -> bytes:
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["X-Request-Id"] = self.request_id
        kind = headers.get("content-type", "").partition(";")[0]
        if kind in _PACKED:
            headers.add_vary_header("Accept-Encoding")
        if self.pretty and not more and kind == MEDIA_TYPE and body:
            body = msgspec.json.format(body, indent=2)
            headers["content-length"] = str(len(body))
        if self.gzip and kind in _PACKED and "content-encoding" not in headers and (more or len(body) >= SMALLEST):
            self.packer = zlib.compressobj(1, zlib.DEFLATED, 31)
            body = self.packer.compress(body) + (b"" if more else self.packer.flush())
            headers["content-encoding"] = "gzip"
            if more:
                del headers["content-length"]
            else:
                headers["content-length"] = str(len(body))
        await self.out({**start, "headers": headers.raw})
        return body


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
