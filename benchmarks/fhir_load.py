"""A load of HTTP requests over kept connections, from one process that costs the server beside it little.

Each connection has one request under way, as a client program has; times are of whole answers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_OK = range(200, 300)


@dataclass(slots=True)
class Load:
    """What came of a load: seconds and body of each good answer, how often each status came, the seconds in all."""

    seconds: list[float] = field(default_factory=list[float])
    bodies: list[bytes] = field(default_factory=list[bytes])
    statuses: Counter[int] = field(default_factory=Counter[int])
    took_s: float = 0.0
    failed: bytes = b""

    @property
    def per_s(self) -> float:
        """Good answers per second."""
        return len(self.seconds) / self.took_s

    def percentile(self, share: float) -> float:
        """Return the time within which a share of the good answers came, milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def request(
    method: str, address: str, token: str, body: bytes = b"", media: str = "application/fhir+json", **headers: str
) -> bytes:
    """Return the bytes of a request; in a header's name `_` stands for `-`."""
    parts = urlsplit(address)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", f"Authorization: Bearer {token}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body:
        lines += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _END + body


def run(host: str, port: int, requests: Iterable[bytes], connections: int = 8) -> Load:
    """Send requests over so many connections until there are no more; what is no 2xx counts as failed."""
    return asyncio.run(_run(host, port, iter(requests), connections))


async def _run(host: str, port: int, requests: Iterator[bytes], connections: int) -> Load:
    load = Load()
    began = time.perf_counter()
    await asyncio.gather(*(_connection(host, port, requests, load) for _ in range(connections)))
    load.took_s = time.perf_counter() - began
    return load


async def _connection(host: str, port: int, requests: Iterator[bytes], load: Load) -> None:
    reader, writer = await asyncio.open_connection(host, port, limit=1 << 26)
    for sent in requests:
        began = time.perf_counter()
        writer.write(sent)
        status, body = await _answer(reader)
        load.statuses[status] += 1
        if status in _OK:
            load.seconds.append(time.perf_counter() - began)
            load.bodies.append(body)
        elif not load.failed:
            load.failed = body[:500]
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(_END)
    lines = head.lower().split(b"\r\n")
    length = next((int(line[len(_LENGTH) :]) for line in lines if line.startswith(_LENGTH)), None)
    if length is None and any(line.startswith(b"transfer-encoding: chunked") for line in lines):
        return int(head[9:12]), await _chunks(reader)
    return int(head[9:12]), await reader.readexactly(length or 0)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return bytes(body)
