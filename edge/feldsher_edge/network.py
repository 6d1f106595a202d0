"""Is there a way to the cloud? Looked at step by step, from the cable to the broker; each failure has its own words."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from feldsher_edge import proxy
from feldsher_edge.checks import Check
from feldsher_edge.identity import ProvisionError

TIMEOUT_S = 10.0
WEB_PORT = 443
_NOTABLE_S = 120.0


@dataclass(frozen=True, slots=True)
class Cloud:
    """What is to be reached. `api_url`: its provisioning; `path`: of MQTT over WebSocket; `tls`: with our certificate.

    `web_port`: where MQTT over WebSocket would be; `websockets`: it is what the configuration asks for. `behind_us`
    asks the cloud for the time and returns by how much the clock is behind it.
    """

    api_url: str
    host: str
    port: int
    path: str
    websockets: bool
    tls: Callable[[], ssl.SSLContext]
    behind_us: Callable[[], int]
    web_port: int = WEB_PORT


def interfaces(root: Path = Path("/sys/class/net")) -> Check:
    """Look for a network interface with a cable, a Wi-Fi or a mobile network."""
    up: list[str] = []
    names = sorted(path.name for path in root.glob("*") if path.name != "lo")
    for name in names:
        try:
            state, carrier = (root / name / "operstate").read_text().strip(), (root / name / "carrier").read_text()
        except OSError:
            continue  # an interface that is switched off has no carrier to read
        if state in ("up", "unknown") and carrier.strip() == "1":
            up.append(name)
    if up:
        return Check("interface", True, f"connected: {', '.join(up)}")
    known = ", ".join(names) or "none"
    todo = "plug the network cable in, or: feldsher-edge network wifi SSID, feldsher-edge network mobile APN"
    return Check("interface", False, f"no network interface is connected (there are: {known})", todo)


def address() -> Check:
    """Look for an address that leads further than this cable; nothing is sent."""
    found: list[str] = []
    for family, there in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((there, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    usable = [text for text in found if not text.startswith(("169.254.", "fe80:"))]
    if usable:
        return Check("address", True, ", ".join(usable))
    if found:
        words = f"only {found[0]}: the network gives this gateway no address (DHCP does not answer)"
        return Check("address", False, words, "ask who runs the network: is a MAC address to be registered first?")
    return Check("address", False, "no address, or no way out of this network", "wait half a minute, or look at DHCP")


def names(*hosts: str) -> Check:
    """Resolve host names."""
    unknown: list[str] = []
    for host in dict.fromkeys(hosts):
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            unknown.append(f"{host} ({error.strerror or error})")
    if unknown:
        todo = "set a DNS server that knows it; where all goes through a proxy: [network] proxy in the configuration"
        return Check("names", False, f"DNS does not know {', '.join(unknown)}", todo)
    return Check("names", True, f"known: {', '.join(dict.fromkeys(hosts))}")


def web_proxy(host: str, port: int) -> Check:
    """Ask the proxy of the configuration for the way to the cloud."""
    it = proxy.used()
    if it is None:
        return Check("proxy", None, "none is set")
    try:
        proxy.connect(host, port, TIMEOUT_S).close()
    except OSError as error:
        return Check("proxy", False, str(error), "correct [network] proxy in the configuration, or ask who runs it")
    return Check("proxy", True, f"{it.host}:{it.port} lets us through to {host}:{port}")


def cloud_and_time(cloud: Cloud) -> list[Check]:
    """Ask the cloud for the time: whether it answers, whether it is ours, and how far the clock is off."""
    try:
        behind_s = cloud.behind_us() / 1e6
    except ProvisionError as error:
        todo = "is the address right, is the server running, does a firewall stand in between?"
        if "certificate" in str(error):
            todo = (
                "something in between replaces certificates (TLS inspection): it must let this host through untouched"
            )
        return [Check("cloud", False, str(error), todo), Check("time", None, "not known: the cloud was not reached")]
    told = Check("cloud", True, f"{cloud.api_url} answers, and it is the one that this gateway was claimed from")
    if abs(behind_s) < _NOTABLE_S:
        return [told, Check("time", True, f"the clock is right to {abs(behind_s):.1f} s")]
    words = f"the clock is {abs(behind_s):.0f} s {'behind' if behind_s > 0 else 'ahead'}; readings are corrected for it"
    return [told, Check("time", None, words, "let NTP (UDP 123) through, or name the clinic's time server")]


def broker(cloud: Cloud) -> list[Check]:
    """Shake hands with the broker, over MQTT's own port and over WebSocket; one of the two is needed."""
    direct = _handshake(cloud, cloud.port, "mqtt") if not cloud.websockets else None
    web = _upgrade(cloud, cloud.port if cloud.websockets else cloud.web_port)
    if direct is None:
        return [web]
    if direct.ok:
        return [direct, Check(web.name, web.ok or None, web.detail)]
    if web.ok:
        port = cloud.web_port
        todo = f'the way over WebSocket is open: in the configuration, [mqtt] transport = "websockets", port = {port}'
        return [Check(direct.name, False, direct.detail, todo), web]
    return [direct, Check(web.name, None, web.detail)]


