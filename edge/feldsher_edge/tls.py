"""TLS that trusts one authority alone and judges certificates by the best known time, not by the wall clock.

OpenSSL would compare with the wall clock, which on a gateway may say 1970; so its comparison is switched off and made
here, right after the handshake and before a byte of ours is sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509

Now = Callable[[], datetime]
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (OpenSSL, x509_vfy.h); Python's ssl has no name for it."""


class _TimedSocket(ssl.SSLSocket):
    """A connection whose handshake ends only where the server's certificate is in force."""

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        context = self.context
        if isinstance(context, TimedContext) and context.now is not None:
            _check_time(self.getpeercert(binary_form=True), context.now())


class TimedContext(ssl.SSLContext):
    """A client's context; `now` None: the server's certificate is not judged by time (only to ask for the time)."""

    sslsocket_class = _TimedSocket
    now: Now | None

    def __new__(cls, now: Now | None) -> TimedContext:
        """Make it for a client, at least TLS 1.2."""
        made: Any = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        made.now = now
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.verify_flags = ssl.VerifyFlags(int(made.verify_flags) | _NO_CHECK_TIME)
        return made


def context(authority: Path | str, now: Now | None, pair: tuple[Path, Path] | None = None) -> TimedContext:
    """Return a context that trusts `authority` alone (a file, or PEM text) and shows the certificate and key of `pair`.

    FileNotFoundError names a file that is absent.
    """
    for path in (*((authority,) if isinstance(authority, Path) else ()), *(pair or ())):
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing; claim the gateway, or correct its configuration")
    made = TimedContext(now)
    if isinstance(authority, Path):
        made.load_verify_locations(authority)
    else:
        made.load_verify_locations(cadata=authority)
    if pair is not None:
        made.load_cert_chain(*pair)
    return made


def _check_time(der: bytes | None, now: datetime) -> None:
    if der is None:
        raise ssl.SSLCertVerificationError("the server showed no certificate")
    shown = x509.load_der_x509_certificate(der)
    if now < shown.not_valid_before_utc:
        words = (
            f"the server's certificate begins on {shown.not_valid_before_utc:%Y-%m-%d}, and here it is {now:%Y-%m-%d}"
        )
        raise ssl.SSLCertVerificationError(f"{words}: this gateway's clock is behind")
    if now > shown.not_valid_after_utc:
        words = f"the server's certificate ended on {shown.not_valid_after_utc:%Y-%m-%d}, and here it is {now:%Y-%m-%d}"
        raise ssl.SSLCertVerificationError(f"{words}: this gateway's clock is ahead, or the server was not cared for")
