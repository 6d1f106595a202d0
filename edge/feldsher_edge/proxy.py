"""The way out of a network that lets nothing out but through its web proxy: HTTP CONNECT, then our own TLS inside.

One process has one way out; the configuration sets it once (`use`). The proxy sees host and port, nothing else.
"""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_MOST_BYTES = 16_384


class ProxyError(OSError):
    """The proxy cannot be reached or does not let us through; the text says what it answered."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; `credentials` is `user:password`, None where it asks for none."""

    host: str
    port: int
    credentials: str | None = None


_way: list[Proxy | None] = [None]


def parse(text: str | None) -> Proxy | None:
    """Return the proxy of `http://[user:password@]host:port`; ValueError says what is wrong, without the password."""
    if text is None or not text:
        return None
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "http" or not parts.hostname or port is None or parts.path.strip("/"):
        raise ValueError("expected http://[user:password@]host:port")
    credentials = None
    if parts.username is not None:
        credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(parts.hostname, port, credentials)


def shown(text: str | None) -> str | None:
    """Return a proxy's address as it may be shown: without its password."""
    it = parse(text)
    return None if it is None else f"http://{it.host}:{it.port}"


def use(text: str | None) -> None:
    """Let every connection of this process go through a proxy from now on, or through none."""
    _way[0] = parse(text)


def used() -> Proxy | None:
    """Return the proxy that this process goes through."""
    return _way[0]


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Return a connection to `host`, through the proxy where there is one; OSError (ProxyError) where it fails."""
    it = _way[0]
    if it is None:
        return socket.create_connection((host, port), timeout)
    try:
        made = socket.create_connection((it.host, it.port), timeout)
    except OSError as error:
        raise ProxyError(f"the proxy {it.host}:{it.port} cannot be reached: {error}") from error
    try:
        _ask(made, it, f"[{host}]" if ":" in host else host, port)
    except BaseException:
        made.close()
        raise
    return made


def _ask(made: socket.socket, it: Proxy, host: str, port: int) -> None:
    lines = [f"CONNECT {host}:{port} HTTP/1.1", f"Host: {host}:{port}"]
    if it.credentials is not None:
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(it.credentials.encode()).decode()}")
    made.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = bytearray()
    while not answer.endswith(b"\r\n\r\n"):  # byte by byte: what follows the answer belongs to TLS
        byte = made.recv(1)
        if not byte or len(answer) > _MOST_BYTES:
            raise ProxyError(f"the proxy {it.host}:{it.port} ended the connection without an answer")
        answer += byte
    first = bytes(answer).split(b"\r\n", 1)[0].decode("latin-1")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        raise ProxyError(f"{it.host}:{it.port} is no web proxy: it answered {first[:80]!r}")
    if words[1] == "407":
        raise ProxyError(f"the proxy {it.host}:{it.port} wants another user name and password")
    if words[1] != "200":
        raise ProxyError(f"the proxy {it.host}:{it.port} refuses the way to {host}:{port}: {first[:80]}")