def _handshake(cloud: Cloud, port: int, name: str) -> Check:
    title = f"broker ({name}, port {port})"
    try:
        with _secured(cloud, port) as made:
            return Check(title, True, f"{cloud.host}:{port} answers ({made.version()})")
    except OSError as error:
        return Check(title, False, *_broker_words(cloud.host, port, error))


def _upgrade(cloud: Cloud, port: int) -> Check:
    title = f"broker (websocket, port {port})"
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = (
        f"GET {cloud.path} HTTP/1.1", f"Host: {cloud.host}", "Upgrade: websocket", "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: mqtt", "", "",
    )  # fmt: skip
    try:
        with _secured(cloud, port) as made:
            made.sendall("\r\n".join(lines).encode())
            first = made.recv(512).split(b"\r\n", 1)[0].decode("latin-1")
    except OSError as error:
        return Check(title, False, *_broker_words(cloud.host, port, error))
    if " 101" in first:
        return Check(title, True, f"{cloud.host}:{port} speaks MQTT over WebSocket")
    return Check(
        title, False, f"{cloud.host}:{port} does not speak it: {first[:60]!r}", "the cloud has no such listener"
    )


def _secured(cloud: Cloud, port: int) -> ssl.SSLSocket:
    made = proxy.connect(cloud.host, port, TIMEOUT_S)
    try:
        return cloud.tls().wrap_socket(made, server_hostname=cloud.host)
    except BaseException:
        made.close()
        raise


def _broker_words(host: str, port: int, error: OSError) -> tuple[str, str]:
    """Return what happened and what to do, by the kind of failure."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{host}:{port}: {error}", "something in between replaces certificates: it must let this host through"
    if isinstance(error, ssl.SSLError):
        return f"{host}:{port}: the secure connection was refused: {error.reason or error}", "feldsher-edge status"
    if isinstance(error, TimeoutError):
        return f"{host}:{port}: no answer in {TIMEOUT_S:.0f} s", f"a firewall swallows it: let TCP port {port} out"
    if isinstance(error, ConnectionRefusedError):
        return f"{host}:{port}: refused", "no broker listens there, or a firewall refuses: ask who runs it"
    return f"{host}:{port}: {error}", "see the steps above"


def look(cloud: Cloud) -> list[Check]:
    """Look at everything, the near before the far; what cannot be known is left out."""
    found = [interfaces(), address()]
    if any(check.ok is False for check in found):
        return found
    way = proxy.used()
    host = urlsplit(cloud.api_url).hostname or ""
    found.append(names(way.host) if way is not None else names(host, cloud.host))
    parts = urlsplit(cloud.api_url)
    found.append(web_proxy(host, parts.port or WEB_PORT))
    if any(check.ok is False for check in found):
        return found
    return [*found, *cloud_and_time(cloud), *broker(cloud)]
