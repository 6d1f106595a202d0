"""Certificates are judged by the time that is given, whatever the wall clock says."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from feldsher_cloud_api import ca
from feldsher_edge import tls

Serve = Callable[[timedelta], tuple[int, ca.CertificateAuthority]]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve TLS with a certificate of 397 days that was made so long ago."""
    made = ca.create(tmp_path / "ca")
    listeners: list[socket.socket] = []

    def start(ago: timedelta) -> tuple[int, ca.CertificateAuthority]:
        then = ca.load(made.directory, lambda: datetime.now(UTC) - ago)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*then.issue_server(["127.0.0.1"]).write(tmp_path, "server"))
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def answer() -> None:
            while True:
                try:
                    plain, _ = listener.accept()
                except OSError:
                    return
                with plain:
                    try:
                        context.wrap_socket(plain, server_side=True).close()
                    except OSError:
                        continue

        threading.Thread(target=answer, daemon=True).start()
        return listener.getsockname()[1], made

    yield start
    for listener in listeners:
        listener.close()


def shake(port: int, authority: ca.CertificateAuthority, now: tls.Now | None) -> None:
    context = tls.context(authority.directory / "ca.pem", now)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1"),
    ):
        pass


def on(days: float) -> tls.Now:
    return lambda: datetime.now(UTC) + timedelta(days=days)


def test_a_certificate_in_force_is_taken(serve: Serve) -> None:
    shake(*serve(timedelta(0)), on(0))
    shake(*serve(timedelta(0)), None)


def test_by_a_clock_in_1970_it_has_not_begun_and_by_one_far_ahead_it_has_ended(serve: Serve) -> None:
    port, authority = serve(timedelta(0))
    with pytest.raises(ssl.SSLCertVerificationError, match="clock is behind"):
        shake(port, authority, lambda: datetime(1970, 1, 1, tzinfo=UTC))
    with pytest.raises(ssl.SSLCertVerificationError, match="clock is ahead"):
        shake(port, authority, on(398))


def test_an_old_certificate_is_refused_by_the_true_time_and_taken_by_nobody_else(serve: Serve) -> None:
    port, authority = serve(timedelta(days=500))
    with pytest.raises(ssl.SSLCertVerificationError, match="was not cared for"):
        shake(port, authority, on(0))
    shake(port, authority, on(-400))
    shake(port, authority, None)  # only to ask for the time: the answer is signed by another key


def test_another_authority_is_never_taken(serve: Serve, tmp_path: Path) -> None:
    port, _ = serve(timedelta(0))
    other = ca.create(tmp_path / "other")
    for now in (on(0), None):
        with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
            shake(port, other, now)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="claim the gateway"):
        tls.context(tmp_path / "ca.pem", None)
