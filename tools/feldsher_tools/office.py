"""The cloud's provisioning over real TLS, with its own authority and a clock that can be set: for tests of gateways."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from feldsher_cloud_api import ca, gateway_keys
from feldsher_ehr_core import signed

SECRET = "a-secret-of-more-than-twenty-characters"  # noqa: S105 - nobody's
GATEWAY = "gw-7"
Answer = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Office:
    """A cloud of one gateway; every answer can be replaced. `asked`: bodies of claims; `paths`: all requests' paths."""

    def __init__(
        self,
        folder: Path,
        authority: ca.CertificateAuthority | None = None,
        gateway: str = GATEWAY,
        broker: tuple[str, int] = ("broker.example", 8883),
    ) -> None:
        """Make a server below `folder`, and an authority where none is given, and begin to answer."""
        self.shift = timedelta(0)
        self.gateway, self.broker = gateway, broker
        self.authority = authority or ca.create(folder / "ca", self.now)
        folder.mkdir(parents=True, exist_ok=True)
        self.word = gateway_keys.load(gateway_keys.new_key())
        self.release = gateway_keys.load(gateway_keys.new_key())
        self.shown_pem = self.authority.certificate_pem
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answers: dict[str, Answer] = {
            "/base/provision/claim": self.claimed,
            "/base/provision/time": self.tell_time,
            "/base/provision/renew": self.grant,
            "/base/provision/confirm": lambda _: (200, {}),
        }
        self.bodies: dict[str, bytes] = {}
        self.uploads: dict[str, list[bytes]] = {"/base/gateway/diagnostics": []}
        self._folder = folder
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        plain = self.server.socket
        self.server.socket = self._context().wrap_socket(plain, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def now(self) -> datetime:
        """Return the time that this cloud believes in."""
        return datetime.now(UTC) + self.shift

    @property
    def url(self) -> str:
        """Its address, with a path in front of all others."""
        return f"https://127.0.0.1:{self.server.server_address[1]}/base"

    def _context(self) -> ssl.SSLContext:
        certificate, key = self.authority.issue_server(["127.0.0.1"]).write(self._folder, "server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def claimed(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Grant a claim."""
        self.asked.append(body)
        return self.grant(body)

    def grant(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Certify a key."""
        certificate = self.authority.sign_csr(body["csr"].encode(), self.gateway).decode()
        return 200, {
            "certificate_pem": certificate,
            "ca_pem": self.authority.certificate_pem.decode(),
            "gateway": self.gateway,
            "mqtt_host": self.broker[0],
            "mqtt_port": self.broker[1],
            "api_url": self.url,
            "word_keys": [gateway_keys.public_text(self.word)],
            "release_keys": [gateway_keys.public_text(self.release)],
            "at_ms": int(self.now().timestamp() * 1000),
        }

    def tell_time(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Sign the time."""
        now_us = int(self.now().timestamp() * 1e6)
        signature = gateway_keys.sign(self.word, signed.time(bytes.fromhex(body["nonce"]), now_us))
        return 200, {"unix_us": now_us, "signature": signature.hex()}

    def claim(self, **fields: str) -> str:
        """Return a claim; `fields` replace parts of it."""
        parts = {"url": self.url, "gateway": self.gateway, "secret": SECRET, "ca_sha256": self.authority.pin} | fields
        return "feldsher1." + base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()

    def close(self) -> None:
        """Stop answering."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def signed_by(header: str, method: str, path: str, body: bytes) -> bool:
    """Return whether an Authorization header proves the key of the certificate that it shows."""
    _, shown, at_us, proof = header.split(" ")
    key: Any = x509.load_der_x509_certificate(base64.b64decode(shown)).public_key()
    said = signed.request(method, path, int(at_us), body)
    return gateway_keys.verified(key, base64.b64decode(proof), said)


def _handler(office: Office) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            office.paths.append(self.path)
            if self.path == "/base/provision/ca":
                self._reply(200, office.shown_pem)
            elif self.path in office.bodies:
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                self._reply(206 if start else 200, office.bodies[self.path][start:])
            else:
                self._reply(404, b"{}")

        def do_POST(self) -> None:
            office.paths.append(self.path)
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            path, header = self.path.removeprefix("/base"), self.headers.get("Authorization")
            if header is not None and not signed_by(header, "POST", path, raw):
                self._reply(401, b'{"error": "not signed", "code": "signature"}')
                return
            if self.path in office.uploads:
                office.uploads[self.path].append(raw)
                self._reply(200, b"{}")
                return
            status, answer = office.answers[self.path](json.loads(raw))
            self._reply(status, json.dumps(answer).encode())

        def _reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    return Handler
